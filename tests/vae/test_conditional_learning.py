"""What the training of conditional VAEs reaches on the digits, against closed forms."""

import numpy as np
import pytest
from oracles import PPCA
from scipy import stats
from sklearn.datasets import load_digits, load_iris

from skgen import ConditionalGaussianVAE, GaussianVAE

pytestmark = pytest.mark.filterwarnings("ignore:Training of:Warning")


class LinearByClass:
    """Class means, and probabilistic PCA of the residuals, which all classes share."""

    def __init__(self, X, y, n_components):
        self.classes, index, counts = np.unique(
            y, return_inverse=True, return_counts=True
        )
        self.means = np.stack([X[y == c].mean(axis=0) for c in self.classes])
        self.log_prior = np.log(counts / len(y))
        self.ppca = PPCA(X - self.means[index], n_components)
        noise = self.ppca.noise_variance * np.eye(X.shape[1])
        covariance = self.ppca.W @ self.ppca.W.T + noise
        self.law = stats.multivariate_normal(np.zeros(X.shape[1]), covariance)

    def score_classes(self, X):
        given = [self.law.logpdf(X - mean) for mean in self.means]
        return np.stack(given, axis=1) + self.log_prior

    def score(self, X, y):
        scores = self.score_classes(X) - self.log_prior
        return scores[np.arange(len(y)), np.searchsorted(self.classes, y)].mean()

    def predict(self, X):
        return self.classes[self.score_classes(X).argmax(axis=1)]


@pytest.fixture(scope="module")
def digits():
    """Rows with uniform noise, standardised, 1437 for training and 360 held out."""
    X, y = load_digits(return_X_y=True)
    X = X + np.random.RandomState(0).uniform(size=X.shape)
    order = np.random.RandomState(0).permutation(len(X))
    train, test = order[:1437], order[1437:]
    X = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
    return X[train], X[test], y[train], y[test]


@pytest.mark.slow
@pytest.mark.parametrize("n_components", [8, 32])
def test_linear_of_digits(digits, n_components):
    """On rows that it was trained on, and on others."""
    train, test, y_train, y_test = digits
    model = ConditionalGaussianVAE(
        n_components,
        hidden_layer_sizes=(),
        noise_variance="learned",
        learning_rate=0.01,
        n_iter=400,
        random_state=0,
    ).fit(train, y_train)
    best = LinearByClass(train, y_train, n_components)
    gap = best.score(train, y_train) - model.score(train, y_train)
    assert 0 <= gap / 64 < 0.01
    held_out = best.score(test, y_test) - model.score(test, y_test)
    assert abs(held_out) / 64 < 0.01
    accuracy = (model.predict(test) == y_test).mean()
    assert accuracy > (best.predict(test) == y_test).mean() - 0.02


@pytest.mark.slow
def test_networks_of_digits(digits):
    """Better than the linear model and than that of x alone, in nats and by Bayes."""
    train, test, y_train, y_test = digits
    model = ConditionalGaussianVAE(random_state=0).fit(train, y_train)
    best = LinearByClass(train, y_train, 16)
    assert model.score(test, y_test) > best.score(test, y_test) + 8
    assert (model.predict(test) == y_test).mean() >= 0.96
    alone = GaussianVAE(random_state=0).fit(train)
    assert model.score(test) > alone.score(test)


def test_networks_of_iris():
    X, y = load_iris(return_X_y=True)
    model = ConditionalGaussianVAE(2, n_iter=150, random_state=0).fit(X, y)
    best = LinearByClass(X, y, 2)
    assert model.score(X, y) > best.score(X, y)
    assert (model.predict(X) == y).mean() >= 0.96
    alone = GaussianVAE(2, n_iter=150, random_state=0).fit(X)
    assert model.score(X) > alone.score(X) - 0.1


def test_two_branches():
    """Targets given inputs: far above any normal noise, and close to the truth."""
    rng = np.random.RandomState(0)

    def draw(n):
        u = rng.uniform(-1, 1, n)
        mean = rng.choice([-1, 1], n) * (1 + u)
        return u, mean + 0.2 * rng.normal(size=n)

    def log_p(x, u):
        either = [stats.norm(sign * (1 + u), 0.2).logpdf(x) for sign in (-1, 1)]
        return np.logaddexp(*either) - np.log(2)

    (u, x), (u_test, x_test) = draw(1500), draw(200)
    model = ConditionalGaussianVAE(1, n_iter=200, random_state=0).fit(x[:, None], u)
    got = model.log_likelihood(x_test[:, None], u_test, 300, random_state=0).mean()
    # Even with the true mean and the true variance at each input.
    normal = stats.norm(0, np.sqrt((1 + u_test) ** 2 + 0.04)).logpdf(x_test).mean()
    assert log_p(x_test, u_test).mean() - 0.25 < got < log_p(x_test, u_test).mean()
    assert got > normal + 0.2
    samples = model.sample(2000, y=1.0, random_state=0)[:, 0]
    assert (samples > 0).mean() == pytest.approx(0.5, abs=0.15)
    assert (np.abs(samples) < 1).mean() < 0.1
