"""What training reaches, against the optimum in closed form and against PCA."""

import numpy as np
import pytest
from families import PLAIN
from oracles import PPCA
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import GaussianVAE

# Learning rates that the number of mini-batches allows for.
SETS = {
    "cancer": (load_breast_cancer().data, 0.03),
    "wine": (load_wine().data, 0.03),
    "digits": (load_digits().data, 0.01),
}


# 1797 rows, where the others have a few hundred.
LARGE = pytest.param("digits", marks=pytest.mark.slow)


def standardized(name):
    X, learning_rate = SETS[name]
    X = X[:, X.std(axis=0) > 0]  # three pixels of the digits never vary
    return StandardScaler().fit_transform(X), learning_rate


def linear(n_components=4, **params):
    params = PLAIN | {"n_iter": 300, "learning_rate_schedule": "linear"} | params
    params["hidden_layer_sizes"] = ()
    return GaussianVAE(n_components, random_state=0, **params)


def n_clear(best, noise_variance):
    """Latents of an optimal linear model with a KL divergence above 0.1 nats."""
    return (0.5 * np.log(best.kept / noise_variance) > 0.1).sum()


@pytest.mark.parametrize("name", ["wine", "cancer", LARGE])
def test_linear_reaches_probabilistic_pca(name):
    """Within 0.01 nats a feature of the optimum, and never above it."""
    X, learning_rate = standardized(name)
    model = linear(learning_rate=learning_rate).fit(X)
    best = PPCA(X, 4)
    gap = (best.best_mean_log_likelihood - model.score(X)) / X.shape[1]
    assert 0 <= gap < 0.01
    assert model.noise_variance_ == pytest.approx(best.noise_variance, rel=0.01)


@pytest.mark.parametrize(
    "name", ["wine", pytest.param("cancer", marks=pytest.mark.slow), LARGE]
)
def test_linear_with_a_variance_a_feature_reaches_factor_analysis(name):
    X, learning_rate = standardized(name)
    # Two factors: with more, some variances of wine and cancer tend to zero, where
    # no finite number of steps of either algorithm arrives.
    model = linear(
        2, noise_variance="per_feature", learning_rate=learning_rate, n_iter=400
    ).fit(X)
    best = FactorAnalysis(2, max_iter=5000, tol=1e-8, svd_method="lapack").fit(X)
    gap = (best.score(X) - model.score(X)) / X.shape[1]
    assert -1e-6 < gap < 0.01


@pytest.mark.parametrize(("name", "noise_variance"), [("wine", 1.2), ("cancer", 0.9)])
def test_linear_collapses_as_predicted(name, noise_variance):
    X, learning_rate = standardized(name)
    best = PPCA(X, 8, noise_variance)
    model = linear(8, noise_variance=noise_variance, learning_rate=learning_rate).fit(X)
    assert 0 < best.n_active < 8
    assert model.active_units_.sum() == n_clear(best, noise_variance)
    gap = (best.best_mean_log_likelihood - model.score(X)) / X.shape[1]
    assert 0 <= gap < 0.01


def test_linear_with_beta_reaches_the_ppca_of_a_larger_noise():
    X, learning_rate = standardized("wine")
    beta, noise_variance = 2.0, 0.6
    model = linear(
        8, noise_variance=noise_variance, beta=beta, learning_rate=learning_rate
    ).fit(X)
    best = PPCA(X, 8, beta * noise_variance)
    assert model.active_units_.sum() == n_clear(best, beta * noise_variance)
    assert best.n_active < PPCA(X, 8, 0.6).n_active
    # The decoder's singular values are those of PPCA.
    b = model.inverse_transform(np.zeros((1, 8)))
    values = np.linalg.svd(model.inverse_transform(np.eye(8)) - b, compute_uv=False)
    expected = np.linalg.svd(best.W, compute_uv=False)
    np.testing.assert_allclose(values, expected, atol=0.15)


def dequantized_digits():
    """Counts of pixels with uniform noise, as is usual for densities of pixels.

    Without it (Theis, van den Oord & Bethge, 2016) pixels that are nearly always 0
    would give any model with enough components a likelihood without bound.
    """
    X = load_digits().data
    X = X + np.random.RandomState(0).uniform(size=X.shape)
    return train_test_split(X, random_state=0)


def test_layers_latents_and_noise_beat_pca():
    """By 1.5 nats of held-out ELBO; without any one of the three it loses to PCA.

    By 12 nats without layers, 7 with 4 latents, and 17 with one noise variance.
    """
    train, test = dequantized_digits()

    def score(n_components=16, hidden_layer_sizes=(256,), noise_variance="per_feature"):
        return (
            GaussianVAE(
                n_components,
                architecture="mlp",
                n_warmup_iter=0,
                batch_size=128,
                hidden_layer_sizes=hidden_layer_sizes,
                noise_variance=noise_variance,
                activation="silu",
                learning_rate=0.003,
                learning_rate_schedule="linear",
                weight_decay=1.0,
                n_iter=50,
                random_state=0,
            )
            .fit(train)
            .score(test)
        )

    best_pca = max(PCA(n).fit(train).score(test) for n in range(4, 64, 4))
    assert score() > best_pca + 1
    assert score(hidden_layer_sizes=()) < best_pca - 3
    assert score(n_components=4) < best_pca - 3
    assert score(noise_variance="learned") < best_pca - 3


@pytest.mark.slow
def test_grid_search_beats_pca():
    """By held-out ELBO over latents, layers and noise, on the pixels of the digits."""
    train, test = dequantized_digits()
    search = GridSearchCV(
        GaussianVAE(
            architecture="mlp",
            n_warmup_iter=0,
            batch_size=128,
            activation="silu",
            learning_rate=0.003,
            learning_rate_schedule="linear",
            weight_decay=1.0,
            n_iter=150,
            random_state=0,
        ),
        {
            "n_components": [4, 16],
            "hidden_layer_sizes": [(), (256,)],
            "noise_variance": ["learned", "per_feature"],
        },
        cv=2,
        n_jobs=2,
        error_score="raise",
    ).fit(train)
    assert search.best_params_ == {
        "n_components": 16,
        "hidden_layer_sizes": (256,),
        "noise_variance": "per_feature",
    }
    best_pca = max(PCA(n).fit(train).score(test) for n in range(4, 64, 4))
    assert search.score(test) > best_pca + 3


def test_features_beat_pca():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X / 16, y, random_state=0, stratify=y
    )
    accuracy = [
        make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=2000))
        .fit(X_train, y_train)
        .score(X_test, y_test)
        for features in (
            GaussianVAE(8, noise_variance="learned", n_iter=60, random_state=0),
            PCA(8),
        )
    ]
    assert accuracy[0] > accuracy[1] + 0.01
