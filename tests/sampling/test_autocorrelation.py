"""Autocorrelation times against processes that have them in closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from skgen.sampling import integrated_autocorrelation_time


def autoregressive(phi, n_steps, n_chains, seed=0):
    """x_t = phi x_{t-1} + noise, stationary; tau = (1 + phi) / (1 - phi)."""
    noise = np.random.RandomState(seed).normal(size=(n_steps + 1000, n_chains))
    return torch.tensor(lfilter([1], [1, -phi], noise, axis=0)[1000:])


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_autoregressive_process(phi):
    tau = integrated_autocorrelation_time(autoregressive(phi, 4000, 50))
    assert tau == pytest.approx((1 + phi) / (1 - phi), rel=0.06)


def test_two_states():
    """Flips with probability 0.1: rho(t) = 0.8^t, tau = 9."""
    flips = np.random.RandomState(0).uniform(size=(5000, 40)) < 0.1
    x = torch.tensor(np.cumsum(flips, axis=0) % 2)
    assert integrated_autocorrelation_time(x) == pytest.approx(9, rel=0.06)


def test_units_of_the_observable_do_not_matter():
    x = autoregressive(0.5, 500, 5)
    tau = integrated_autocorrelation_time(x)
    assert integrated_autocorrelation_time(3 * x - 7) == pytest.approx(tau)


def test_chains_that_stay_apart_are_slow():
    x = autoregressive(0.5, 500, 5)
    apart = x + 20 * torch.arange(5)
    assert integrated_autocorrelation_time(apart) > 100


def test_an_observable_that_does_not_vary():
    assert math.isnan(integrated_autocorrelation_time(torch.ones(50, 3)))
