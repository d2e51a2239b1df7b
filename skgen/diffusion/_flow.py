r"""The probability flow: an invertible map to noise, and the density that it gives.

All functions follow :math:`dy_i/d\theta_i = -g_i(y, t)` by Heun's method on a fixed
grid of times, so that what a row gets depends on that row alone.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import log, pi

import torch
from torch import Tensor

from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._process import Instant, NoiseProcess

# Times are at these powers of even shares of the range, closer where data is near.
_CLOSER = 2.0
# Features up to which the divergence is exact, and probes that estimate it of more.
_MOST_EXACT, _N_PROBES = 128, 16
# Numbers of the tangents of a layer that are computed at a time.
_BLOCK = 2**19
# Numbers of a layer that stay in the cache of a processor.
_CACHED = 2**17


def instants(process: NoiseProcess, n_steps: int, *, like: Tensor) -> list[Instant]:
    """Describe the process at the ends of steps, from data to noise.

    Parameters
    ----------
    process : NoiseProcess
        The noise process.
    n_steps : int
        Number of steps.
    like : Tensor
        Of the dtype and device wanted.

    Returns
    -------
    instants : list of Instant
        `n_steps` + 1 of one time each: the first at `t_min`, the last at a right angle.
    """
    share = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps
    t = process.times(share.pow(_CLOSER).to(like))
    t[0], t[-1] = process.t_min, pi / 2
    return [process.at(time) for time in t[:, None]]


def flow_to_noise(model: DiffusionNet, x: Tensor, n_steps: int) -> Tensor:
    """Follow the flow from rows to noise, both of shape (batch, n_features)."""
    grid = instants(model.process, n_steps, like=x)
    return _follow_in_blocks(model, grid[0].cos * model.whiten(x), grid)


def flow_to_data(model: DiffusionNet, y: Tensor, n_steps: int) -> Tensor:
    """Follow the flow from noise to rows, both of shape (batch, n_features)."""
    grid = instants(model.process, n_steps, like=y)[::-1]
    return model.unwhiten(_follow_in_blocks(model, y, grid) / grid[-1].cos)


def _follow_in_blocks(model: DiffusionNet, y: Tensor, grid: list[Instant]) -> Tensor:
    """Follow the flow along a grid, on a CPU so many rows at a time as it can cache."""
    n_rows = max(_CACHED // max(y.shape[1], _width(model)), 64)
    if y.device.type != "cpu":
        n_rows = max(len(y), 1)
    blocks = model.blocks(y, n_rows)
    parts = [follow(part, rows, pairwise(grid)) for part, rows in blocks]
    return torch.cat(parts) if len(y) else y


def follow(
    model: DiffusionNet, y: Tensor, steps: Iterable[tuple[Instant, Instant]]
) -> Tensor:
    """Take steps of the flow from points at the first time, (batch, n_features)."""
    for now, then in steps:
        y = _heun(model.g, y, now, then)
    return y


def flow_log_density(
    model: DiffusionNet, x: Tensor, n_steps: int, probes: Tensor | None = None
) -> Tensor:
    r"""Compute the log-density of rows by the flow.

    .. math:: \log p(x) = \log \mathcal{N}(y; 0, I)
              - \sum_i \int \frac{\partial g_i}{\partial y_i}\, d\theta_i
              + \sum_i \log \frac{\cos \theta_i(t_{\min})}{a_i},

    with y at the right angle (Chen et al., 2018; Song et al., 2021). It is the density
    of `flow_to_data` in the limit of many steps, and no bound.

    Parameters
    ----------
    model : DiffusionNet
        The model.
    x : Tensor of shape (batch, n_features)
        Rows of mean 0.
    n_steps : int
        Number of steps.
    probes : Tensor of shape (n_probes, n_features) or None
        Directions that estimate the divergence; None means that it is exact.

    Returns
    -------
    log_density : Tensor of shape (batch,)
        Log-density in nats.
    """
    grid = instants(model.process, n_steps, like=x)
    n_directions = x.shape[1] if probes is None else len(probes)
    n_rows = max(1, _BLOCK // (n_directions * max(x.shape[1], _width(model))))
    xi = model.whiten(x)
    parts = [_log_density(*block, grid, probes) for block in model.blocks(xi, n_rows)]
    stretch = (grid[0].cos / model.process.spread).log().sum()
    return torch.cat(parts) + stretch


def divergence_probes(n_features: int, *, like: Tensor) -> Tensor | None:
    """Make directions of entries 1 and -1, from a fixed seed; None for few features."""
    if n_features <= _MOST_EXACT:
        return None
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(2, (_N_PROBES, n_features), generator=generator)
    return (2 * bits - 1).to(like)


def _log_density(
    model: DiffusionNet, xi: Tensor, grid: list[Instant], probes: Tensor | None
) -> Tensor:
    y, change = grid[0].cos * xi, xi.new_zeros(len(xi))
    for now, then in pairwise(grid):
        by = then.angle - now.angle
        g, diagonal = model.with_diagonal(y, now, probes)
        g_then, diagonal_then = model.with_diagonal(y - by * g, then, probes)
        y = y - by * (g + g_then) / 2
        change -= (by * (diagonal + diagonal_then) / 2).sum(1)
    return change - 0.5 * y.square().sum(1) - 0.5 * y.shape[1] * log(2 * pi)


def _heun(
    g: Callable[[Tensor, Instant], Tensor], y: Tensor, now: Instant, then: Instant
) -> Tensor:
    by = then.angle - now.angle
    slope = g(y, now)
    return y - by * (slope + g(y - by * slope, then)) / 2


def _width(model: DiffusionNet) -> int:
    """Number of outputs of the widest layer, as far as the weights tell."""
    return max((len(p) for p in model.network.parameters()), default=1)
