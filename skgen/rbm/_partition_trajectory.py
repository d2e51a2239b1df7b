"""Partition functions along the trajectory of a training."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from skgen.likelihood._estimate import LogPartition
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._scaled import TemperedRBM, between, log_partition_of_bits
from skgen.sampling import bernoulli, climb, exchange_, move_, tempering


def trajectory_lines(
    machines: Sequence[BernoulliRBM], base_bias: Tensor
) -> list[Callable[[float], Any]]:
    """Straight lines from independent bits through machines kept in training.

    Parameters
    ----------
    machines : sequence of BernoulliRBM
        Machines, the first with weak couplings; the last is the one of interest.
    base_bias : Tensor of shape (n_visible,)
        Fields of the independent bits.

    Returns
    -------
    lines : list of callables
        As `skgen.sampling.climb` takes them.
    """
    first = [partial(TemperedRBM, machines[0], base_bias)]
    return first + [partial(between, *pair) for pair in pairwise(machines)]


def log_partition_trajectory(
    machines: Sequence[BernoulliRBM],
    base_bias: Tensor,
    *,
    n_chains: int,
    n_steps: int,
    generator: torch.Generator,
) -> LogPartition:
    """Estimate log Z by adding up ratios along the trajectory of a training.

    Replica exchange runs on the ladder of `machines`, refined where neighbours
    differ too much, from independent bits, whose partition function is known. Each
    step of the ladder has its ratio by `bennett`, from the second half of the
    steps (Béreux et al., 2024).

    Parameters
    ----------
    machines : sequence of BernoulliRBM
        Machines kept in training; the last is the one of interest.
    base_bias : Tensor of shape (n_visible,)
        Fields of the independent bits where the ladder starts.
    n_chains : int
        Number of independent chains at each rung, at least 2.
    n_steps : int
        Number of steps of replica exchange, half of which are for burn-in.
    generator : torch.Generator
        Source of randomness, on the device of the machines.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    """
    start = base_bias.expand(n_chains, -1)
    v = bernoulli(torch.sigmoid(start), generator=generator)
    lines = trajectory_lines(machines, base_bias)
    models, states = climb(lines, v, generator=generator)
    n_pairs = len(models) - 1
    n_draws = max(1, n_steps // 4)
    states = tempering(models, states, n_steps - 2 * n_draws, generator=generator)
    up, down = torch.empty(
        2, n_pairs, n_draws, n_chains, dtype=torch.float64, device=v.device
    )
    for k in range(n_draws):
        for first in range(2):
            move_(models, states, generator=generator)
            found = exchange_(models, states, first, generator=generator)
            # Log weights are differences of -F.
            up[first::2, k], down[first::2, k] = -found.up, -found.down
    log_z0 = log_partition_of_bits(models[0]).item()
    return LogPartition.bracket(log_z0, up, down, method="trajectory")
