"""Samples of an RBM by replica exchange, and states near its modes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skgen.rbm._model import RBM
from skgen.rbm._partition_trajectory import trajectory_paths
from skgen.rbm._units import Units, draw_independent
from skgen.sampling import build_ladder, gibbs, tempering

# Chains that a ladder is built with, and that run on it together.
_CHAINS_A_LADDER = 256
# Gibbs steps that bring chains from random bits into a mode.
_N_QUENCH_STEPS = 50


def sample_by_tempering(
    models: Sequence[Any],
    base: Units,
    v: Tensor,
    n_steps: int,
    *,
    clamped: Tensor | None,
    generator: torch.Generator,
) -> Tensor:
    """Draw samples of the last of several models by replica exchange.

    Parameters
    ----------
    models : sequence of RBM
        Models kept in training, if any, and the one to sample.
    base : Units
        Visible units where the ladder starts.
    v : Tensor of shape (n_samples, n_visible)
        Initial states. Without clamped units only their number and dtype count, as
        the chains then start from draws of the models on the ladder.
    n_steps : int
        Number of steps of replica exchange.
    clamped : Tensor of shape (n_samples, n_visible), dtype=bool, or None
        Units that keep the value that they have in `v`.
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    samples : Tensor of shape (n_samples, n_visible)
        Samples.
    """
    paths = trajectory_paths(models, base)
    if clamped is None:
        n_ladders = -(-len(v) // _CHAINS_A_LADDER)
        parts = [
            tempering(*_ladder(paths, base, generator), n_steps, generator=generator)
            for _ in range(n_ladders)
        ]
        return torch.cat([part[-1] for part in parts])[: len(v)]
    # Resampled chains have no meaning for rows with different known values: all
    # replicas start from the rows.
    ladder, _ = _ladder(paths, base, generator)
    pairs = zip(v.split(_CHAINS_A_LADDER), clamped.split(_CHAINS_A_LADDER), strict=True)
    parts = [
        tempering(
            ladder,
            rows.expand(len(ladder), -1, -1),
            n_steps,
            generator=generator,
            kernel=partial(gibbs, clamped=fixed),
        )
        for rows, fixed in pairs
    ]
    return torch.cat([part[-1] for part in parts])


def states_near_modes(
    model: RBM,
    h: np.ndarray | None,
    start: Units,
    n: int,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Return visible states near the modes of a model, up to n of them.

    Parameters
    ----------
    model : RBM
        The model.
    h : ndarray of shape (..., n_chains, n_hidden) or None
        Hidden states of persistent chains, of which the last are taken. None means
        that chains start from draws of `start`.
    start : Units
        Visible units that are scattered over the states of the model.
    n : int
        Number of states.
    generator : torch.Generator
        Source of randomness, on the device of the model.

    Returns
    -------
    v : Tensor of shape (at most n, n_visible)
        Visible states.
    """
    if h is not None:
        last = torch.tensor(h.reshape(-1, h.shape[-1])[-n:]).to(model.weight)
        return model.visible.sample(model.visible_mean(last), generator=generator)
    v = draw_independent(start, n, generator=generator)
    return gibbs(model, v, _N_QUENCH_STEPS, generator=generator)


def _ladder(
    paths: Sequence[Any], base: Units, generator: torch.Generator
) -> tuple[list[Any], Tensor]:
    v = draw_independent(base, _CHAINS_A_LADDER, generator=generator)
    return build_ladder(paths, v, generator=generator)
