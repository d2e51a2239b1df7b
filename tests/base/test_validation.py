import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from sklearn.utils.validation import validate_data
from skorch.callbacks import Callback

from skgen import BernoulliRBMGPU
from skgen.base import _validation
from skgen.base._validation import (
    bits_or_probabilities,
    validated,
    validated_rows,
    warn,
    warn_outside_unit_interval,
)


def small(**params):
    return BernoulliRBMGPU(2, n_iter=1, random_state=0, device="cpu", **params)


BITS = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(float)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 5.0, 100.0])
def test_rounding_of_a_scaler_is_inside(dtype, offset):
    """As in float32, also where the numbers are stored in float64 afterwards."""
    rng = np.random.default_rng(0)
    X = (offset + rng.normal(size=(1000, 100))).astype(np.float32)
    scaled = MinMaxScaler().fit_transform(X)
    assert scaled.max() > 1 or scaled.min() < 0  # 1.0000001, and with offsets more
    warn_outside_unit_interval(scaled.astype(dtype))


@pytest.mark.parametrize("value", [-1e-4, 1.0001, 255.0, -np.inf, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_than_rounding_is_outside(value, dtype):
    X = np.array([[0.0, 1.0], [0.5, value]], dtype)
    expected = rf"\[{min(value, 0):g}, {max(value, 1):g}\].*MinMaxScaler"
    for of_any_kind in (X, np.asfortranarray(X), X[::-1], sp.csr_array(X)):
        with pytest.warns(UserWarning, match=expected.replace("+", r"\+")):
            warn_outside_unit_interval(of_any_kind)


def test_zeros_of_a_sparse_matrix_count():
    with pytest.warns(UserWarning, match=r"\[0, 4\]"):
        warn_outside_unit_interval(sp.csr_array([[0.0, 4.0]]))
    warn_outside_unit_interval(sp.csr_array((2, 3)))


def test_missing_values_are_not_outside():
    X = np.array([[np.nan, 1.0], [0.0, np.nan]])
    warn_outside_unit_interval(X)
    warn_outside_unit_interval(np.full((2, 2), np.nan))
    X[0, 1] = 2
    with pytest.warns(UserWarning, match=r"\[0, 2\]"):
        warn_outside_unit_interval(X)


def test_a_threshold_takes_any_values():
    X = np.array([[0.0, 255.0], [0.4, -3.0]])
    bits = bits_or_probabilities(X, "threshold")
    np.testing.assert_array_equal(bits, [[0, 1], [0, 0]])
    with pytest.warns(UserWarning, match="Got X with values"):
        assert bits_or_probabilities(X, "none") is X


def test_a_check_in_fortran_order_copies_nothing(monkeypatch):
    copied = []
    ascontiguousarray = np.ascontiguousarray

    def spy(X, *args, **kwargs):
        copied.append(not X.flags.c_contiguous)
        return ascontiguousarray(X, *args, **kwargs)

    monkeypatch.setattr(np, "ascontiguousarray", spy)
    X = np.asfortranarray(np.tile(BITS, (2000, 1)))
    warn_outside_unit_interval(validated(BaseEstimator(), X))
    assert copied == [False, False]


class Fitted(BaseEstimator):
    """What validation sees of a fitted estimator."""

    def __init__(self, n_features=3, names=None):
        if n_features is not None:
            self.n_features_in_ = n_features
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def fit(self, X, y=None):
        return self


class Subclass(np.ndarray):
    """An array of another type."""


def with_value(value):
    X = BITS.copy()
    X[3, 1] = value
    return X


ROWS = {
    "float64": BITS,
    "float32": BITS.astype(np.float32),
    "one row": BITS[:1],
    "columns first": np.asfortranarray(BITS),
    "strided": BITS.repeat(2, axis=0)[::2],
    "integers": BITS.astype(int),
    "half precision": BITS.astype(np.float16),
    "other byte order": BITS.astype(BITS.dtype.newbyteorder()),
    "objects": BITS.astype(object),
    "lists": BITS.tolist(),
    "a subclass": BITS.view(Subclass),
    "sparse": sp.csr_array(BITS),
    "large": with_value(1e308) * with_value(1.0),
    "sum overflows": np.full((4, 3), 1e308),
    "NaN": with_value(np.nan),
    "infinite": with_value(np.inf),
    "both infinities": with_value(np.inf) - with_value(np.inf)[::-1],
    "one dimension": BITS[0],
    "no rows": BITS[:0],
    "no columns": BITS[:, :0],
    "too narrow": BITS[:, :2],
    "complex": BITS.astype(complex),
}


def outcome(function):
    """What a function returns, or which error it raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        try:
            result = function()
        except (ValueError, TypeError) as error:
            result = type(error), str(error)
    return result, [str(warning.message) for warning in record]


@pytest.mark.parametrize("names", [None, ["a", "b", "c"]], ids=["unnamed", "named"])
@pytest.mark.parametrize("n_features", [3, None])
@pytest.mark.parametrize("kind", ROWS)
def test_rows_are_validated_as_scikit_learn_does(kind, n_features, names):
    X, estimator = ROWS[kind], Fitted(n_features, names)
    expected, warned = outcome(
        lambda: validate_data(
            estimator,
            X,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            reset=False,
        )
    )
    got, also_warned = outcome(lambda: validated_rows(estimator, X))
    # Where numbers are not finite, scikit-learn is asked twice.
    assert set(also_warned) == set(warned)
    if isinstance(expected, tuple):
        assert got == expected
        return
    assert type(got) is type(expected)
    assert got.dtype == expected.dtype
    assert (got is X) == (expected is X)
    if sp.issparse(X):
        got, expected = got.toarray(), expected.toarray()
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("order", ["C", None])
@pytest.mark.parametrize("dtype", [np.float64, [np.float64, np.float32]], ids=str)
@pytest.mark.parametrize("kind", ROWS)
def test_training_data_is_validated_as_scikit_learn_does(kind, dtype, order):
    X, params = ROWS[kind], {"dtype": dtype, "order": order, "reset": True}
    theirs, ours = Fitted(5, list("abcde")), Fitted(5, list("abcde"))
    expected, _ = outcome(
        lambda: validate_data(theirs, X, accept_sparse="csr", **params)
    )
    got, _ = outcome(lambda: validated(ours, X, **params))
    if isinstance(expected, tuple):
        assert got == expected
        return
    assert vars(ours) == vars(theirs)
    assert (type(got), got.dtype) == (type(expected), expected.dtype)
    assert (got is X) == (expected is X)
    if sp.issparse(X):
        got, expected = got.toarray(), expected.toarray()
    np.testing.assert_array_equal(got, expected)


def test_what_is_assumed_finite_is_not_looked_at():
    X = with_value(np.nan)
    with config_context(assume_finite=True):
        assert validated_rows(Fitted(), X) is X
    with pytest.raises(ValueError, match="NaN"):
        validated_rows(Fitted(), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_valid_rows_are_not_validated_by_scikit_learn(dtype, monkeypatch):
    monkeypatch.setattr(_validation, "validate_data", None)
    X = BITS.astype(dtype)
    assert validated_rows(Fitted(), X) is X
    with pytest.raises(TypeError):
        validated_rows(Fitted(), X.tolist())


def lines_of(record):
    """Where warnings point to."""
    return {(warning.filename, warning.lineno) for warning in record}


def line_of(function):
    return function.__code__.co_filename, function.__code__.co_firstlineno + 1


def test_a_warning_points_at_the_line_of_the_user():
    model = small().fit(BITS)

    def call():
        model.score(2 * BITS)

    def call_of_a_pipeline():
        make_pipeline(FunctionTransformer(), model).fit_transform(2 * BITS)

    def call_of_a_search():
        cross_validate(model, 2 * BITS, cv=2)

    for function in (call, call_of_a_pipeline, call_of_a_search):
        with pytest.warns(UserWarning, match="Got X") as record:
            function()
        assert lines_of(record) == {line_of(function)}


class Scores(Callback):
    """A callback of a user, who scores data that is outside."""

    def on_epoch_end(self, net, **kwargs):
        self.model.score(2 * BITS)


# A callback of this package: skorch is between it and the user.
_OF_THE_PACKAGE = """
class Warns(Callback):
    def on_epoch_end(self, net, **kwargs):
        warn("of a callback", RuntimeWarning)
"""


def test_a_warning_in_training_points_at_the_line_of_the_user():
    scores = Scores()
    scores.model = small().fit(BITS)
    with pytest.warns(UserWarning, match="Got X") as record:
        small(callbacks=[scores]).fit(BITS)
    assert lines_of(record) == {line_of(Scores.on_epoch_end)}

    namespace = {"warn": warn, "Callback": Callback, "__name__": "skgen.callbacks"}
    exec(_OF_THE_PACKAGE, namespace)

    def fit():
        small(callbacks=[namespace["Warns"]()]).fit(BITS)

    with pytest.warns(RuntimeWarning, match="of a callback") as record:
        fit()
    assert lines_of(record) == {line_of(fit)}
