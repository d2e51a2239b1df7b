"""The bound: exact where the network is, and a bound where it is not."""

import numpy as np
import pytest
import torch
from diffusion_helpers import ExactGaussian, ExactMixture, correlated, exact_model

from skgen.diffusion import DiffusionNet, NoiseProcess, TimeMLP, elbo
from skgen.diffusion._bound import (
    bound,
    bound_points,
    elbo_by_own_points,
    gaussian_elbo,
)
from skgen.diffusion._network import reset_time_mlp

X = torch.from_numpy(np.random.RandomState(0).standard_normal((5, 2)))


def test_equals_the_density_of_a_gaussian_row_by_row():
    network = ExactGaussian(correlated(2))
    got = elbo(exact_model(network, 2), X, 2**14)
    torch.testing.assert_close(got, network.log_prob(X), rtol=0, atol=1e-3)


def test_equals_the_density_of_a_mixture_row_by_row():
    network = ExactMixture(
        [0.4, 0.6],
        [[-1.0, 0.2], [0.7, -0.1]],
        [[[0.3, 0.1], [0.1, 0.2]], [[0.3, -0.1], [-0.1, 0.2]]],
    )
    got = elbo(exact_model(network, 2), X, 2**14)
    torch.testing.assert_close(got, network.log_prob(X), rtol=0, atol=5e-3)


def narrow_mixture():
    """Two narrow groups, for which few points that all rows share are a poor sum."""
    covariance = [[0.02, 0.0], [0.0, 0.02]]
    return ExactMixture([0.5, 0.5], [[-1.0, 0.3], [1.0, -0.3]], [covariance] * 2)


def narrow_rows(n_rows):
    rng = np.random.RandomState(0)
    means = np.array([[-1.0, 0.3], [1.0, -0.3]])[rng.randint(2, size=n_rows)]
    return torch.from_numpy(means + 0.02**0.5 * rng.standard_normal((n_rows, 2)))


def test_mean_by_points_of_its_own_for_each_row():
    """Eight points a row are as good as thousands; eight for all rows are not."""
    network, x = narrow_mixture(), narrow_rows(500)
    model, truth = exact_model(network, 2), network.log_prob(x).mean()
    assert abs(elbo_by_own_points(model, x, 8).mean() - truth) < 0.05
    assert abs(elbo(model, x, 8).mean() - truth) > 0.2  # the twin


def test_points_of_its_own_do_not_depend_on_blocks(monkeypatch):
    model, x = exact_model(narrow_mixture(), 2), narrow_rows(50)
    whole = elbo_by_own_points(model, x, 8)
    monkeypatch.setattr("skgen.diffusion._bound._CACHED", 8 * 64 * 7)
    torch.testing.assert_close(elbo_by_own_points(model, x, 8), whole)


class Scaled(torch.nn.Module):
    """A wrong twin: the exact network times a number."""

    def __init__(self, network, factor):
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, y, phase, condition=None, generator=None):
        return self.factor * self.network(y, phase)


@pytest.mark.parametrize("factor", [0.4, 1.6])
def test_is_below_the_density_for_another_network(factor):
    """In the mean over rows of the law."""
    covariance = correlated(2)
    rng = np.random.RandomState(0)
    x = torch.from_numpy(rng.multivariate_normal(np.zeros(2), covariance, 400))
    network = ExactGaussian(covariance)
    right, wrong = (
        elbo(exact_model(one, 2), x, 512) for one in (network, Scaled(network, factor))
    )
    assert (right - wrong).mean() > 4 * (right - wrong).std() / 20


def test_of_a_zero_network_is_the_gaussian_of_the_process():
    variance, basis = np.linalg.eigh(correlated(2))
    process = NoiseProcess(
        torch.from_numpy(np.sqrt(variance)), torch.from_numpy(basis), t_min=1e-6
    )
    network = TimeMLP(2, (4,), "silu").double()
    reset_time_mlp(network, torch.Generator().manual_seed(0))
    law = torch.distributions.MultivariateNormal(
        torch.zeros(2, dtype=torch.float64), torch.from_numpy(correlated(2))
    )
    got = elbo(DiffusionNet(network, process), X, 2)
    torch.testing.assert_close(got, law.log_prob(X))
    torch.testing.assert_close(gaussian_elbo(process, process.whiten(X)), got)


def test_points_are_in_opposite_pairs_and_shares_of_one():
    process = NoiseProcess(torch.ones(2).double(), None, t_min=1e-3)
    t, z, share = bound_points(process, 64, like=X)
    assert torch.equal(t[:32], t[32:])
    assert torch.equal(z[:32], -z[32:])
    assert share.sum().item() == pytest.approx(1, abs=1e-3)


def test_a_row_depends_on_itself_alone(monkeypatch):
    monkeypatch.setattr("skgen.diffusion._bound._CACHED", 2**13)
    model = exact_model(ExactGaussian(correlated(2)), 2)
    got = elbo(model, X, 64)
    torch.testing.assert_close(elbo(model, X[3:4], 64), got[3:4], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("n_features", "n_points"), [(1, 1024), (2, 1024), (8, 256), (64, 128)]
)
def test_few_features_have_more_points(monkeypatch, n_features, n_points):
    monkeypatch.setattr("skgen.diffusion._bound.elbo", lambda *args: args[2])
    assert bound(None, torch.zeros(1, n_features)) == n_points
