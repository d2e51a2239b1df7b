"""GaussianRBM: units, laws of what it draws, limits of the noise, odd tables."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from gaussian_rbm_helpers import Mixture, assigned
from scipy import stats
from scipy.special import expit
from sklearn.datasets import load_diabetes, load_iris

from skgen import GaussianRBM
from skgen.callbacks import FreeEnergyGap, LogLikelihood

IRIS, DIABETES = load_iris().data, load_diabetes().data * 100
KNOWN = np.array([True, False, True, False])


def rbm(n_components=5, **params):
    """An estimator that is quick to fit."""
    params = {"random_state": 0, "n_iter": 20, "device": "cpu"} | params
    return GaussianRBM(n_components, **params)


@pytest.fixture(scope="module")
def fitted():
    return rbm(n_iter=300, learning_rate=0.4).fit(IRIS)


@pytest.fixture
def mixture():
    return Mixture(4, 3, seed=7)


@pytest.fixture
def coupled():
    """One whose features say more of each other."""
    return Mixture(4, 3, seed=7, scale=1.6)


def test_parameters_are_in_the_units_of_the_data(fitted):
    """Features, means and log-density by the formulas of the documentation."""
    m, X = fitted, IRIS
    inputs = m.intercept_hidden_ + (X / m.noise_variance_) @ m.components_.T
    np.testing.assert_allclose(m.transform(X), expit(inputs), atol=1e-12)
    H = m.transform(X)
    mean = m.intercept_visible_ + H @ m.components_
    np.testing.assert_allclose(m.inverse_transform(H), mean, rtol=1e-12)
    potential = ((X - m.intercept_visible_) ** 2 / (2 * m.noise_variance_)).sum(1)
    energy = potential - np.logaddexp(0, inputs).sum(1)
    np.testing.assert_allclose(m.free_energy(X), energy, rtol=1e-10)
    mixture = Mixture.of(m)
    np.testing.assert_allclose(m.log_likelihood(X), mixture.log_density(X), rtol=1e-9)
    expected = mixture.log_conditionals(X).sum(1)
    np.testing.assert_allclose(m.score_samples(X), expected, atol=1e-7)
    assert m.noise_variance_.shape == (4,)
    assert all(
        getattr(m, name).dtype == np.float64 for name in type(m)._state_class.parameters
    )


def test_it_learns(fitted):
    """More than the Gaussian of independent features and that of all of them."""
    independent = stats.norm(IRIS.mean(0), IRIS.std(0)).logpdf(IRIS).sum(1).mean()
    assert fitted.log_likelihood(IRIS).mean() > independent + 0.7
    losses = fitted.history_[:, "train_loss"]
    assert np.mean(losses[-20:]) < np.mean(losses[:5]) - 1


POWERS = 2.0 ** np.array([-3, 0, 5, 10])


@pytest.mark.parametrize("noise", ["per_feature", "learned", 0.3])
def test_powers_of_two_change_no_bit(noise):
    units = POWERS if noise == "per_feature" else 4.0
    fixed = noise if isinstance(noise, str) else noise * units**2
    one = rbm(noise_variance=noise).fit(IRIS)
    other = rbm(noise_variance=fixed).fit(IRIS * units)
    np.testing.assert_array_equal(one.transform(IRIS), other.transform(IRIS * units))
    for draw in (
        lambda m, s: m.sample(9, n_gibbs_steps=20, random_state=1) / s,
        lambda m, s: m.gibbs(IRIS[:9] * s) / s,
        lambda m, s: m.impute(gaps() * s, n_gibbs_steps=9, random_state=1) / s,
    ):
        np.testing.assert_array_equal(draw(one, 1.0), draw(other, units))
    shift = np.log(np.broadcast_to(units, 4)).sum()
    for name in ("score_samples", "log_likelihood"):
        got = getattr(other, name)(IRIS * units)
        np.testing.assert_allclose(got + shift, getattr(one, name)(IRIS), rtol=1e-12)


def gaps():
    return np.where(KNOWN, IRIS[::40], np.nan)


@pytest.mark.parametrize("offset", [-30.0, 1.6e9])
def test_offsets_change_little(offset):
    """Rows that are far from 0 have the score of those at 0, to 1e-3 nats."""
    X = IRIS + offset
    one, other = rbm().fit(IRIS), rbm().fit(X)
    np.testing.assert_allclose(other.transform(X), one.transform(IRIS), atol=2e-4)
    got, expected = other.score_samples(X), one.score_samples(IRIS)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    drawn = [
        m.sample(9, n_gibbs_steps=3, random_state=0) - x
        for m, x in ((one, 0), (other, offset))
    ]
    np.testing.assert_allclose(*drawn, atol=1e-3)


def test_the_same_model_in_other_units(fitted):
    """Parameters that are converted by hand; also a unit with a negative sign."""
    units, offset = np.array([1.0, -3.0, 0.01, 100.0]), 1e5
    W, s2 = fitted.components_, fitted.noise_variance_
    other = rbm()
    other.components_, other.noise_variance_ = W * units, s2 * units**2
    other.intercept_visible_ = fitted.intercept_visible_ * units + offset
    shift = W @ (offset / (units * s2))
    other.intercept_hidden_ = fitted.intercept_hidden_ - shift
    X = IRIS * units + offset
    np.testing.assert_allclose(other.transform(X), fitted.transform(IRIS), atol=1e-6)
    log_scale = np.log(np.abs(units)).sum()
    for name in ("score_samples", "log_likelihood"):
        got = getattr(other, name)(X) + log_scale
        np.testing.assert_allclose(got, getattr(fitted, name)(IRIS), atol=1e-4)


def test_gibbs_keeps_the_law(mixture):
    """And does so with noise: without, or with variances for deviations, it is seen."""
    v, _ = mixture.draws(50_000, seed=3)
    model = assigned(mixture)
    assert mixture.distance(model.gibbs(v)) < 4.5
    model.noise_variance_ = mixture.variance**2
    assert mixture.distance(model.gibbs(v)) > 20
    model.noise_variance_ = mixture.variance
    means = model.inverse_transform(model.transform(v))
    assert mixture.distance(means) > 20


@pytest.mark.parametrize("sampler", ["gibbs", "tempering"])
def test_samples_have_the_law(mixture, sampler):
    model = assigned(mixture)
    v = model.sample(20_000, sampler=sampler, n_gibbs_steps=60, random_state=0)
    assert mixture.distance(v) < 4.5
    wrong = Mixture(4, 3, seed=8)
    assert wrong.distance(v) > 20


@pytest.mark.parametrize("sampler", ["gibbs", "tempering"])
def test_samples_given_some_features(coupled, sampler):
    """Mean and covariance by enumeration; those of the model itself are rejected."""
    x = coupled.draws(1, seed=5)[0][0]
    given = np.where(KNOWN, x, np.nan)[None]
    n = 4000
    drawn = assigned(coupled).sample(
        n, given=given, sampler=sampler, n_gibbs_steps=60, random_state=0
    )
    np.testing.assert_array_equal(drawn[:, KNOWN], np.repeat(given[:, KNOWN], n, 0))
    mean, covariance = coupled.given(x, KNOWN)
    free = drawn[:, ~KNOWN]
    error = np.sqrt(np.diag(covariance) / n)
    assert (np.abs(free.mean(0) - mean) < 4.5 * error).all()
    np.testing.assert_allclose(np.cov(free.T), covariance, atol=0.15 * covariance.max())
    assert (np.abs(free.mean(0) - coupled.moments.mean[~KNOWN]) > 10 * error).any()


def test_imputation_is_the_conditional_mean(coupled):
    v, _ = coupled.draws(40, seed=5)
    filled = assigned(coupled).impute(
        np.where(KNOWN, v, np.nan), n_gibbs_steps=2000, random_state=0
    )
    np.testing.assert_array_equal(filled[:, KNOWN], v[:, KNOWN])
    expected = np.array([coupled.given(x, KNOWN)[0] for x in v])
    errors = filled[:, ~KNOWN] - expected
    assert np.sqrt(np.mean(errors**2)) < 0.1
    wrong = filled[:, ~KNOWN] - coupled.moments.mean[~KNOWN]
    assert np.sqrt(np.mean(wrong**2)) > 0.5


@pytest.mark.parametrize("algorithm", ["pcd", "pt"])
@pytest.mark.parametrize("keep_trajectory", [False, True])
def test_algorithms(algorithm, keep_trajectory):
    model = rbm(
        8 if keep_trajectory else 5,
        algorithm=algorithm,
        keep_trajectory=keep_trajectory,
        n_temperatures=4,
        n_iter=150,
        learning_rate=0.4,
    ).fit(IRIS)
    assert model.log_likelihood(IRIS).mean() > -4.85
    if keep_trajectory:
        exact = model.log_partition_function("exact").estimate
        found = model.log_partition_function("trajectory", random_state=0)
        assert found.lower - 0.1 < exact < found.upper + 0.1
        kept = model.trajectory_
        assert len(kept["components_"]) == len(kept["noise_variance_"]) > 1
        assert model.sample(3, n_gibbs_steps=3).shape == (3, 4)


def with_trajectory(mixture):
    """An estimator that has kept two machines of other weights and variances."""
    model = assigned(mixture)
    model.trajectory_ = {
        "components_": np.stack([0.1 * mixture.W, 0.5 * mixture.W + 0.1]),
        "intercept_hidden_": np.stack([0 * mixture.b, mixture.b + 0.3]),
        "intercept_visible_": np.stack([mixture.c - 0.5, mixture.c]),
        "noise_variance_": np.stack([3 * mixture.variance, 1.5 * mixture.variance]),
    }
    return model


def test_a_trajectory_of_other_variances(mixture):
    """Samples along it have the law of the last machine, and log Z is found."""
    model = with_trajectory(mixture)
    v = model.sample(6000, n_gibbs_steps=30, random_state=0)
    assert mixture.distance(v) < 4.5
    found = model.log_partition_function("trajectory", random_state=0)
    assert found.lower < mixture.log_z < found.upper
    assert found.upper - found.lower < 0.3
    assert model.log_partition_function("exact").estimate == pytest.approx(
        mixture.log_z, abs=1e-9
    )


def test_contrastive_divergence_with_learned_variances_warns():
    with pytest.warns(UserWarning, match="Got algorithm='cd' with noise_variance"):
        rbm(algorithm="cd").fit(IRIS)
    fixed = rbm(algorithm="cd", noise_variance=0.1).fit(IRIS)
    assert fixed.noise_variance_ == 0.1
    assert not hasattr(fixed, "h_samples_")


@pytest.mark.parametrize("noise", ["learned", 0.25])
def test_one_variance_for_all(noise):
    model = rbm(noise_variance=noise, n_iter=60).fit(IRIS)
    assert type(model.noise_variance_) is float
    assert (model.noise_variance_ == noise) == (noise == 0.25)
    np.testing.assert_allclose(
        model.log_likelihood(IRIS), Mixture.of(model).log_density(IRIS), rtol=1e-9
    )


def test_a_fit_may_go_on_with_another_noise():
    model = rbm(warm_start=True).fit(IRIS)
    for noise in ("learned", 0.5, "per_feature"):
        model.set_params(noise_variance=noise).fit(IRIS)
        assert np.shape(model.noise_variance_) == (
            (4,) if noise == "per_feature" else ()
        )
        assert np.isfinite(model.score(IRIS))


def test_a_fit_that_goes_on_with_another_noise_has_other_units():
    """One scale for all features becomes one for each: as good as a new fit."""
    rng = np.random.RandomState(0)
    rows = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)) * [1, 10, 100, 1000]
    params = {"n_iter": 100, "learning_rate": 0.1, "warm_start": True}
    model = rbm(noise_variance="learned", **params).fit(rows)
    before = model.score(rows)
    model.set_params(noise_variance="per_feature").fit(rows)
    new = rbm(noise_variance="per_feature", **params).fit(rows)
    assert model.score(rows) > new.score(rows) - 0.5 > before + 5
    assert not model._units.has_one_scale


def test_assigned_parameters_are_seen_at_once(fitted):
    model = pickle.loads(pickle.dumps(fitted))
    model.noise_variance_ = 2 * model.noise_variance_
    model.intercept_visible_ = model.intercept_visible_ + 1
    np.testing.assert_allclose(
        model.log_likelihood(IRIS), Mixture.of(model).log_density(IRIS), rtol=1e-9
    )
    for wrong in (np.zeros(4), -1.0, np.ones(3)):
        model.noise_variance_ = wrong
        with pytest.raises(ValueError, match="Got noise_variance_ of shape"):
            model.score(IRIS)


def test_noise_stays_within_its_limits():
    """Between the floor of each column and the variance of the data."""
    rng = np.random.RandomState(0)
    n = 300
    X = np.c_[
        rng.normal(size=n),
        np.full(n, 7.0),  # constant
        rng.randint(0, 2, n),  # two values
        np.r_[1.0, np.zeros(n - 1)],  # one row alone
        rng.standard_t(3, size=n),
    ]
    model = rbm(16, n_iter=100, learning_rate=0.2).fit(X)
    variance = X.var(0)
    kurtosis = ((X - X.mean(0)) ** 4).mean(0)[[0, 2, 4]] / variance[[0, 2, 4]] ** 2
    share = model.noise_variance_[[0, 2, 4]] / variance[[0, 2, 4]]
    assert (share >= kurtosis / n * (1 - 1e-6)).all()
    assert (share <= 1 + 1e-6).all()
    assert model.noise_variance_[1] >= 1e-6 * (1 - 1e-6)
    assert model.noise_variance_[3] == pytest.approx(variance[3], rel=0.01)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.score_samples(rng.normal(size=(5, 5)) * 100)).all()


def test_implausible_cells_are_replaced_in_training():
    X = IRIS.copy()
    X[3, 1] = 1e12
    with pytest.warns(UserWarning, match="Got X with implausible values: column 1"):
        model = rbm(n_iter=60).fit(X)
    assert model.log_likelihood(IRIS).mean() > -5
    assert model.score_samples(X)[3] < -1e6
    assert np.abs(model.mean_ - IRIS.mean(0)).max() < 0.1


def test_missing_values_are_refused():
    X = IRIS.copy()
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        rbm().fit(X)
    with pytest.raises(ValueError, match="contains NaN"):
        rbm().fit(IRIS).score_samples(X)


def test_moments_of_all_rows_seen():
    model = rbm().fit(IRIS[:100])
    model.partial_fit(IRIS[100:])
    np.testing.assert_allclose(model.mean_, IRIS.mean(0), rtol=1e-10)
    np.testing.assert_allclose(model.var_, IRIS.var(0), rtol=1e-10)
    assert model.n_samples_seen_ == 150


def test_training_that_diverges_says_so():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="Training diverged in epoch"):
            rbm(64, learning_rate=30.0, momentum=0.9, n_iter=300).fit(DIABETES)


def test_default_number_of_epochs():
    """2500 steps, and 20 passes at least."""
    model = GaussianRBM()
    assert model._number_of_epochs("auto", 150) == 1250
    assert model._number_of_epochs("auto", 100_000) == 20
    assert model._number_of_epochs(3, 150) == 3


def test_early_stopping_and_diagnostics():
    model = rbm(
        early_stopping=True,
        n_iter_no_change=2,
        n_iter=1000,
        learning_rate=0.3,
        callbacks=[FreeEnergyGap(every=20), LogLikelihood(every=50, held_out=True)],
    ).fit(IRIS)
    assert 100 < model.n_iter_ < 1000
    for name in ("valid_loss", "valid_log_likelihood", "free_energy_gap_chains"):
        assert np.isfinite(model.history_[0, name])


def test_float32_data():
    X = IRIS.astype(np.float32)
    model = rbm().fit(X)
    assert model.sample(2).dtype == np.float32
    assert model.transform(X).dtype == model.score_samples(X).dtype == np.float32
    filled = model.impute(gaps().astype(np.float32))
    assert filled.dtype == np.float32


def test_mixed_precision():
    """Factors in bfloat16: the fit ends at a likelihood like that of float32."""
    plain, rounded = (
        rbm(n_iter=100, precision=p).fit(IRIS) for p in ("float32", "bfloat16")
    )
    assert rounded.components_.dtype == np.float64
    assert not np.array_equal(plain.components_, rounded.components_)
    scores = [m.log_likelihood(IRIS).mean() for m in (plain, rounded)]
    assert scores[0] == pytest.approx(scores[1], abs=0.3)


def test_chains_of_training_are_on_the_device_of_the_net(fitted):
    assert fitted.net_.criterion_.chains.device == torch.device("cpu")
    assert fitted.h_samples_.shape == (100, 5)


def test_chains_start_at_independent_features_like_the_data(fitted):
    v = fitted.sample(20_000, n_gibbs_steps=0, random_state=0)
    error = IRIS.std(0) / np.sqrt(len(v))
    assert (np.abs(v.mean(0) - IRIS.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(v.std(0), IRIS.std(0), rtol=0.03)
    assert np.abs(np.corrcoef(v.T) - np.eye(4)).max() < 0.04


def test_variances_may_rise_to_those_of_later_rows():
    """A feature that was constant in the first rows: its limit is its variance."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=400), 3 * rng.normal(size=400)])
    first = rows[:20].copy()
    first[:, 1] = 0.0
    model = GaussianRBM(2, batch_size=20, learning_rate=0.05, random_state=0)
    model.partial_fit(first)
    for _ in range(60):
        model.partial_fit(rows)
    assert model.noise_variance_[1] == pytest.approx(9, rel=0.3)
    assert model.noise_variance_[0] <= 1.1 * rows[:, 0].var()
