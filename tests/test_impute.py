"""GenerativeImputer: its contract, its laws, and beside scikit-learn's imputers."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from skgen import BernoulliRBMGPU
from skgen.impute import GenerativeImputer

DIGITS = load_digits()


def incomplete(X, share=0.3, seed=0):
    missing = np.random.RandomState(seed).uniform(size=X.shape) < share
    return np.where(missing, np.nan, X), missing


def quick(**params):
    rbm = BernoulliRBMGPU(16, n_iter=1, batch_size=20, device="cpu")
    return GenerativeImputer(rbm, **({"max_iter": 3, "random_state": 0} | params))


def test_check_estimator(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    results = check_estimator(quick(), on_fail=None, on_skip=None)
    assert len(results) > 35
    assert [
        (r["check_name"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


def rmse(filled, X, missing):
    return np.sqrt(np.mean((filled - X)[missing] ** 2))


@pytest.mark.parametrize("what", ["grey", "binary"])
def test_lower_error_than_neighbours(what):
    """On four rows of pixels of 900 digits: by 10 % (grey) and 4 % (binary).

    Means of pixels, or values that fit the wrong rows, have errors above those of
    neighbours.
    """
    X = DIGITS.data[:900, 16:48] / 16
    if what == "binary":
        X = (X > 0.5).astype(float)
    V, missing = incomplete(X)
    ours = GenerativeImputer(n_levels=4 if what == "grey" else 1, random_state=0)
    filled = ours.fit_transform(V)
    neighbours = rmse(KNNImputer().fit_transform(V), X, missing)
    assert rmse(filled, X, missing) < 0.975 * neighbours
    means = SimpleImputer().fit_transform(V)
    wrong_rows = np.where(missing, np.roll(filled, 1, axis=0), V)
    assert min(rmse(means, X, missing), rmse(wrong_rows, X, missing)) > neighbours


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")
@pytest.mark.parametrize("what", ["grey", "binary"])
def test_lower_error_than_scikit_learns_imputers(what):
    """30 % of the pixels of digits, fitted on the incomplete rows themselves."""
    X = DIGITS.data / 16
    if what == "binary":
        X = (X > 0.5).astype(float)
    V, missing = incomplete(X)

    ours = GenerativeImputer(n_levels=4 if what == "grey" else 1, random_state=0)
    errors = [
        rmse(imputer.fit_transform(V), X, missing)
        for imputer in (ours, KNNImputer(), IterativeImputer(max_iter=5))
    ]
    assert errors[0] < 0.97 * min(errors[1:])


def test_conditional_means_of_correlated_bits():
    """Two bits that agree 9 times out of 10; the best estimate is 0.9 or 0.1."""
    rng = np.random.RandomState(0)
    x = rng.randint(2, size=4000)
    y = np.where(rng.uniform(size=4000) < 0.9, x, 1 - x)
    X = np.stack([x, y], axis=1).astype(float)
    V, _ = incomplete(X, 0.2)
    rbm = BernoulliRBMGPU(4, n_iter=2, batch_size=50, learning_rate=0.3)
    imputer = GenerativeImputer(rbm, n_levels=1, random_state=0).fit(V)
    ones = np.tile([[1.0, np.nan], [0.0, np.nan]], (200, 1))
    means = imputer.transform(ones)[:, 1].reshape(200, 2).mean(axis=0)
    np.testing.assert_allclose(means, [0.9, 0.1], atol=0.04)


@pytest.mark.parametrize("n_levels", [1, 3, 8])
def test_code_is_undone_to_within_half_a_level(n_levels):
    X = np.random.RandomState(0).uniform(-5, 20, size=(50, 3))
    imputer = quick(n_levels=n_levels).fit(X)
    share = imputer._encode(X).reshape(50, 3, n_levels).mean(axis=2)
    width = X.max(0) - X.min(0)
    back = X.min(0) + share * width
    assert (np.abs(back - X) <= 0.5 / n_levels * width + 1e-12).all()


def test_known_values_stay_and_rows_without_gaps():
    X = np.random.RandomState(0).normal(size=(60, 4))
    V, missing = incomplete(X)
    imputer = quick().fit(V)
    filled = imputer.transform(V)
    np.testing.assert_array_equal(filled[~missing], X[~missing])
    assert not np.isnan(filled).any()
    np.testing.assert_array_equal(imputer.transform(X), X)
    np.testing.assert_array_equal(V[missing], np.nan)
    low, high = np.nanmin(V, axis=0), np.nanmax(V, axis=0)
    assert ((filled >= low - 1e-12) & (filled <= high + 1e-12)).all()


def test_constant_features():
    X = np.random.RandomState(0).normal(size=(30, 2))
    X[:, 1] = 7.0
    V = X.copy()
    V[::3, 1] = np.nan
    np.testing.assert_array_equal(quick().fit_transform(V)[:, 1], 7.0)


def test_a_feature_without_known_values():
    X = np.zeros((5, 3))
    X[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"no known value of features \[1\]"):
        quick().fit(X)


def test_same_seed_same_values():
    V, _ = incomplete(DIGITS.data[:100])
    one, two = quick().fit(V), quick().fit(V)
    np.testing.assert_array_equal(one.transform(V), two.transform(V))
    np.testing.assert_array_equal(one.transform(V), one.transform(V))
    other = quick(random_state=1).fit(V)
    assert not np.array_equal(one.transform(V), other.transform(V))
    loaded = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(one.transform(V), loaded.transform(V))


def test_dtype_and_the_users_estimator():
    V, _ = incomplete(DIGITS.data[:50])
    rbm = BernoulliRBMGPU(4, learning_rate=0.05, n_iter=1)
    before = clone(rbm).get_params()
    imputer = GenerativeImputer(rbm, max_iter=2, random_state=0)
    assert imputer.fit(V.astype(np.float32)).transform(V).dtype == np.float64
    assert imputer.transform(V.astype(np.float32)).dtype == np.float32
    assert rbm.get_params() == before
    assert not hasattr(rbm, "components_")
    assert imputer.estimator_.learning_rate == 0.05
    assert imputer.estimator_.n_iter_ == 2


def test_in_a_searched_pipeline():
    V, _ = incomplete(DIGITS.data[:200])
    search = GridSearchCV(
        make_pipeline(quick(), LogisticRegression(max_iter=2000, C=0.01)),
        {
            "generativeimputer__estimator__n_components": [4, 32],
            "generativeimputer__n_levels": [1, 2],
        },
        cv=2,
        error_score="raise",
    ).fit(V, DIGITS.target[:200])
    assert search.best_score_ > 0.5
    names = [f"pixel{i}" for i in range(64)]
    imputer = search.best_estimator_[0]
    assert imputer.get_feature_names_out(names).tolist() == names


@pytest.mark.parametrize(
    ("name", "value"),
    [("estimator", LogisticRegression()), ("n_levels", 0), ("max_iter", 0)],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of GenerativeImputer"):
        GenerativeImputer(**{name: value}).fit(np.zeros((4, 2)))


def test_learning_rate_falls_over_the_rounds(monkeypatch):
    rates = []
    fit = BernoulliRBMGPU.fit

    def watched(self, X, y=None):
        rates.append(self.learning_rate)
        return fit(self, X, y)

    monkeypatch.setattr(BernoulliRBMGPU, "fit", watched)
    quick(max_iter=4).fit(np.random.RandomState(0).normal(size=(20, 2)))
    np.testing.assert_allclose(rates, 0.1 * np.array([1, 0.75, 0.5, 0.25]))
