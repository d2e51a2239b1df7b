"""GenerativeImputer with models that take NaN: laws, errors, rows, failures."""

import pickle

import numpy as np
import pytest
from scipy.stats import t
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skgen import GaussianVAE
from skgen.impute import GenerativeImputer
from skgen.impute._default import default_model

LINEAR = GaussianVAE(1, architecture="mlp", hidden_layer_sizes=(), device="cpu")
QUICK = GaussianVAE(2, hidden_layer_sizes=(8,), n_iter=20, device="cpu")


def with_holes(X, share, seed=0):
    missing = np.random.RandomState(seed).uniform(size=X.shape) < share
    return np.where(missing, np.nan, X), missing


def error(imputer, X, share):
    """Root mean square over missing cells, in standard deviations of the columns."""
    V, missing = with_holes(X, share)
    filled = imputer.fit_transform(V)
    return np.sqrt(np.mean(((filled - X) / X.std(axis=0))[missing] ** 2))


IRIS, _ = with_holes(load_iris().data, 0.2)


@pytest.fixture(scope="module")
def imputer():
    return GenerativeImputer(QUICK, random_state=0).fit(IRIS)


# The law of a Gaussian


@pytest.fixture(scope="module")
def gaussian():
    """Rows of a Gaussian of one factor, and an imputer fitted to them with holes."""
    rng = np.random.RandomState(0)
    factor = rng.normal(size=(3000, 1))
    X = 5 + factor * [1.0, 2.0, -1.0] + rng.normal(size=(3000, 3)) * [0.5, 1.0, 1.0]
    V, missing = with_holes(X, 0.2)
    model = clone(LINEAR).set_params(n_iter=150, learning_rate=0.01)
    return X, missing, V, GenerativeImputer(model, random_state=0).fit(V)


def conditional(x):
    """Mean and standard deviation of the second feature given the first."""
    return 5 + 2 / 1.25 * (x - 5), np.sqrt(5 - 4 / 1.25)


def test_means_of_a_gaussian(gaussian):
    given = np.linspace(3, 7, 9)
    rows = np.column_stack([given, np.full((9, 2), np.nan)])
    filled = gaussian[3].transform(rows)
    np.testing.assert_allclose(filled[:, 1], conditional(given)[0], atol=0.25)
    # Its slope is not that of the joint mean, 2, nor 0.
    assert np.polyfit(given, filled[:, 1], 1)[0] == pytest.approx(1.6, abs=0.08)


def test_draws_of_a_gaussian(gaussian):
    """Mean, spread, and the correlation of what is drawn together."""
    rows = np.tile([6.0, np.nan, np.nan], (4000, 1))
    imputer = clone(gaussian[3]).set_params(sample_posterior=True)
    imputer = imputer.fit(gaussian[2])
    draws = imputer.transform(rows)
    mean, std = conditional(6.0)
    assert draws[:, 1].mean() == pytest.approx(mean, abs=0.15)
    assert draws[:, 1].std() == pytest.approx(std, rel=0.06)
    # The factor given x1 = 6 has variance 0.2; -0.4 / (std(x2) std(x3)).
    expected = -2 * 0.2 / np.sqrt((4 * 0.2 + 1) * (0.2 + 1))
    assert np.corrcoef(draws[:, 1:].T)[0, 1] == pytest.approx(expected, abs=0.07)
    np.testing.assert_array_equal(draws, imputer.transform(rows))


def test_intervals_from_twenty_draws_cover_the_truth(gaussian):
    """Prediction intervals of a normal law: 93 to 97 % where 95 % are asked for.

    Those of draws that are means, or too narrow by a fifth, do not.
    """
    X, missing, V, imputer = gaussian
    draws = np.stack(imputer.impute_multiple(V, 20, random_state=1))
    assert draws.shape == (20, *X.shape)
    mean, std = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    width = t.ppf(0.975, 19) * np.sqrt(1 + 1 / 20) * std

    def coverage(width):
        return (np.abs(mean - X) <= width)[missing].mean()

    assert 0.93 < coverage(width) < 0.97
    assert coverage(0.8 * width) < 0.93
    assert (draws[:, ~missing] == X[~missing]).all()
    assert not np.array_equal(draws[0], draws[1])


def test_seeds_of_draws(imputer):
    one, two = imputer.impute_multiple(IRIS, 2, random_state=3)
    again = imputer.impute_multiple(IRIS, 2, random_state=3)
    np.testing.assert_array_equal([one, two], again)
    other = imputer.impute_multiple(IRIS, 1, random_state=4)[0]
    assert not np.array_equal(one, other)
    with pytest.raises(ValueError, match="'n_imputations' parameter"):
        imputer.impute_multiple(IRIS, 0)


# Rows


def test_a_row_is_filled_by_itself(imputer):
    """Alone, in another order, and among others it gets the same values to 1e-6."""
    filled = imputer.transform(IRIS)
    alone = np.concatenate([imputer.transform(IRIS[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(alone, filled[:40], rtol=1e-6)
    order = np.random.RandomState(0).permutation(len(IRIS))
    np.testing.assert_allclose(imputer.transform(IRIS[order]), filled[order], rtol=1e-6)
    twice = imputer.transform(np.concatenate([IRIS, IRIS[::-1]]))
    np.testing.assert_allclose(twice[: len(IRIS)], filled, rtol=1e-6)


def test_a_fit_does_not_depend_on_the_order_of_the_rows(imputer):
    order = np.random.RandomState(2).permutation(len(IRIS))
    other = clone(imputer).fit(IRIS[order])
    np.testing.assert_allclose(
        other.transform(IRIS), imputer.transform(IRIS), rtol=1e-5
    )


def test_weights():
    """Integers repeat rows, zeros drop them, other weights reach the model."""
    counts = np.random.RandomState(1).randint(0, 4, len(IRIS))
    one, two, other = (
        GenerativeImputer(QUICK, random_state=0).fit(data, sample_weight=weight)
        for data, weight in (
            (IRIS, counts),
            (IRIS.repeat(counts, axis=0), None),
            (IRIS, counts * 0.3),
        )
    )
    np.testing.assert_allclose(one.transform(IRIS), two.transform(IRIS), rtol=1e-6)
    assert not np.allclose(other.transform(IRIS), two.transform(IRIS), rtol=1e-6)


# Errors


def test_one_faulty_row():
    """At 30 standard deviations: the others are filled with an error below 0.85.

    That of means is 1.0.
    """
    X = load_diabetes().data
    spread = X.std(axis=0)
    V, missing = with_holes(X, 0.2)
    V[7], missing[7] = X.mean(axis=0) + 30 * spread, False
    model = default_model(*V.shape).set_params(n_iter=150, device="cpu")
    filled = GenerativeImputer(model, random_state=0).fit_transform(V)
    assert np.sqrt(np.mean(((filled - X) / spread)[missing] ** 2)) < 0.85


def test_lower_error_than_scikit_learns_imputers_on_wine():
    """With a part of the training; 40 % of the cells are missing."""
    X = load_wine().data
    model = default_model(*X.shape).set_params(n_iter=300, device="cpu")
    ours = error(GenerativeImputer(model, random_state=0), X, 0.4)
    others = [
        error(other, X, 0.4)
        for other in (SimpleImputer(), KNNImputer(), IterativeImputer(random_state=0))
    ]
    assert ours < min(others)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")
@pytest.mark.parametrize("share", [0.2, 0.4])
@pytest.mark.parametrize("load", [load_iris, load_wine, load_diabetes])
def test_lower_error_by_default(load, share):
    X = load().data
    ours = error(GenerativeImputer(random_state=0), X, share)
    others = [
        error(other, X, share)
        for other in (SimpleImputer(), KNNImputer(), IterativeImputer(random_state=0))
    ]
    assert ours < 1.02 * min(others)


def test_the_default_model():
    model = default_model(178, 13)
    assert (model.n_components, model.n_iter) == (13, 1200)
    assert model.weight_decay == pytest.approx(3 * 13 * 12 / 2 / 178)
    assert default_model(1000, 100).n_components == 16
    assert default_model(1000, 100).n_iter == 300
    assert default_model(10**6, 100).n_iter == 100
    fitted = GenerativeImputer(max_iter=1).fit([[1.0, 2], [2, 1], [np.nan, 3]])
    assert isinstance(fitted.estimator_, GaussianVAE)
    assert fitted.n_iter_ == fitted.estimator_.n_iter_ == 1200


# Failures and interrupts


@pytest.mark.parametrize("failure", [MemoryError, KeyboardInterrupt])
def test_a_fit_that_fails_leaves_the_imputer_as_it_was(failure, monkeypatch):
    imputer, new = (GenerativeImputer(QUICK, random_state=0) for _ in range(2))
    imputer.fit(IRIS)
    before, filled = pickle.dumps(imputer), imputer.transform(IRIS)

    def failing(self, X, y=None, sample_weight=None):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(GaussianVAE, "fit", failing)
        for one in (imputer, new):
            with pytest.raises(failure):
                one.fit(-IRIS)
    assert pickle.dumps(imputer) == before
    np.testing.assert_array_equal(imputer.transform(IRIS), filled)
    assert vars(new) == vars(clone(new)) | {"estimator": new.estimator}


def test_an_interrupt_keeps_what_was_learned(monkeypatch):
    """The model keeps its last epoch, and the imputer the model."""
    imputer = GenerativeImputer(QUICK, random_state=0).fit(IRIS)
    fit = GaussianVAE.fit

    def interrupted(self, X, y=None, sample_weight=None):
        fit(self.set_params(n_iter=2), X)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GaussianVAE, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            imputer.fit(-IRIS)
    assert imputer.n_iter_ == 2
    assert np.nanmax(imputer.data_max_) < 0
    assert imputer.transform(-IRIS).mean() < 0


def test_pickle(imputer):
    loaded = pickle.loads(pickle.dumps(imputer))
    np.testing.assert_array_equal(loaded.transform(IRIS), imputer.transform(IRIS))
