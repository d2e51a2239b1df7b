"""Samples of an energy model from fresh chains, also given some of their variables."""

import torch
from torch import Tensor

from skgen.energy._annealing import Path, forward
from skgen.energy._chains import run
from skgen.energy._mixture import GaussianMixtureDensity
from skgen.energy._model import EnergyNet

# Numbers of the matrices of rows that are worked on at a time.
_BLOCK_SIZE = 2**22


def draw_rows(
    model: EnergyNet,
    x: Tensor,
    known: Tensor | None,
    path: Path,
    *,
    n_steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw rows: in the first half of the steps f is turned on.

    Parameters
    ----------
    model : EnergyNet
        The model.
    x : Tensor of shape (n_rows, n_features)
        What is known of rows; the rest may be NaN.
    known : Tensor of shape (n_rows, n_features), dtype=bool, or None
        What is known; None means nothing, and that of x the shape alone counts.
    path : Path
        How f is turned on.
    n_steps : int
        Number of steps.
    generator : torch.Generator
        Source of randomness, on the device of the model.

    Returns
    -------
    x : Tensor of shape (n_rows, n_features)
        The rows.
    """
    if known is None:
        return _draw(model, model.base, len(x), path, n_steps, generator)
    x = torch.where(known, x, torch.zeros_like(x))
    numbers = model.base.factor.numel()
    size = max(1, _BLOCK_SIZE // numbers)
    parts = [
        _draw(
            model,
            model.base.given(x[i : i + size], known[i : i + size]),
            len(x[i : i + size]),
            path,
            n_steps,
            generator,
        )
        for i in range(0, len(x), size)
    ]
    return torch.cat(parts)


def _draw(
    model: EnergyNet,
    base: GaussianMixtureDensity,
    n: int,
    path: Path,
    n_steps: int,
    generator: torch.Generator,
) -> Tensor:
    if not n_steps:
        return base.sample(n, generator=generator)
    n_rising = max(1, n_steps // 2)
    _, here = forward(model, base, n, path, n_rising, generator=generator)
    progress = run(
        model,
        base,
        here,
        n_steps - n_rising,
        step_size=path.step_size[-1].item(),
        generator=generator,
    )
    return progress.point.x
