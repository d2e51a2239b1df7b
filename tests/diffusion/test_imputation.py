"""What is missing, given the rest: the conditional law of a Gaussian."""

import numpy as np
import pytest
import torch
from diffusion_helpers import ExactGaussian, correlated, exact_model

from skgen.diffusion import DiffusionNet, NoiseProcess, TimeMLP
from skgen.diffusion._imputation import draw_missing
from skgen.diffusion._network import reset_time_mlp

COVARIANCE = correlated(3, seed=5)
KNOWN = np.array([-1.0, 1.0])


@pytest.fixture(scope="module")
def conditional():
    """Mean and variance of the first feature given the others."""
    solved = np.linalg.solve(COVARIANCE[1:, 1:], COVARIANCE[1:, 0])
    return solved @ KNOWN, COVARIANCE[0, 0] - solved @ COVARIANCE[1:, 0]


def draws(n_steps, n_repeats, n=1000, model=None):
    x = torch.full((n, 3), torch.nan, dtype=torch.float64)
    x[:, 1:] = torch.from_numpy(KNOWN)
    generator = torch.Generator().manual_seed(0)
    model = model or exact_model(ExactGaussian(COVARIANCE), 3)
    drawn = draw_missing(model, x, n_steps, n_repeats, generator=generator)
    np.testing.assert_array_equal(drawn[:, 1:], x[:, 1:])
    return drawn[:, 0].numpy()


def test_law_of_a_gaussian(conditional):
    """With many repetitions, up to what is left of steps of finite size.

    What is known tells much: without it the mean is 0, and the variance 1.
    """
    mean, variance = conditional
    assert abs(mean) > 0.5, "the known values tell something"
    assert variance < 0.7
    x = draws(40, 30)
    assert x.mean() == pytest.approx(mean, abs=0.09)
    assert x.std() == pytest.approx(variance**0.5, rel=0.12)


def test_law_of_a_gaussian_along_its_directions(conditional):
    """In which its network is zero."""
    mean, variance = conditional
    values, basis = np.linalg.eigh(COVARIANCE)
    process = NoiseProcess(
        torch.from_numpy(np.sqrt(values)), torch.from_numpy(basis), t_min=1e-3
    )
    network = TimeMLP(3, (2,), "silu").double()
    reset_time_mlp(network, torch.Generator().manual_seed(0))
    x = draws(40, 30, model=DiffusionNet(network, process).requires_grad_(False))
    assert x.mean() == pytest.approx(mean, abs=0.09)
    assert x.std() == pytest.approx(variance**0.5, rel=0.12)


def test_repetitions_help(conditional):
    mean, variance = conditional

    def error(x):
        return (x.mean() - mean) ** 2 + (x.std() - variance**0.5) ** 2

    assert error(draws(20, 10)) < error(draws(20, 1))


def test_complete_rows_stay():
    model = exact_model(ExactGaussian(COVARIANCE), 3)
    x = torch.ones(2, 3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(draw_missing(model, x, 2, 1, generator=generator), x)
