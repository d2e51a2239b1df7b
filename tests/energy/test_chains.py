"""Chains of energy models against quadrature on a grid."""

import math

import pytest
import torch
from energy_helpers import (
    cell_p_value,
    double,
    energy_net,
    exact_draws,
    gaussian,
    mixture,
    seeded,
)
from scipy.stats import chisquare
from torch import nn

from skgen.energy import EnergyNet, GaussianMixtureDensity, PersistentLangevin
from skgen.energy._annealing import find_path, forward
from skgen.energy._chains import LARGEST_STEP, jump, move, run, start
from skgen.energy._diagnostics import report_chains
from skgen.energy._persistent import N_RISING
from skgen.energy._sampling import draw_rows

N = 5000
ALPHA = 1e-3
BASES = {"gaussian": gaussian, "full": mixture, "diag": lambda: mixture(diagonal=True)}

# 30 to 50 cells and 5000 draws: a law that differs by 5 % of its mass is rejected with
# a power of 0.99. That of the base itself differs by far more.


@pytest.fixture(params=BASES)
def model(request):
    return energy_net(1, BASES[request.param]())


def after(model, step, n_steps=8, beta=1.0):
    """Where chains are that start from exact draws."""
    generator = seeded(5)
    here = start(model, exact_draws(model, N, generator, beta))
    for _ in range(n_steps):
        here, _ = step(model, model.base, here, beta, generator=generator)
    return here


def turned(model, base, here, beta, *, generator):
    return move(model, base, here, beta, 0.9, generator=generator)


def without_test(model, base, here, beta, *, generator):
    """The twin that accepts each proposal."""
    new, _ = move(model, base, here, beta, 0.9, generator=generator)
    k = base.draw_component(new.x, generator=generator)
    z = base.whiten(new.x, k)
    p = torch.randn(z.shape, generator=generator, dtype=z.dtype)
    p = p - 0.6 * beta * base.pull(new.gradient, k)
    x = base.color(math.cos(1.2) * z + math.sin(1.2) * p, k)
    return start(model, x), None


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_steps_keep_the_law(model, beta):
    here = after(model, turned, beta=beta)
    assert cell_p_value(model, here.x, beta) > ALPHA
    assert cell_p_value(model, here.x, 1.4 - beta) < 1e-6  # of the other beta
    torch.testing.assert_close(here.energy, model.correction(here.x))


def test_each_chain_may_have_a_factor_of_its_own(model):
    """As chains of training have, while f is turned on."""
    betas, generator = (0.3, 1.0), seeded(5)
    x = torch.cat([exact_draws(model, N, generator, beta) for beta in betas])
    beta = double(betas).repeat_interleave(N)
    here = start(model, x)
    for step in (turned, turned, jump, turned, turned):
        here, _ = step(model, model.base, here, beta, generator=generator)
    for x, right, wrong in zip(here.x.split(N), betas, betas[::-1], strict=True):
        assert cell_p_value(model, x, right) > ALPHA
        assert cell_p_value(model, x, wrong) < 1e-6


def test_chains_from_the_base_come_to_the_law():
    model = energy_net(1)
    here = start(model, model.base.sample(N, generator=seeded(5)))
    progress = run(
        model, model.base, here, 20, step_size=0.9, generator=seeded(6), jumps=False
    )
    assert cell_p_value(model, progress.point.x) > ALPHA


def test_jumps_keep_the_law(model):
    here = after(model, jump)
    assert cell_p_value(model, here.x) > ALPHA


def test_without_tests_the_law_is_another_one():
    model = energy_net(1)
    assert cell_p_value(model, after(model, without_test).x) < 1e-6


def test_where_f_is_zero_each_step_is_a_draw_of_the_base():
    model = energy_net(size=0.0, base=mixture())
    far = torch.full((N, 2), 5.0, dtype=torch.float64)
    progress = run(
        model,
        model.base,
        start(model, far),
        40,
        step_size=LARGEST_STEP,
        generator=seeded(),
        jumps=False,
    )
    assert progress.rate > 1 - 1e-6
    assert math.isnan(progress.jump_rate)


def test_step_size_is_tuned():
    model = energy_net(2, size=12.0)
    progress = run(
        model,
        model.base,
        start(model, model.base.sample(300, generator=seeded())),
        150,
        step_size=LARGEST_STEP,
        generator=seeded(),
        tunes=True,
    )
    fixed = run(
        model,
        model.base,
        progress.point,
        60,
        step_size=progress.step_size,
        generator=seeded(),
    )
    assert fixed.rate == pytest.approx(0.574, abs=0.06)
    assert fixed.corrections.shape == (60, 300)


def test_annealed_draws_have_the_law():
    """By weights after one step of annealing, and as drawn."""
    model = energy_net(1, mixture())
    path, _ = find_path(model, 200, generator=seeded(1))
    generator = seeded(2)
    x = draw_rows(
        model,
        torch.zeros(N, 2, dtype=torch.float64),
        None,
        path,
        n_steps=60,
        generator=generator,
    )
    assert cell_p_value(model, x) > ALPHA
    log_w, here = forward(model, model.base, N, path, 3, generator=generator)
    index = torch.multinomial(log_w.softmax(0), N, True, generator=generator)
    assert cell_p_value(model, here.x[index][::4]) > ALPHA


def test_path():
    model = energy_net(1, size=6.0)
    path, _ = find_path(model, 300, generator=seeded())
    steps = path.steps(50)
    beta = [b for b, _ in steps]
    assert beta[0] == 0
    assert beta[-1] == 1
    assert beta == sorted(beta)
    assert all(0 < size <= LARGEST_STEP + 1e-9 for _, size in steps)


def test_draws_given_some_variables():
    """The law of the second variable given the first, by quadrature."""
    model = energy_net(1, mixture(), size=2.0)
    path, _ = find_path(model, 100, generator=seeded(1))
    x = double([[0.3, float("nan")]]).expand(N, 2)
    known = torch.tensor([[True, False]]).expand(N, 2)
    drawn = draw_rows(model, x, known, path, n_steps=60, generator=seeded(2))
    assert (drawn[:, 0] == 0.3).all()
    line = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    mass = (-model.energy(torch.stack([torch.full_like(line, 0.3), line], 1))).softmax(
        0
    )
    below = mass.cumsum(0)
    edges = line[torch.searchsorted(below, torch.arange(1, 20).double() / 20)]
    counts = torch.bincount(torch.bucketize(drawn[:, 1].contiguous(), edges))
    assert chisquare(counts.numpy()).pvalue > ALPHA


def test_report():
    model = energy_net(1)
    states = model.base.sample(20, generator=seeded())
    report = report_chains(model, states, 40, 200, step_size=1.0, generator=seeded(1))
    assert 0.5 < report.acceptance_rate < 1
    assert 0 < report.jump_rate < 1
    assert report.r_hat < 1.05
    assert report.autocorrelation_time >= 4
    # Chains that cannot leave where they are have not mixed.
    stuck = energy_net(3, size=40.0)
    report = report_chains(
        stuck, states + 3, 40, 100, step_size=1e-3, generator=seeded(1)
    )
    assert report.r_hat > 1.05


class TwoModes(nn.Module):
    """f of two modes far from each other, which are narrower than those of the base."""

    def forward(self, x):
        return (4 * x[:, 1:].square().sum(1) - 2 * x[:, 0].tanh())[:, None]


@pytest.mark.parametrize("rises", [True, False])
def test_chains_of_training_that_start_anew_find_modes_by_their_mass(rises):
    """The mode at the right has half of the mass of the base, and 0.98 of the model's.

    The twin has chains that are at the model from their start: nearly all draws of the
    base are then refused. Of some 200 chains the share has a standard error of 0.03.
    """
    mean = torch.zeros(2, 32, dtype=torch.float64)
    mean[:, 0] = double([-4.0, 4.0])
    half, spread = double([0.5, 0.5]), torch.full_like(mean, 0.5)
    base = GaussianMixtureDensity(half.log(), mean, spread)
    model, generator = EnergyNet(TwoModes(), base).requires_grad_(False), seeded()
    chains = base.sample(400, generator=generator)
    options = {"n_steps": 20, "step_size": 0.5, "n_noise": 1, "reinit_fraction": 0.1}
    objective, every = PersistentLangevin(chains, **options), torch.arange(400)
    for _ in range(2 * N_RISING):
        objective._start_anew(model, every, generator)
        if not rises:
            objective.ages.fill_(N_RISING)
        counts = objective._move(model, every, generator)
    if rises:  # the others turn f on
        assert 0.3 < counts.mean() < 0.7
        assert (objective.ages[counts == 0] < N_RISING).all()
    right = (counts * (objective.chains[:, 0] > 0)).sum() / counts.sum()
    assert right > 0.75 if rises else right < 0.75
