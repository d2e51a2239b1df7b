"""The noise process against the definition of its angles."""

import numpy as np
import pytest
import torch
from diffusion_helpers import correlated

from skgen.diffusion import NoiseProcess
from skgen.diffusion._model import corrupt

T = torch.tensor([2e-3, 0.1, 0.7, 1.5, np.pi / 2], dtype=torch.float64)


@pytest.fixture
def process():
    variance, basis = np.linalg.eigh(correlated(4))
    return NoiseProcess(
        torch.from_numpy(np.sqrt(variance)), torch.from_numpy(basis), t_min=2e-3
    )


def test_white_rows(process):
    x = torch.from_numpy(np.random.RandomState(0).standard_normal((6, 4)))
    xi = process.whiten(x)
    torch.testing.assert_close(process.unwhiten(xi), x)
    root = torch.linalg.cholesky(torch.from_numpy(correlated(4)))
    white = process.whiten(root.T)
    torch.testing.assert_close(white.T @ white, torch.eye(4, dtype=torch.float64))


def test_rotation_by_angles_is_noise_of_one_size(process, generator):
    """y of the angles is u = cos t x + sin t z, divided by its standard deviations."""
    x, z = torch.randn(2, len(T), 4, generator=generator, dtype=torch.float64)
    now = process.at(T)
    u = T.cos()[:, None] * x + T.sin()[:, None] * z
    variances = T.cos()[:, None] ** 2 * process.spread**2 + T.sin()[:, None] ** 2
    y, target = corrupt(process.whiten(x), z @ process.basis, now)
    torch.testing.assert_close(y, u @ process.basis / variances.sqrt())
    torch.testing.assert_close(now.norm, variances.sqrt())
    # Of y and g follow both data and noise.
    xi = now.cos * y + now.sin * target
    torch.testing.assert_close(xi, process.whiten(x))
    torch.testing.assert_close(now.sin * y - now.cos * target, z @ process.basis)


def test_weights_are_speeds_of_the_angles(process):
    step = 1e-6
    now, near = process.at(T[1:4]), process.at(T[1:4] + step)
    speed = (near.angle - now.angle) / step
    expected = speed / speed.mean(1, keepdim=True)
    torch.testing.assert_close(now.weight, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(now.phase, 2 / np.pi * now.angle.mean(1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_times_are_even_in_the_mean_angle(process, dtype):
    process = process.to(dtype)
    share = torch.linspace(0, 1, 300, dtype=dtype)
    t = process.times(share)
    assert t.dtype == dtype
    assert t[0] == pytest.approx(2e-3, rel=1e-5)
    assert t[-1] == pytest.approx(np.pi / 2, rel=1e-6)
    phase = process.at(t).phase
    got = (phase - phase[0]) / (phase[-1] - phase[0])
    torch.testing.assert_close(got, share, rtol=0, atol=1e-5)


def _drawn(process, n_draws, *, closer, dtype=torch.float64, seed=0):
    like = torch.zeros((), dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    return process.draw(n_draws, closer=closer, like=like, generator=generator)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_draws_are_described_as_their_times(process, dtype):
    got, _ = _drawn(process.to(dtype), 300, closer=1.5, dtype=dtype)
    expected = process.at(got.t)
    bounds = {"rtol": 1e-5, "atol": 1e-6}
    for name in (*expected._fields, "angle", "norm"):
        torch.testing.assert_close(
            getattr(got, name), getattr(expected, name), **bounds
        )


@pytest.mark.parametrize("closer", [1.0, 2.0])
@pytest.mark.parametrize("n_draws", [1, 7, 256, 8192, 20_000])
def test_draws_have_one_time_in_each_part_of_the_range(process, n_draws, closer):
    now, slope = _drawn(process, n_draws, closer=closer)
    phases = process.at(process.times(torch.tensor([0.0, 1.0]).double())).phase
    share = (now.phase - phases[0]) / (phases[1] - phases[0])
    even = share.clamp(min=0).pow(1 / closer)
    at = even.sort().values * n_draws
    # As exact as one of 8192 quantiles, and as the table that times are found by.
    bounds = torch.arange(n_draws).double()
    slack = n_draws / 8192 + n_draws * 1e-3
    assert (at > bounds - slack).all()
    assert (at < bounds + 1 + slack).all()
    torch.testing.assert_close(slope, closer * even ** (closer - 1), rtol=0.01, atol=0)
    if n_draws > 7:
        rank_correlation = np.corrcoef(even.argsort().argsort(), range(n_draws))[0, 1]
        assert abs(rank_correlation) < 4 / n_draws**0.5


@pytest.mark.parametrize("closer", [1.5, 2.0])
def test_slopes_of_draws_turn_means_into_integrals_over_the_range(process, closer):
    # The mean over even shares of the mean angle is the middle of its range.
    middle = process.at(process.times(torch.tensor([0.0, 1.0]).double())).phase.mean()
    draws = [_drawn(process, 16, closer=closer, seed=seed) for seed in range(50)]
    means = np.array([(now.phase * slope).mean().item() for now, slope in draws])
    error = means.std() / 50**0.5
    assert abs(means.mean() - middle.item()) < 4 * error
    without_slopes = np.mean([now.phase.mean().item() for now, _ in draws])
    assert abs(without_slopes - middle.item()) > 10 * error


def test_gain_is_the_angle_when_small_and_one_when_large(process):
    now = process.at(torch.tensor([1e-7, 1.57], dtype=torch.float64))
    torch.testing.assert_close(now.gain[0], now.sin[0] / 0.05)
    torch.testing.assert_close(now.gain[1], torch.ones(4).double(), rtol=2e-3, atol=0)
