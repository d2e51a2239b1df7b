"""Missing values in the estimators: fits, scores and imputation of tables with NaN."""

import pickle
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from families import PLAIN
from oracles import Gaussian
from scipy import stats
from scipy.stats import kurtosis
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from skgen import BernoulliVAE, GaussianVAE

WINE = load_wine().data[::2]
MISSING = np.random.RandomState(0).uniform(size=WINE.shape) < 0.2
HOLES = np.where(MISSING, np.nan, WINE)
HOLES[5] = np.nan  # of a row nothing is known
BITS = np.where(np.isnan(HOLES), np.nan, np.nanmedian(HOLES, axis=0) < HOLES)
TABLES = {GaussianVAE: HOLES, BernoulliVAE: BITS}
KINDS = pytest.mark.parametrize(("kind", "holes"), TABLES.items())


def quick(kind, **params):
    return kind(4, **({"n_iter": 4, "random_state": 0, "batch_size": 32} | params))


@pytest.fixture(scope="module")
def fits():
    return {kind: quick(kind).fit(x) for kind, x in TABLES.items()}


def weights(model):
    return np.concatenate([array.ravel() for array in model.weights_.values()])


# Fits


@KINDS
def test_a_fit_does_not_depend_on_the_order_of_rows(kind, holes):
    order = np.random.RandomState(1).permutation(len(holes))
    one, other = quick(kind).fit(holes), quick(kind).fit(holes[order])
    np.testing.assert_array_equal(weights(one), weights(other))


@KINDS
def test_rows_are_repeated_or_weighted(kind, holes):
    counts = np.random.RandomState(1).randint(0, 3, len(holes))
    one = quick(kind).fit(holes, sample_weight=counts)
    other = quick(kind).fit(holes.repeat(counts, axis=0))
    np.testing.assert_array_equal(weights(one), weights(other))
    half = counts > 0
    real = quick(kind).fit(holes, sample_weight=0.37 * counts + 0.01)
    assert np.isfinite(weights(real)).all()
    assert np.isfinite(real.score(holes))
    score = real.score(holes[half], sample_weight=counts[half])
    expected = np.average(real.score_samples(holes[half]), weights=counts[half])
    assert score == pytest.approx(expected)


@KINDS
@pytest.mark.parametrize("n_importance_samples", [1, 3])
def test_everything_of_a_fit(kind, holes, n_importance_samples, tmp_path):
    """Early stopping, partial_fit, warm starts and pickles; complete rows join."""
    model = quick(
        kind,
        n_importance_samples=n_importance_samples,
        early_stopping=True,
        n_iter=5,
    ).fit(holes)
    assert np.isfinite(model.history_[:, "valid_loss"]).all()
    model.set_params(early_stopping=False)
    model.partial_fit(holes[:40])
    complete = np.nan_to_num(holes)
    model.partial_fit(complete)
    model.partial_fit(holes)
    model.set_params(warm_start=True).fit(holes)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        again.score_samples(holes), model.score_samples(holes)
    )
    joblib.dump(model, tmp_path / "model")
    joblib.load(tmp_path / "model", mmap_mode="r").partial_fit(holes)
    one, other = model.partial_fit(holes), again.partial_fit(holes)
    np.testing.assert_array_equal(weights(one), weights(other))
    assert np.isfinite(weights(one)).all()
    assert model.net_.module_ is not None


@KINDS
def test_a_fit_that_begins_with_complete_rows(kind, holes):
    model = quick(kind).partial_fit(np.nan_to_num(holes))
    model.partial_fit(holes)
    assert np.isfinite(weights(model)).all()


def test_the_loss_of_training_is_that_of_the_score():
    """In the units of X, of what is observed."""
    model = quick(GaussianVAE, n_iter=60, learning_rate=1e-4).fit(HOLES)
    losses = np.mean(model.history_[-20:, "train_loss"])
    assert losses == pytest.approx(-model.score(HOLES), rel=0.05)


@pytest.mark.parametrize("architecture", ["shortcut", "mlp"])
@pytest.mark.parametrize("noise_variance", ["per_feature", "learned", 0.5])
def test_all_kinds_of_gaussian_models(architecture, noise_variance):
    model = quick(
        GaussianVAE, architecture=architecture, noise_variance=noise_variance
    ).fit(HOLES)
    assert np.isfinite(model.score(HOLES))
    assert (np.asarray(model.noise_variance_) > 0).all()


@KINDS
def test_a_column_of_which_nothing_is_known(kind, holes):
    pd = pytest.importorskip("pandas")
    bad = holes.copy()
    bad[:, [2, 7]] = np.nan
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=r"nothing but NaN in columns \[2, 7\]"):
            getattr(quick(kind), method)(bad)
    names = load_wine().feature_names
    with pytest.raises(ValueError, match=r"\['ash', 'nonflavanoid_phenols'\]"):
        quick(kind).fit(pd.DataFrame(bad, columns=names))
    model = quick(kind).partial_fit(holes)
    assert np.isfinite(weights(model.partial_fit(bad))).all()


@KINDS
def test_infinity_and_sparse_nan_are_errors(kind, holes, fits):
    infinite = holes.copy()
    infinite[3, 3] = np.inf
    sparse = sp.csr_array(np.where(np.arange(13) == 3, np.nan, np.nan_to_num(holes)))
    for model in (quick(kind), fits[kind]):
        for bad, match in ((infinite, "infinity"), (sparse, "NaN")):
            with pytest.raises(ValueError, match=match):
                model.fit(bad) if model is not fits[kind] else model.score(bad)
    with pytest.raises(TypeError, match="sparse"):
        fits[kind].impute(sp.csr_array(np.nan_to_num(holes)))


def test_statistics_are_of_what_is_observed():
    X = HOLES.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bad = X.copy()
        bad[0, 4] = 1e6
        model = quick(GaussianVAE).fit(bad)
    assert model._units.bounds[1][4] == np.nanmax(X[1:, 4])
    model = quick(GaussianVAE, architecture="mlp").fit(X)
    np.testing.assert_allclose(model._units.location, np.nanmean(X, axis=0))
    np.testing.assert_allclose(model._units.scale, np.nanstd(X, axis=0))
    floor = (kurtosis(X, fisher=False, nan_policy="omit") / (~np.isnan(X)).sum(0)).data
    np.testing.assert_allclose(model._noise_floor, floor)
    means = quick(BernoulliVAE).fit(BITS)._fill["location"]
    np.testing.assert_allclose(means, np.nanmean(BITS, axis=0))


def test_a_faulty_value_beside_missing_ones_is_named():
    bad = HOLES.copy()
    bad[0, 4] = 1e6
    with pytest.warns(UserWarning, match="column 4 has 1 up to"):
        quick(GaussianVAE).fit(bad)


def test_units_do_not_matter():
    """The score is lower by the scales of what is observed."""
    rng = np.random.RandomState(0)
    a, b = np.exp(rng.normal(size=13)), rng.normal(size=13)
    one = quick(GaussianVAE, precision="float64").fit(HOLES)
    other = quick(GaussianVAE, precision="float64").fit(a * HOLES + b)
    observed = ~np.isnan(HOLES)
    scores = other.score_samples(a * HOLES + b) + observed @ np.log(a)
    np.testing.assert_allclose(scores, one.score_samples(HOLES), rtol=1e-5, atol=1e-5)
    filled = other.impute(a * HOLES + b, random_state=0)
    np.testing.assert_allclose(
        (filled - b) / a, one.impute(HOLES, random_state=0), rtol=1e-4, atol=1e-4
    )


# Answers


@KINDS
def test_methods_of_incomplete_rows(kind, holes, fits):
    model = fits[kind]
    n = len(holes)
    mean, std = model.encode(holes)
    np.testing.assert_array_equal(model.transform(holes), mean)
    has_gaps = np.isnan(holes).any(axis=1)
    assert ((std > 0) & (std < 1 + 1e-6))[has_gaps].all()
    reconstruction, kl = model.elbo_terms(holes)
    np.testing.assert_allclose(
        reconstruction - kl.sum(axis=1), model.score_samples(holes), atol=1e-9
    )
    np.testing.assert_allclose(
        model.reconstruct(holes), model.inverse_transform(mean), rtol=1e-9
    )
    bound = model.score_samples(holes)
    likelihood = model.log_likelihood(holes, 500, random_state=0)
    assert likelihood.mean() > bound.mean() - 0.01
    assert model.log_likelihood(holes, 3).shape == (n,)
    # The prior's answer where nothing is known.
    assert bound[5] == pytest.approx(0, abs=1e-9)
    assert likelihood[5] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(mean[5], 0, atol=1e-9)
    np.testing.assert_allclose(std[5], 1)
    draws = model.sample(20_000, noise=False, random_state=0)
    error = model.impute(holes[5:6], random_state=0)[0] - draws.mean(axis=0)
    assert (np.abs(error) < 0.05 * np.nanstd(holes, axis=0)).all()


@KINDS
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_row_is_filled_alone_as_in_a_batch(kind, holes, dtype, fits):
    model, holes = fits[kind], holes.astype(dtype)
    filled = model.impute(holes, random_state=0)
    assert filled.dtype == dtype
    known = ~np.isnan(holes)
    np.testing.assert_array_equal(filled[known], holes[known])
    assert not np.isnan(filled).any()
    alone = np.concatenate(
        [model.impute(row[None], random_state=0) for row in holes[:12]]
    )
    scale = np.nanstd(holes, axis=0)
    tolerance = 1e-6 if dtype == np.float64 else 1e-5  # of rounding
    assert np.abs((alone - filled[:12]) / scale).max() < tolerance
    order = np.random.RandomState(0).permutation(len(holes))
    shuffled = model.impute(holes[order], random_state=0)
    assert np.abs((shuffled - filled[order]) / scale).max() < tolerance
    np.testing.assert_array_equal(filled, model.impute(holes, random_state=0))


@KINDS
def test_complete_rows_are_scored_as_ever(kind, holes, fits):
    """Whatever rows stand beside them."""
    model, complete = fits[kind], np.nan_to_num(holes[:9])
    both = np.concatenate([holes[:4], complete])
    for method in ("score_samples", "transform", "reconstruct"):
        answer = getattr(model, method)
        np.testing.assert_allclose(answer(both)[4:], answer(complete), rtol=1e-9)
        np.testing.assert_allclose(answer(both)[:4], answer(holes[:4]), rtol=1e-9)
    np.testing.assert_array_equal(model.impute(complete), complete)


@KINDS
def test_draws_given_what_is_known(kind, holes, fits):
    model, few = fits[kind], holes[:6]
    drawn = model.sample(3, given=few, random_state=0)
    assert drawn.shape == (18, 13)
    known = ~np.isnan(few).repeat(3, axis=0)
    np.testing.assert_array_equal(drawn[known], few.repeat(3, axis=0)[known])
    assert not np.isnan(drawn).any()
    np.testing.assert_array_equal(drawn, model.sample(3, given=few, random_state=0))
    assert (drawn != model.sample(3, given=few, random_state=1)).any()
    assert (drawn[15:17] != drawn[16:18]).any()
    smooth = model.sample(1000, given=few[5:], random_state=0, noise=False)
    rough = model.sample(1000, given=few[5:], random_state=0)
    assert (smooth.std(axis=0) < rough.std(axis=0)).all()
    if kind is BernoulliVAE:
        assert set(np.unique(drawn)) <= {0.0, 1.0}


def test_a_threshold_leaves_what_is_missing():
    holes = np.where(np.isnan(HOLES), np.nan, HOLES / np.nanmax(HOLES, axis=0))
    bits = np.where(np.isnan(holes), np.nan, holes > 0.5)
    one = quick(BernoulliVAE, binarize="threshold").fit(holes)
    other = quick(BernoulliVAE).fit(bits)
    np.testing.assert_array_equal(weights(one), weights(other))
    filled = one.impute(holes, random_state=0)
    expected = np.where(np.isnan(holes), other.impute(bits, random_state=0), holes)
    np.testing.assert_array_equal(filled, expected)


def test_thresholds_and_probabilities():
    holes = np.where(np.isnan(HOLES), np.nan, HOLES / np.nanmax(HOLES, axis=0))
    for binarize in ("none", "threshold", "sample"):
        model = quick(BernoulliVAE, binarize=binarize).fit(holes)
        assert np.isfinite(model.score_samples(holes)).all()
        filled = model.impute(holes, random_state=0)
        assert ((filled >= 0) & (filled <= 1)).all()
    few = holes[:30]
    np.testing.assert_allclose(
        model.score_samples(few)[7:8], model.score_samples(few[7:8]), rtol=1e-9
    )


def test_a_grid_search_by_the_score_of_incomplete_tables():
    search = GridSearchCV(quick(GaussianVAE), {"n_components": [1, 3]}, cv=2)
    search.fit(HOLES)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(search.best_estimator_).n_importance_samples == 1


# Multiple imputation


def test_intervals_from_twenty_draws_cover_the_truth():
    """In 93 to 97 % of the entries that are missing, by a linear model of a Gaussian.

    There are some 3000 of them: the standard error of the share is 0.4 %. The intervals
    of a twin, without the noise of the decoder, cover fewer.
    """
    rng = np.random.RandomState(0)
    W = rng.normal(size=(6, 2))
    law = Gaussian(rng.normal(size=6), W @ W.T + np.diag(rng.uniform(0.2, 0.6, 6)))
    X = rng.multivariate_normal(law.mean, law.covariance, 1500)
    missing = rng.uniform(size=X.shape) < 0.35
    holes = np.where(missing, np.nan, X)
    params = PLAIN | {"hidden_layer_sizes": (), "noise_variance": "per_feature"}
    params |= {"n_iter": 80, "learning_rate": 0.02, "learning_rate_schedule": "linear"}
    model = GaussianVAE(2, random_state=0, **params).fit(holes)
    gap = law.log_p_observed(holes).mean() - model.score(holes)
    assert abs(gap) < 0.05

    def coverage(**params):
        draws = model.sample(20, given=holes, random_state=0, **params)
        draws = draws.reshape(len(X), 20, 6)
        half = stats.t(19).ppf(0.975) * draws.std(axis=1, ddof=1) * (1 + 1 / 20) ** 0.5
        return (np.abs(X - draws.mean(axis=1)) < half)[missing].mean()

    assert 0.93 < coverage(n_importance_samples=64) < 0.97
    assert coverage(n_importance_samples=64, noise=False) < 0.9


def test_known_values_stay_as_they_are_with_a_threshold():
    bits = (np.random.RandomState(0).uniform(size=(60, 3)) < 0.4).astype(float)
    vae = BernoulliVAE(2, n_iter=3, binarize="threshold", random_state=0).fit(bits)
    given = np.array([[0.7, np.nan, 0.2]])
    for method in (vae.impute, lambda X, **kw: vae.sample(given=X, **kw)):
        filled = method(given, random_state=0)
        np.testing.assert_array_equal(filled[0, [0, 2]], [0.7, 0.2])
        rounded = method(np.round(given), random_state=0)
        assert filled[0, 1] == rounded[0, 1]  # which the model sees
