"""The energy score against closed forms and all pairs."""

from math import exp, lgamma, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from skgen.gan import Generator, energy_scores
from skgen.gan._energy_score import energy_scores_of_model, noise_of_draws


class Affine(nn.Module):
    def __init__(self, mean, sd):
        super().__init__()
        self.mean, self.sd = mean, sd

    def forward(self, z):
        return self.mean + self.sd * z


def gaussian(mean, sd, n_features=1):
    ones = torch.ones(n_features, dtype=torch.float64)
    return Generator(Affine(mean, sd), n_features, ones)


def test_score_of_a_gaussian_in_closed_form():
    mean, sd = 0.7, 1.3
    x = np.linspace(-4, 5, 37)
    got = energy_scores_of_model(gaussian(mean, sd), torch.tensor(x)[:, None])
    z = (x - mean) / sd
    crps = sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / sqrt(pi))
    np.testing.assert_allclose(got, -crps, atol=0.004)


@pytest.mark.parametrize("n_features", [2, 40])
def test_the_true_law_has_the_best_score(n_features):
    """By more than four standard errors; another mean or width has a lower one."""
    x = torch.tensor(np.random.RandomState(0).standard_normal((4000, n_features)))
    best = energy_scores_of_model(gaussian(0.0, 1.0, n_features), x)
    for other in ((0.2, 1.0), (0.0, 0.8), (0.0, 1.25)):
        less = energy_scores_of_model(gaussian(*other, n_features), x)
        gain = best - less
        assert gain.mean() > 4 * gain.std() / sqrt(len(gain))


@pytest.mark.parametrize("n_features", [1, 3, 32])
def test_distance_of_two_draws_is_without_bias(n_features):
    one, other = noise_of_draws(n_features).chunk(2)
    expected = 2 * exp(lgamma((n_features + 1) / 2) - lgamma(n_features / 2))
    assert torch.cdist(one, other).mean() == pytest.approx(expected, rel=0.01)


def test_all_pairs():
    rng = np.random.RandomState(0)
    x, draws = rng.standard_normal((6, 3)), rng.standard_normal((8, 3))
    among = [np.linalg.norm(a - b) for a in draws[:4] for b in draws[4:]]
    expected = [
        np.mean(among) / 2 - np.mean([np.linalg.norm(row - y) for y in draws])
        for row in x
    ]
    got = energy_scores(torch.tensor(x), torch.tensor(draws))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_row_has_the_same_bits_in_any_table(monkeypatch):
    x = torch.tensor(np.random.RandomState(0).standard_normal((50, 3)))
    model = gaussian(0.0, 1.0, 3)
    whole = energy_scores_of_model(model, x)
    monkeypatch.setattr("skgen.gan._energy_score._BLOCK_SIZE", 7000)
    assert torch.equal(energy_scores_of_model(model, x), whole)
    assert torch.equal(energy_scores_of_model(model, x[13:14]), whole[13:14])
