"""GaussianVAE at its defaults: ordinary tables, collapse, latents, convergence."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    load_wine,
    make_blobs,
)
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import LRScheduler

from skgen import BernoulliVAE, GaussianVAE
from skgen.vae._linear_start import probabilistic_pca
from skgen.vae._schedule import StagedLatents

TABLES = {
    "iris": load_iris,
    "wine": load_wine,
    "diabetes": load_diabetes,
    "cancer": load_breast_cancer,
    "digits": load_digits,
    "linnerud": load_linnerud,
}
# How far below the best PCA a held-out score may be, in nats: a table of 20 rows is
# scored by 6 of them.
MARGINS = {"linnerud": 0.1}


def split(X):
    train, test = train_test_split(X, test_size=0.3, random_state=0)
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def circle():
    """Eight clusters on a circle, in which no direction stands out."""
    angles = np.pi / 4 * np.arange(8)
    centers = 4 * np.column_stack([np.cos(angles), np.sin(angles)])
    X, _ = make_blobs(1000, centers=centers, cluster_std=0.3, random_state=0)
    return split(X)


def best_pca(train, test):
    n_most = min(16, train.shape[1] - 1, len(train) - 1)
    return max(PCA(n).fit(train).score(test) for n in range(1, n_most + 1))


def fit(train, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianVAE(**({"random_state": 0} | params)).fit(train)


@pytest.fixture(scope="module")
def default_fits():
    """Fits to ordinary tables at the defaults, by name."""
    return {}


def default_fit(fits, name):
    """A fit to the training rows of a table, shared by slow tests; and its rows."""
    train, test = split(TABLES[name]().data)
    if name not in fits:
        fits[name] = fit(train)
    return fits[name], train, test


@pytest.fixture
def few_steps_for_stages(monkeypatch):
    """Latents are opened in stages also in a training that would be too short."""
    monkeypatch.setattr("skgen.vae._gaussian_base._STEPS_FOR_STAGES", 100)


# Ordinary tables


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_no_worse_than_pca(name, default_fits):
    model, train, test = default_fit(default_fits, name)
    assert model.score(test) > best_pca(train, test) - MARGINS.get(name, 0)


@pytest.mark.parametrize("name", ["iris", "linnerud"])
def test_no_worse_than_pca_after_a_part_of_the_steps(name):
    train, test = split(TABLES[name]().data)
    model = fit(train, n_iter=400)
    assert model.score(test) > best_pca(train, test) - MARGINS.get(name, 0)


def test_the_length_of_training_is_counted_in_steps():
    for cls in (GaussianVAE, BernoulliVAE):
        model = cls(batch_size=100)
        assert model._number_of_epochs("auto", 90) == 3000
        assert model._number_of_epochs("auto", 1050) == 273  # of 11 steps
        assert model._number_of_epochs("auto", 60_000) == 100
        assert model._number_of_epochs(7, 90) == 7
    assert GaussianVAE(n_iter="auto").partial_fit(load_iris().data).n_iter_ == 1


def test_training_starts_at_probabilistic_pca():
    """With the components of least BIC; their posterior is exact."""
    train, test = split(load_wine().data)
    start = fit(train, n_iter=0, noise_variance="learned")
    used = np.abs(start.weights_["decoder.shortcut.weight"]).max(axis=0) > 0
    n_used = used.sum()
    assert 0 < n_used < 13
    # The networks beside the linear map are small, and not zero.
    assert start.score(test) == pytest.approx(PCA(n_used).fit(train).score(test), abs=1)
    normal = np.random.RandomState(0).normal(size=(500, 6))
    start = fit(normal, n_iter=0)
    assert not start.weights_["decoder.shortcut.weight"].any()


def test_the_posterior_of_the_linear_start_is_exact():
    """With a noise variance of each feature, its covariance is made diagonal."""
    train, _ = split(load_breast_cancer().data)
    floor = np.full(30, 1e-6)
    model = probabilistic_pca(train, 16, None, floor)
    W, noise = model.weight, model.noise_variance
    assert len(np.unique(noise)) > 1
    used = W[:, : model.n_used]
    inner = used.T @ (used / noise[:, None])
    scale = np.sqrt(np.outer(inner.diagonal(), inner.diagonal()))
    np.testing.assert_allclose(inner / scale, np.eye(model.n_used), atol=1e-10)
    # The distribution of x is that of PCA, up to the noise.
    pca = PCA(model.n_used).fit(train)
    components = pca.components_.T * np.sqrt(
        pca.explained_variance_ - pca.noise_variance_
    )
    shrunk = (len(train) - 1) / len(train)  # PCA divides by n - 1
    np.testing.assert_allclose(
        used @ used.T, components @ components.T * shrunk, atol=1e-6
    )


def test_the_noise_of_a_linear_model_in_rows_that_it_has_not_seen():
    rng = np.random.RandomState(0)
    W, noise = rng.normal(size=(8, 2)), 0.01
    x = rng.normal(size=(4000, 2)) @ W.T + noise**0.5 * rng.normal(size=(4000, 8))
    floor = np.full(8, 0.5)
    model = probabilistic_pca(x, 4, None, floor)
    assert model.n_used == 2
    # 0.01 within sampling error, and not the error of reconstructions, 0.0075.
    np.testing.assert_allclose(model.floor, noise, rtol=0.1)
    np.testing.assert_allclose(model.noise_variance, noise, rtol=0.1)
    # Few rows, of which any components leave little, say nothing of others.
    x = rng.normal(size=(14, 30))
    model = probabilistic_pca(x, 16, None, np.full(30, 0.2))
    assert model.n_used <= 6
    np.testing.assert_array_equal(model.floor, 0.2)


def test_weight_decay_by_the_number_of_correlations():
    X = np.random.RandomState(0).normal(size=(600, 10))

    def decay(X, **params):
        model = fit(X, n_iter=1, **params)
        groups = model.net_.optimizer_.param_groups
        return {len(g["params"]): g["weight_decay"] for g in groups}

    # Encoder and decoder: three layers each beside the linear map, of two arrays.
    assert decay(X) == pytest.approx({12: 30 * 45 / 600, 4: 0})
    assert decay(X, n_components=4) == pytest.approx({12: 30 * 6 / 600, 4: 0})
    assert decay(X, learning_rate=0.5)[12] == pytest.approx(0.2)
    assert decay(X, architecture="mlp") == {12: 0}
    # A number is for all weights, and for no bias.
    groups = fit(X, n_iter=1, weight_decay=0.5).net_.optimizer_.param_groups
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(8, 0.5), (8, 0)]


def test_the_schedule_leaves_the_rate_to_a_callback():
    X = load_iris().data
    scheduler = LRScheduler(torch.optim.lr_scheduler.ConstantLR, factor=1.0)
    assert fit(X, n_iter=2).net_.learning_rate_schedule == "linear"
    model = fit(X, n_iter=2, callbacks=[scheduler])
    assert model.net_.learning_rate_schedule == "constant"


# Posterior collapse


@pytest.mark.slow
def test_clusters_on_a_circle():
    train, test = circle()
    model = fit(train)
    assert model.score(test) > -1.0
    assert model.active_units_.sum() == 1
    draw = model.sample(2000, random_state=0)
    np.testing.assert_allclose(draw.std(axis=0), train.std(axis=0), rtol=0.1)


def test_why_the_posterior_collapses():
    """At the variance of the data the collapsed model is a stationary point.

    One Gaussian is left, also after half as many steps as get the stages away from it.
    """
    train, test = circle()
    gaussian = PCA(1).fit(train).score(test)
    collapsed = fit(train, n_warmup_iter=0, n_components=4, n_iter=250)
    assert collapsed.score(test) == pytest.approx(gaussian, abs=0.05)
    assert collapsed.active_units_.sum() == 0
    assert collapsed.noise_variance_ == pytest.approx(1, abs=0.1)
    assert fit(train, n_components=4, n_iter=500).score(test) > gaussian + 1


def test_independent_columns_use_no_latent(few_steps_for_stages):
    X = np.random.RandomState(0).normal(size=(2000, 10))
    model = fit(X, n_iter=60)
    assert model.active_units_.sum() == 0
    assert model.score(X) == pytest.approx(-5 * np.log(2 * np.pi * np.e), abs=0.2)


def test_few_latents_of_iris_and_no_stages_in_a_warm_start(few_steps_for_stages):
    train, _ = split(load_iris().data)
    model = fit(train, n_iter=300, warm_start=True)
    assert 1 <= model.active_units_.sum() <= 4
    assert model._build_objective(model._state()).stages is None
    before = model.score(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_params(n_iter=5).fit(train)
    assert model.score(train) > before - 0.5


def test_stages():
    stages = StagedLatents(2, 5)
    assert stages.n_open(0.0) == stages.n_open(0.29) == 3
    assert stages.n_open(0.31) == 5
    weights = [stages.weights(t).tolist() for t in (0.0, 0.05, 0.1, 0.3, 0.35, 0.55, 1)]
    np.testing.assert_allclose(
        weights,
        [
            [1, 1, 0.1, 0, 0],
            [1, 1, 0.55, 0, 0],
            [1, 1, 1, 0, 0],
            [1, 1, 1, 0.5, 0.5],
            [1, 1, 1, 1.5, 1.5],
            [1, 1, 1, 1.25, 1.25],
            [1, 1, 1, 1, 1],
        ],
        rtol=1e-6,
    )
    assert stages.shares_noise(0.2)
    assert not stages.shares_noise(0.4)


# Convergence and early stopping


def test_a_training_that_goes_wrong_warns():
    train, _ = split(load_iris().data)
    with pytest.warns(ConvergenceWarning, match="Lower learning_rate"):
        GaussianVAE(learning_rate=1.0, n_iter=60, random_state=0).fit(train)


def test_a_training_that_is_too_short_warns():
    train, _ = split(load_digits().data)
    short = {"n_iter": 60, "learning_rate_schedule": "constant", "learning_rate": 3e-4}
    with pytest.warns(ConvergenceWarning, match="still fell"):
        GaussianVAE(random_state=0, **short).fit(train)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "wine"])
def test_early_stopping_waits(name, default_fits):
    model, train, test = default_fit(default_fits, name)
    stopped = fit(train, early_stopping=True, n_iter=3000)
    assert stopped.score(test) > model.score(test) - 0.2


def test_early_stopping_waits_in_steps(few_steps_for_stages):
    """Ten epochs of one step are no reason to stop."""
    train, _ = split(load_iris().data)
    params = {"early_stopping": True, "tol": 1e3, "n_iter": 400, "n_warmup_iter": 0}
    assert fit(train, **params).n_iter_ == 201
    many = {"batch_size": 5, "n_iter_no_change": 12}
    assert fit(train, **params | many, noise_variance=0.1).n_iter_ == 13
    # After the stages only: 60 % of the epochs.
    staged = fit(train, **params | {"n_warmup_iter": "auto", "n_iter": 600})
    assert staged.n_iter_ >= 561  # and as long as the noise variance still falls


# Samples


@pytest.mark.parametrize("noise_variance", ["learned", "per_feature"])
def test_samples_have_the_covariance_of_the_model(noise_variance):
    train, _ = split(load_wine().data)
    model = fit(
        train,
        n_components=4,
        hidden_layer_sizes=(),
        noise_variance=noise_variance,
        n_iter=200,
    )
    origin = model.inverse_transform(np.zeros((1, 4)))
    W = model.inverse_transform(np.eye(4)) - origin
    covariance = W.T @ W + model.noise_variance_ * np.eye(13)
    variances = np.diag(covariance)
    error = np.sqrt((covariance**2 + np.outer(variances, variances)) / 20_000)
    z = (np.cov(model.sample(20_000, random_state=0).T) - covariance) / error
    assert np.abs(z).max() < 4.5
    means = np.cov(model.sample(20_000, random_state=0, noise=False).T)
    assert (np.abs(means - covariance) / error).max() > 10
