"""Mixtures against scipy, and given some variables against the joint density."""

import numpy as np
import pytest
import torch
from energy_helpers import double, mixture, seeded
from scipy import stats

from skgen.energy import GaussianMixtureDensity


def laws(base):
    factor = base.factor
    if base.is_diagonal:
        factor = torch.diag_embed(factor)
    covariance = (factor @ factor.mT).numpy()
    return [
        stats.multivariate_normal(m, c)
        for m, c in zip(base.mean.numpy(), covariance, strict=True)
    ]


def wide(diagonal):
    """Three components of four features."""
    generator = seeded(3)
    options = {"generator": generator, "dtype": torch.float64}
    mean = torch.randn(3, 4, **options)
    factor = torch.randn(3, 4, 4, **options).tril() * 0.3
    factor = factor + torch.diag_embed(0.5 + torch.rand(3, 4, **options))
    if diagonal:
        factor = factor.diagonal(dim1=1, dim2=2).abs().contiguous()
    else:
        factor = torch.linalg.cholesky(factor @ factor.mT)
    return GaussianMixtureDensity(double([0.2, 0.5, 0.3]).log(), mean, factor)


BASES = [lambda d: mixture(diagonal=d), wide]


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("make", BASES)
def test_density(make, diagonal):
    base = make(diagonal)
    x = torch.randn(20, base.n_features, generator=seeded(), dtype=torch.float64)
    parts = [law.pdf(x.numpy()) for law in laws(base)]
    expected = np.log(base.log_weight.exp().numpy() @ np.array(parts))
    np.testing.assert_allclose(base.log_prob(x).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("diagonal", [False, True])
def test_units_of_a_component(diagonal):
    base = wide(diagonal)
    x = torch.randn(9, 4, generator=seeded(), dtype=torch.float64, requires_grad=True)
    k = torch.arange(9) % 3
    z = base.whiten(x, k)
    torch.testing.assert_close(base.color(z, k), x)
    # The gradient by z of a function of x, by autograd.
    z = z.detach().requires_grad_()
    y = base.color(z, k)
    f = y.pow(3).sum()
    (by_z,) = torch.autograd.grad(f, z)
    torch.testing.assert_close(base.pull(3 * y.detach().square(), k), by_z)


@pytest.mark.parametrize("diagonal", [False, True])
def test_draws(diagonal):
    """Mean and covariance of 40,000 draws, to five standard errors."""
    base = mixture(diagonal=diagonal)
    x = base.sample(40_000, generator=seeded()).numpy()
    w, m = base.log_weight.exp().numpy(), base.mean.numpy()
    mean = w @ m
    second = sum(
        p * (law.cov + np.outer(a, a))
        for p, law, a in zip(w, laws(base), m, strict=True)
    )
    np.testing.assert_allclose(x.mean(0), mean, atol=5 * 1.3 / 200)
    covariance = second - np.outer(mean, mean)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=5 * 2 * 1.5 / 200)


def test_component_given_a_point():
    base = mixture()
    x = base.mean.mean(0).expand(20_000, 2)
    k = base.draw_component(x, generator=seeded())
    parts = np.array([law.pdf(x[0].numpy()) for law in laws(base)])
    parts *= base.log_weight.exp().numpy()
    share = parts[1] / parts.sum()
    assert abs(k.double().mean().item() - share) < 5 * np.sqrt(share / 4 / 20_000)


@pytest.mark.parametrize("diagonal", [False, True])
def test_given_some_variables(diagonal):
    """p(x_hidden | x_known) is the joint density over that of the known ones."""
    base = wide(diagonal)
    options = {"generator": seeded(1), "dtype": torch.float64}
    x = torch.randn(6, 4, **options)
    known = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]] * 2).bool()
    given = base.given(x, known)
    w = base.log_weight.exp().numpy()
    for i, seen in enumerate(known.numpy()):
        marginal = 1.0
        if seen.any():
            at = x[i].numpy()[seen]
            parts = [
                stats.multivariate_normal(
                    law.mean[seen], law.cov[np.ix_(seen, seen)]
                ).pdf(at)
                for law in laws(base)
            ]
            marginal = w @ np.array(parts)
        expected = base.log_prob(x[i : i + 1]).item() - np.log(marginal)
        assert given.log_prob(x)[i].item() == pytest.approx(expected, abs=1e-9)
    drawn = given.sample(6, generator=seeded(2))
    torch.testing.assert_close(drawn[known], x[known], rtol=0, atol=0)
    assert (drawn[~known] != x[~known]).all()
    k = torch.arange(6) % 3
    z = given.whiten(drawn, k)
    torch.testing.assert_close(given.color(z, k), drawn)
    assert (z[known] == 0).all()


def test_draws_given_some_variables():
    """The mean of the second variable given the first, by quadrature."""
    base = mixture()
    x = double([[0.2, np.nan]]).nan_to_num().expand(40_000, 2)
    known = torch.tensor([[True, False]]).expand(40_000, 2)
    drawn = base.given(x, known).sample(40_000, generator=seeded())
    line = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    points = torch.stack([torch.full_like(line, 0.2), line], 1)
    mass = base.log_prob(points).softmax(0)
    mean = (mass * line).sum()
    spread = (mass * (line - mean).square()).sum().sqrt()
    assert abs(drawn[:, 1].mean() - mean) < 5 * spread / 200
    assert abs(drawn[:, 1].std() / spread - 1) < 0.03
