"""What the losses of a training say of its end, on curves that are known."""

import numpy as np
import pytest

from skgen.training._convergence import _noise, convergence_problem

RNG = np.random.RandomState(0)
NOISE = {n: RNG.normal(size=n) for n in (2, 10, 60, 200, 1000)}


def decay(n, times, start=10.0, noise=0.0):
    """An exponential decay of so many times its time constant, from start to 1."""
    curve = 1 + (start - 1) * np.exp(-times * np.arange(n) / n)
    return curve + noise * NOISE[n]


@pytest.mark.parametrize("n", [60, 200, 1000])
@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("offset", [0.0, -100.0, 1e4])
def test_a_loss_that_still_falls(n, noise, offset):
    problem = convergence_problem(offset + decay(n, 2.0, noise=noise))
    assert "train_loss still fell, by" in problem
    assert f"after {n} epochs" in problem
    assert "Increase n_iter" in problem
    assert convergence_problem(offset + decay(n, 6.0, noise=noise)) is None


def test_figures_are_those_of_the_second_half():
    problem = convergence_problem(100.0 - np.arange(100))
    assert "by 50 nats per row in the last 50 epochs, to 5.5." in problem


def test_a_falling_learning_rate_takes_the_loss_with_it():
    """A third of the fall in the second half is no sign then, and two thirds are."""
    for share, clear in ((0.3, False), (0.6, True)):
        half = np.full(50, (1 - share) / 50), np.full(50, share / 50)
        losses = 10 - 5 * np.cumsum(np.concatenate(half))
        assert convergence_problem(losses) is not None
        assert (convergence_problem(losses, schedule="linear") is not None) == clear


@pytest.mark.parametrize("n", [60, 200, 1000])
@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_fall(n, seed):
    """Of a training whose loss has nothing left to fall, at any size of its noise."""
    noise = np.random.RandomState(seed).normal(size=n)
    for scale in (1e-6, 0.1, 10.0):
        assert convergence_problem(3.0 + scale * noise) is None


def test_a_few_epochs_are_not_told_to_be_more():
    """That they are few is what the user asked for."""
    assert convergence_problem(decay(60, 2.0)[:49]) is None
    assert convergence_problem(decay(60, 2.0)[:50]) is not None
    assert convergence_problem([3.0]) is None
    assert convergence_problem([]) is None


@pytest.mark.parametrize(
    "losses",
    [
        [10.0, 1.2e6],
        [10.0, 8.0, 50.0],
        [10.0, *np.linspace(5.0, 30.0, 20)],
        [-40.0, *np.linspace(-45.0, 3.0, 100)],
        10 + np.arange(100) + NOISE[1000][:100],
        # Calm in the end, whatever there was before.
        [10.0, *(15 + 10 * NOISE[60]), *np.full(25, 30.0)],
    ],
)
def test_an_end_above_the_start(losses):
    problem = convergence_problem(losses)
    assert f"train_loss of {losses[-1]:.6g} nats per row" in problem
    assert f"above the {losses[0]:.6g} of its first epoch" in problem
    assert "Lower learning_rate" in problem


@pytest.mark.parametrize(
    "losses",
    [
        [10.0, 10.5],
        [10.0, 2.0, 10.6],
        [0.01, 0.05, 0.03],
        5.0 + NOISE[10],
        [4.0, 4.1, 4.2, 4.1, 4.3],
        [np.inf, 3.0],
        [1.0, np.nan, 1e6],
        [1.0, 0.5, np.inf],
        # A tenth of the loss, of one nat, or of the fall in between.
        [-1000.0, *np.linspace(-1010.0, -950.0, 50)],
        [0.0, *np.linspace(0.0, 0.09, 50)],
        [1.0, *np.linspace(-1000.0, 50.0, 20)],
    ],
)
def test_an_end_that_is_not_clearly_above_the_start(losses):
    assert convergence_problem(losses) is None


@pytest.mark.parametrize("n", [8, 12, 30, 60])
def test_noise_is_hardly_ever_a_rise(n):
    """Of few epochs, too: in 1 % of trainings the last ones are too calm by chance."""
    noise = np.random.RandomState(0).normal(size=(500, n))
    problems = [convergence_problem(3.0 + 10.0 * each) for each in noise]
    assert sum(problem is not None for problem in problems) <= 10


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_the_noise_of_losses(scale):
    """Its standard deviation, about any smooth curve, and however steep at first."""
    noise = scale * NOISE[1000]
    curves = 0 * noise, np.linspace(50.0, 0.0, 1000), decay(1000, 5.0)
    steep = np.where(np.arange(1000) < 100, 1e3 * scale * 0.8 ** np.arange(1000), 0)
    for curve in (*curves, steep):
        assert _noise(curve + noise) == pytest.approx(scale, rel=0.1)
    assert _noise(np.array([1.0, 5.0, 2.0])) == 0
