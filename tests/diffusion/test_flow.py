"""The probability flow, with the exact network of Gaussians and of mixtures."""

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

from skgen.diffusion import (
    DiffusionNet,
    NoiseProcess,
    TimeMLP,
    _flow,
    flow_log_density,
    flow_to_data,
    flow_to_noise,
)
from skgen.diffusion._flow import divergence_probes
from skgen.diffusion._network import reset_time_mlp

COVARIANCE = correlated(3)


@pytest.fixture(scope="module")
def gaussian():
    network = ExactGaussian(COVARIANCE)
    x = torch.from_numpy(
        np.random.RandomState(0).multivariate_normal(np.zeros(3), COVARIANCE, 6)
    )
    return exact_model(network, 3), x, network.log_prob(x)


@pytest.fixture(scope="module")
def errors(gaussian):
    model, x, expected = gaussian
    return {
        n: (flow_log_density(model, x, n) - expected).abs().mean().item()
        for n in (16, 32, 64, 128)
    }


def test_density_of_a_gaussian(errors):
    assert errors[16] < 0.1
    assert errors[128] < 1e-3


def test_error_falls_with_the_square_of_the_number_of_steps(errors):
    for n in (32, 64):
        assert errors[n] / errors[2 * n] == pytest.approx(4, rel=0.25)


@pytest.mark.parametrize("n", [32, 64, 128])
def test_step_doubling_tells_the_error(gaussian, n):
    """Of the mean, to a third of it."""
    model, x, expected = gaussian
    fine, coarse = (flow_log_density(model, x, k) for k in (n, n // 2))
    stated, true = (fine - coarse).mean() / 3, (expected - fine).mean()
    assert stated.item() == pytest.approx(true.item(), rel=0.34, abs=1e-5)


def test_whitening_makes_a_gaussian_exact_at_any_number_of_steps():
    """Along its principal directions its network is zero."""
    variance, basis = np.linalg.eigh(COVARIANCE)
    process = NoiseProcess(
        torch.from_numpy(np.sqrt(variance)), torch.from_numpy(basis), t_min=1e-6
    )
    network = TimeMLP(3, (4,), "silu").double()
    reset_time_mlp(network, torch.Generator().manual_seed(0))
    model = DiffusionNet(network, process)
    x = torch.from_numpy(np.random.RandomState(0).standard_normal((5, 3)))
    law = torch.distributions.MultivariateNormal(
        torch.zeros(3, dtype=torch.float64), torch.from_numpy(COVARIANCE)
    )
    density = flow_log_density(model, x, 2)
    torch.testing.assert_close(density, law.log_prob(x), rtol=1e-7, atol=1e-7)


@pytest.fixture(scope="module")
def mixture():
    return ExactMixture(
        [0.3, 0.7],
        [[-1.2, 0.3], [0.6, -0.2]],
        [[[0.05, 0.02], [0.02, 0.1]], [[0.3, -0.1], [-0.1, 0.2]]],
    )


def test_density_of_a_mixture(mixture):
    x = torch.tensor([[-1.2, 0.2], [0.5, 0.0], [0.0, 0.3]], dtype=torch.float64)
    density = flow_log_density(exact_model(mixture, 2), x, 96)
    torch.testing.assert_close(density, mixture.log_prob(x), rtol=0, atol=1e-2)


def test_round_trip(gaussian):
    """Its error falls with the square of the number of steps."""
    model, x, _ = gaussian
    errors = [
        (flow_to_data(model, flow_to_noise(model, x, n), n) - x).abs().max().item()
        for n in (64, 128, 512)
    ]
    assert errors[0] / errors[1] > 3
    assert errors[2] < 1e-4


def test_blocks_of_rows_do_not_matter(gaussian, monkeypatch):
    model, _, _ = gaussian
    y = torch.randn(150, 3, dtype=torch.float64)
    whole = flow_to_data(model, y, 4), flow_to_noise(model, y, 4)
    monkeypatch.setattr(_flow, "_CACHED", 1)  # 64 rows at a time
    torch.testing.assert_close(flow_to_data(model, y, 4), whole[0])
    torch.testing.assert_close(flow_to_noise(model, y, 4), whole[1])
    assert flow_to_data(model, y[:0], 4).shape == (0, 3)


def test_code_of_a_gaussian_is_white(gaussian):
    model, *_ = gaussian
    A = linear_map(lambda x: flow_to_noise(model, x, 128), 3)
    white = (A @ torch.from_numpy(COVARIANCE) @ A.T).numpy()
    np.testing.assert_allclose(white, np.eye(3), atol=5e-3)


def test_a_row_depends_on_itself_alone():
    network = TimeMLP(3, (8, 8), "silu").double()
    reset_time_mlp(network, torch.Generator().manual_seed(0))
    network.last.weight.data.normal_(0, 0.1)
    process = NoiseProcess(torch.ones(3).double(), None, t_min=1e-2)
    model = DiffusionNet(network, process).requires_grad_(False)
    x = torch.randn(700, 3).double()
    all_rows = flow_log_density(model, x, 4)
    torch.testing.assert_close(flow_log_density(model, x[5:6], 4), all_rows[5:6])
    torch.testing.assert_close(flow_log_density(model, x.flip(0), 4), all_rows.flip(0))


def test_probes_estimate_the_density_without_bias():
    """Over all directions it is exact; a few from the fixed seed come close."""
    network = TimeMLP(3, (8, 8), "silu").double()
    reset_time_mlp(network, torch.Generator().manual_seed(0))
    network.last.weight.data.normal_(0, 0.1)
    process = NoiseProcess(torch.ones(3).double(), None, t_min=1e-2)
    model = DiffusionNet(network, process).requires_grad_(False)
    probes = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)
    x = torch.randn(4, 3).double()
    exact = flow_log_density(model, x, 4)
    torch.testing.assert_close(flow_log_density(model, x, 4, probes), exact)


def test_probes_are_fixed_and_for_many_features_alone():
    assert divergence_probes(128, like=torch.zeros(1)) is None
    probes = divergence_probes(129, like=torch.zeros(1))
    assert torch.equal(probes, divergence_probes(129, like=torch.zeros(1)))
    assert probes.unique().tolist() == [-1, 1]
    assert probes.shape[1] == 129
