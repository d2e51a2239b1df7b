"""Parallel tempering as an objective, against enumerated gradients and laws."""

import copy

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm.test_contrastive_divergence import (
    N_CHAINS,
    ascent,
    assert_means,
    chains_from,
    data_rows,
    distance,
    p_data,
    training_step_of,
)
from rbm_helpers import module_of
from scipy import stats

from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._trajectory import Trajectory
from skgen.training import Batch

BASE = np.array([0.5, -0.5, 1.0, 0.0])


@pytest.fixture
def oracle():
    return EnumeratedRBM.random(4, 3, seed=5, scale=2.0)


def tempered(oracle, beta):
    W, c, b = oracle.params
    return EnumeratedRBM(beta * W, beta * c, (1 - beta) * BASE + beta * b)


def in_equilibrium(oracles, n_chains):
    return torch.stack([chains_from(o, o.p_h, n_chains) for o in oracles])


@pytest.mark.parametrize("k", [1, 2])
def test_gradient_in_equilibrium_is_that_of_the_likelihood(oracle, generator, k):
    chains = in_equilibrium([tempered(oracle, b) for b in (0, 0.5, 1)], N_CHAINS)
    objective = ParallelTempering(
        chains, None, None, base_bias=torch.tensor(BASE), n_steps=k
    )
    got = ascent(module_of(oracle), objective, data_rows(oracle, 50), generator)
    exact = oracle.gradient(p_data(oracle))
    assert_means(got, exact)
    # Chains of the replica below would be seen, and so would no chains at all.
    wrong = tempered(oracle, 0.5)
    assert distance(oracle.gradient(p_data(oracle), np.exp(wrong.log_p_v)), exact) > 50


def test_every_replica_keeps_its_law(oracle, generator):
    """Ten updates at learning rate 0, chi-square over hidden states."""
    betas = (0, 1 / 3, 2 / 3, 1)
    chains = in_equilibrium([tempered(oracle, b) for b in betas], N_CHAINS)
    objective = ParallelTempering(
        chains, None, None, base_bias=torch.tensor(BASE), n_steps=1
    )
    for _ in range(10):
        ascent(module_of(oracle), objective, data_rows(oracle, 5), generator)
    for beta, h in zip(betas, objective.chains, strict=True):
        exact = tempered(oracle, beta)
        index = (h.numpy() @ [4, 2, 1]).astype(int)
        counts = np.bincount(index, minlength=8)
        assert stats.chisquare(counts, exact.p_h * N_CHAINS).pvalue > 1e-3


def test_chains_cross_between_modes(generator):
    """Two far modes: persistent chains of the model alone never leave theirs."""
    n, weight = 12, 8.0
    softplus = np.logaddexp(0, [weight / 2, -weight / 2])
    oracle = EnumeratedRBM(
        np.full((1, n), weight),
        [-n * (softplus[0] - softplus[1])],
        np.full(n, -weight / 2),
    )
    model = module_of(oracle)
    chains = torch.zeros(8, 500, 1, dtype=torch.float64)
    base_bias = torch.zeros(n, dtype=torch.float64)
    objective = ParallelTempering(chains, None, None, base_bias=base_bias, n_steps=1)
    rows = torch.zeros(1, n, dtype=torch.float64)
    for _ in range(300):
        ascent(model, objective, rows, generator)
    on = int(objective.chains[-1].sum())
    assert stats.binomtest(on, 500, 0.5).pvalue > 1e-3


def test_trajectory_is_a_ladder(oracle, generator):
    """A replica of another model: the gradient is still that of the trained one."""
    past = EnumeratedRBM.random(4, 3, seed=6, scale=0.5)
    chains = in_equilibrium([past, oracle], N_CHAINS)
    trajectory = Trajectory([module_of(past)])
    objective = ParallelTempering(
        chains,
        None,
        None,
        base_bias=torch.tensor(BASE),
        n_steps=1,
        trajectory=trajectory,
    )
    got = ascent(module_of(oracle), objective, data_rows(oracle, 50), generator)
    assert_means(got, oracle.gradient(p_data(oracle)))


def test_a_model_that_is_kept_gets_chains(oracle, generator):
    model = module_of(oracle)
    trajectory = Trajectory([copy.deepcopy(model)])
    objective = ParallelTempering(
        torch.zeros(2, 50, 3, dtype=torch.float64),
        None,
        None,
        base_bias=torch.tensor(BASE),
        trajectory=trajectory,
    )
    with torch.no_grad():
        model.weight.mul_(-3)
    for _ in range(2):
        ascent(model, objective, data_rows(oracle, 5), generator)
        assert len(objective.chains) == len(trajectory.models) + 1
    assert len(trajectory.models) > 1


def test_one_step_in_place_is_one_of_sgd(oracle):
    """`training_step` and `fill_gradients_` with the same noise."""
    chains = in_equilibrium([tempered(oracle, b) for b in (0, 1)], 20)
    after = []
    for in_place in (True, False):
        model = module_of(oracle)
        objective = ParallelTempering(
            chains.clone(), None, None, base_bias=torch.tensor(BASE)
        )
        generator = torch.Generator().manual_seed(3)
        rows = data_rows(oracle, 10)
        with torch.no_grad():
            if in_place:
                step = training_step_of(model, generator, lr=0.1)
                objective.training_step(model, Batch(rows), step)
                assert all(p.grad is None for p in model.parameters())
            else:
                objective.fill_gradients_(model, Batch(rows), generator=generator)
                for p in model.parameters():
                    p -= 0.1 * p.grad
        after.append(copy.deepcopy(model))
    for a, b in zip(after[0].parameters(), after[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)
