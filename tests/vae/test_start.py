"""Where the training of a GaussianVAE starts: probabilistic PCA, networks, noise."""

import copy

import numpy as np
import pytest
import torch
from oracles import PPCA
from scipy import stats
from scipy.stats import kurtosis
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler
from torch import nn

from skgen import GaussianVAE
from skgen.base._standardization import Standardization, noise_floor
from skgen.nn import GaussianObservation
from skgen.training._rows import row_source
from skgen.vae._architecture import Architecture
from skgen.vae._gaussian_start import start_of
from skgen.vae._linear_start import probabilistic_pca
from skgen.vae._model import VAE, elbo

WINE = StandardScaler().fit_transform(load_wine().data)
TINY = 1e-6


def factors(n_rows, n_features=6, n_factors=2, noise=0.1, seed=0):
    """Centered rows of a linear model."""
    rng = np.random.RandomState(seed)
    W = rng.normal(size=(n_factors, n_features))
    x = rng.normal(size=(n_rows, n_factors)) @ W
    x += noise**0.5 * rng.normal(size=x.shape)
    return x - x.mean(axis=0)


def table(x, weight=None):
    """Rows as a fit sees them, standardised: here in their own units."""
    units = Standardization(np.zeros(x.shape[1]), np.ones(x.shape[1]))
    return units.of_rows(row_source(x).select(np.arange(len(x)), weight), bounded=True)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


def covariance(model):
    return model.weight @ model.weight.T + np.diag(model.noise_variance)


# Probabilistic PCA


@pytest.mark.parametrize("noise", [None, 0.6])
@pytest.mark.parametrize("X", [WINE, factors(300)], ids=["wine", "factors"])
def test_the_bound_of_the_linear_start_is_its_likelihood(X, noise):
    """With latents that are not used, which keep the prior."""
    n_features = X.shape[1]
    model = probabilistic_pca(X, 10, noise, np.full(n_features, TINY))
    assert 0 < model.n_used < 10
    encoder, decoder = nn.Linear(n_features, 20), nn.Linear(10, n_features)
    model.set_(encoder.double(), decoder.double())
    vae = VAE(encoder, decoder, GaussianObservation(tensor(model.noise_variance)))
    with torch.no_grad():
        bound, (mu, log_var) = elbo(vae, tensor(X)), vae.posterior(tensor(X))
    law = stats.multivariate_normal(np.zeros(n_features), covariance(model))
    np.testing.assert_allclose(bound, law.logpdf(X), rtol=1e-9)
    assert not mu[:, model.n_used :].any()
    assert not log_var[:, model.n_used :].any()


@pytest.mark.parametrize("noise", [0.3, 0.6, 2.5])
def test_a_noise_variance_that_is_given(noise):
    best = PPCA(WINE, 8, noise)
    model = probabilistic_pca(WINE, 8, noise, np.full(13, TINY))
    assert model.n_used == best.n_active
    np.testing.assert_allclose(covariance(model), best.covariance, atol=1e-10)


def least_bic(X, n_latents):
    """Number of components by the likelihood of each model, and its BIC."""
    n, n_features = X.shape
    bic = []
    for k in range(min(n_latents, n_features - 1, (n - 1) // 2) + 1):
        n_parameters = n_features * k - k * (k - 1) / 2 + 1
        likelihood = n * PPCA(X, k).best_mean_log_likelihood
        bic.append(-2 * likelihood + n_parameters * np.log(n))
    return int(np.argmin(bic))


def test_the_number_of_components_is_that_of_least_bic():
    """Of tables of 8 features whose variances fall, some steeply, and some hardly."""
    found = []
    for seed in range(60):
        rng = np.random.RandomState(seed)
        scales = np.exp(-rng.uniform(0, 0.6) * np.arange(8))
        x = rng.normal(size=(rng.randint(12, 200), 8)) * scales
        x -= x.mean(axis=0)
        n_latents = rng.randint(3, 10)
        model = probabilistic_pca(x, n_latents, None, np.full(8, TINY))
        assert model.n_used == least_bic(x, n_latents)
        found.append(model.n_used)
    assert set(range(6)) <= set(found)


def test_a_table_with_more_features_than_rows():
    x = factors(40, n_features=60, noise=0.2)
    model = probabilistic_pca(x, 5, None, np.full(60, TINY))
    assert model.n_used == 2
    best = PPCA(x, 2)
    np.testing.assert_allclose(
        model.weight @ model.weight.T, best.W @ best.W.T, atol=1e-9
    )
    np.testing.assert_allclose(covariance(model).diagonal(), (x**2).mean(axis=0))


def test_the_signs_of_eigenvectors_do_not_matter(monkeypatch):
    """They are those of a library and of a processor, and a fit should not be."""
    expected = probabilistic_pca(WINE, 8, None, np.full(13, TINY)).weight
    eigh = np.linalg.eigh

    def negated(x):
        values, vectors = eigh(x)
        return values, vectors * np.where(np.arange(len(x)) % 3, -1, 1)

    monkeypatch.setattr(np.linalg, "eigh", negated)
    got = probabilistic_pca(WINE, 8, None, np.full(13, TINY)).weight
    np.testing.assert_array_equal(got, expected)


def test_noise_and_its_limit_where_few_features_are_explained_better():
    """A feature with less noise than the limit lowers it, and only its own."""
    rng = np.random.RandomState(0)
    noise = np.array([0.001, 0.001, *np.full(10, 0.5)])
    W = rng.normal(size=(12, 1)) + 1
    x = rng.normal(size=(3000, 1)) @ W.T + np.sqrt(noise) * rng.normal(size=(3000, 12))
    x -= x.mean(axis=0)
    model = probabilistic_pca(x, 1, None, np.full(12, 0.3))
    rest = (x**2).mean(axis=0) - (model.weight**2).sum(axis=1)
    assert rest[:2].max() < 0.3 < rest[2:].min()
    assert (model.floor[:2] < 0.3).all()
    np.testing.assert_array_equal(model.floor[2:], 0.3)
    np.testing.assert_allclose(model.noise_variance, np.maximum(rest, model.floor))
    # A limit that is not reached stays.
    model = probabilistic_pca(x, 1, None, np.full(12, 1e-4))
    np.testing.assert_array_equal(model.floor, 1e-4)


def test_the_limit_is_that_of_rows_which_the_axes_have_not_seen():
    """Of few rows, in which two axes leave a fifth less than in others."""
    noise, limits = 0.01, []
    for seed in range(20):
        x = factors(20, n_features=30, noise=noise, seed=seed)
        model = probabilistic_pca(x, 2, None, np.full(30, 0.5))
        assert model.n_used == 2
        limits.append(model.floor.mean())
    assert noise < np.mean(limits) < 1.5 * noise


def test_a_few_rows_may_leave_nothing():
    """Of 15 rows in a plane of 7 dimensions: the limit stays above 1e-6."""
    x = factors(15, n_features=40, n_factors=7, noise=1e-9)
    model = probabilistic_pca(x, 7, None, np.full(40, 0.1))
    assert model.n_used == 7
    assert (model.floor >= TINY).all()
    assert (model.noise_variance >= model.floor).all()
    # Nor if half of the rows tell all of the other half.
    twice = np.tile(x[:2].repeat(2, axis=0), (5, 1))
    model = probabilistic_pca(twice, 7, None, np.full(40, 0.1))
    np.testing.assert_allclose(model.floor, TINY)


# What a fit starts from


def start(rows, *, n_components=4, **params):
    """Networks before and after, and what else there is to start from."""
    estimator = GaussianVAE(n_components, **params)
    estimator.n_features_in_ = rows.shape[1]
    architecture = Architecture.of(estimator)
    networks = architecture.initial_networks(torch.Generator().manual_seed(0))
    before = copy.deepcopy(networks)
    given = not isinstance(estimator.noise_variance, str)
    found = start_of(
        networks,
        rows,
        noise=estimator.noise_variance if given else None,
        per_feature=estimator.noise_variance == "per_feature",
        shortcut=architecture.shortcut,
        linear=architecture.is_linear,
    )
    return before, networks, found


@pytest.mark.parametrize("noise_variance", ["per_feature", "learned", 0.3])
def test_weights_count_as_rows_do(noise_variance):
    x, counts = factors(120), np.random.RandomState(1).randint(1, 6, 120)
    weight = counts / counts.mean()
    params = {"n_components": 2, "noise_variance": noise_variance}
    _, ours, one = start(table(x, weight), **params)
    _, theirs, other = start(table(x.repeat(counts, axis=0)), **params)
    _, plain, _ = start(table(x), **params)
    assert one.n_used == other.n_used == 2
    for name in ("encoder", "decoder"):
        got, expected, without = (
            n[name].shortcut.weight.detach() for n in (ours, theirs, plain)
        )
        torch.testing.assert_close(got, expected)
        assert not torch.allclose(got, without, rtol=1e-3)
    np.testing.assert_allclose(one.noise_variance, other.noise_variance)


def test_the_noise_of_a_start():
    """The variance that the linear map leaves; of each feature, or of all."""
    x = factors(500) * [1, 1, 1, 1, 1, 3]
    each = start(table(x))[2]
    model = probabilistic_pca(x, 4, None, each.floor)
    np.testing.assert_allclose(each.noise_variance, model.noise_variance)
    np.testing.assert_array_equal(each.floor, model.floor)
    assert each.n_used == model.n_used > 0
    common = start(table(x), noise_variance="learned")[2]
    tiny = probabilistic_pca(x, 4, None, np.full(6, TINY))
    assert common.noise_variance == pytest.approx(tiny.noise_variance.mean())
    assert common == (common.noise_variance, TINY, tiny.n_used)
    networks, given = start(table(x), noise_variance=0.7)[1:]
    assert given == (0.7, TINY, PPCA(x, 4, 0.7).n_active)
    W = networks["decoder"].shortcut.weight.detach().numpy()
    best = PPCA(x, 4, 0.7).W
    np.testing.assert_allclose(W @ W.T, best @ best.T, atol=1e-10)


def test_the_limit_of_the_noise_where_the_start_explains_more():
    """That of the linear model, which is below the kurtosis over the number of rows."""
    x = factors(30, n_features=12, noise=1e-4)
    found = start(table(x))[2]
    limit = (kurtosis(x) + 3) / 30 * x.var(axis=0)
    assert (found.floor < 0.1 * limit).all()
    assert (found.noise_variance < 0.1 * limit).all()


def test_the_noise_without_a_linear_map():
    x = np.random.RandomState(0).normal(size=(40, 3)) * [1.0, 2.0, 0.0]
    x[0, 1] = 30.0
    second, fourth = (x**2).mean(axis=0), (x**4).mean(axis=0)
    floor = np.append(fourth[:2] / second[:2] / 40, TINY)
    found = start(table(x), architecture="mlp")[2]
    np.testing.assert_allclose(found.floor, floor)
    np.testing.assert_allclose(found.noise_variance, np.maximum(second, floor))
    assert found.n_used is None
    # A linear model learns no row by heart, and an isotropic one only all features.
    linear = start(table(x), architecture="mlp", hidden_layer_sizes=())[2]
    np.testing.assert_array_equal(linear.floor, TINY)
    np.testing.assert_allclose(linear.noise_variance, np.maximum(second, TINY))
    common = start(table(x), architecture="mlp", noise_variance="learned")[2]
    assert common == (pytest.approx(second.mean()), TINY, None)
    nothing = start(table(0 * x), architecture="mlp", noise_variance="learned")[2]
    assert nothing.noise_variance == TINY


def test_networks_beside_the_linear_map_are_small_at_first():
    """Of the latents that have no part in it, one reaches the decoder in full."""
    before, after, found = start(table(factors(500)), hidden_layer_sizes=(7, 5))
    assert found.n_used == 2
    for name in ("encoder", "decoder"):
        old, new = before[name].network, after[name].network
        torch.testing.assert_close(new[-1].weight, 0.3 * old[-1].weight)
        torch.testing.assert_close(new[-1].bias, old[-1].bias)
        torch.testing.assert_close(new[2].weight, old[2].weight)
    old, new = (n["decoder"].network[0].weight for n in (before, after))
    torch.testing.assert_close(new[:, :3], old[:, :3])
    torch.testing.assert_close(new[:, 3:], 0.03 * old[:, 3:])
    torch.testing.assert_close(
        after["encoder"].network[0].weight, before["encoder"].network[0].weight
    )


def test_the_limit_of_the_noise_leaves_the_data_as_it_is():
    x = factors(50)
    before = x.copy()
    noise_floor(row_source(x))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("noise", ["per_feature", "learned", 0.5])
def test_few_rows(n_rows, noise):
    """They say next to nothing, and the fit says so with finite numbers."""
    X = np.random.RandomState(0).normal(size=(n_rows, 3))
    model = GaussianVAE(n_iter=2, noise_variance=noise, random_state=0).fit(X)
    assert np.isfinite(model.noise_variance_).all()
    assert np.isfinite(model.score_samples(X)).all()
