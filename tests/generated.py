"""Inputs of every kind for tests that look for what breaks, made by hypothesis."""

import traceback
import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import strategies as st

# What values are, before unit and offset of each column.
VALUES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "bits": lambda rng, shape: rng.integers(0, 2, shape).astype(float),
    "grey": lambda rng, shape: rng.random(shape),
    "counts": lambda rng, shape: rng.poisson(3, shape).astype(float),
    "constant": lambda rng, shape: np.full(shape, rng.normal()),
    "zeros": lambda _, shape: np.zeros(shape),
    "heavy tails": lambda rng, shape: rng.standard_cauchy(shape) ** 3,
}
UNITS = [1.0, 1.0, 1e-12, 1e-6, 1e6, 1e12, 1e-300, 1e30, 1e300]
OFFSETS = [0.0, 0.0, 1.0, -1e6, 1e12]
HOLES = [np.nan, np.inf, -np.inf, 1e308, -1e39, 5e-324]
DTYPES = [
    *("f2", "f4", "f8", "g", ">f8", "i1", "u1", "i4", "i8", "u8", "?"),
    *("O", "c16", "U8", "S8", "M8[s]", "m8[s]"),
]
SPARSE = ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"]


@st.composite
def tables(draw):
    """Draw a table, most of them usable, as an array in some dtype and layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([1, 2, 3, 8, 20])), draw(st.sampled_from([1, 2, 4, 7]))
    X = VALUES[draw(st.sampled_from(sorted(VALUES)))](rng, shape)
    with np.errstate(over="ignore"):
        X = X * rng.choice(draw(st.lists(st.sampled_from(UNITS), min_size=1)), shape[1])
    X = X + rng.choice(draw(st.lists(st.sampled_from(OFFSETS), min_size=1)), shape[1])
    if draw(st.booleans()) and shape[1] > 1:  # a column twice
        X[:, -1] = X[:, 0]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        X[rng.integers(shape[0]), rng.integers(shape[1])] = draw(st.sampled_from(HOLES))
    return draw(layouts(draw(dtypes(X))))


@st.composite
def dtypes(draw, X):
    """Draw the same numbers in another dtype."""
    dtype = draw(st.sampled_from(["f8"] * 12 + DTYPES))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if np.dtype(dtype).kind in "Mm":
            X = np.nan_to_num(X, posinf=0, neginf=0).clip(-1e9, 1e9).astype("i8")
        return X.astype(dtype)


@st.composite
def layouts(draw, X):
    """Draw the same table in another layout, shape or container."""
    kind = draw(st.sampled_from(["as it is"] * 6 + LAYOUTS))
    if kind in SPARSE:
        known = X.dtype.kind in "fiub" and 1 <= X.dtype.itemsize <= 8
        if not known or not X.dtype.isnative or X.dtype == "f2":
            return X
        return getattr(sp, f"{kind}_matrix")(X)
    return _LAYOUTS[kind](X)


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


_LAYOUTS = {
    "as it is": lambda X: X,
    "by columns": np.asfortranarray,
    "strides": lambda X: np.repeat(X, 2, 0)[::2],
    "backwards": lambda X: X[::-1, ::-1],
    "read-only": _read_only,
    "list": lambda X: X.tolist(),
    "data frame": pd.DataFrame,
    "mixed frame": lambda X: pd.DataFrame(X).assign(name="a").rename(columns=str),
    "masked": np.ma.masked_array,
    "no rows": lambda X: X[:0],
    "no columns": lambda X: X[:, :0],
    "one dimension": lambda X: X[:, 0],
    "three dimensions": lambda X: X[None],
    "number": lambda X: X[0, 0],
    "None": lambda _: None,
    "text": lambda _: "table.csv",
    "ragged": lambda _: [[1.0, 2.0], [3.0]],
    "dict": lambda X: {"X": X},
}
LAYOUTS = [*_LAYOUTS, *SPARSE]

# Wrong for nearly every parameter, and right for some.
PARAMETERS = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            -1,
            0,
            1,
            2,
            3,
            -(10**25),
            -0.5,
            0.0,
            0.5,
            1.5,
            1e300,
            1e-300,
        ),
        *(np.nan, np.inf, -np.inf, "", "auto", "nonsense", b"auto", [], [0], (1, 2)),
        *(
            {},
            {"a": 1},
            np.zeros(3),
            np.float64(0.5),
            np.int64(2),
            np.nan,
            object(),
            int,
        ),
    ]
)
WEIGHTS = [
    *("none", "ones", "zeros", "one zero", "negative", "nan", "inf", "short", "text"),
    *("number", "tiny", "huge", "column", "integers"),
]


def weight_of(kind, n_rows):
    """Return sample weights of a kind."""
    w = np.linspace(1, 2, max(n_rows, 1))
    w[0] = {"one zero": 0, "nan": np.nan, "inf": np.inf, "huge": 1e300}.get(kind, w[0])
    other = {
        "none": None,
        "ones": np.ones(n_rows),
        "zeros": np.zeros(n_rows),
        "negative": -w,
        "short": w[:-1],
        "text": ["a"] * n_rows,
        "number": 2.0,
        "tiny": w * 1e-300,
        "column": w[:, None],
        "integers": np.arange(n_rows),
    }
    return other.get(kind, w)


class Told:
    """Context in which only errors are raised that the package or scikit-learn words.

    Nothing inside torch may warn.
    """

    def __enter__(self):
        self.is_error = False
        self._catch = warnings.catch_warnings(record=True)
        self._caught = self._catch.__enter__()
        warnings.simplefilter("always")
        return self

    def __exit__(self, kind, error, trace):
        self._catch.__exit__(kind, error, trace)
        inside = [str(w.message) for w in self._caught if "/torch/" in w.filename]
        assert not inside, inside
        if error is None:
            return False
        self.error, self.is_error = error, isinstance(error, ValueError | TypeError)
        if not self.is_error:
            return False
        files = [frame.filename for frame in traceback.extract_tb(trace)]
        # scikit-learn lets numpy and pandas speak of what they cannot convert.
        is_told = any(part in files[-1] for part in ("/skgen/", "/sklearn/"))
        is_told |= any(file.endswith("/sklearn/utils/validation.py") for file in files)
        assert is_told, f"{error!r} is raised in {files[-1]}"
        assert len(str(error)) > 10, repr(error)
        return True
