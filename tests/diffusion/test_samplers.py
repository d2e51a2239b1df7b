"""Samplers: the covariance of a Gaussian, exactly, and the modes of a mixture."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusion_helpers import (
    ExactGaussian,
    ExactMixture,
    correlated,
    exact_model,
    linear_map,
)

from skgen.diffusion._samplers import sample_rows, step_back, transition

COVARIANCE = correlated(3)


@pytest.fixture(scope="module")
def model():
    return exact_model(ExactGaussian(COVARIANCE), 3)


def error_of_covariance(model, sampler, n_steps):
    """Of samples whose covariance is that of a linear map of noise."""
    A = linear_map(lambda y: sample_rows(model, y, n_steps, sampler, generator=None), 3)
    return (A @ A.T - torch.from_numpy(COVARIANCE)).abs().max().item()


@pytest.mark.parametrize(
    ("sampler", "order", "size"), [("heun", 2, 0.02), ("ddim", 1, 0.3)]
)
def test_covariance_of_a_gaussian(model, sampler, order, size):
    errors = [error_of_covariance(model, sampler, n) for n in (32, 64, 128)]
    assert errors[0] < size
    for one, other in pairwise(errors):
        assert one / other == pytest.approx(2**order, rel=0.3)


def test_covariance_of_the_sde(model):
    """To five standard errors, and what is left at 100 steps."""
    generator, n = torch.Generator().manual_seed(0), 10_000
    y = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    x = sample_rows(model, y, 100, "sde", generator=generator).numpy()
    variances = np.diag(COVARIANCE)
    noise = np.sqrt((np.outer(variances, variances) + COVARIANCE**2) / n)
    within = 5 * noise + 0.02
    assert (np.abs(np.cov(x.T) - COVARIANCE) < within).all()
    wrong = np.cov(1.08 * x.T)  # its law is another
    assert not (np.abs(wrong - COVARIANCE) < within).all()


def test_step_back_undoes_a_step_in_law(model):
    """If the data are known, points at s have the law of points at s."""
    process, n = model.process, 200_000
    now, then = (process.at(torch.tensor([t]).double()) for t in (0.9, 0.4))
    generator = torch.Generator().manual_seed(0)
    xi = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
    options = {"generator": generator, "dtype": torch.float64}
    y = now.cos * xi + now.sin * torch.randn(n, 3, **options)
    back = step_back(y, xi, now, then, generator=generator)
    error = then.sin[0].numpy() / np.sqrt(n)
    off = (back.mean(0) - (then.cos * xi)[0]).abs().numpy()
    np.testing.assert_array_less(off, 5 * error)
    np.testing.assert_allclose(back.std(0), then.sin[0], rtol=5 / np.sqrt(2 * n))
    # And with the step that leads there.
    alpha, variance = transition(then, now)
    again = alpha * back + variance.sqrt() * torch.randn(n, 3, **options)
    np.testing.assert_allclose(again.std(0), now.sin[0], rtol=5 / np.sqrt(2 * n))


def test_modes_of_a_mixture():
    """In their proportions, by the flow."""
    mixture = ExactMixture(
        [0.25, 0.75], [[-1.5, 0.0], [0.5, 0.0]], 0.02 * np.eye(2)[None].repeat(2, 0)
    )
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(2000, 2, generator=generator, dtype=torch.float64)
    x = sample_rows(exact_model(mixture, 2), y, 32, "heun", generator=generator)
    left = (x[:, 0] < -0.5).double().mean().item()
    assert left == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 2000) ** 0.5)
    near = (x[:, 0] + 1.5).abs() < 3 * 0.02**0.5
    assert near.double().mean().item() == pytest.approx(left, abs=0.01)
