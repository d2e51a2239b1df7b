"""What a VAE sets in closed form at the end of a fit: over which rows, and how."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from skgen import GaussianVAE
from skgen.vae._model import VAE

RNG = np.random.RandomState(0)
N = 1000
Z = RNG.normal(size=(N, 1))
X = np.hstack([Z, -2 * Z, Z + 1]) + 0.3 * RNG.normal(size=(N, 3))
# Nearly all the weight is on rows that are far from the mean.
WEIGHT = np.where(np.abs(Z[:, 0]) > 1, 3.5, 0.05)


def linear(**params):
    return GaussianVAE(
        **({"n_components": 2, "hidden_layer_sizes": (), "random_state": 0} | params)
    )


def statistics(model, x):
    """KL terms and squared errors of each row, by the linear maps of a fit."""
    mean, std = model.encode(x)
    kl = 0.5 * (mean**2 + std**2 - 1) - np.log(std)
    W = model.inverse_transform(np.eye(2)) - model.inverse_transform(np.zeros((1, 2)))
    return kl, (x - model.inverse_transform(mean)) ** 2 + std**2 @ W**2


@pytest.fixture
def seen(monkeypatch):
    """What the end of a fit looks at: rows, and whether each has a pair of points."""
    blocks, means = [], []
    of_rows, set_ = GaussianVAE._statistics, GaussianVAE._set_statistics

    def spy_rows(self, model, x, weight=None, *, pairs):
        blocks.append((x.cpu().numpy(), pairs))
        return of_rows(self, model, x, weight, pairs=pairs)

    def spy_means(self, found, **kwargs):
        means.append(found)
        return set_(self, found, **kwargs)

    monkeypatch.setattr(GaussianVAE, "_statistics", spy_rows)
    monkeypatch.setattr(GaussianVAE, "_set_statistics", spy_means)
    return blocks, means


def clear(seen):
    for each in seen:
        each.clear()


@pytest.mark.parametrize("n_iter", [1, 6, 15, 20, 25])
def test_rows_that_the_end_of_a_fit_looks_at(seen, n_iter):
    """5 % of them an epoch, a fifth and 256 rows at least, spread over the table."""
    for n_rows in (200, 300, N, 2 * N):
        clear(seen)
        table = np.vstack([X, X + 1e-3])[:n_rows]
        model = linear(n_iter=n_iter, batch_size=N).fit(table)
        x = np.concatenate([block for block, _ in seen[0]])
        share = min(max(0.2, 0.05 * n_iter), 1)
        assert len(x) == min(n_rows, max(256, int(share * n_rows)))
        assert len(np.unique(x, axis=0)) == len(x)
        # Standardised, of mean 0 within sampling error, as first ones would not be.
        assert np.abs(x.mean(axis=0)).max() < 4.5 / np.sqrt(len(x))
        assert np.abs(x.std(axis=0) - 1).max() < 4.5 / np.sqrt(len(x))
        # With few epochs each row has a pair of points of its own.
        assert all(pairs for _, pairs in seen[0])
    # The rows are those of one epoch, also after many.
    clear(seen)
    for _ in range(10):
        model.partial_fit(X)
    assert sum(len(x) for x, _ in seen[0]) == 10 * 256


@pytest.mark.parametrize(("n_iter", "n_points"), [(2, 2), (120, 32)])
def test_points_of_the_integral_over_the_posterior(n_iter, n_points, monkeypatch):
    """A pair for each row, and all of them after many epochs."""
    points, decode, statistics_of = [], VAE.decode, GaussianVAE._statistics

    def counted(self, z):
        points.append(len(z))
        return decode(self, z)

    def at_the_end(self, *args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(VAE, "decode", counted)
            return statistics_of(self, *args, **kwargs)

    monkeypatch.setattr(GaussianVAE, "_statistics", at_the_end)
    linear(n_iter=n_iter, batch_size=N).fit(X[:256])
    assert sum(points) == 256 * n_points


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("n_iter", [2, 120])
def test_means_at_the_end_of_a_fit(seen, n_iter, weight):
    """Of KL terms and of squared errors, whose mean is the noise variance."""
    model = linear(n_iter=n_iter, batch_size=N).fit(X, sample_weight=weight)
    kl, error = statistics(model, X)
    expected_kl = np.average(kl, axis=0, weights=weight)
    expected = np.average(error, axis=0, weights=weight)
    (means,) = seen[1]
    # All rows and points: exact for linear maps. Otherwise a part of the rows.
    rtol = 1e-3 if n_iter == 120 else 0.15
    np.testing.assert_allclose(means[:2], expected_kl, rtol=rtol, atol=1e-4)
    np.testing.assert_allclose(model.noise_variance_, expected, rtol=rtol)
    if weight is not None:
        assert (np.abs(error.mean(axis=0) / expected - 1) > 0.3).any()
        assert (np.abs(kl.mean(axis=0) / expected_kl - 1) > 0.3).any()


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_means_over_a_part_of_the_rows(seen, weight):
    """Those of the rows that are looked at, by their weights."""
    model = linear(n_iter=2, batch_size=N).fit(X, sample_weight=weight)
    x = np.concatenate([block for block, _ in seen[0]])
    x = model._units.undo(x)
    index = cdist(x, X).argmin(axis=1)
    np.testing.assert_allclose(X[index], x, atol=1e-5)
    assert len(np.unique(index)) == 256
    part = None if weight is None else weight[index]
    kl, error = statistics(model, X[index])
    (means,) = seen[1]
    np.testing.assert_allclose(
        means[:2], np.average(kl, axis=0, weights=part), rtol=1e-4
    )
    expected = np.average(error, axis=0, weights=part)
    np.testing.assert_allclose(model.noise_variance_, expected, rtol=0.05)


def test_a_latent_is_active_above_a_tenth_of_a_nat(monkeypatch):
    model = linear(n_iter=1).fit(X)
    model._set_statistics(np.r_[0.099, 0.101, np.ones(9)], partial=False)
    assert model.active_units_.tolist() == [False, True]


@pytest.mark.parametrize("noise_variance", ["per_feature", "learned"])
def test_a_partial_fit_keeps_the_running_mean_of_the_noise(noise_variance):
    """One mini-batch moves it by a twentieth of the way; `fit` sets the best."""
    model = linear(noise_variance=noise_variance, n_iter=120, batch_size=N).fit(X)
    before = np.copy(model.noise_variance_)
    moved = X * 3
    model.partial_fit(moved)
    error = (statistics(model, moved)[1]).mean(axis=0)
    error = error if noise_variance == "per_feature" else error.mean()
    assert np.all((model.noise_variance_ - before) / (error - before) > 0.02)
    assert np.all((model.noise_variance_ - before) / (error - before) < 0.1)


def small_errors(model, variance=1.0, error=0.01):
    """Set the statistics of the end of a fit to errors as small as these."""
    n = model.n_features_in_
    means = np.r_[1.0, 1.0, np.full(n, error), variance, np.ones(n)]
    model._set_statistics(means, partial=False)
    return model.noise_variance_ / model._units.scale**2


def test_samples_have_at_least_seven_tenths_of_the_spread():
    """Means of the prior that vary too little are made up for by the noise."""
    model = linear(n_iter=0).fit(X)
    slopes = np.array([[0.1, 0.0, 0.6], [0.0, 0.2, 0.6]]).T
    name = next(n for n in model.weights_ if n.startswith("decoder") and "weight" in n)
    assert model.weights_[name].shape == slopes.shape
    model.weights_[name] = slopes.astype(np.float32)
    expected = 0.49 - np.array([0.01, 0.04, 0.72])
    expected[2] = small_errors(model, np.ones(3))[2]  # varies enough: its error
    assert 0 < expected[2] < 0.1
    np.testing.assert_allclose(small_errors(model, np.ones(3)), expected, rtol=1e-5)
    samples = model.sample(200_000, random_state=0)
    spread = samples.std(axis=0) / model._units.scale
    np.testing.assert_allclose(spread[:2], 0.7, rtol=0.01)
    # As a share of the variance of the rows, 0 for a constant feature.
    found = small_errors(model, np.array([0.5, 0.0, 1.0]))
    assert found[0] == pytest.approx(0.49 * 0.5 - 0.01)
    assert found[1] < 0.1


def test_the_isotropic_noise_is_that_of_maximum_likelihood():
    model = linear(n_iter=0, noise_variance="learned").fit(X)
    small = small_errors(model, np.ones(3))
    np.testing.assert_allclose(small, 0.01, rtol=1e-6)


@pytest.mark.slow
def test_spread_of_samples_of_digits():
    """Pixels that few images use are reconstructed better than they are sampled."""
    x = load_digits().data
    x = x[:, x.std(axis=0) > 0]
    model = GaussianVAE(random_state=0).fit(x)
    spread = model.sample(20_000, random_state=0).std(axis=0) / x.std(axis=0)
    assert (spread > 0.67).all()
    assert (spread < 1.5).all()
