"""ConditionalDiffusionModel: laws that are known, guidance, and what it answers."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from torch import nn

from skgen import ConditionalDiffusionModel, DiffusionModel
from skgen.diffusion import ConditionalDiffusionNet, NoiseProcess, flow_to_data

RNG = np.random.RandomState(0)
MIXING = np.array([[1.0, 0.0], [0.8, 0.5]])
MEANS = np.array([[0.0, 0.0], [3.0, 1.0], [-2.0, 2.0]])
LABELS = np.array(["a", "b", "c"])[RNG.randint(3, size=300)]
INDEX = np.searchsorted(["a", "b", "c"], LABELS)
X = MEANS[INDEX] + RNG.standard_normal((300, 2)) @ MIXING.T
VALUES = RNG.uniform(-1, 1, 300)
TABLES = {
    "labels": (LABELS, np.eye(3)[INDEX]),
    "values": (VALUES, VALUES[:, None]),
    "both": (
        pd.DataFrame({"label": LABELS, "value": VALUES}),
        np.hstack([np.eye(3)[INDEX], VALUES[:, None]]),
    ),
}


def quick(**params):
    given = {"hidden_layer_sizes": (8, 8), "n_iter": 0, "early_stopping": False}
    return ConditionalDiffusionModel(**given | {"random_state": 0} | params)


@pytest.fixture(scope="module")
def at_start():
    return quick(t_min=1e-5).fit(X, LABELS)


def gaussian_given(data, inputs, *, correlated=True):
    """Means of a ridge regression on standardised inputs, and what these leave."""
    mean, scale = data.mean(0), data.std(0)
    standard = (data - mean) / scale
    of_inputs = np.where(np.isin(inputs, [0, 1]).all(0), 1, inputs.std(0))
    fit = Ridge(1.0).fit(inputs / of_inputs, standard)
    predicted = fit.predict(inputs / of_inputs)
    left = standard - predicted
    if correlated:
        covariance = LedoitWolf(assume_centered=True).fit(left).covariance_
    else:
        covariance = np.diag(np.square(left).mean(0))
    return predicted * scale + mean, covariance * np.outer(scale, scale)


# The start is a law that is known.


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_start_is_the_gaussian_of_a_regression(name, covariance_type):
    y, inputs = TABLES[name]
    data = X + 2 * VALUES[:, None]
    model = quick(t_min=1e-5, covariance_type=covariance_type).fit(data, y)
    correlated = covariance_type == "full"
    means, covariance = gaussian_given(data, inputs, correlated=correlated)
    expected = multivariate_normal([0, 0], covariance).logpdf(data - means)
    log_p, error = model.log_likelihood(data, y, n_steps=2, return_error=True)
    np.testing.assert_allclose(log_p, expected, atol=1e-5)
    np.testing.assert_allclose(error, 0, atol=1e-8)
    few = y[:9]
    np.testing.assert_allclose(
        model.score_samples(data[:9], few), expected[:9], atol=1e-5
    )
    assert model.score(data[:9], few) == pytest.approx(expected[:9].mean(), abs=1e-5)
    # What it is given matters.
    other = y.iloc[::-1] if name == "both" else y[::-1]
    assert np.abs(model.log_likelihood(data, other, n_steps=2) - expected).max() > 1


def test_start_without_y_is_that_of_the_model_of_x_alone(at_start):
    alone = DiffusionModel(
        hidden_layer_sizes=(8, 8),
        n_iter=0,
        early_stopping=False,
        t_min=1e-5,
        random_state=0,
    ).fit(X)
    for method in ("score_samples", "log_likelihood", "transform"):
        got, expected = (getattr(m, method)(X[:9]) for m in (at_start, alone))
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_samples_of_labels(at_start):
    means, covariance = gaussian_given(X, np.eye(3)[INDEX])
    n = 5_000
    drawn = at_start.sample(n, y="b", random_state=0)
    error = 5 * np.sqrt(np.diag(covariance) / n)
    assert (np.abs(drawn.mean(0) - means[INDEX == 1][0]) < error).all()
    spread = np.abs(np.cov(drawn.T) / covariance - 1)
    assert spread.max() < 5 * np.sqrt(2 / n) / np.corrcoef(MIXING @ MIXING.T).min() ** 2
    # One for each, and one for all that is missing of rows.
    each = at_start.sample(y=["a", "c", "c"], random_state=0)
    assert each.shape == (3, 2)
    x, y = at_start.sample(1000, random_state=0)
    np.testing.assert_allclose(
        [np.mean(y == label) for label in "abc"], at_start.class_prior_, atol=0.08
    )
    np.testing.assert_allclose(
        x[y == "c"].mean(0), means[INDEX == 2][0], atol=5 / np.sqrt(300)
    )


def test_missing_values_given_labels(at_start):
    """Of a Gaussian: the mean of the second feature given the first, by its label."""
    means, covariance = gaussian_given(X, np.eye(3)[INDEX])
    rows = X[:4].copy()
    rows[:, 1] = np.nan
    slope = covariance[1, 0] / covariance[0, 0]
    expected = means[:4, 1] + slope * (X[:4, 0] - means[:4, 0])
    sd = np.sqrt(covariance[1, 1] - slope * covariance[0, 1])
    drawn = at_start.sample(
        300, given=rows, y=LABELS[:4], n_steps=20, n_repeats=15, random_state=0
    ).reshape(4, 300, 2)
    np.testing.assert_array_equal(drawn[:, 0, 0], rows[:, 0])
    np.testing.assert_allclose(drawn[:, :, 1].mean(1), expected, atol=0.35 * sd)
    other = MEANS[(INDEX[:4] + 1) % 3]
    wrong = other[:, 1] + slope * (X[:4, 0] - other[:, 0])
    assert np.abs(expected - wrong).min() > 1.5 * sd
    filled = at_start.impute(rows, LABELS[:4], n_draws=40, n_steps=20, random_state=0)
    np.testing.assert_allclose(filled[:, 1], expected, atol=0.8 * sd)
    assert np.isfinite(at_start.impute(rows, n_draws=2, n_steps=4)).all()


def test_round_trip(at_start):
    for y in (LABELS, None):
        H = at_start.transform(X, y)
        np.testing.assert_allclose(at_start.inverse_transform(H, y), X, atol=1e-8)


# Guidance


class Zero(nn.Module):
    """A network that leaves Gaussians as they are."""

    def forward(self, y, phase, condition=None, generator=None):
        return torch.zeros_like(y)


def guided_end(start, weight, mean, variance, variance_alone):
    """The flow along a guided score of Gaussians in one dimension, by scipy.

    In these variables du/dt = -tan(t) (u + score).
    """

    def slope(t, u):
        c, s = np.cos(t), np.sin(t)
        given = -(u - c * mean) / (variance * c**2 + s**2)
        alone = -u / (variance_alone * c**2 + s**2)
        return -np.tan(t) * (u + (1 + weight) * given - weight * alone)

    span = (np.pi / 2 - 1e-7, 1e-3)
    solution = solve_ivp(slope, span, start, rtol=1e-9, atol=1e-10)
    return solution.y[:, -1] / np.cos(span[1])


@pytest.mark.parametrize("weight", [0.0, 0.7, 2.0])
def test_guided_flow_of_gaussians(weight):
    mean, variance, variance_alone = 1.5, 0.3, 2.0
    spreads = [
        torch.tensor([v**0.5], dtype=torch.float64) for v in (variance, variance_alone)
    ]
    processes = [NoiseProcess(spread, None, t_min=1e-3) for spread in spreads]
    offset = torch.tensor([[mean], [0.0]], dtype=torch.float64)
    model = ConditionalDiffusionNet(Zero(), *processes, offset)
    start = torch.tensor([[-1.0], [0.3], [2.0]], dtype=torch.float64)
    view = model.given(torch.ones(1, 1, dtype=torch.float64), weight)
    got = flow_to_data(view, start, 200)[:, 0].numpy()
    expected = guided_end(start[:, 0].numpy(), weight, mean, variance, variance_alone)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    if weight:
        wrong = guided_end(start[:, 0].numpy(), 0.0, mean, variance, variance_alone)
        assert np.abs(got - wrong).min() > 0.05


def test_guidance_moves_samples_away_from_the_other_classes(at_start):
    means = [
        at_start.sample(500, y="b", guidance=w, random_state=0).mean(0)
        for w in (0.0, 1.0)
    ]
    away = MEANS[1] - X.mean(0)
    assert (means[1] - means[0]) @ away > 0.2 * np.linalg.norm(away)


def test_too_much_guidance_is_said():
    """With 100, samples are at 1e25."""
    X, y = load_iris(return_X_y=True)
    model = ConditionalDiffusionModel(n_iter=3, early_stopping=False, random_state=0)
    model.fit(X, y)
    given = X[:3].copy()
    given[:, 1] = np.nan
    for options in ({"y": 1}, {"y": [0, 1, 2], "given": given}):
        for guidance in (100, 1e30):
            with pytest.warns(UserWarning, match="guidance.*(3 of 3|9 of 9) "):
                model.sample(3, guidance=guidance, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.sample(3, guidance=2.0, **options)


# Training


def test_share_of_mini_batches_without_conditions():
    processes = [NoiseProcess(torch.ones(1), None, t_min=1e-3) for _ in range(2)]
    model = ConditionalDiffusionNet(Zero(), *processes, torch.ones(2, 1), dropped=0.3)
    generator = torch.Generator().manual_seed(0)
    y = torch.ones(2, 1)
    views = [model.for_training(y, generator) for _ in range(2000)]
    withheld = [view for view in views if not view.condition.any()]
    # Five standard errors.
    assert len(withheld) / 2000 == pytest.approx(0.3, abs=5 * (0.21 / 2000) ** 0.5)
    assert all(view.process is processes[1] for view in withheld)
    assert all(
        view.process is processes[0] and torch.equal(view.condition, torch.ones(2, 2))
        for view in views
        if view.condition.any()
    )
    assert model.process is processes[0]


def test_training_learns_what_is_not_linear_in_y():
    """The spread depends on y, which the start does not know."""
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=256)
    data = rng.standard_normal((256, 1)) * np.array([0.3, 2.0])[y, None]
    model = quick(learning_rate=1e-2, n_iter=150, dropout=0.0, weight_decay=0.0)
    model.fit(data, y)
    start = quick().fit(data, y)
    ratios = []
    for one in (start, model):
        narrow, wide = (
            one.sample(500, y=k, n_steps=8, random_state=0).std() for k in (0, 1)
        )
        ratios.append(wide / narrow)
    assert ratios[0] == pytest.approx(1, abs=0.2)
    assert ratios[1] > 3


# Labels


def test_bayes_rule(at_start):
    means, covariance = gaussian_given(X, np.eye(3)[INDEX])
    centers = [means[k == INDEX][0] for k in range(3)]
    densities = [multivariate_normal(c, covariance).pdf(X[:20]) for c in centers]
    joint = np.transpose(densities) * at_start.class_prior_
    expected = joint / joint.sum(1, keepdims=True)
    np.testing.assert_allclose(at_start.predict_proba(X[:20]), expected, atol=1e-4)
    best = at_start.classes_[expected.argmax(1)]
    np.testing.assert_array_equal(at_start.predict(X[:20]), best)


def test_search():
    search = GridSearchCV(
        quick(), {"t_min": [1e-3, 0.3]}, cv=StratifiedKFold(2), refit=False
    ).fit(X[:40], LABELS[:40])
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] > scores[1]


def test_errors(at_start):
    with pytest.raises(ValueError, match="label 'd'"):
        at_start.score_samples(X[:1], ["d"])
    with pytest.raises(ValueError, match="one condition, or one for each"):
        at_start.sample(3, y=["a", "b"])
    with pytest.raises(ValueError, match="requires y"):
        quick().fit(X, None)
    with pytest.raises(ValueError, match="by way of"):
        at_start._model(torch.float64, torch.device("cpu")).whiten(torch.zeros(1, 2))
