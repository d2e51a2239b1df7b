"""Conditional VAEs against closed forms: densities, samples, Bayes' rule."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from oracles import PPCA, TinyVAE
from scipy import stats
from scipy.special import logsumexp, softmax
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import (
    ConditionalBernoulliVAE,
    ConditionalDiffusionModel,
    ConditionalGaussianVAE,
    GaussianVAE,
)

pytestmark = pytest.mark.filterwarnings("ignore:Training of:Warning")

WINE, CULTIVAR = load_wine(return_X_y=True)
WINE = StandardScaler().fit_transform(WINE)
NAMES = np.array(["barolo", "grignolino", "barbera"])[CULTIVAR]
BOTH = pytest.mark.parametrize("cls", [ConditionalGaussianVAE, ConditionalBernoulliVAE])


def quick(cls=ConditionalGaussianVAE, n_components=3, **params):
    return cls(n_components, **({"n_iter": 3, "random_state": 0} | params))


def linear(n_components=3, **params):
    params = {"noise_variance": "learned", "hidden_layer_sizes": ()} | params
    return quick(n_components=n_components, **params)


@pytest.fixture(scope="module")
def fitted():
    """A model with networks of wine given its cultivar, as strings."""
    return quick(n_iter=100).fit(WINE, NAMES)


def bits_of_wine():
    return (WINE > 0).astype(float)


# The linear model


class LinearGaussian:
    """Least squares, and probabilistic PCA of the residuals, by scikit-learn and scipy.

    For labels the inputs are bits, and the fitted values are class means.
    """

    def __init__(self, X, y, n_components, noise_variance=None):
        self.regression = LinearRegression().fit(y, X)
        self.residuals = X - self.regression.predict(y)
        self.ppca = PPCA(self.residuals, n_components, noise_variance)
        self.law = stats.multivariate_normal(np.zeros(X.shape[1]), self.covariance)

    @property
    def covariance(self):
        noise = self.ppca.noise_variance * np.eye(self.residuals.shape[1])
        return self.ppca.W @ self.ppca.W.T + noise

    def log_prob(self, X, y):
        return self.law.logpdf(X - self.regression.predict(y))


def bits(labels):
    return (labels[:, None] == np.unique(labels)).astype(float)


def set_exactly(model, exact, columns, y_scale):
    """Give a linear model the parameters of an oracle, in its own units.

    x is (x - location) / scale in front of the networks; `columns` are the conditions
    as the user has them, which the networks see as (y - y_location) / y_scale.
    """
    units, W = model._units, exact.ppca.W
    scale, (y_location, y_scale) = units.scale[0], y_scale
    B = exact.regression.coef_ * y_scale / scale
    m = exact.regression.coef_ @ y_location + exact.regression.intercept_
    m = (m - units.location) / scale
    W = W / scale
    # A latent basis in which the posterior covariance is diagonal.
    W = W @ np.linalg.svd(W, full_matrices=False)[2].T
    noise = exact.ppca.noise_variance / scale**2
    inverse = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W / noise)
    A = inverse @ W.T / noise
    n = len(A)
    model.weights_ = {
        "encoder.0.weight": np.block(
            [[A, -A @ B], [np.zeros((n, A.shape[1] + B.shape[1]))]]
        ),
        "encoder.0.bias": np.r_[-A @ m, np.log(np.diag(inverse))],
        "decoder.0.weight": np.hstack([W, B]),
        "decoder.0.bias": m,
    }
    model.noise_variance_ = exact.ppca.noise_variance
    assert columns.shape[1] == B.shape[1]


@pytest.mark.parametrize("kind", ["labels", "values"])
def test_linear_model_at_the_exact_parameters(kind):
    """The bound is log p(x | y), to 1e-10; the mean is the maximum in closed form."""
    y, given = bits(CULTIVAR), NAMES
    units = np.zeros(3), np.ones(3)
    if kind == "labels":
        y = bits(NAMES)
    else:
        y = given = WINE[:, :2] * [3, 0.1] + 7.0
        units = y.mean(axis=0), y.std(axis=0)
    X = WINE[:, 2:]
    exact = LinearGaussian(X, y, 3)
    model = linear(n_iter=0, precision="float64").fit(X, given)
    set_exactly(model, exact, y, units)
    expected = exact.log_prob(X, y)
    np.testing.assert_allclose(model.score_samples(X, given), expected, atol=1e-10)
    best = exact.ppca.best_mean_log_likelihood
    assert model.score(X, given) == pytest.approx(best, abs=1e-10)
    few = model.log_likelihood(X[:9], given[:9], 10, random_state=0)
    np.testing.assert_allclose(few, expected[:9], atol=1e-10)
    # z given x and y, and back.
    A = exact.ppca.W.T @ np.linalg.inv(exact.covariance)
    mean = exact.residuals @ (exact.ppca.W @ A).T + exact.regression.predict(y)
    np.testing.assert_allclose(model.reconstruct(X, given), mean, atol=1e-10)


def test_least_squares_gives_class_means():
    exact = LinearGaussian(WINE, bits(NAMES), 3)
    fitted = exact.regression.predict(bits(NAMES))
    for name in np.unique(NAMES):
        mean = WINE[name == NAMES].mean(axis=0)
        np.testing.assert_allclose(
            fitted[name == NAMES], mean + 0 * WINE[name == NAMES]
        )


@pytest.mark.parametrize("kind", ["labels", "values"])
def test_linear_model_reaches_the_closed_form_by_training(kind):
    """Within 0.01 nats a feature of the optimum, and never above it."""
    y, given, X = bits(NAMES), NAMES, WINE
    if kind == "values":
        X, y = WINE[:, 2:], WINE[:, :2]
        given = y
    exact = LinearGaussian(X, y, 3)
    model = linear(n_iter=300, learning_rate=0.03).fit(X, given)
    gap = (exact.ppca.best_mean_log_likelihood - model.score(X, given)) / X.shape[1]
    assert 0 <= gap < 0.01
    assert model.noise_variance_ == pytest.approx(exact.ppca.noise_variance, rel=0.01)
    # Not the model of x alone, which is far below.
    alone = PPCA(X, 3).best_mean_log_likelihood
    assert model.score(X, given) > alone + 0.05 * X.shape[1]


def test_a_label_that_is_independent_changes_nothing_in_the_linear_model():
    """Each row with both labels: the optimum has B = 0, and is that of x alone."""
    X, y = np.vstack([WINE, WINE]), np.repeat([0, 1], len(WINE))
    model = linear(n_iter=300, learning_rate=0.03).fit(X, y)
    best = PPCA(WINE, 3).best_mean_log_likelihood
    assert 0 <= (best - model.score(X, y)) / 13 < 0.01
    change = model.score_samples(X, y) - model.score_samples(X, 1 - y)
    assert np.abs(change).mean() < 0.1
    np.testing.assert_allclose(model.predict_proba(X), 0.5, atol=0.1)


def test_training_starts_at_the_linear_model():
    """The shortcut is least squares with a penalty of one row, and PCA of the rest."""
    model = quick(n_iter=0, noise_variance=0.3, precision="float64").fit(WINE, NAMES)
    y = bits(NAMES)
    scale = model._units.scale[0]
    x = (WINE - model._units.location) / scale
    centered = y - y.mean(axis=0)
    stacked = np.vstack([centered, np.eye(3)])
    target = np.vstack([x - x.mean(axis=0), np.zeros((3, x.shape[1]))])
    B = np.linalg.lstsq(stacked, target, rcond=None)[0].T
    weight = model.weights_["decoder.shortcut.weight"]
    np.testing.assert_allclose(weight[:, 3:], B, atol=1e-9)
    best = PPCA(x - x.mean(axis=0) - centered @ B.T, 3, 0.3 / scale**2)
    W = weight[:, :3]
    np.testing.assert_allclose(W @ W.T, best.W @ best.W.T, atol=1e-9)
    # The posterior of the linear start, given x and y.
    A = model.weights_["encoder.shortcut.weight"][:3]
    np.testing.assert_allclose(A[:, 13:], -A[:, :13] @ B, atol=1e-9)
    bias = model.weights_["decoder.shortcut.bias"]
    np.testing.assert_allclose(bias, -B @ y.mean(axis=0), atol=1e-9)
    of_bias = model.weights_["encoder.shortcut.bias"][:3]
    np.testing.assert_allclose(of_bias, -A[:, :13] @ bias, atol=1e-9)


def test_the_start_of_weighted_rows_is_that_of_repeated_rows():
    counts = np.random.RandomState(2).randint(0, 4, len(WINE))
    rows = np.repeat(np.arange(len(WINE)), counts)
    repeated = quick(n_iter=0).fit(WINE[rows], NAMES[rows])
    weighted = quick(n_iter=0).fit(WINE, NAMES, sample_weight=counts * 0.3)
    plain = quick(n_iter=0).fit(WINE, NAMES)
    name = "decoder.shortcut.weight"
    one, other = repeated.weights_[name][:, 3:], weighted.weights_[name][:, 3:]
    # The penalty is one row of weight 1 of the rows that there are.
    np.testing.assert_allclose(one, other, atol=0.02)
    assert np.abs(one - plain.weights_[name][:, 3:]).max() > 0.05


def test_conditions_reach_the_networks_in_full_at_the_start():
    """Latents that join later do not, see `_shrink`; conditions stand behind them."""
    model = quick(n_components=8, n_iter=0).fit(WINE, NAMES)
    size = np.abs(model.weights_["decoder.network.0.weight"]).mean(axis=0)
    assert size[:8].min() < 0.1 * size[8:].min()  # some latents join later
    assert size[8:].min() > 0.5 * size[:8].max()


def test_the_noise_at_the_end_of_a_fit_is_that_of_rows_with_their_conditions():
    """A short fit sees a part of the rows there, spread over all of them."""
    rng = np.random.RandomState(0)
    y = rng.normal(size=(2000, 1))
    X = y @ np.ones((1, 3)) + 0.1 * rng.normal(size=(2000, 3))
    model = quick(n_iter=1, batch_size=2000).fit(X, y)
    assert model.noise_variance_ == pytest.approx(np.full(3, 0.01), rel=0.3)


# Networks


def tiny(n_features, n_conditions, n_latents=2, seed=0):
    """Encoder and decoder with a hidden layer of tanh, as arrays of torch's shapes."""
    rng = np.random.RandomState(seed)

    def layer(n_in, n_out, scale):
        W = rng.normal(scale=scale, size=(n_out, n_in))
        return W, rng.normal(scale=scale, size=n_out)

    # A posterior close enough to the prior for importance sampling.
    encoder = layer(n_features + n_conditions, 5, 0.7) + layer(5, 2 * n_latents, 0.05)
    decoder = layer(n_latents + n_conditions, 5, 0.7) + layer(5, n_features, 0.7)
    return encoder, decoder


def with_networks(model, encoder, decoder, first=0):
    """Give a fitted model with one hidden layer these parameters."""
    for name, given in (("encoder", encoder), ("decoder", decoder)):
        at = first if name == "encoder" else 0
        parts = [f"{at}.weight", f"{at}.bias", f"{at + 2}.weight", f"{at + 2}.bias"]
        for part, values in zip(parts, given, strict=True):
            assert model.weights_[f"{name}.{part}"].shape == values.shape
            model.weights_[f"{name}.{part}"] = values
    return model


def of_condition(network, y):
    """The network of x or z alone, at one condition: y becomes a part of the bias."""
    W1, b1, W2, b2 = network
    n = W1.shape[1] - len(y)
    return W1[:, :n], b1 + W1[:, n:] @ y, W2, b2


@pytest.fixture(scope="module")
def by_hand():
    """A Bernoulli model with given networks, and its oracle for each class."""
    rng = np.random.RandomState(0)
    X, y = rng.randint(0, 2, size=(30, 4)).astype(float), np.repeat(["a", "b", "b"], 10)
    model = ConditionalBernoulliVAE(
        2, n_iter=0, hidden_layer_sizes=5, activation="tanh", random_state=0
    ).fit(X, y)
    encoder, decoder = tiny(4, 2)
    with_networks(model, encoder, decoder, first=1)
    model.weights_["encoder.0.location"][:] = 0
    model.weights_["decoder.3.location"][:] = 0

    def log_prob(x, f):
        return x @ f.T - np.logaddexp(0, f).sum(axis=1)

    oracles = [
        TinyVAE(of_condition(encoder, e), of_condition(decoder, e), log_prob)
        for e in np.eye(2)
    ]
    return model, oracles, X


def test_density_is_that_of_quadrature(by_hand):
    """log p(x | y), its bound, and both of x alone, by quadrature and a sum over y."""
    model, oracles, X = by_hand
    x = X[:4]
    prior = np.log([1 / 3, 2 / 3])
    exact = np.array([[oracle.log_p(row) for oracle in oracles] for row in x])
    bound = np.array(
        [
            [oracle.reconstruction(row) - oracle.kl(row).sum() for oracle in oracles]
            for row in x
        ]
    )
    for k, label in enumerate("ab"):
        given = np.full(4, label)
        estimate = model.log_likelihood(x, given, 20_000, random_state=0)
        np.testing.assert_allclose(estimate, exact[:, k], atol=0.03)
        scores = model.score_samples(x, given)
        np.testing.assert_allclose(scores, bound[:, k], atol=0.1)
        terms = model.elbo_terms(x, given)
        np.testing.assert_allclose(terms[0] - terms[1].sum(axis=1), scores)
    assert np.abs(exact[:, 0] - exact[:, 1]).max() > 0.5
    alone = model.log_likelihood(x, n_importance_samples=20_000, random_state=0)
    np.testing.assert_allclose(alone, logsumexp(exact + prior, axis=1), atol=0.03)
    marginal = logsumexp(bound + prior, axis=1)
    np.testing.assert_allclose(model.score_samples(x), marginal, atol=0.1)
    np.testing.assert_allclose(model.score_classes(x), bound + prior, atol=0.1)


def test_probability_of_all_states_is_one(by_hand):
    """Given each label, and without one: all 16 states of 4 bits."""
    model, *_ = by_hand
    states = np.array(np.meshgrid(*[[0.0, 1.0]] * 4)).reshape(4, -1).T
    for y in (None, np.full(16, "a"), np.full(16, "b")):
        total = logsumexp(model.log_likelihood(states, y, 20_000, random_state=0))
        assert total == pytest.approx(0, abs=0.02)


def test_bayes_rule_is_enumeration_over_classes(by_hand):
    model, _, X = by_hand
    scores = np.stack(
        [model.score_samples(X, np.full(30, c)) for c in "ab"], axis=1
    ) + np.log([1 / 3, 2 / 3])
    np.testing.assert_allclose(model.score_classes(X), scores, rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), softmax(scores, axis=1))
    assert (model.predict(X) == np.array(["a", "b"])[scores.argmax(axis=1)]).all()
    np.testing.assert_allclose(model.class_prior_, [1 / 3, 2 / 3])
    # Without y the features are averaged over p(y | x), and means of x likewise.
    p, H = model.predict_proba(X), np.random.RandomState(1).normal(size=(5, 2))
    Z = sum(p[:, [k]] * model.transform(X, np.full(30, c)) for k, c in enumerate("ab"))
    np.testing.assert_allclose(model.transform(X), Z, atol=1e-12)
    assert (
        np.ptp([model.transform(X, np.full(30, c)) for c in "ab"], axis=0).max() > 0.1
    )
    means = [model.inverse_transform(H, np.full(5, c)) for c in "ab"]
    mean = means[0] / 3 + means[1] * 2 / 3
    np.testing.assert_allclose(model.inverse_transform(H), mean, atol=1e-12)
    back = [
        model.inverse_transform(model.transform(X, np.full(30, c)), np.full(30, c))
        for c in "ab"
    ]
    for k, c in enumerate("ab"):
        found = model.reconstruct(X, np.full(30, c))
        np.testing.assert_allclose(found, back[k], atol=1e-12)
    mean = p[:, [0]] * back[0] + p[:, [1]] * back[1]
    np.testing.assert_allclose(model.reconstruct(X), mean, atol=1e-12)


def test_all_scores_are_in_the_units_of_the_data():
    """A density in other units is lower by the logs of the factors."""
    units = np.full(13, 4.0)
    model, other = quick().fit(WINE, NAMES), quick().fit(units * WINE, NAMES)
    shift = np.log(units).sum()
    scores = model.score_samples(WINE, NAMES) - shift
    np.testing.assert_allclose(other.score_samples(units * WINE, NAMES), scores)
    reconstruction, kl = other.elbo_terms(units * WINE, NAMES)
    np.testing.assert_allclose(reconstruction - kl.sum(axis=1), scores)
    joint = other.score_classes(units * WINE) - np.log(other.class_prior_)
    of_own = joint[np.arange(len(WINE)), np.searchsorted(other.classes_, NAMES)]
    np.testing.assert_allclose(of_own, scores)
    alone = model.score_samples(WINE) - shift
    np.testing.assert_allclose(other.score_samples(units * WINE), alone)
    few = [
        m.log_likelihood(X, NAMES, 9, random_state=0)
        for m, X in [(model, WINE), (other, units * WINE)]
    ]
    np.testing.assert_allclose(few[1], few[0] - shift)
    samples = [m.sample(3, y="barolo", random_state=0) for m in (model, other)]
    np.testing.assert_allclose(samples[1], 4 * samples[0], rtol=1e-5)


@BOTH
def test_both_networks_see_y(cls):
    """A model with an encoder or a decoder that does not is another one."""
    X = WINE if cls is ConditionalGaussianVAE else bits_of_wine()
    model = quick(cls, n_iter=60).fit(X, NAMES)
    one, other = np.full(len(X), "barolo"), np.full(len(X), "barbera")
    moved = model.transform(X, one) - model.transform(X, other)
    assert np.abs(moved).mean() > 0.05
    assert np.abs(model.encode(X, one)[0] - model.transform(X, one)).max() < 1e-12
    z = np.zeros((1, 3))
    means = [model.inverse_transform(z, [name]) for name in np.unique(NAMES)]
    assert np.ptp(means, axis=0).max() > 0.3
    # Each row is decoded with its own condition, in any block.
    H, y = np.random.RandomState(0).normal(size=(6, 3)), NAMES[::30]
    each = [
        model.inverse_transform(h[None], [name]) for h, name in zip(H, y, strict=True)
    ]
    np.testing.assert_allclose(model.inverse_transform(H, y), np.vstack(each))


@BOTH
def test_rows_keep_their_conditions_in_blocks(cls, monkeypatch):
    X = WINE if cls is ConditionalGaussianVAE else bits_of_wine()
    model = quick(cls, n_iter=20).fit(X, NAMES)
    score = model.score_samples(X, NAMES)
    few = partial(model.log_likelihood, n_importance_samples=3, random_state=0)
    likelihood = few(X, NAMES)
    monkeypatch.setattr("skgen.vae._model._BLOCK", 2000)
    np.testing.assert_allclose(model.score_samples(X, NAMES), score, rtol=1e-12)
    monkeypatch.setattr("skgen.base._blocks._BLOCK_SIZE", 200)
    np.testing.assert_allclose(model.score_samples(X, NAMES), score, rtol=1e-12)
    monkeypatch.setattr("skgen.vae._importance._BLOCK", 100)
    assert few(X, NAMES).mean() == pytest.approx(likelihood.mean(), abs=0.5)
    wrong = few(X, np.roll(NAMES, 60)).mean()
    assert wrong < likelihood.mean() - 0.6


@BOTH
def test_a_label_that_says_nothing_changes_nothing(cls):
    """In the score: by less than 0.1 nats, where the true label gives some nats."""
    X = WINE if cls is ConditionalGaussianVAE else bits_of_wine()
    nothing = np.random.RandomState(1).randint(0, 2, len(X))
    model = quick(cls, n_iter=60).fit(X, nothing)
    gap = model.score_samples(X, nothing) - model.score_samples(X, 1 - nothing)
    true = quick(cls, n_iter=60).fit(X, NAMES)
    shuffled = np.random.RandomState(0).permutation(NAMES)
    lost = true.score(X, NAMES) - true.score(X, shuffled)
    assert lost > 1
    assert abs(gap.mean()) < lost / 5
    # Learned from a shuffled y, the score is that of a model without it.
    of_shuffled = quick(cls, n_iter=60).fit(X, shuffled)
    assert of_shuffled.score(X, shuffled) < true.score(X, NAMES) - 0.5


def test_better_than_the_model_of_x_alone(fitted):
    alone = GaussianVAE(3, n_iter=100, random_state=0).fit(WINE)
    assert fitted.score(WINE, NAMES) > alone.score(WINE) + 1
    assert (fitted.predict(WINE) == NAMES).mean() > 0.97


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
@BOTH
def test_architectures(cls, architecture):
    rng = np.random.RandomState(0)
    y = rng.randint(0, 2, 80)
    X = rng.uniform(size=(80, 16)) * 0.5 + 0.5 * y[:, None]
    model = quick(
        cls,
        architecture=architecture,
        image_shape=(4, 4) if architecture == "conv" else None,
        hidden_layer_sizes=16,
        n_iter=100,
    ).fit(X, y)
    assert (model.predict(X) == y).mean() > 0.9
    moved = model.transform(X, y) - model.transform(X, 1 - y)
    assert np.abs(moved).max() > 1e-3
    means = [model.inverse_transform(np.zeros((1, 3)), [c]).mean() for c in (0, 1)]
    assert means[1] > means[0] + 0.1
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).sample(3, y=1), model.sample(3, y=1)
    )


def test_networks_of_a_user():
    model = quick(
        encoder=torch.nn.Linear, decoder=torch.nn.Linear, hidden_layer_sizes=()
    ).fit(WINE, NAMES)
    assert model.weights_["encoder.weight"].shape == (6, 13 + 3)
    assert model.weights_["decoder.weight"].shape == (13, 3 + 3)
    with pytest.raises(
        ValueError, match=r"which fails for an input of shape \(2, 16\)"
    ):
        quick(encoder=torch.nn.Linear(13, 6)).fit(WINE, NAMES)


# Samples


@pytest.fixture(scope="module")
def linear_law():
    """A linear model with large effects of y, and its mean and covariance given y."""
    rng = np.random.RandomState(0)
    y = rng.normal(size=(400, 1))
    X = y @ [[2.0, -1.0, 0.0]] + rng.normal(size=(400, 3)) @ np.diag([1, 0.5, 0.3])
    exact = LinearGaussian(X, y, 1)
    model = linear(1, n_iter=0, precision="float64").fit(X, y)
    set_exactly(model, exact, y, (y.mean(axis=0), y.std(axis=0)))
    return model, exact, y


def whiteness(samples, mean, covariance):
    """p-value of Kolmogorov and Smirnov that samples have this normal law."""
    white = np.linalg.solve(np.linalg.cholesky(covariance), (samples - mean).T)
    p_values = [stats.kstest(row, "norm").pvalue for row in white]
    p_values.append(stats.kstest((white**2).sum(axis=0), "chi2", (len(white),)).pvalue)
    return min(p_values) * len(p_values)


def test_law_of_samples_given_y(linear_law):
    model, exact, _ = linear_law
    samples = model.sample(4000, y=1.3, random_state=0)
    mean = exact.regression.predict([[1.3]])[0]
    assert whiteness(samples, mean, exact.covariance) > 1e-3
    # The wrong twins: another y, and the noise alone.
    assert (
        whiteness(model.sample(4000, y=1.1, random_state=0), mean, exact.covariance)
        < 1e-6
    )
    noise = exact.ppca.noise_variance * np.eye(3)
    assert whiteness(samples, mean, noise) < 1e-6
    assert whiteness(samples, mean, exact.covariance + 0.1 * np.eye(3)) < 1e-6


def test_law_of_samples_of_many_conditions(linear_law):
    """One sample for each row of y, in their order."""
    model, exact, y = linear_law
    rows = y.repeat(10, axis=0)
    samples = model.sample(y=rows, random_state=0)
    means = exact.regression.predict(rows)
    assert whiteness(samples, means, exact.covariance) > 1e-3
    assert whiteness(samples, means[::-1], exact.covariance) < 1e-6


def test_samples_without_y_are_of_the_joint_law(linear_law):
    model, exact, y = linear_law
    samples, drawn = model.sample(4000, random_state=0)
    assert drawn.shape == (4000, 1)
    assert set(drawn[:, 0]) <= set(y[:, 0])
    assert stats.ks_2samp(drawn[:, 0], y[:, 0]).pvalue > 1e-3
    means = exact.regression.predict(drawn)
    assert whiteness(samples, means, exact.covariance) > 1e-3
    # y goes with its x: with that of another row it does not fit.
    assert whiteness(samples, np.roll(means, 1, axis=0), exact.covariance) < 1e-6


def test_without_y_values_are_averaged_over():
    """The law of x alone is normal, too, where y is; 64 of its quantiles are enough."""
    y = stats.norm.ppf((np.arange(500) + 0.5) / 500)[:, None]
    rng = np.random.RandomState(0)
    X = y @ [[0.5, -1.0, 0.0]] + rng.normal(size=(500, 3))
    exact = LinearGaussian(X, y, 1)
    model = linear(1, n_iter=0, precision="float64").fit(X, y)
    set_exactly(model, exact, y, (y.mean(axis=0), y.std(axis=0)))
    B = exact.regression.coef_
    covariance = exact.covariance + y.var() * B @ B.T
    law = stats.multivariate_normal(exact.regression.intercept_, covariance)
    error = np.abs(model.score_samples(X) - law.logpdf(X))
    assert error.mean() < 0.01
    assert error.max() < 0.2  # beyond the last quantile
    few = model.log_likelihood(X[:5], n_importance_samples=5, random_state=0)
    np.testing.assert_allclose(few, law.logpdf(X[:5]), atol=0.03)
    # z given x alone, up to the sign of the latent variable.
    centered = X - exact.regression.intercept_
    expected = centered @ np.linalg.solve(covariance, exact.ppca.W)
    Z = model.transform(X)
    Z = Z * np.sign(Z[0] * expected[0])
    error = np.abs(Z - expected)
    assert error.mean() < 0.01
    assert error.max() < 0.15
    # The wrong twin: z given x and the mean of y.
    wrong = model.transform(X, np.zeros((500, 1)))
    assert np.abs(np.abs(wrong) - np.abs(expected)).max() > 0.2


def test_labels_are_drawn_by_their_frequencies(fitted):
    samples, labels = fitted.sample(3000, random_state=0)
    names, counts = np.unique(labels, return_counts=True)
    expected = [(name == NAMES).mean() for name in names]
    assert stats.chisquare(counts, 3000 * np.array(expected)).pvalue > 1e-3
    assert stats.chisquare(counts, np.full(3, 1000.0)).pvalue < 1e-6
    assert (fitted.predict(samples) == labels).mean() > 0.9
    np.testing.assert_allclose(fitted.class_prior_, expected)


def test_samples_for_labels(fitted):
    for name in np.unique(NAMES):
        samples = fitted.sample(200, y=name, random_state=0)
        assert (fitted.predict(samples) == name).mean() > 0.9
    smooth = fitted.sample(200, y="barolo", noise=False, random_state=0)
    rough = fitted.sample(200, y="barolo", random_state=0)
    assert smooth.std(axis=0).mean() < rough.std(axis=0).mean()
    assert fitted.sample(2, y=["barolo", "barbera"]).shape == (2, 13)
    assert fitted.sample(y=["barolo", "barbera", "barolo"]).shape == (3, 13)
    with pytest.raises(ValueError, match="y with 2 conditions and n_samples=3"):
        fitted.sample(3, y=["barolo", "barbera"])
    with pytest.raises(ValueError, match="the label 'merlot', but expected one of"):
        fitted.sample(3, y="merlot")


# In scikit-learn


@BOTH
def test_pickles_clones_and_copies(cls):
    X = WINE if cls is ConditionalGaussianVAE else bits_of_wine()
    model = quick(cls, y_kind="labels").fit(X, NAMES)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.classes_, model.classes_)
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        one, two = (m.sample(5, random_state=0) for m in (model, other))
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
        other.partial_fit(X, NAMES)
    cloned = clone(model)
    assert cloned.get_params() == model.get_params()
    assert cloned.y_kind == "labels"
    for name in ("classes_", "class_prior_"):
        assert hasattr(model, name)
        assert not hasattr(cloned, name)
    with pytest.raises(NotFittedError):
        cloned.predict(X)
    assert not hasattr(cloned.set_params(y_kind="values"), "predict")


def test_what_needs_labels_is_absent_without():
    for y in (WINE[:, 0], WINE[:, :2], np.stack([NAMES, NAMES], axis=1)):
        model = quick(n_iter=1).fit(WINE, y)
        for name in ("predict", "predict_proba", "score_classes", "classes_"):
            assert not hasattr(model, name)
        with pytest.raises(AttributeError, match="has no attribute 'predict'") as error:
            model.predict(WINE)
        assert "one column of labels" in str(error.value.__cause__)


def test_y_is_passed_by_searches_and_pipelines():
    cv = StratifiedKFold(2, shuffle=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), quick(n_iter=40))
    search = GridSearchCV(
        pipeline,
        {"conditionalgaussianvae__n_components": [1, 3]},
        cv=cv,
        error_score="raise",
    ).fit(WINE, NAMES)
    best = search.best_estimator_
    expected = best[-1].score(best[:-1].transform(WINE), NAMES)
    assert search.score(WINE, NAMES) == pytest.approx(expected)
    assert (search.predict(WINE) == NAMES).mean() > 0.9
    assert best.transform(WINE).shape[0] == len(WINE)
    scores = cross_val_score(quick(n_iter=40), WINE, NAMES, cv=cv, error_score="raise")
    shuffled = np.random.RandomState(0).permutation(NAMES)
    others = cross_val_score(quick(n_iter=40), WINE, shuffled, cv=cv)
    assert scores.mean() > others.mean() + 1
    both = cross_validate(
        quick(n_iter=40), WINE, NAMES, cv=cv, scoring=["accuracy"], error_score="raise"
    )
    assert both["test_accuracy"].mean() > 0.9
    P = cross_val_predict(quick(n_iter=40), WINE, NAMES, cv=cv, method="predict_proba")
    assert (np.unique(NAMES)[P.argmax(axis=1)] == NAMES).mean() > 0.9


def test_features_of_training_rows_are_those_of_new_rows():
    model = quick()
    Z = model.fit_transform(WINE, NAMES)
    np.testing.assert_array_equal(Z, model.transform(WINE))
    np.testing.assert_allclose(model.transform(WINE[5:6]), Z[5:6], rtol=1e-12)


def test_a_class_that_is_rare_and_one_that_is_unknown():
    model = quick().fit(WINE[NAMES != "barbera"], NAMES[NAMES != "barbera"])
    with pytest.raises(ValueError, match=r"cv=StratifiedKFold\(\)"):
        model.score(WINE, NAMES)
    assert list(model.classes_) == ["barolo", "grignolino"]


def test_partial_fit_counts_labels_on():
    model = quick()
    first = np.r_[0:20, 60:80, 150:160]
    model.partial_fit(WINE[first], NAMES[first])
    rest = np.setdiff1d(np.arange(len(WINE)), first)
    model.partial_fit(WINE[rest], NAMES[rest])
    expected = [(name == NAMES).mean() for name in model.classes_]
    np.testing.assert_allclose(model.class_prior_, expected)
    with pytest.raises(ValueError, match="the label 'merlot'"):
        model.partial_fit(WINE[:2], ["merlot", "barolo"])


def test_weights_are_those_of_labels():
    weight = np.where(NAMES == "barolo", 2.5, 0.5)
    model = quick(n_iter=1).fit(WINE, NAMES, sample_weight=weight)
    expected = [weight[name == NAMES].sum() / weight.sum() for name in model.classes_]
    np.testing.assert_allclose(model.class_prior_, expected)


def test_units_of_y_do_not_matter():
    """Values are standardised in float64, whatever their offset."""
    X, y = load_iris().data[:, 1:], load_iris().data[:, 0]
    one = quick(n_iter=20).fit(X, y)
    for other_y in (1024 * y, y * 2.0**-70):
        other = quick(n_iter=20).fit(X, other_y)
        assert other.score(X, other_y) == one.score(X, y)
    far = quick(n_iter=20).fit(X, y + 1e9)
    assert far.score(X, y + 1e9) == pytest.approx(one.score(X, y), abs=0.1)


@pytest.mark.parametrize("y", [None, NAMES[:-1], [*WINE[:, :1].tolist(), [np.nan]]])
def test_bad_y(y):
    with pytest.raises(
        ValueError, match=r"requires y|contains NaN|inconsistent numbers"
    ):
        quick().fit(WINE, y)


def test_early_stopping_and_warm_starts():
    model = quick(n_iter=30, early_stopping=True, warm_start=True).fit(WINE, NAMES)
    assert np.isfinite(model.history_[:, "valid_loss"]).all()
    n_iter = model.n_iter_
    model.fit(WINE, NAMES)
    assert model.n_iter_ > n_iter
    with pytest.raises(ValueError, match="the label 'other'"):
        model.fit(WINE, np.full(len(WINE), "other"))


def test_noise_may_be_small_where_y_explains_the_spread():
    """Samples have the spread of x by that of y: the lower limit counts it."""
    y = np.arange(300) % 3
    noise = 0.05 * np.random.RandomState(0).normal(size=(300, 2))
    x = np.array([[-1.0, 2.0], [0.0, -1.0], [1.0, 0.0]])[y] + noise
    model = ConditionalGaussianVAE(1, n_iter=120, random_state=0).fit(x, y)
    assert (model.noise_variance_ < 0.1 * x.var(axis=0)).all()
    samples, _ = model.sample(5000, random_state=0)
    np.testing.assert_allclose(samples.std(axis=0), x.std(axis=0), rtol=0.1)


@pytest.mark.parametrize("cls", [ConditionalGaussianVAE, ConditionalDiffusionModel])
def test_the_frequencies_of_labels_are_those_of_all_rows(cls):
    """Also of rows that are held out: a label of one row is never without mass."""
    X, y = load_iris(return_X_y=True)
    y = np.where(np.arange(150) == 7, 3, y)
    for seed in range(4):
        model = cls(n_iter=2, early_stopping=True, random_state=seed).fit(X, y)
        np.testing.assert_allclose(model.class_prior_, np.bincount(y) / 150)
