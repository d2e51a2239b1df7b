"""Data of every kind that users have: what the dense array gives, or what to call.

Runs on `--device`, as test_contract.py does, of which it is a part.
"""
# ruff: noqa: F811  (the fixtures of test_contract.py)

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy
import scipy.sparse as sp
import sklearn
import torch
from families import X as DIGITS
from families import Y, args, fit
from sklearn.utils.fixes import parse_version
from test_contract import (  # noqa: F401
    assert_same_state,
    fits,
    make,
    needs,
    pytest_generate_tests,
)
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from skgen import GaussianVAE
from skgen.base import (
    ConditionalMixin,
    EncoderMixin,
    ImputerMixin,
    LikelihoodMixin,
    _streams,
)
from skgen.impute import GenerativeImputer
from skgen.training import _block_rows, _pools

# Sixteenths: bfloat16 has these numbers, too.
X = DIGITS[:60, 6:18]
X32 = X.astype(np.float32)


def mapped(X, tmp_path):
    file = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    file[:] = X
    file.flush()
    return np.memmap(tmp_path / "X", X.dtype, "r", shape=X.shape)


class Slices:
    """A user's own table, of which slices of rows are all that can be had."""

    def __init__(self, table):
        self.table, self.shape, self.dtype = table, table.shape, table.dtype

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self.table[rows]


class OneAfterTheOther(IterableDataset):
    """A dataset whose rows come in one order, and once."""

    def __iter__(self):
        yield from X32


def of_tensor(dtype, **options):
    return lambda X: torch.tensor(X, dtype=dtype, **options)


# Forms of the table, by the dtype of the array to which they are equal.
FORMS = {
    np.float64: {
        "lists": lambda X: X.tolist(),
        "columns": np.asfortranarray,
        "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
        "pandas": pd.DataFrame,
        "polars": pl.DataFrame,
        "polars with another dtype": lambda X: pl.DataFrame(X).with_columns(
            pl.col("column_0").cast(pl.Float32)
        ),
        "csr": sp.csr_array,
        "csc": sp.csc_matrix,
        "coo": sp.coo_array,
        "slices": Slices,
        "torch": of_tensor(torch.float64),
        "torch.float16": of_tensor(torch.float16),
    },
    np.float32: {
        "pandas of float32": pd.DataFrame,
        "polars of float32": pl.DataFrame,
        "csc of float32": sp.csc_array,
        "torch.float32": of_tensor(torch.float32),
        "torch with a gradient": of_tensor(torch.float32, requires_grad=True),
        "torch.bfloat16": of_tensor(torch.bfloat16),
        "torch by columns": lambda X: torch.tensor(np.ascontiguousarray(X.T)).T,
        "list of tensors": lambda X: list(torch.tensor(X)),
        "dataset": lambda X: TensorDataset(torch.tensor(X)),
        "loader": lambda X: DataLoader(TensorDataset(torch.tensor(X)), shuffle=True),
    },
}
ALL = [(name, dtype) for dtype, forms in FORMS.items() for name in forms]
outside_names = pytest.mark.filterwarnings("ignore:X .*feature names:UserWarning")


@pytest.fixture(scope="module")
def dense_fits():
    """Fits to the dense array, by class and dtype, and what they answer."""
    return {}


def answers(model, X, y):
    """What the methods say of rows, all that take data without Markov chains."""
    model.random_state = 0
    more = (y,) if isinstance(model, ConditionalMixin) else ()
    result = [model.score_samples(X, *more), model.score(X, *more)]
    if isinstance(model, EncoderMixin):
        result.append(model.transform(X, *more))
    return result


@outside_names
@pytest.mark.parametrize(("name", "dtype"), ALL, ids=[name for name, _ in ALL])
def test_a_form_gives_what_the_dense_array_gives(make, dense_fits, name, dtype):
    array = X.astype(dtype)
    key = type(make()), dtype
    if key not in dense_fits:
        model = fit(make(n_iter=1), array)
        dense_fits[key] = model, answers(model, array, Y[:60])
    dense, expected = dense_fits[key]
    data = FORMS[dtype][name](array)
    y = torch.tensor(Y[:60]) if isinstance(data, torch.Tensor) else Y[:60]
    model = make(n_iter=1)
    model.fit(*((data, y) if isinstance(model, ConditionalMixin) else (data,)))
    if "feature_names_in_" in vars(model):
        assert list(model.feature_names_in_) == list(data.columns)
        del model.feature_names_in_
    assert_same_state(model, dense)
    for one, other in zip(answers(model, data, y), expected, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(one, other)


def test_a_memory_map(make, dense_fits, tmp_path):
    model, file = make(n_iter=1), mapped(X32, tmp_path)
    fit(model, file)
    assert_same_state(model, fit(make(n_iter=1), X32))
    assert not file.flags.writeable


def test_blocks_of_rows(make, monkeypatch):
    """Fits differ from those in memory by their order of rows, answers by nothing."""
    monkeypatch.setattr(_streams, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(_block_rows, "_BLOCK_BYTES", 10 * X32.shape[1] * 4)
    monkeypatch.setattr(_pools, "_POOL_BYTES", 30 * X32.shape[1] * 4)
    model = fit(make(n_iter=1), Slices(X32))
    assert_same_state(model, fit(make(n_iter=1), Slices(X32)))
    y = Y[:60]
    found, expected = (answers(model, data, y) for data in (Slices(X32), X32))
    for one, other in zip(found, expected, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


def test_valid_data_are_the_memory_of_the_user(make, tmp_path):
    """Of float32, in which all of these train."""
    tensor = torch.tensor(X32, requires_grad=True)
    for data, memory in (
        (X32, X32),
        (tensor, tensor.detach().numpy()),
        (file := mapped(X32, tmp_path), file),
    ):
        model = make()
        y = (Y[:60],) * isinstance(model, ConditionalMixin)
        valid, _ = model._validate_training_data(data, *y or (None,), reset=True)
        assert np.shares_memory(valid, memory)
        assert valid.dtype == np.float32
    matrix = sp.csr_array(X32)
    valid, _ = make()._validate_training_data(
        matrix,
        *((Y[:60],) if isinstance(make(), ConditionalMixin) else (None,)),
        reset=True,
    )
    assert np.shares_memory(valid.data, matrix.data)


@needs(EncoderMixin)
def test_features_and_gaps_as_tensors(make):
    model = fit(make(n_iter=1), X32)
    H = model.transform(X32)
    given = model.inverse_transform(torch.tensor(H, requires_grad=True))
    np.testing.assert_array_equal(given, model.inverse_transform(H))
    assert given.dtype == np.float32


@needs(ImputerMixin)
def test_rows_with_gaps_as_tensors(make):
    model, gaps = fit(make(n_iter=1), X32), X32[:5].copy()
    gaps[0, 0] = np.nan
    filled = model.impute(torch.tensor(gaps), random_state=0)
    np.testing.assert_array_equal(filled, model.impute(gaps, random_state=0))


def test_weights_of_any_form(make):
    weight = np.arange(60.0) / 60  # a row of weight zero
    dense = make(n_iter=1).fit(*args(make(), X32), sample_weight=weight)
    tensor = torch.tensor(weight, requires_grad=True)
    data = torch.tensor(X32, requires_grad=True)
    for given in (tensor, pl.Series(weight), pd.Series(weight)):
        model = make(n_iter=1)
        y = (torch.tensor(Y[:60]),) * isinstance(model, ConditionalMixin)
        assert_same_state(model.fit(data, *y, sample_weight=given), dense)
        score = model.score(data, *y, sample_weight=given)
        assert score == dense.score(*args(dense, X32), sample_weight=weight)


@needs(ConditionalMixin)
@pytest.mark.parametrize("form", [pl.Series, pd.Series, torch.tensor, list, np.asarray])
def test_conditions_of_any_form(make, form):
    dense = fit(make(n_iter=1), X32)
    model = make(n_iter=1).fit(X32, form(Y[:60]))
    assert_same_state(model, dense)


# What cannot be read, and what the error says to call.
REFUSED = {
    "3-D": (np.zeros((4, 3, 4)), ValueError, r"reshape\(n_samples, -1\)"),
    "3-D tensor": (torch.zeros(4, 3, 4), ValueError, r"reshape\(n_samples, -1\)"),
    "lazy": (pl.DataFrame(X32).lazy(), TypeError, r"collect\(\)"),
    "masked": (np.ma.masked_array(X32, X32 > 0.5), TypeError, r"filled\(np.nan\)"),
    "sparse": (torch.tensor(X32).to_sparse(), TypeError, r"to_dense\(\)"),
    "meta": (torch.zeros(4, 12, device="meta"), TypeError, "on the CPU"),
    "dataset": (OneAfterTheOther(), TypeError, r"[Cc]all partial_fit on"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_what_to_call(make, dense_fits, name):
    data, error, match = REFUSED[name]
    key = type(make()), np.float32
    if key not in dense_fits:
        model = fit(make(n_iter=1), X32)
        dense_fits[key] = model, answers(model, X32, Y[:60])
    fitted, _ = dense_fits[key]
    y = (Y[:60],) * isinstance(fitted, ConditionalMixin)
    for method in ("fit", "partial_fit"):
        with pytest.raises(error, match=match):
            getattr(make(), method)(data, *y)
    methods = ["score", "score_samples"]
    if isinstance(fitted, LikelihoodMixin):
        methods.append("log_likelihood")
    for method in methods:
        with pytest.raises(error, match=match):
            getattr(fitted, method)(data, *y)
    alone = ["transform", "inverse_transform"] * isinstance(fitted, EncoderMixin)
    alone += ["impute"] * isinstance(fitted, ImputerMixin)
    for method in alone:
        with pytest.raises(error, match=match):
            getattr(fitted, method)(data)


@needs(ConditionalMixin)
@pytest.mark.parametrize("name", ["lazy", "masked", "sparse", "meta", "dataset"])
def test_conditions_that_cannot_be_read(make, name):
    data, error, _ = REFUSED[name]
    with pytest.raises(error, match="Got y"):
        make().fit(X32, data)


@needs("image_shape")
@pytest.mark.filterwarnings("error:Got X with implausible")
def test_ink_at_the_edge_of_few_images_is_no_fault(make):
    """Pixels are as dark as each other, but some of them in few images."""
    inked = DIGITS.copy()
    inked[:, 0] = np.linspace(0, 1e-3, len(inked))
    inked[3, 0] = 1
    images = {"architecture": "conv", "image_shape": (4, 6)}
    model = make(**images, hidden_layer_sizes=(3, 4))
    model.fit(*args(model, inked))
    if hasattr(model, "_units"):
        assert model._units.bounds is None
        with pytest.raises(UserWarning, match="implausible"):
            make().fit(*args(model, inked))


# The imputer


@pytest.mark.parametrize("form", [torch.tensor, pl.DataFrame, np.asfortranarray])
def test_an_imputer_takes_any_form(form):
    gaps = X32.copy()
    gaps[::3, 0] = np.nan
    gaps[1::3, 1] = np.nan

    def filled(X):
        imputer = GenerativeImputer(estimator=quick_model(), random_state=0)
        return imputer.fit(X).transform(X)

    np.testing.assert_allclose(filled(form(gaps)), filled(gaps), rtol=1e-5, atol=1e-6)


def quick_model():
    return GaussianVAE(2, n_iter=1, hidden_layer_sizes=(4,), device="cpu")


@pytest.mark.parametrize("name", REFUSED)
def test_an_imputer_says_what_to_call(name):
    data, error, match = REFUSED[name]
    with pytest.raises(error, match=match):
        GenerativeImputer().fit(data)
    with pytest.raises(error, match=match):
        GenerativeImputer(estimator=quick_model()).fit(X32).transform(data)


# The array API


@pytest.mark.skipif(
    parse_version(scipy.__version__) < parse_version("1.14"),
    reason="scikit-learn dispatches arrays with SciPy 1.14 or newer",
)
def test_array_api_dispatch(make, monkeypatch):
    """With the array API of scikit-learn on, tensors are read as without it."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    monkeypatch.setattr("scipy._lib._array_api.SCIPY_ARRAY_API", True, raising=False)
    dense = fit(make(n_iter=1), X32)
    with sklearn.config_context(array_api_dispatch=True):
        model = make(n_iter=1)
        data, y = torch.tensor(X32), torch.tensor(Y[:60])
        model.fit(*((data, y) if isinstance(model, ConditionalMixin) else (data,)))
        assert_same_state(model, dense)
        given = answers(model, data, y)
    for one, other in zip(given, answers(dense, X32, Y[:60]), strict=True):
        assert isinstance(one, np.ndarray | float)
        np.testing.assert_array_equal(one, other)
