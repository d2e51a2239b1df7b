"""Quasi-random normal numbers: their law, and the integrals that they do."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.quasirandom import SobolEngine

from skgen.sampling import balanced_normal
from skgen.sampling._quasi import sobol_normal


def test_marginal_law():
    """Kolmogorov-Smirnov on 4096 points: a scale 20 % off is rejected."""
    points = balanced_normal(4096, 3, seed=0)
    assert torch.isfinite(points).all()
    for column in points.numpy().T:
        assert stats.kstest(column, "norm").pvalue > 0.5  # evener than chance
        assert stats.kstest(1.2 * column, "norm").pvalue < 1e-4


@pytest.mark.parametrize(
    ("n_points", "n_dims"), [(32, 1), (32, 16), (128, 50), (256, 128), (400, 50)]
)
def test_balanced_moments_to_degree_three(n_points, n_dims):
    points = balanced_normal(n_points, n_dims, seed=0).numpy()
    assert points.shape == (n_points, n_dims)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(points.T @ points / n_points, np.eye(n_dims), atol=1e-12)
    third = np.einsum("ni,nj,nk->ijk", points, points, points) / n_points
    np.testing.assert_allclose(third, 0, atol=1e-12)


def test_beats_independent_draws():
    """A smooth function of 8 variables: a fifth of the error of Monte Carlo."""

    def function(z):
        return torch.tanh(z.sum(-1) / 4 + 0.5)

    # Its mean by quadrature: the sum of 8 normal numbers is normal.
    x, w = np.polynomial.hermite_e.hermegauss(100)
    exact = w @ np.tanh(x * np.sqrt(8) / 4 + 0.5) / w.sum()
    generator = torch.Generator().manual_seed(0)

    def error(draw):
        errors = [function(draw(seed)).mean().item() - exact for seed in range(100)]
        return np.sqrt(np.mean(np.square(errors)))

    balanced = error(lambda seed: balanced_normal(64, 8, seed=seed))
    independent = error(
        lambda _: torch.randn(64, 8, generator=generator, dtype=torch.float64)
    )
    assert balanced < 0.2 * independent


def test_seed_alone_decides():
    before = torch.get_rng_state()
    assert torch.equal(balanced_normal(64, 4, seed=3), balanced_normal(64, 4, seed=3))
    assert not torch.equal(
        balanced_normal(64, 4, seed=3), balanced_normal(64, 4, seed=4)
    )
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_default_dtype_does_not_matter(dtype):
    expected, before = balanced_normal(64, 4, seed=3), torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        assert torch.equal(balanced_normal(64, 4, seed=3), expected)
    finally:
        torch.set_default_dtype(before)


def test_more_dimensions_than_sobol_points_have():
    """Further dimensions are normal and independent; a scale 20 % off is rejected."""
    n_most = SobolEngine.MAXDIM
    points = sobol_normal(512, n_most + 8, seed=1)
    torch.testing.assert_close(points[:, :n_most], sobol_normal(512, n_most, seed=1))
    more = points[:, n_most:].numpy()
    assert stats.kstest(more.ravel(), "norm").pvalue > 0.01
    assert stats.kstest(1.2 * more.ravel(), "norm").pvalue < 1e-4
    near = np.hstack([points[:, :8].numpy(), more])
    correlations = np.corrcoef(near.T)[~np.eye(16, dtype=bool)]
    assert abs(correlations).max() < 5 / np.sqrt(512)
