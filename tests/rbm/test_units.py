"""Binary units against enumeration."""

import numpy as np
import pytest
import torch
from oracles import all_states
from scipy import stats
from scipy.special import expit, logsumexp

from skgen.rbm._units import BernoulliUnits, draw_independent
from skgen.sampling import RandomBits

BIASES = np.array([-1.5, 0.0, 0.3, 2.0])
OTHER_BIASES = np.array([0.5, -1.0, 0.3, 3.0])
# The softplus of torch 2.6 has an error of this size.
LEAST = 1e-16 if torch.__version__.startswith("2.6.") else 0
INPUTS = np.array([[-30.0, -1.0, 0.0, 0.5], [2.0, 20.5, -0.25, 700.0]])
STATES = np.array([0.0, 1.0])


@pytest.fixture
def units():
    return BernoulliUnits(torch.tensor(BIASES))


@pytest.fixture
def others():
    return BernoulliUnits(torch.tensor(OTHER_BIASES))


def weights_of_states(inputs):
    """Log weights x u of both states, on a new last axis."""
    return np.asarray(inputs)[..., None] * STATES


def test_energy(units):
    u = all_states(4)
    expected = [-sum(b * s for b, s in zip(BIASES, row, strict=True)) for row in u]
    np.testing.assert_allclose(units.energy(torch.tensor(u)), expected, atol=1e-14)


def test_energy_difference(units, others):
    u = torch.tensor(all_states(4))
    expected = units.energy(u) - others.energy(u)
    got = units.energy_difference(others, u)
    np.testing.assert_allclose(got, expected, atol=1e-14)
    np.testing.assert_allclose(others.energy_difference(units, u), -expected)


def test_energy_difference_of_close_biases_is_exact():
    """In float32, where the difference of two energies would be 0 or far off."""
    bias = torch.full((100,), 1.0)
    step = 2.0**-23
    u = torch.ones(1, 100)
    one, other = BernoulliUnits(bias), BernoulliUnits(bias + step)
    assert one.energy_difference(other, u).item() == 100 * step
    assert (one.energy(u) - other.energy(u)).item() != 100 * step


def test_log_partition(units):
    got = units.log_partition(torch.tensor(INPUTS)).numpy()
    assert got.shape == INPUTS.shape
    np.testing.assert_allclose(
        got, logsumexp(weights_of_states(INPUTS), axis=-1), rtol=1e-14, atol=LEAST
    )


def test_log_partition_is_that_of_energies(units):
    """The input of the other layer is the total input without the bias."""
    total = np.zeros_like(INPUTS)
    for i, j in np.ndindex(INPUTS.shape):
        states = np.zeros((2, 4))
        states[1, j] = 1
        energies = units.energy(torch.tensor(states)).numpy()
        coupled = units.coupled(torch.tensor(states)).numpy()[:, j]
        total[i, j] = logsumexp(-energies + (INPUTS[i, j] - BIASES[j]) * coupled)
    got = units.log_partition(torch.tensor(INPUTS))
    np.testing.assert_allclose(got, total, rtol=1e-12, atol=LEAST)


def test_mean_is_in_place(units):
    weights = weights_of_states(INPUTS)
    p = np.exp(weights - logsumexp(weights, axis=-1, keepdims=True))
    inputs = torch.tensor(INPUTS)
    got = units.mean_(inputs)
    assert got is inputs
    np.testing.assert_allclose(got, p @ STATES, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("source", ["generator", "bits"])
@pytest.mark.parametrize("out", ["new", "other", "mean"])
def test_sample(units, generator, source, out):
    """Joint states of three units, chi-square; wrong means are rejected."""
    p = np.array([0.1, 0.5, 0.8])
    mean = torch.tensor(p).repeat(20_000, 1)
    into = {"new": None, "other": torch.empty_like(mean), "mean": mean}[out]
    noise = generator if source == "generator" else RandomBits(generator)
    got = units.sample(mean, generator=noise, out=into)
    assert into is None or got is into
    assert got.dtype == mean.dtype
    counts = np.bincount((got.numpy() @ [4, 2, 1]).astype(int), minlength=8)
    assert counts.sum() == 20_000

    def pvalue(p):
        law = np.prod(np.where(all_states(3) == 1, p, 1 - p), axis=1)
        return stats.chisquare(counts, 20_000 * law).pvalue

    assert pvalue(p) > 1e-3
    assert pvalue(p + np.array([0.03, 0, 0])) < 1e-6
    # Inputs that were not turned into means would be seen.
    assert pvalue(expit(p)) < 1e-6


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_interpolation_is_of_energies(units, others, t):
    u = torch.tensor(all_states(4))
    middle = units.interpolate(others, t)
    assert isinstance(middle, BernoulliUnits)
    expected = (1 - t) * units.energy(u) + t * others.energy(u)
    np.testing.assert_allclose(middle.energy(u), expected, atol=1e-14)
    # Those at the ends stay what they were.
    np.testing.assert_array_equal(units.bias, BIASES)
    np.testing.assert_array_equal(others.bias, OTHER_BIASES)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_scaled(units, beta):
    u = torch.tensor(all_states(4))
    got = units.scaled(beta)
    assert isinstance(got, BernoulliUnits)
    np.testing.assert_allclose(got.energy(u), beta * units.energy(u), atol=1e-14)
    np.testing.assert_array_equal(units.bias, BIASES)


def test_with_bias(units, others):
    u = torch.tensor(all_states(4))
    got = units.with_bias(others.bias)
    assert isinstance(got, BernoulliUnits)
    np.testing.assert_array_equal(got.energy(u), others.energy(u))
    np.testing.assert_array_equal(units.bias, BIASES)


def test_bits_are_coupled_as_they_are(units):
    u = torch.tensor(all_states(4))
    np.testing.assert_array_equal(units.coupled(u), u)


def test_draw_independent(units, generator):
    """Against the energies: P(u) is proportional to exp(-U(u))."""
    n = 20_000
    got = draw_independent(units, n, generator=generator).numpy()
    u = all_states(4)
    log_weight = -units.energy(torch.tensor(u)).numpy()
    counts = np.bincount((got @ [8, 4, 2, 1]).astype(int), minlength=16)
    p = np.exp(log_weight - logsumexp(log_weight))
    assert stats.chisquare(counts, n * p).pvalue > 1e-3
    assert stats.chisquare(counts, np.full(16, n / 16)).pvalue < 1e-6
    np.testing.assert_array_equal(units.bias, BIASES)
