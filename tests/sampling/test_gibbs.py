"""The law of the Gibbs sampler against the enumerated transition kernel.

N draws are compared with the exact law by chi-square at level 1e-3. Power: two
wrong samplers, a conditional 10 % too steep and a step that forgets to draw h,
have noncentralities at which the test rejects with probability > 0.999, and do
fail.
"""

import numpy as np
import pytest
import torch
from modules.test_rbm_module import module_of
from oracles import EnumeratedRBM
from scipy import stats

from skgen.sampling import gibbs

N = 200_000
ALPHA = 1e-3


class TooSteep:
    """A wrong model: conditionals of 1.1 times the fields."""

    def __init__(self, model):
        self.model = model

    def hidden_probability(self, v):
        return torch.sigmoid(1.1 * torch.logit(self.model.hidden_probability(v)))

    def visible_probability(self, h):
        return torch.sigmoid(1.1 * torch.logit(self.model.visible_probability(h)))


class MeanField(TooSteep):
    """A wrong model: v is drawn given the mean of h instead of a draw of it."""

    def hidden_probability(self, v):
        self.mean = self.model.hidden_probability(v)
        return self.mean

    def visible_probability(self, h):
        return self.model.visible_probability(self.mean)


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
