"""GenerativeImputer with a model of bits: its contract, its laws, and its errors."""

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
from skgen.impute._bits import BitCode, _known_means
from skgen.rbm._contrastive_divergence import ContrastiveDivergence

DIGITS = load_digits()


def incomplete(X, share=0.3, seed=0):
    missing = np.random.RandomState(seed).uniform(size=X.shape) < share
    return np.where(missing, np.nan, X), missing


PIXELS = BernoulliRBMGPU(256, batch_size=50, n_iter=4)


def quick(**params):
    rbm = BernoulliRBMGPU(16, n_iter=1, batch_size=20, device="cpu")
    defaults = {"estimator": rbm, "max_iter": 3, "random_state": 0}
    return GenerativeImputer(**(defaults | params))


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
    ours = GenerativeImputer(
        PIXELS, n_levels=4 if what == "grey" else 1, random_state=0
    )
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

    ours = GenerativeImputer(
        PIXELS, n_levels=4 if what == "grey" else 1, random_state=0
    )
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
    code, width = BitCode(X.min(0), X.max(0), n_levels), X.max(0) - X.min(0)
    back = code.decode(code.encode(X))
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


# Weights and order of rows

V40, _ = incomplete(np.random.RandomState(0).uniform(size=(40, 3)))
COUNTS = np.random.RandomState(1).randint(0, 4, 40)


def test_a_fit_does_not_depend_on_the_order_of_the_rows():
    """Each row has the draws of its missing values wherever it stands."""
    order = np.random.RandomState(2).permutation(40)
    one, two = quick().fit(V40), quick().fit(V40[order])
    np.testing.assert_array_equal(one.transform(V40), two.transform(V40))


def test_integer_weights_are_repetitions():
    repeated = V40.repeat(COUNTS, axis=0)
    np.random.RandomState(3).shuffle(repeated)
    one, two = quick().fit(V40, sample_weight=COUNTS), quick().fit(repeated)
    np.testing.assert_array_equal(one.transform(V40), two.transform(V40))
    assert not np.array_equal(quick().fit_transform(V40), one.transform(V40))


def test_rows_of_weight_zero_are_absent():
    """Also from the ranges and from the means that the first draws are of."""
    data = np.where(COUNTS[:, None] == 0, V40 * 1e6, V40)
    kept = COUNTS > 0
    for weight in (COUNTS, COUNTS * 0.3):
        one = quick().fit(data, sample_weight=weight)
        two = quick().fit(V40[kept], sample_weight=weight[kept])
        np.testing.assert_array_equal(one.transform(V40), two.transform(V40))


def test_other_weights_are_passed_to_the_model(monkeypatch):
    seen = []
    fit = BernoulliRBMGPU.fit

    def watched(self, X, y=None, sample_weight=None):
        seen.append((X.copy(), sample_weight))
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(BernoulliRBMGPU, "fit", watched)
    X = np.array([[0.0, 1], [1, 1], [0, 0], [1, 0]])
    weight = np.array([0.1, 0.2, 0.3, 0.4])
    imputer = quick(n_levels=1).fit(X, sample_weight=weight)
    assert len(seen) == 3
    for rows, weights in seen:
        order = [X.tolist().index(row.tolist()) for row in rows]
        np.testing.assert_allclose(weights / weights.sum(), weight[order])
    assert imputer.estimator_.mean_ == pytest.approx([0.6, 0.3])


def test_other_weights_are_in_the_first_draws():
    """An unknown bit starts at 1 with the weighted share of ones."""
    bits = np.array([[1.0], [0.0], [0.0], [np.nan]])
    assert _known_means(bits, np.array([3.0, 0.5, 0.5, 9.0])) == pytest.approx(0.75)
    assert _known_means(bits, None) == pytest.approx(1 / 3)


class WithoutWeights(BernoulliRBMGPU):
    def fit(self, X, y=None):
        return super().fit(X, y)


def test_a_model_without_weights():
    imputer = quick().set_params(estimator=WithoutWeights(4, batch_size=20))
    imputer.fit(V40, sample_weight=COUNTS)
    with pytest.raises(ValueError, match="fit of WithoutWeights takes no sample_w"):
        imputer.fit(V40, sample_weight=COUNTS * 0.3)


def test_bad_weights():
    with pytest.raises(ValueError, match="at least one non-zero"):
        quick().fit(V40, sample_weight=np.zeros(40))
    with pytest.raises(ValueError, match="shape"):
        quick().fit(V40, sample_weight=np.ones(3))


# Failures and interrupts


def raises_at(number, error):
    """A `sample` that raises when it is called for the time of that number."""
    sample, calls = BernoulliRBMGPU.sample, []

    def wrapped(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            raise error
        return sample(self, *args, **kwargs)

    return wrapped


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_fit_that_fails_leaves_the_imputer_as_it_was(error, monkeypatch):
    """Other data, in [-100, -50], in the first round."""
    imputer = quick().fit(V40)
    before, filled = pickle.dumps(imputer), imputer.transform(V40)
    other = -50 * (1 + incomplete(np.random.RandomState(7).uniform(size=(30, 3)))[0])
    with monkeypatch.context() as patch:
        patch.setattr(BernoulliRBMGPU, "sample", raises_at(1, error))
        with pytest.raises(error):
            imputer.fit(other)
    assert pickle.dumps(imputer) == before
    np.testing.assert_array_equal(imputer.transform(V40), filled)
    assert filled.min() >= 0


@pytest.mark.parametrize("number", [1, 3])
def test_any_failure_leaves_the_imputer_as_it_was(number, monkeypatch):
    imputer, new = quick().fit(V40), quick()
    before = pickle.dumps(imputer)
    with pytest.raises(ValueError, match="infinity"):
        imputer.fit(np.full((5, 4), np.inf))
    with pytest.raises(ValueError, match="0 sample"):
        imputer.fit(V40[:0])
    monkeypatch.setattr(BernoulliRBMGPU, "sample", raises_at(number, MemoryError))
    with pytest.raises(MemoryError):
        imputer.fit(-V40)
    assert pickle.dumps(imputer) == before
    monkeypatch.setattr(BernoulliRBMGPU, "sample", raises_at(1, MemoryError))
    with pytest.raises(MemoryError):
        new.fit(V40)
    assert vars(new) == vars(clone(new)) | {"estimator": new.estimator}


def test_an_interrupt_stops_the_rounds_and_keeps_the_whole_ones(monkeypatch):
    """In an epoch of the third round: what two rounds gave is there."""
    imputer, states = quick(max_iter=5), []
    imputer.estimator.n_iter = 3
    step, sample = ContrastiveDivergence.training_step, BernoulliRBMGPU.sample

    def watched(self, *args, **kwargs):
        states.append(self.components_.copy())
        return sample(self, *args, **kwargs)

    def interrupted(self, *args):
        if len(states) == 2 and self.epoch == 7:
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(BernoulliRBMGPU, "sample", watched)
        patch.setattr(ContrastiveDivergence, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            imputer.fit(V40)
    assert len(states) == imputer.n_iter_ == 2
    np.testing.assert_array_equal(imputer.estimator_.components_, states[1])
    assert imputer.estimator_.n_iter_ == 6
    assert imputer.estimator_.learning_rate == 0.1
    assert not imputer.estimator_.warm_start
    filled = imputer.transform(V40)
    assert not np.isnan(filled).any()
    assert filled.max() <= 1
    imputer.fit(V40)
    assert imputer.n_iter_ == 5


def test_numpy_scalars():
    numbers = {"n_levels": 2, "max_iter": 2, "n_gibbs_steps": 10, "random_state": 3}
    rates = np.float32(0.3), float(np.float32(0.3))
    given, expected = (
        quick(
            **{name: kind(value) for name, value in numbers.items()},
            estimator=BernoulliRBMGPU(4, batch_size=20, n_iter=1, learning_rate=rate),
        ).fit_transform(V40)
        for kind, rate in zip((np.int64, int), rates, strict=True)
    )
    np.testing.assert_array_equal(given, expected)
