"""The partition function of an RBM along the trajectory of its training."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from skgen.likelihood._estimate import LogPartition
from skgen.rbm._model import RBM
from skgen.rbm._scaled import TemperedRBM, log_partition_of_independent_units
from skgen.rbm._units import Units, draw_independent
from skgen.sampling import build_ladder, move_replicas_, swap_neighbours_, tempering


def trajectory_paths(
    models: Sequence[RBM], base: Units
) -> list[Callable[[float], Any]]:
    """Make paths from independent units through models kept in training.

    Parameters
    ----------
    models : sequence of RBM
        Models, the first with weak interactions; the last is the one of interest.
    base : Units
        Visible units where the first path begins.

    Returns
    -------
    paths : list of callables
        As `skgen.sampling.build_ladder` takes them.
    """
    first = [partial(TemperedRBM, models[0], base)]
    return first + [partial(a.interpolate, b) for a, b in pairwise(models)]


def log_partition_trajectory(
    models: Sequence[RBM],
    base: Units,
    *,
    n_chains: int,
    n_steps: int,
    generator: torch.Generator,
) -> LogPartition:
    """Estimate log Z by adding up ratios along the trajectory of a training.

    Replica exchange runs on the ladder of `models`, refined where neighbours
    differ too much, from independent units, whose partition function is known. The
    ratio of each pair of neighbours is Bennett's, from the second half of the steps
    (Béreux et al., 2025).

    Parameters
    ----------
    models : sequence of RBM
        Models kept in training; the last is the one of interest.
    base : Units
        Visible units where the ladder starts.
    n_chains : int
        Number of independent chains at each model, at least 2.
    n_steps : int
        Number of steps of replica exchange, half of which are for burn-in.
    generator : torch.Generator
        Source of randomness, on the device of the models.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    """
    v = draw_independent(base, n_chains, generator=generator)
    ladder, states = build_ladder(
        trajectory_paths(models, base), v, generator=generator
    )
    n_pairs = len(ladder) - 1
    n_draws = max(1, n_steps // 4)
    states = tempering(ladder, states, n_steps - 2 * n_draws, generator=generator)
    up, down = torch.empty(
        2, n_pairs, n_draws, n_chains, dtype=torch.float64, device=v.device
    )
    for k in range(n_draws):
        for first in range(2):
            move_replicas_(ladder, states, generator=generator)
            found = swap_neighbours_(ladder, states, first, generator=generator)
            # Log weights are differences of -F.
            up[first::2, k], down[first::2, k] = -found.up, -found.down
    log_z0 = log_partition_of_independent_units(ladder[0])
    return LogPartition.bracket(log_z0, up, down, method="trajectory")
