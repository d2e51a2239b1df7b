"""EnergyModel: its start, what it learns and answers, and tables of all kinds."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_iris, make_moons
from torch import nn

from skgen import EnergyModel
from skgen.energy import NoiseContrastive, PersistentLangevin
from skgen.energy._diagnostics import LEAST_STEPS
from skgen.training import Objective

X = load_iris().data


def small(**params):
    quick = {"hidden_layer_sizes": (16, 16), "n_iter": 3, "base": "gaussian"}
    return EnergyModel(**quick | {"random_state": 0} | params)


@pytest.fixture(scope="module")
def fitted():
    return small(n_iter=150, learning_rate=1e-2, early_stopping=False).fit(X)


def log_mass(model, half_width=4.0, side=150):
    """Log of the integral of the density of two features, by a grid."""
    line = (np.arange(side) + 0.5) / side * 2 - 1
    units = model._units
    z = half_width * np.stack(np.meshgrid(line, line), 2).reshape(-1, 2)
    log_p = model.score_samples(z * units.scale + units.location)
    area = np.prod(2 * half_width / side * units.scale)
    return np.logaddexp.reduce(log_p) + np.log(area)


# The start


def test_start_is_the_gaussian_of_the_data():
    model = small(n_iter=0, early_stopping=False).fit(X)
    mean, std = X.mean(0), X.std(0)
    covariance = LedoitWolf(assume_centered=True).fit((X - mean) / std).covariance_
    expected = multivariate_normal(mean, covariance * np.outer(std, std)).logpdf(X)
    np.testing.assert_allclose(model.score_samples(X), expected, atol=1e-6)
    assert model.log_partition_.estimate == pytest.approx(0, abs=1e-12)
    drawn = model.sample(4000, n_steps=0, random_state=1)
    spread = np.cov(((drawn - mean) / std).T)
    assert np.abs(spread - covariance).max() < 5 * np.sqrt(2 / 4000)


def test_start_is_the_mixture_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    model = small(n_iter=0, early_stopping=False, base=3, base_covariance_type="full")
    model.fit(X)
    Z = (X - X.mean(0)) / X.std(0)
    order = np.lexsort(Z.T)
    peers = [
        GaussianMixture(3, random_state=seed, reg_covar=1e-5).fit(Z[order]).score(Z)
        for seed in range(3)
    ]
    got = model.score(X) + np.log(X.std(0)).sum()
    assert min(peers) - 0.02 < got < max(peers) + 0.02


def test_components_are_chosen_by_likelihood():
    """Two clusters are no Gaussian; a Gaussian is."""
    rng = np.random.RandomState(0)
    one = rng.standard_normal((400, 2))
    two = np.concatenate([one[:200] * 0.3 - 3, one[200:] * 0.3 + 3])
    auto = {"n_iter": 0, "base": "auto", "early_stopping": False}
    assert len(small(**auto).fit(one)._base["mean"]) == 1
    assert len(small(**auto).fit(two)._base["mean"]) >= 2
    assert len(small(**auto).fit(two[::5])._base["mean"]) == 1  # of too few rows


def test_components_are_of_rows_by_their_weights():
    weight = np.where(np.arange(len(X)) < 50, 1.5, 1e-9)
    model = small(n_iter=0, base=2, early_stopping=False)
    model.fit(X, sample_weight=weight)
    mean = np.exp(model._base["log_weight"]) @ model._base["mean"]
    mean = mean * model._units.scale + model._units.location
    np.testing.assert_allclose(mean, X[:50].mean(0), atol=0.02)


@pytest.mark.parametrize("weight", ["halves", "pairs", "uneven"])
def test_copies_of_a_row_do_not_decide_on_the_base(weight):
    """Of a single Gaussian: with copies on both sides, 16 components would win."""
    rng = np.random.default_rng(1)
    one = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8))
    weight = {
        "halves": np.full(300, 0.5),
        "pairs": np.full(300, 2),
        "uneven": rng.uniform(0.5, 1.5, 300),
    }[weight]
    model = small(n_iter=0, base="auto", early_stopping=False)
    n_alone = len(model.fit(one)._base["mean"])
    assert len(model.fit(one, sample_weight=weight)._base["mean"]) <= n_alone <= 2
    few = model.fit(one[:60, :4], sample_weight=weight[:60])
    assert len(few._base["mean"]) == 1  # fewer than 100 rows


# What is learned


def test_noise_contrastive_estimation_learns_density_and_constant():
    """Of moons: the density integrates to 1, and c is log Z, both within 0.1."""
    moons, _ = make_moons(2000, noise=0.1, random_state=0)
    model = EnergyModel(
        hidden_layer_sizes=(32, 32),
        base="gaussian",
        n_iter=60,
        learning_rate=5e-3,
        early_stopping=False,
        random_state=0,
    ).fit(moons)
    start = small(n_iter=0, early_stopping=False).fit(moons)
    assert model.score(moons) > start.score(moons) + 0.4
    assert log_mass(model) == pytest.approx(0, abs=0.1)
    assert model.log_normalizer_ == pytest.approx(
        model.log_partition_.estimate, abs=0.1
    )
    lower, upper = model.log_likelihood_bounds(moons)
    exact = model.score_samples(moons) - log_mass(model)
    assert (lower < exact).all()
    assert (exact < upper).all()


def test_loss_by_hand():
    """Of noise-contrastive estimation, with the same noise, by logs of odds."""
    model = small(n_iter=2).fit(X)
    net = model._build_model(model._state())
    objective = NoiseContrastive(3)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()
    from skgen.training._step import Batch

    loss = objective.loss(net, Batch(x), generator=torch.Generator().manual_seed(1))
    noise = net.base.sample(15, generator=torch.Generator().manual_seed(1))

    def of_data(x):
        """Probability that a point is a row and no draw of the base."""
        ratio = (-net.correction(x) - net.log_normalizer).exp()
        return ratio / (ratio + 3)

    expected = -of_data(x).log() - (1 - of_data(noise)).log().view(5, 3).sum(1)
    expected = expected - np.log(4) - 3 * np.log(4 / 3)
    torch.testing.assert_close(loss, expected)
    start = small(n_iter=0, device="cpu").fit(X)
    assert start.net_.criterion_.evaluate(
        start.net_.module_, Batch(x.float())
    ).mean().item() == pytest.approx(0, abs=1e-5)


def test_persistent_chains_learn_and_are_kept():
    moons, _ = make_moons(500, noise=0.1, random_state=0)
    options = {"objective": "pcd", "n_steps": 5, "buffer_size": 500}
    model = small(**options, n_iter=40, learning_rate=5e-3, early_stopping=False)
    model.fit(moons)
    start = small(n_iter=0, early_stopping=False).fit(moons)
    assert model.score(moons) > start.score(moons) + 0.05
    assert model._buffer.shape == (500, 2)
    assert model._n_tuned == 40 * 2 * 4  # each fifth step is a jump
    assert 0 < model._buffer_step <= np.pi / 2 + 1e-6
    before = model._buffer.copy()
    resumed = pickle.loads(pickle.dumps(model)).partial_fit(moons)
    model.partial_fit(moons)
    np.testing.assert_array_equal(resumed._buffer, model._buffer)
    for name, array in model.weights_.items():
        np.testing.assert_array_equal(resumed.weights_[name], array)
    assert (before != model._buffer).any(1).mean() > 0.5


def test_short_run_chains_of_low_temperature_descend():
    """What chains of the literature sample is not the model: they go to its modes."""
    options = {
        "objective": "pcd",
        "adjusted": False,
        "buffer_size": 400,
        "reinit_fraction": 0.0,
        "n_steps": 30,
        "batch_size": 400,
        "n_iter": 3,
        "learning_rate": 1e-6,
        "early_stopping": False,
    }
    noise = np.random.RandomState(0).standard_normal((400, 2))
    cold = small(**options, temperature=1e-6, step_size=0.05).fit(noise)
    warm = small(**options, step_size=0.05).fit(noise)
    assert cold._buffer.std() < 0.1
    assert warm._buffer.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("objective", ["nce", "pcd"])
def test_a_fit_in_two_parts_has_the_bits_of_one(objective):
    options = {"objective": objective, "n_steps": 2, "buffer_size": 64}
    one, other = small(**options), small(**options)
    for _ in range(3):
        one.partial_fit(X)
    other.partial_fit(X)
    other = pickle.loads(pickle.dumps(other)).partial_fit(X)
    other.partial_fit(X)
    for name, array in one.weights_.items():
        np.testing.assert_array_equal(other.weights_[name], array)
    assert one.log_partition_ == other.log_partition_


# Answers


def test_score_is_minus_energy_less_log_z(fitted):
    expected = -fitted.energy(X) - fitted.log_partition_.estimate
    np.testing.assert_allclose(fitted.score_samples(X), expected)
    np.testing.assert_allclose(fitted.log_likelihood(X), expected)


def test_units_of_the_features_do_not_matter():
    factor, offset = np.array([1e3, 1e-3, 2.0, 1.0]), np.array([0, 5, -1e3, 1e4])
    one, other = small().fit(X), small().fit(X * factor + offset)
    expected = one.score_samples(X) - np.log(factor).sum()
    got = other.score_samples(X * factor + offset)
    np.testing.assert_allclose(got, expected, atol=1e-2)


def test_small_sample_sizes_give_nan(fitted):
    from dataclasses import replace

    model = pickle.loads(pickle.dumps(fitted))
    known = model.log_partition_
    model._set_log_partition(replace(known, effective_sample_size=9.0))
    with pytest.warns(UserWarning, match=r"effective sample size of 9\.0, but"):
        assert np.isnan(model.score_samples(X)).all()
    lower, upper = model.log_likelihood_bounds(X)
    assert np.isfinite(lower).all()
    assert np.isfinite(upper).all()


def test_log_z_is_that_of_the_present_weights(fitted):
    model = pickle.loads(pickle.dumps(fitted))
    last = max(name for name in model.weights_ if name.endswith("bias"))
    model.weights_ = {**model.weights_, last: model.weights_[last] + 1.0}
    got = model.score_samples(X)
    np.testing.assert_allclose(got, fitted.score_samples(X), atol=0.3)
    assert model.log_partition_.estimate < fitted.log_partition_.estimate - 0.7


def test_samples_have_the_moments_of_the_data(fitted):
    drawn = fitted.sample(1000, random_state=0)
    np.testing.assert_allclose(drawn.mean(0), X.mean(0), atol=0.2 * X.std(0).max())
    np.testing.assert_allclose(drawn.std(0), X.std(0), rtol=0.25)
    fitted.chain_diagnostics(n_chains=2, n_steps=LEAST_STEPS)  # enough
    with pytest.raises(ValueError, match=r"in the range \[80, inf\)"):
        fitted.chain_diagnostics(n_steps=LEAST_STEPS - 1)
    report = fitted.chain_diagnostics(random_state=0, n_chains=50, n_steps=200)
    assert report.acceptance_rate > 0.3
    assert report.r_hat < 1.2


def test_missing_values(fitted):
    gaps = X[::10].copy()
    gaps[:, 2] = np.nan
    filled = fitted.impute(gaps, n_draws=10, random_state=0)
    # Petal length, of standard deviation 1.8, follows from the rest.
    assert np.abs(filled[:, 2] - X[::10, 2]).mean() < 0.5
    drawn = fitted.sample(2, given=gaps, random_state=0)
    assert drawn.shape == (30, 4)
    np.testing.assert_array_equal(drawn[::2, [0, 1, 3]], gaps[:, [0, 1, 3]])
    assert (drawn[::2, 2] != drawn[1::2, 2]).all()
    np.testing.assert_array_equal(fitted.impute(X[:3]), X[:3])


# Tables of all kinds

TABLES = {
    "one row": X[:1],
    "two rows": X[:2],
    "one column": X[:, :1],
    "more columns than rows": np.random.RandomState(0).standard_normal((6, 20)),
    "constant columns": np.hstack([X, np.ones((150, 1))]),
    "all constant": np.ones((10, 3)),
    "bits": (X.mean(0) < X).astype(float),
    "equal columns": np.hstack([X, X]),
    "large numbers": X * 1e12 + 1e15,
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_all_kinds(name):
    data = TABLES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = small(base="auto").fit(data)
        assert np.isfinite(model.score(data))
        assert np.isfinite(model.sample(3, n_steps=20)).all()


def test_networks_of_images():
    images = np.random.RandomState(0).uniform(size=(30, 36))
    model = small(architecture="conv", image_shape=(6, 6), hidden_layer_sizes=4)
    model.fit(images)
    assert np.isfinite(model.score(images))
    assert model.sample(2, n_steps=4).shape == (2, 36)


# Errors


def test_a_warm_start_keeps_the_network(fitted):
    model = small(warm_start=True).fit(X)
    with pytest.raises(ValueError, match=r"Got hidden_layer_sizes=.*goes on with"):
        model.set_params(hidden_layer_sizes=(16, 8)).fit(X)
    model.set_params(hidden_layer_sizes=(16, 16)).fit(X)
    assert model.n_iter_ == 6


def test_networks_that_do_not_fit():
    with pytest.raises(ValueError, match=r"n_features columns to one energy"):
        small(network=nn.Linear(4, 2)).fit(X)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(4, 0\)"):
        small(hidden_layer_sizes=(4, 0)).fit(X)


def test_objectives_are_known():
    for objective, kind in (("nce", NoiseContrastive), ("pcd", PersistentLangevin)):
        model = small(objective=objective, n_iter=1, buffer_size=32, n_steps=1).fit(X)
        assert isinstance(model.net_.criterion_, kind)
        assert issubclass(kind, Objective)
