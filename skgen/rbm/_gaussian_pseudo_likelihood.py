"""The exact pseudo-likelihood of an RBM of real visible units, by quadrature."""

from collections.abc import Iterator, Sequence
from math import ceil, floor, isfinite, nan
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.rbm._gaussian_model import GaussianBernoulliRBM

# The trapezoidal rule has a node at each standard deviation of the noise. Every so many
# nodes one is computed at first, to find where the others may be left out.
_NODES_AN_INTERVAL = 8
# Such intervals that are looked at one by one; a wider range is divided in stages.
_MOST_INTERVALS = 64
# Beyond the outermost centers the nodes go on for so many standard deviations at least:
# exp(-32) of a Gaussian is out there.
_REACH = 8.0
# Nodes whose terms are this far below the largest one, in nats, are left out.
_NEGLIGIBLE = 40.0
# Factors that share a logarithm, and the exponent that their product stays below, in
# float64; from the second exponent on each factor has its own.
_FACTORS_A_LOG, _LARGEST_EXPONENT = 8, 700.0
_LARGEST_FACTOR = 300.0
# Entries of a tile: one that stays in the cache of a CPU, or fills a GPU.
_TILE_OF_CPU, _TILE_OF_GPU = 2**16, 2**23


def gaussian_pseudo_log_likelihood(
    model: GaussianBernoulliRBM, v: Tensor, *, units: Tensor | None = None
) -> Tensor:
    r"""Log of the product of all conditional densities of one visible unit.

    .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i}), \quad
              p(v_i \mid v_{-i}) = \frac{e^{-F(v)}}{\int e^{-F(v)}\, dv_i}

    (Besag, 1975). As a function of one unit, :math:`e^{-F}` is a sum of Gaussians of
    variance :math:`\sigma_i^2`. The trapezoidal rule with nodes :math:`\sigma_i` apart
    has a relative error of at most :math:`2 e^{-2 \pi^2} = 5 \cdot 10^{-9}` for each,
    wherever it is (Trefethen & Weideman, 2014). The nodes are
    :math:`v_i + k \sigma_i`, over the range of all :math:`2^m` centers and 8 standard
    deviations beyond. With the inputs a of the hidden units given v,

    .. math:: F(v) - F(v + k \sigma_i e_i) = \frac{(v_i - c_i)^2 - (v_i + k \sigma_i -
              c_i)^2}{2 \sigma_i^2} + \sum_j \log \left( \sigma(-a_j) + \sigma(a_j)
              e^{k W_{ji} / \sigma_i} \right).

    The last sum is convex in k. Every eighth node is computed at first; a chord above
    the sum then bounds the terms in between, and those intervals are left out in which
    all are below :math:`e^{-40}` times the largest.

    Parameters
    ----------
    model : GaussianBernoulliRBM
        The model.
    v : Tensor of shape (n_samples, n_visible)
        Visible states.
    units : Tensor of shape (n_units,), dtype=int64, or None
        If given, only the conditionals of these visible units are computed, and their
        mean is used for all: an estimate, at a fraction of the cost.

    Returns
    -------
    log_pl : Tensor of shape (n_samples,)
        Log pseudo-likelihood in nats, computed in float64, in the dtype of `v`. Memory
        beyond a few tensors of the shape of `v` is bounded whatever the sizes.
    """
    n_visible = v.shape[1]
    columns = torch.arange(n_visible, device=v.device) if units is None else units
    a = model.hidden_inputs(v).double()
    std, z, slopes = standardised(model, v, columns)
    total = -std.log().sum().expand(len(v)).clone()
    # Of a few rows, several units at a time: time depends on the number of operations.
    together = max(1, _tile(v) // (_NODES_AN_INTERVAL * a.numel()))
    for slope, here in zip(slopes.split(together), z.T.split(together), strict=True):
        if len(slope) == 1:
            total += log_conditionals(a, slope, here[0])
        else:
            total += conditionals_of_pairs(a, slope, here.T).sum(1)
    return (total * (n_visible / len(columns))).to(v.dtype)


def conditionals_of_pairs(a: Tensor, slopes: Tensor, z: Tensor) -> Tensor:
    """Compute log-densities of several units, each given all others.

    Parameters
    ----------
    a : Tensor of shape (n, n_hidden), dtype=float64
        Inputs of the hidden units given all visible ones.
    slopes : Tensor of shape (n_units, n_hidden), dtype=float64
        Derivatives of these inputs by the state of each unit.
    z : Tensor of shape (n, n_units), dtype=float64
        States of the units, as in `log_conditionals`.

    Returns
    -------
    log_p : Tensor of shape (n, n_units)
        Log-densities of z, in nats.
    """
    log_p = log_conditionals(
        a.repeat_interleave(len(slopes), 0), slopes.repeat(len(a), 1), z.flatten()
    )
    return log_p.view_as(z)


def standardised(
    model: GaussianBernoulliRBM, v: Tensor, columns: Tensor | slice
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return some visible units in units of their noise, float64.

    Parameters
    ----------
    model : GaussianBernoulliRBM
        The model.
    v : Tensor of shape (n_samples, n_visible)
        Visible states.
    columns : Tensor of shape (n_units,), dtype=int64, or slice
        Which units.

    Returns
    -------
    std : Tensor of shape (n_units,)
        Standard deviations :math:`\sigma_i` of the noise.
    z : Tensor of shape (n_samples, n_units)
        States :math:`(v_i - c_i) / \sigma_i`.
    slopes : Tensor of shape (n_units, n_hidden)
        Weights :math:`W_{ji} / \sigma_i`: derivatives of hidden inputs by z.
    """
    std = model.variance[columns].double().sqrt()
    z = (v[:, columns] - model.visible_bias[columns]).double() / std
    return std, z, model.weight[:, columns].double().T / std[:, None]


def log_conditionals(a: Tensor, slope: Tensor, z: Tensor) -> Tensor:
    """Compute log-densities of single units, each given all others.

    Parameters
    ----------
    a : Tensor of shape (n, n_hidden), dtype=float64
        Inputs of the hidden units given all visible ones.
    slope : Tensor of shape (1, n_hidden) or (n, n_hidden), dtype=float64
        Derivatives of these inputs by the state of the unit.
    z : Tensor of shape (n,), dtype=float64
        State of the unit, from its center and in standard deviations of its noise.

    Returns
    -------
    log_p : Tensor of shape (n,)
        Log-densities of z, in nats.
    """
    low, high = slope.clamp(max=0).sum(1), slope.clamp(min=0).sum(1)
    # States out of the range of the centers are compared with its ends.
    start = torch.minimum(torch.maximum(z, low), high)
    first = (low - start).min().item() - _REACH
    last = (high - start).max().item() + _REACH
    if not isfinite(first + last):
        return torch.full_like(z, nan)  # of parameters that are not finite
    a, log_ratio = _moved(a, slope, z, start)
    curve = _Curve(a, slope, start)
    if (last - first) * a.numel() <= _tile(a):  # all nodes take less time than a choice
        k = torch.arange(floor(first), ceil(last) + 1, dtype=z.dtype, device=z.device)
        log_mass = (curve.rises(k) - (start[:, None] + k).square() / 2).logsumexp(1)
        return log_ratio - start.square() / 2 - log_mass
    spacing = _NODES_AN_INTERVAL
    while last - first > _MOST_INTERVALS * spacing:
        spacing *= _NODES_AN_INTERVAL
    ends = range(floor(first / spacing), ceil(last / spacing) + 1)
    intervals = curve.needed(
        [(float(spacing * k), None) for k in ends[:1]],
        [curve.rises(spacing * start.new_tensor(ends))],
        spacing,
    )
    while spacing > _NODES_AN_INTERVAL:
        spacing //= _NODES_AN_INTERVAL
        intervals = curve.needed(*curve.divided(intervals, spacing), spacing)
    log_mass = curve.log_mass(intervals)
    return log_ratio - start.square() / 2 - log_mass


class _Curve:
    """The log of a density, up to a constant, of n rows at nodes start + k.

    It is rise - (start + k)^2 / 2 with a convex rise. An interval of nodes is its first
    node k, the rows that need it and their rises at both ends.
    """

    def __init__(self, a: Tensor, slope: Tensor, start: Tensor):
        self._inputs = a, torch.sigmoid(-a), torch.sigmoid(a)
        self._slope, self._start = slope, start
        self._largest = start.square() / -2  # the largest that is known

    def rises(self, k: Tensor, rows: Tensor | None = None) -> Tensor:
        """Compute the rises of some rows at nodes k, shape (n_rows, n_k)."""
        if rows is None:
            return _rises(self._inputs, self._slope, k)
        slope = self._slope if len(self._slope) == 1 else self._slope[rows]
        return _rises([x[rows] for x in self._inputs], slope, k)

    def needed(
        self, firsts: list[tuple[float, Any]], rises: list[Tensor], spacing: int
    ) -> list[tuple[float, Tensor, Tensor]]:
        """Return the intervals in which the density may be more than negligible.

        Parameters
        ----------
        firsts : list of (float, Tensor or None)
            First nodes of sequences of nodes and the rows of each; None means all.
        rises : list of Tensor of shape (n_rows, n_nodes)
            Rises at these nodes.
        spacing : int
            Distance of the nodes.

        Returns
        -------
        intervals : list of (float, Tensor, Tensor)
            First node, rows, and rises at both ends, of shape (n_rows, 2).
        """
        places = []
        for (first, rows), rise in zip(firsts, rises, strict=True):
            start = self._start if rows is None else self._start[rows]
            k = torch.arange(rise.shape[1], dtype=start.dtype, device=start.device)
            place = start[:, None] + (first + spacing * k)
            places.append(place)
            largest = (rise - place.square() / 2).amax(1)
            if rows is None:
                torch.maximum(self._largest, largest, out=self._largest)
            else:
                self._largest[rows] = torch.maximum(self._largest[rows], largest)
        found = []
        for (first, rows), rise, place in zip(firsts, rises, places, strict=True):
            chord, left = rise.diff(dim=1) / spacing, place[:, :-1]
            within = (chord - left).clamp_(0, spacing)
            bound = rise[:, :-1] + chord * within - (left + within).square() / 2
            largest = self._largest if rows is None else self._largest[rows]
            mask = bound > largest[:, None] - _NEGLIGIBLE
            for j in mask.any(0).nonzero()[:, 0].tolist():
                own = mask[:, j].nonzero()[:, 0]
                which = own if rows is None else rows[own]
                found.append((first + j * spacing, which, rise[own, j : j + 2]))
        return found

    def divided(
        self, intervals: list[tuple[float, Tensor, Tensor]], spacing: int
    ) -> tuple[list[tuple[float, Any]], list[Tensor]]:
        """Divide intervals into shorter ones; what `needed` takes."""
        between = torch.arange(
            1, _NODES_AN_INTERVAL, dtype=self._start.dtype, device=self._start.device
        )
        firsts, rises = [], []
        for first, rows, ends in intervals:
            inner = self.rises(first + spacing * between, rows)
            firsts.append((first, rows))
            rises.append(torch.cat([ends[:, :1], inner, ends[:, 1:]], 1))
        return firsts, rises

    def log_mass(self, intervals: list[tuple[float, Tensor, Tensor]]) -> Tensor:
        """Add up the density at all nodes of intervals, shape (n,)."""
        total = torch.zeros_like(self._start)
        for (first, rows), rise in zip(*self.divided(intervals, 1), strict=True):
            k = torch.arange(len(rise[0]) - 1, dtype=rise.dtype, device=rise.device)
            place = self._start[rows, None] + (first + k)
            log_f = rise[:, :-1] - place.square() / 2 - self._largest[rows, None]
            total.index_add_(0, rows, log_f.exp_().sum(1))
        return self._largest + total.log()


def _moved(a: Tensor, slope: Tensor, z: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Move states from z to `start`: hidden inputs there, and log f(z) / f(start)."""
    log_ratio = torch.zeros_like(z)
    rows = (start != z).nonzero()[:, 0]
    if not len(rows):
        return a, log_ratio
    here, step = a[rows], (start - z)[rows]
    there = here + (slope if len(slope) == 1 else slope[rows]) * step[:, None]
    rise = (F.logsigmoid(-there) - F.logsigmoid(-here)).sum(1)
    # The difference of squares.
    log_ratio[rows] = rise + step * (start + z)[rows] / 2
    return a.index_copy(0, rows, there), log_ratio


def _rises(inputs: Sequence[Tensor], slope: Tensor, k: Tensor) -> Tensor:
    """Sum log(q_j + p_j exp(k slope_j)) over j, for n rows and all k, (n, n_k).

    `inputs` are a and the probabilities q of 0 and p of 1, each (n, n_hidden).
    """
    n, n_hidden = inputs[0].shape
    out = k.new_empty(n, len(k))
    largest = (k.abs().amax() * slope.abs().amax()).item()
    size = max(1, min(_FACTORS_A_LOG, int(_LARGEST_EXPONENT / max(largest, 1e-6))))
    size = 1 << (size.bit_length() - 1)  # factors are multiplied by halves
    tile = _tile(k)
    n_k = max(1, min(len(k), tile // n_hidden))
    n_rows = max(1, tile // (n_hidden * n_k))
    for nodes in _slices(len(k), n_k):
        shared = None if len(slope) > 1 else _exponentials(slope, k[nodes], largest)
        for rows in _slices(n, n_rows):
            parts = shared or _exponentials(slope[rows], k[nodes], largest)
            here = [x[rows, None] for x in inputs]
            out[rows, nodes] = _sum_of_logs(here, parts, size)
    return out


def _exponentials(slope: Tensor, k: Tensor, largest: float) -> tuple[Tensor, ...]:
    """Return exponentials that are at most 1, and the sum of what they lack.

    With d = k slope, of shape (1 or n, n_k, n_hidden), exp(-max(d, 0)) and
    exp(-max(-d, 0)), and the sum over the last axis of max(d, 0). Where they might
    underflow, d alone.
    """
    d = k[:, None] * slope[:, None]
    if not largest <= _LARGEST_FACTOR:
        return (d,)
    positive = d.clamp(min=0)
    down, up = positive.neg().exp_(), d.clamp_(max=0).exp_()
    return down, up, positive.sum(2)


def _sum_of_logs(inputs: list[Tensor], parts: tuple[Tensor, ...], size: int) -> Tensor:
    a, q, p = inputs
    if len(parts) == 1:  # exponentials may underflow
        return (F.logsigmoid(-a) - F.logsigmoid(-(a + parts[0]))).sum(2)
    down, up, lacking = parts
    factor = torch.addcmul(q * down, p, up)
    factor = F.pad(factor, (0, -factor.shape[2] % size), value=1.0)
    while size > 1:
        left, right = factor.chunk(2, dim=2)
        factor, size = left.mul_(right), size // 2
    return factor.log_().sum(2).add_(lacking)


def _tile(x: Tensor) -> int:
    return _TILE_OF_CPU if x.device.type == "cpu" else _TILE_OF_GPU


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n, size))
