"""The law of the Gibbs sampler against the enumerated transition kernel.

N draws are compared with the exact law by chi-square at level 1e-3. Power: two
wrong samplers, a conditional 10 % too steep and a step that forgets to draw h,
have noncentralities at which the test rejects with probability > 0.999, and do
fail.
"""

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of
from scipy import stats

from skgen.sampling import clamped_mean, gibbs

N = 200_000
ALPHA = 1e-3


class TooSteep:
    """A wrong model: conditionals of 1.1 times the inputs."""

    def __init__(self, model):
        self.model = model
        self.visible, self.hidden = model.visible, model.hidden

    def hidden_mean(self, v):
        return torch.sigmoid(1.1 * torch.logit(self.model.hidden_mean(v)))

    def visible_mean(self, h):
        return torch.sigmoid(1.1 * torch.logit(self.model.visible_mean(h)))


class MeanField(TooSteep):
    """A wrong model: v is drawn given the mean of h instead of a draw of it."""

    def hidden_mean(self, v):
        self.mean = self.model.hidden_mean(v)
        return self.mean.clone()

    def visible_mean(self, h):
        return self.model.visible_mean(self.mean)


@pytest.fixture
def oracle():
    return EnumeratedRBM.random(4, 3, seed=2, scale=1.5)


def p_value(oracle, model, start, k, generator):
    v = torch.tensor(oracle.V[start]).repeat(N, 1)
    with torch.no_grad():
        end = gibbs(model, v, k, generator=generator).numpy()
    counts = np.bincount(oracle.index(end), minlength=len(oracle.V))
    law = np.linalg.matrix_power(oracle.transition, k)[start]
    return stats.chisquare(counts, law * N).pvalue


@pytest.mark.parametrize("k", [1, 2, 30])
@pytest.mark.parametrize("start", [0, 6])
def test_law_of_k_steps(oracle, generator, start, k):
    assert p_value(oracle, module_of(oracle), start, k, generator) > ALPHA


@pytest.mark.parametrize("wrong", [TooSteep, MeanField])
def test_a_wrong_sampler_is_rejected(oracle, generator, wrong):
    assert p_value(oracle, wrong(module_of(oracle)), 6, 2, generator) < 1e-12


def test_power(oracle):
    """The probability to reject the kernel of weights 10 % too large."""
    W, c, b = oracle.params
    law = oracle.transition[6]
    wrong = EnumeratedRBM(1.1 * W, 1.1 * c, 1.1 * b).transition[6]
    noncentrality = N * np.sum((wrong - law) ** 2 / law)
    threshold = stats.chi2.isf(ALPHA, len(law) - 1)
    assert stats.ncx2.sf(threshold, len(law) - 1, noncentrality) > 0.999


def test_no_step_returns_the_start(oracle, generator):
    v = torch.tensor(oracle.V)
    assert torch.equal(gibbs(module_of(oracle), v, 0, generator=generator), v)


def test_start_is_not_changed(oracle, generator):
    v = torch.tensor(oracle.V)
    before = v.clone()
    with torch.no_grad():
        gibbs(module_of(oracle), v, 3, generator=generator)
    assert torch.equal(v, before)


CLAMPED = torch.tensor([True, False, True, False])


def conditional(oracle, start):
    """Exact law of the states that agree with `start` on what is clamped."""
    agree = (oracle.V[:, CLAMPED] == oracle.V[start][CLAMPED]).all(axis=1)
    p = np.where(agree, np.exp(oracle.log_p_v), 0)
    return p / p.sum()


def test_law_with_units_clamped(oracle, generator):
    v = torch.tensor(oracle.V[6]).repeat(N, 1)
    with torch.no_grad():
        end = gibbs(
            module_of(oracle), v, 30, generator=generator, clamped=CLAMPED.expand(N, 4)
        ).numpy()
    law = conditional(oracle, 6)
    counts = np.bincount(oracle.index(end), minlength=16)
    assert counts[law == 0].sum() == 0
    assert stats.chisquare(counts[law > 0], law[law > 0] * N).pvalue > ALPHA
    # Unclamped chains have another law of these units: the test can fail.
    free = np.exp(oracle.log_p_v)[law > 0]
    assert stats.chisquare(counts[law > 0], free / free.sum() * N).pvalue > ALPHA
    everywhere = np.exp(oracle.log_p_v).reshape(2, 2, 2, 2).sum((0, 2)).ravel()
    assert stats.chisquare(counts[law > 0], everywhere * N).pvalue < 1e-12


def test_mean_with_units_clamped(oracle, generator):
    n_chains = 2000
    v = torch.tensor(oracle.V[6]).repeat(n_chains, 1)
    with torch.no_grad():
        mean = clamped_mean(
            module_of(oracle),
            v,
            200,
            generator=generator,
            clamped=CLAMPED.expand(n_chains, 4),
        ).numpy()
    exact = conditional(oracle, 6) @ oracle.V
    error = mean.std(axis=0) / np.sqrt(n_chains)
    np.testing.assert_array_equal(mean[:, CLAMPED], v[:, CLAMPED])
    assert (np.abs(mean.mean(axis=0) - exact) <= 4.5 * error + 1e-12).all()
    assert (error[~CLAMPED] < 0.005).all()
    # Power: the mean without clamping is far off.
    free = np.exp(oracle.log_p_v) @ oracle.V
    assert (np.abs(free - exact)[~CLAMPED] > 20 * error[~CLAMPED]).any()


def test_mean_of_one_step_and_of_odd_numbers(oracle, generator):
    v = torch.tensor(oracle.V)
    for n_steps in (1, 2, 3):
        with torch.no_grad():
            mean = clamped_mean(
                module_of(oracle),
                v,
                n_steps,
                generator=generator,
                clamped=torch.zeros_like(v, dtype=torch.bool),
            )
        assert ((mean > 0) & (mean < 1)).all()
