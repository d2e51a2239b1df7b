"""What is missing of rows, given the rest."""

from itertools import pairwise

import torch
from torch import Tensor

from skgen.diffusion._flow import instants
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._process import Instant
from skgen.diffusion._samplers import normal_like, step_back, transition


def draw_missing(
    model: DiffusionNet,
    x: Tensor,
    n_steps: int,
    n_repeats: int,
    *,
    generator: torch.Generator,
) -> Tensor:
    r"""Draw what is missing of rows, given the rest, by repeated steps from noise.

    Each step from t to an earlier s draws all of :math:`u_s` from the model, and sets
    what is known to a draw of :math:`\cos s\, x + \sin s\, z`. To make both parts
    agree, :math:`u_t` is drawn anew given :math:`u_s`, and the step is repeated
    ("RePaint", Lugmayr et al., 2022). In the limit of many steps and
    repetitions each is a Gibbs sampler, the last of them that of the law asked for.

    Parameters
    ----------
    model : DiffusionNet
        The model.
    x : Tensor of shape (batch, n_features)
        Rows of mean 0, in which NaN marks what is missing.
    n_steps : int
        Number of steps.
    n_repeats : int
        How often each step is taken.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    x : Tensor of shape (batch, n_features)
        Complete rows.
    """
    missing = x.isnan()
    x = x.nan_to_num()
    grid = instants(model.process, n_steps, like=x)[::-1]
    y = normal_like(x, generator)
    for now, then in pairwise(grid):
        for repeat in range(n_repeats):
            if repeat:
                alpha, variance = transition(then, now)
                y = alpha * y + variance.sqrt() * normal_like(y, generator)
            drawn = step_back(y, model.denoise(y, now), now, then, generator=generator)
            y = _with_known(model, drawn, x, missing, then, generator)
    drawn = model.unwhiten(y / grid[-1].cos)
    return torch.where(missing, drawn, x)


def _with_known(
    model: DiffusionNet,
    y: Tensor,
    x: Tensor,
    missing: Tensor,
    now: Instant,
    generator: torch.Generator,
) -> Tensor:
    """Set what is known of points to a draw of it at their time."""
    process = model.process
    # u is in the units of x, by features.
    u = process.unwhiten(y * now.norm / process.spread)
    known = now.t.cos() * model.centered(x) + now.t.sin() * normal_like(x, generator)
    u = torch.where(missing, u, known)
    return process.whiten(u) * process.spread / now.norm
