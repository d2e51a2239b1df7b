"""Losses of the two players against laws of which the best critic is known."""

from math import erf, exp, log, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm, wasserstein_distance

from skgen.gan import (
    relativistic_critic_loss,
    relativistic_loss,
    wasserstein_critic_loss,
)
from skgen.training._optimizers import Adam


def gaussian(mean, sd, n=24):
    """Nodes and weights of quadrature over a Gaussian."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    weights = weights / weights.sum()
    return torch.tensor(mean + sd * nodes), torch.tensor(weights)


def best_polynomial_critic(one, other, degree):
    """Coefficients by which the mean loss of pairs is least."""
    (x, p), (y, q) = gaussian(*one), gaussian(*other)
    weight = (p[:, None] * q).ravel()
    pairs = [t.ravel()[:, None] for t in torch.meshgrid(x, y, indexing="ij")]
    powers = torch.arange(1, degree + 1)

    def mean_loss(values):
        coefficients = torch.tensor(values, requires_grad=True)
        loss = relativistic_critic_loss(
            lambda rows: rows.pow(powers) @ coefficients, *pairs, 0.0
        )
        (gradient,) = torch.autograd.grad((weight * loss).sum(), coefficients)
        return (weight * loss).sum().item(), gradient.numpy()

    found = minimize(mean_loss, np.zeros(degree), jac=True, options={"gtol": 1e-9})
    return found.x, found.fun


def test_best_critic_is_the_log_ratio_of_two_gaussians():
    m1, m2, s = 0.4, -0.3, 0.8
    (slope,), _ = best_polynomial_critic((m1, s), (m2, s), 1)
    assert slope == pytest.approx((m1 - m2) / s**2, rel=1e-5)


def test_best_critic_of_two_widths():
    m1, s1, m2, s2 = 0.2, 0.9, -0.1, 1.1
    (linear, square), loss = best_polynomial_critic((m1, s1), (m2, s2), 2)
    assert linear == pytest.approx(m1 / s1**2 - m2 / s2**2, rel=1e-4)
    assert square == pytest.approx((1 / s2**2 - 1 / s1**2) / 2, rel=1e-4)
    assert loss < log(2)


def test_equal_laws_have_a_loss_of_log_two():
    (slope,), loss = best_polynomial_critic((0.3, 1.0), (0.3, 1.0), 1)
    assert slope == pytest.approx(0, abs=1e-8)
    assert loss == pytest.approx(log(2), abs=1e-12)


def test_penalty_of_a_quadratic_critic():
    """Its slope is A x, and the gradient of the penalty by A is known."""
    rng = np.random.RandomState(0)
    real, fake = torch.tensor(rng.standard_normal((2, 5, 3)))
    a = torch.tensor(rng.standard_normal(3), requires_grad=True)

    def critic(rows):
        return (a * rows.square()).sum(1) / 2

    loss = relativistic_critic_loss(critic, real, fake, 0.7)
    pairs = relativistic_loss(critic(real), critic(fake))
    slopes = (a * real).square().sum(1) + (a * fake).square().sum(1)
    torch.testing.assert_close(loss, pairs + 0.35 * slopes)
    (gradient,) = torch.autograd.grad((loss - pairs).sum(), a)
    expected = 0.7 * a.detach() * (real.square() + fake.square()).sum(0)
    torch.testing.assert_close(gradient, expected)


def wasserstein_of_gaussians(m1, s1, m2, s2):
    delta, tau = abs(m1 - m2), abs(s1 - s2)
    ratio = delta / tau
    return delta * erf(ratio / sqrt(2)) + tau * sqrt(2 / pi) * exp(-(ratio**2) / 2)


@pytest.mark.parametrize("penalty", [1.0, 50.0])
def test_estimate_of_a_critic_is_below_the_wasserstein_distance(penalty):
    """Divided by its largest slope; the penalty alone leaves slopes above 1."""
    laws = (0.5, 1.2, -0.5, 0.6)
    rng = np.random.RandomState(0)
    quantiles = norm.ppf((np.arange(1000) + 0.5) / 1000)
    real, fake = (
        torch.tensor(mean + sd * rng.permutation(quantiles))[:, None]
        for mean, sd in (laws[:2], laws[2:])
    )
    share = torch.tensor(rng.uniform(size=(1000, 1)))
    knots = torch.linspace(-1.2, 1.6, 15, dtype=torch.float64)
    width = knots[1] - knots[0]
    slopes = torch.ones(14, dtype=torch.float64, requires_grad=True)

    def critic(x):
        """Piecewise linear, with a slope between any two knots."""
        return (x - knots[:-1]).clamp(torch.zeros(()), width) @ slopes

    optimizer = Adam([slopes], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = wasserstein_critic_loss(critic, real, fake, penalty, share)
        loss.mean().backward()
        optimizer.step()
    with torch.no_grad():
        gap = (critic(real) - critic(fake)).mean().item()
    lipschitz = slopes.abs().max().item()
    truth = wasserstein_distance(real[:, 0].numpy(), fake[:, 0].numpy())
    assert truth == pytest.approx(wasserstein_of_gaussians(*laws), rel=0.05)
    assert gap / lipschitz <= truth
    if penalty > 1:  # and close to it, but for what lies beyond the knots
        assert gap / lipschitz > 0.75 * truth
    else:
        assert lipschitz > 1.2
        assert gap > truth  # the wrong twin: not divided by the slope
