"""Metropolis-Hastings against its enumerated transition kernel, by chi-square."""

import numpy as np
import pytest
import torch
from oracles import all_states
from scipy import stats

from skgen.sampling import flip_one_bit, metropolis_hastings

N = 200_000
ALPHA = 1e-3
STATES = all_states(3)
ENERGY = np.array([0.3, -1.0, 2.0, 0.0, 0.7, -0.4, 1.1, 0.2])
INDEX = torch.tensor([4.0, 2.0, 1.0])


def energy(v):
    return torch.tensor(ENERGY)[(v.double() @ INDEX.double()).long()]


def flip_kernel():
    """Kernel of one step: a random bit, flipped with probability min(1, e^-dE)."""
    kernel = np.zeros((8, 8))
    for i, state in enumerate(STATES):
        for bit in range(3):
            j = i ^ (4 >> bit)
            kernel[i, j] = min(1, np.exp(ENERGY[i] - ENERGY[j])) / 3
        kernel[i, i] = 1 - kernel[i].sum()
        assert state.shape == (3,)
    return kernel


def biased_proposal(v, generator):
    """Independent bits that are 1 with probability 0.8, whatever v is."""
    new = (torch.rand(v.shape, generator=generator, dtype=v.dtype) < 0.8).to(v.dtype)

    def log_q(v):
        return torch.where(v == 1, np.log(0.8), np.log(0.2)).sum(1)

    return new, log_q(v) - log_q(new)


def biased_kernel():
    q = np.prod(np.where(STATES == 1, 0.8, 0.2), axis=1)
    p = np.exp(-ENERGY)
    kernel = q * np.minimum(1, p[None] * q[:, None] / (p[:, None] * q[None]))
    return kernel + np.diag(1 - kernel.sum(1))


def p_value(kernel, start, k, generator, **kwargs):
    v = torch.tensor(STATES[start]).repeat(N, 1)
    end = metropolis_hastings(energy, v, k, generator=generator, **kwargs)
    counts = np.bincount((end @ INDEX.double()).long().numpy(), minlength=8)
    law = np.linalg.matrix_power(kernel, k)[start]
    seen = law > 0
    assert counts[~seen].sum() == 0
    return stats.chisquare(counts[seen], law[seen] * N).pvalue


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("start", [0, 2])
def test_law_of_k_flips(generator, start, k):
    assert p_value(flip_kernel(), start, k, generator) > ALPHA


@pytest.mark.parametrize("k", [1, 4])
def test_law_with_a_proposal_that_is_not_symmetric(generator, k):
    kernel = biased_kernel()
    p = np.exp(-ENERGY) / np.exp(-ENERGY).sum()
    np.testing.assert_allclose(p @ kernel, p)
    assert p_value(kernel, 2, k, generator, propose=biased_proposal) > ALPHA


def test_without_the_ratio_of_proposals_it_is_rejected(generator):
    def wrong(v, generator):
        return biased_proposal(v, generator)[0], 0.0

    assert p_value(biased_kernel(), 2, 4, generator, propose=wrong) < 1e-12


def test_the_wrong_temperature_is_rejected(generator):
    """Power: energies 5 % too large are told apart."""
    v = torch.tensor(STATES[2]).repeat(N, 1)
    end = metropolis_hastings(lambda v: 1.05 * energy(v), v, 40, generator=generator)
    counts = np.bincount((end @ INDEX.double()).long().numpy(), minlength=8)
    law = np.linalg.matrix_power(flip_kernel(), 40)[2]
    assert stats.chisquare(counts, law * N).pvalue < 1e-6


def test_start_is_not_changed_and_no_step_returns_it(generator):
    v = torch.tensor(STATES)
    before = v.clone()
    metropolis_hastings(energy, v, 3, generator=generator)
    assert torch.equal(v, before)
    assert torch.equal(metropolis_hastings(energy, v, 0, generator=generator), v)


def test_flip_is_of_one_bit(generator):
    v = torch.tensor(STATES)
    new, log_ratio = flip_one_bit(v, generator)
    assert log_ratio == 0
    assert ((new - v).abs().sum(1) == 1).all()


def test_states_of_any_shape(generator):
    """Spins on a lattice, and an energy of them: all that is asked for."""
    spins = torch.ones(5, 4, 4)

    def flip(spins, generator):
        site = torch.randint(16, (len(spins), 1), generator=generator)
        flat = spins.flatten(1)
        return flat.scatter(1, site, -flat.gather(1, site)).view_as(spins), 0.0

    def ising(spins):
        return -sum((spins * spins.roll(1, d)).sum((1, 2)) for d in (1, 2)) / 5

    end = metropolis_hastings(ising, spins, 50, generator=generator, propose=flip)
    assert end.shape == spins.shape
    assert set(end.unique().tolist()) == {-1, 1}
