"""Log Z of small networks against quadrature on a grid."""

import numpy as np
import pytest
import torch
from energy_helpers import energy_net, exact_draws, gaussian, log_z, mixture, seeded

from skgen.energy._annealing import backward, find_path, forward
from skgen.energy._chains import start
from skgen.energy._partition import log_partition_annealed, log_partition_as_needed


def estimate(model, seed=0, n_steps=30, n_chains=100):
    generator = seeded(seed)
    path, _ = find_path(model, n_chains, generator=generator)
    return log_partition_annealed(
        model, path, n_chains=n_chains, n_steps=n_steps, generator=generator
    )


@pytest.mark.parametrize(
    ("least", "n_models"), [(7, 10), pytest.param(25, 30, marks=pytest.mark.slow)]
)
def test_brackets_hold_as_often_as_stated(least, n_models):
    """Of small networks over a Gaussian; at 95 %, so many have a probability of 0.997.

    A bracket that held in 60 % would pass 25 of 30 with a probability of 0.006.
    """
    held, widths = 0, []
    for seed in range(n_models):
        model = energy_net(seed, size=4.0)
        result, exact = estimate(model, seed), log_z(model)
        held += result.lower <= exact <= result.upper
        widths.append(result.upper - result.lower)
        assert result.estimate == pytest.approx(exact, abs=0.2)
    assert held >= least
    assert np.median(widths) < 1


def test_standard_error():
    """Errors in units of what is stated have a mean square near 1, within 0.5 and 2."""
    model = energy_net(1, mixture(), size=1.0)
    exact = log_z(model)
    generator = seeded()
    path, _ = find_path(model, 100, generator=generator)
    options = {"n_chains": 100, "n_steps": 5, "generator": generator}
    results = [log_partition_annealed(model, path, **options) for _ in range(16)]
    z = np.array([(r.estimate - exact) / r.standard_error for r in results])
    assert 0.4 < np.mean(z**2) < 2.2


@pytest.mark.parametrize("n_steps", [1, 7, 10])
def test_weights_of_both_directions(n_steps):
    """Means of exp(w) and exp(-w) are Z and 1 / Z, whatever the number of steps."""
    model = energy_net(2, mixture(), size=0.7)
    exact, generator = log_z(model), seeded(1)
    path, _ = find_path(model, 200, generator=generator)
    up, _ = forward(model, model.base, 5000, path, n_steps, generator=generator)
    x = exact_draws(model, 5000, generator)
    down = backward(model, start(model, x), path, n_steps, generator=generator)
    for log_w in (up - exact, exact - down):
        w = log_w.exp()
        assert abs(w.mean() - 1) < 5 * w.std() / np.sqrt(len(w))
    assert up.mean() < exact < down.mean()


def test_modes_that_the_base_misses_widen_the_bracket():
    """A deep hole of f where the base has no draws: chains of the data know of it."""

    class Hole(torch.nn.Module):
        def forward(self, x):
            return -40 * torch.exp(-(x - 4).square().sum(1, keepdim=True) / 2)

    model = energy_net(0, gaussian())
    model.network = Hole()
    exact, generator = log_z(model), seeded()
    path, _ = find_path(model, 100, generator=generator)
    options = {"n_chains": 100, "n_steps": 20, "generator": generator}
    states = torch.full((50, 2), 4.0, dtype=torch.float64)
    blind = log_partition_annealed(model, path, **options)
    sees = log_partition_annealed(model, path, chains=states, **options)
    assert sees.upper > exact
    assert sees.upper - sees.lower > 1
    assert blind.upper < exact  # what it cannot know


def test_f_of_zero_is_known_exactly():
    model = energy_net(size=0.0, base=mixture())
    with torch.no_grad():
        model.network[2].bias.fill_(0.25)
    result, _ = log_partition_as_needed(
        model,
        model.base.sample(50, generator=seeded()),
        n_chains=50,
        step_size=1.0,
        generator=seeded(),
    )
    assert result.estimate == pytest.approx(-0.25, abs=1e-9)
    assert result.upper - result.lower < 1e-6
    assert result.effective_sample_size == pytest.approx(50)


def test_steps_are_added_until_the_bracket_is_narrow():
    model = energy_net(4, size=6.0)
    states = model.base.sample(200, generator=seeded())
    result, _ = log_partition_as_needed(
        model, states, n_chains=200, step_size=1.0, generator=seeded(1)
    )
    coarse = estimate(model, 1, n_steps=0, n_chains=200)
    assert result.upper - result.lower < 0.25 < coarse.upper - coarse.lower
    assert result.lower <= log_z(model) <= result.upper
