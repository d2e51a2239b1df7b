"""Langevin and Hamiltonian chains against Gaussians and quadrature on a grid."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from skgen.sampling import (
    Point,
    hmc,
    hmc_step,
    integrated_autocorrelation_time,
    langevin,
    mala,
    point_at,
)
from skgen.sampling._langevin import accept, tuned

N = 10_000
ALPHA = 1e-3
PRECISION = torch.tensor([0.5, 2.0], dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def quadratic(x):
    return (PRECISION * x.square()).sum(1) / 2


def double_well(x):
    """Two valleys of different depth, and not symmetric: of mass by quadrature."""
    return (x.square() - 1).square().sum(1) + 0.5 * x.sum(1)


def quadrature(energy):
    """Bins of one variable and their masses."""
    grid = np.linspace(-3, 3, 6001)
    density = np.exp(-energy(torch.tensor(grid)[:, None]).numpy())
    total = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    edges = np.interp(np.linspace(0, 1, 21)[1:-1], total / total[-1], grid)
    return np.concatenate([[-np.inf], edges, [np.inf]])


def p_value(energy, x):
    edges = quadrature(energy)
    counts = np.histogram(x.numpy().ravel(), edges)[0]
    return stats.chisquare(counts).pvalue


def start(n=1):
    return torch.randn(N, n, generator=seeded(9), dtype=torch.float64)


# 20 bins of equal mass and 10,000 chains: a shift of the law by 2 % of its mass has a
# power of 0.99.


@pytest.mark.parametrize("step", [0.02, 0.1])
def test_mala_has_the_law_by_quadrature(step):
    chains = mala(
        double_well, start(), int(8 / step), step_size=step, generator=seeded()
    )
    assert p_value(double_well, chains.x) > ALPHA
    assert 0.7 < chains.acceptance_rate < 1


def test_hmc_has_the_law_by_quadrature():
    chains = hmc(
        double_well, start(), 40, step_size=0.3, n_leapfrog=5, generator=seeded()
    )
    assert p_value(double_well, chains.x) > ALPHA


def test_without_a_test_the_law_is_another_one():
    x = langevin(double_well, start(), 80, step_size=0.1, generator=seeded())
    assert p_value(double_well, x) < 1e-6


def wrong_sign(at, here, step_size, generator):
    """The twin that weighs momenta with the wrong sign."""
    p = torch.randn(here.x.shape, generator=generator, dtype=here.x.dtype)
    q = p - step_size / 2 * here.gradient
    there = at(here.x + step_size * q)
    q = q - step_size / 2 * there.gradient
    change = here.energy - there.energy - (p.square() - q.square()).sum(1) / 2
    return accept(here, there, change.clamp(max=0).exp(), generator=generator)


def test_a_wrong_sign_in_the_test_is_seen():
    here, generator = point_at(double_well, start()), seeded()
    for _ in range(80):
        here = wrong_sign(partial(point_at, double_well), here, 0.45, generator)
    assert p_value(double_well, here.x) < 1e-6


@pytest.mark.parametrize("step", [0.05, 0.4])
def test_variance_of_unadjusted_langevin(step):
    """1 / (p (1 - step p / 2)); five standard errors."""
    x = langevin(
        quadratic, start(2), int(12 / step), step_size=step, generator=seeded(1)
    )
    expected = 1 / (PRECISION * (1 - step * PRECISION / 2))
    error = (x.var(0) / expected - 1).abs().max()
    assert error < 5 * math.sqrt(2 / N)
    adjusted = mala(
        quadratic, start(2), int(12 / step), step_size=step, generator=seeded(1)
    )
    assert (adjusted.x.var(0) * PRECISION - 1).abs().max() < 5 * math.sqrt(2 / N)


def test_temperature():
    options = {"step_size": 0.02, "generator": seeded(1), "temperature": 0.25}
    x = langevin(quadratic, start(2), 500, **options)
    expected = 0.25 / (PRECISION * (1 - 0.01 * PRECISION))
    assert (x.var(0) / expected - 1).abs().max() < 5 * math.sqrt(2 / N)


def test_mala_accepts_by_its_formula():
    """One step of one chain, with the densities of both proposals by scipy."""
    step, x = 0.3, torch.tensor([[0.4, -1.0]], dtype=torch.float64)
    here = point_at(double_well, x)
    new, rate = hmc_step(
        partial(point_at, double_well),
        here,
        math.sqrt(2 * step),
        generator=seeded(3),
    )
    noise = torch.randn(1, 2, generator=seeded(3), dtype=torch.float64)
    proposed = x - step * here.gradient + math.sqrt(2 * step) * noise
    there = point_at(double_well, proposed)

    def log_q(to, point):
        mean = (point.x - step * point.gradient)[0].numpy()
        return stats.norm(mean, math.sqrt(2 * step)).logpdf(to[0].numpy()).sum()

    log_ratio = (here.energy - there.energy).item() + log_q(x, there)
    log_ratio -= log_q(proposed, here)
    assert rate.item() == pytest.approx(min(1, math.exp(log_ratio)), rel=1e-9)
    moved = torch.allclose(new.x, proposed, rtol=1e-12)
    assert moved or torch.equal(new.x, x)


def test_rotation_samples_a_gaussian_times_what_is_given():
    """N(0, 1) e^-E, by quadrature; with E = 0 each step is an independent draw."""

    def both(x):
        return double_well(x) + x.square().sum(1) / 2

    here = point_at(double_well, start())
    generator = seeded(2)
    for _ in range(40):
        here, _ = hmc_step(
            partial(point_at, double_well),
            here,
            0.5,
            generator=generator,
            gaussian=True,
        )
    assert p_value(both, here.x) > ALPHA

    def nothing(x):
        return Point(x, x.new_zeros(len(x)), torch.zeros_like(x))

    x = 5 + start(50)
    new, rate = hmc_step(
        nothing, nothing(x), math.pi / 2, generator=seeded(4), gaussian=True
    )
    assert rate.min() > 1 - 1e-9
    assert abs(new.x.mean().item()) < 5 / math.sqrt(50 * N)


@pytest.mark.parametrize(
    ("run", "rate", "first"),
    [(mala, 0.574, 1e-4), (mala, 0.574, 30.0), (hmc, 0.651, 1e-3), (mala, 0.9, 1.0)],
)
def test_the_step_size_is_tuned(run, rate, first):
    chains = run(
        quadratic,
        start(2)[:500],
        50,
        step_size=first,
        n_warmup=150,
        target_rate=rate,
        generator=seeded(),
    )
    assert chains.acceptance_rate == pytest.approx(rate, abs=0.05)


def test_what_is_told_of_the_chains():
    chains = mala(quadratic, start(2)[:50], 30, step_size=0.5, generator=seeded())
    assert chains.energies.shape == (30, 50)
    assert torch.equal(chains.energies[-1], quadratic(chains.x))
    assert 1 < integrated_autocorrelation_time(chains.energies) < 10
    nothing = mala(quadratic, start(2)[:5], 0, step_size=0.5, generator=seeded())
    assert torch.equal(nothing.x, start(2)[:5])
    assert math.isnan(nothing.acceptance_rate)


def test_tuning_ends():
    steps = [tuned(1.0, torch.ones(3), n) for n in (0, 10, 1000)]
    assert steps == sorted(steps, reverse=True)
    assert tuned(1.0, torch.ones(3), 0, largest=1.2) == 1.2


def test_states_without_an_energy_are_refused():
    """Where the energy is not a number, a chain does not go."""

    def walled(x):
        return torch.where((x > 0).all(1), quadratic(x), torch.nan)

    x = start(2)[:200].abs() + 0.1
    chains = mala(walled, x, 50, step_size=0.5, generator=seeded())
    assert (chains.x > 0).all()
    assert 0 < chains.acceptance_rate < 1


def test_autograd_is_not_left_on_and_states_are_not_changed():
    x = start(2)[:5]
    before = x.clone()
    with torch.inference_mode():
        chains = mala(quadratic, x, 3, step_size=0.1, generator=seeded())
    assert not chains.x.requires_grad
    assert torch.equal(x, before)
