"""The noise process: rows turn into noise by an angle along each direction."""

from math import pi
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Points of the table by which times are found from phases.
_TABLE = 2049
# Times among which those of training are drawn: far closer than a network resolves.
_N_DRAWN = 8192
# Points at a time: all of them would be most of the memory of a fit to many features.
_BLOCK = 256
_RIGHT = pi / 2
# Angle below which g vanishes in proportion to the angle.
_SMALL = 0.05


class Instant(NamedTuple):
    """The process at one time or at several.

    Attributes
    ----------
    t : Tensor of shape (n_times,)
        Times.
    cos, sin : Tensor of shape (n_times, n_features)
        Shares of data and noise in y, the cosine and sine of the angle of each
        direction.
    phase : Tensor of shape (n_times,)
        Mean angle of the directions as a share of a right one.
    weight : Tensor of shape (n_times, n_features)
        Speed of each angle over the mean of all.
    gain : Tensor of shape (n_times, n_features)
        What the output of a network is multiplied by.
    """

    t: Tensor
    cos: Tensor
    sin: Tensor
    phase: Tensor
    weight: Tensor
    gain: Tensor

    @property
    def angle(self) -> Tensor:
        """Angle of each direction, (n_times, n_features)."""
        return torch.atan2(self.sin, self.cos)

    @property
    def norm(self) -> Tensor:
        """Standard deviation of u in each direction, (n_times, n_features)."""
        return self.t.sin()[..., None] / self.sin


class NoiseProcess(nn.Module):
    r"""Rows that turn into noise, :math:`u_t = \cos t\, x + \sin t\, z`.

    The noise z is standard normal, and the rows are of mean 0. In an
    orthonormal basis of directions in which their standard deviations are :math:`a_i`,
    let :math:`\xi_i = x_i / a_i` and :math:`y_i = u_i / \sqrt{a_i^2 \cos^2 t + \sin^2
    t}`. Then each direction turns by an angle of its own,

    .. math:: y_i = \cos \theta_i\, \xi_i + \sin \theta_i\, z_i, \quad
              \tan \theta_i = \tan t / a_i,

    and y has variance 1 at all times. What a network has to know is the mean of
    :math:`g_i = \sin \theta_i\, \xi_i - \cos \theta_i\, z_i` given y (the
    parametrisation of Lu & Song, 2025, "TrigFlow"), by which

    .. math:: \langle \xi \mid y \rangle = \cos \theta\, y + \sin \theta\, g, \quad
              \langle z \mid y \rangle = \sin \theta\, y - \cos \theta\, g, \quad
              \frac{dy_i}{d\theta_i} = -g_i.

    The last is the probability flow. For Gaussian rows with these directions and
    standard deviations, g = 0.

    Parameters
    ----------
    spread : Tensor of shape (n_features,)
        Standard deviations :math:`a_i`.
    basis : Tensor of shape (n_features, n_features) or None
        The directions, in columns; None means those of the features.
    t_min : float
        The time from which on there is noise: what is smaller than its tangent is not
        resolved.
    """

    spread: Tensor
    basis: Tensor | None

    def __init__(self, spread: Tensor, basis: Tensor | None, *, t_min: float):
        super().__init__()
        self.register_buffer("spread", spread)
        self.register_buffer("basis", basis)
        self.t_min = t_min
        self._table: tuple[Tensor, Tensor] | None = None
        self._start: Instant | None = None
        self._quantiles: tuple[float, Tensor] | None = None

    def whiten(self, x: Tensor) -> Tensor:
        """Express rows by directions, each divided by its standard deviation."""
        return (x if self.basis is None else x @ self.basis) / self.spread

    def unwhiten(self, xi: Tensor) -> Tensor:
        """Undo `whiten`."""
        x = xi * self.spread
        return x if self.basis is None else x @ self.basis.T

    def at(self, t: Tensor) -> Instant:
        """Describe the process at times, shape (n_times,)."""
        signal, noise = self.spread * t.cos()[:, None], t.sin()[:, None]
        phase = torch.atan2(noise, signal).mean(1) / _RIGHT
        return self._instant(t, signal, noise, phase)

    def draw(
        self, n_draws: int, *, closer: float, like: Tensor, generator: torch.Generator
    ) -> tuple[Instant, Tensor]:
        r"""Draw times by stratified sampling, in random order.

        Shares that are uniform on [0, 1], one in each of `n_draws` equal parts, are
        turned into times. These are taken from a table of 8192 quantiles.

        Parameters
        ----------
        n_draws : int
            Number of times.
        closer : float
            The mean angle is at the uniform share to this power of its range: with 1
            all angles are drawn alike, with 2 in proportion to :math:`1 /
            \sqrt{\theta}`.
        like : Tensor
            Of the dtype and device wanted.
        generator : torch.Generator
            Source of randomness, on that device.

        Returns
        -------
        now : Instant
            The process at these times.
        slope : Tensor of shape (n_draws,)
            Derivative of the share of the range with respect to the uniform share: a
            mean over draws with these weights estimates the mean over the range.
        """
        device = like.device
        order = torch.randperm(n_draws, device=device, generator=generator)
        u = torch.rand(1, dtype=like.dtype, device=device, generator=generator)
        at = order.add(u).mul_(_N_DRAWN / n_draws).long()
        told = self._quantiles_of(closer, like).index_select(0, at)
        t, cos, sin, phase, slope = told.unbind(1)
        signal, noise = self.spread * cos[:, None], sin[:, None]
        return self._instant(t, signal, noise, phase), slope

    def _quantiles_of(self, closer: float, like: Tensor) -> Tensor:
        """Tabulate what `draw` returns: a row for each quantile and for the end."""
        quantiles = self._quantiles
        if (
            quantiles is None
            or quantiles[0] != closer
            or not _is_like(quantiles[1], like)
        ):
            even = torch.arange(_N_DRAWN + 1, dtype=like.dtype, device=like.device)
            even = even.add_(0.5).div_(_N_DRAWN).clamp_(max=1)
            slope = closer * even.pow(closer - 1)
            table = torch.stack([*self._interpolated(even.pow(closer)), slope], 1)
            self._quantiles = quantiles = closer, table
        return quantiles[1]

    def _instant(
        self, t: Tensor, signal: Tensor, noise: Tensor, phase: Tensor
    ) -> Instant:
        """Describe it by what u has of rows of variance 1, and what of noise."""
        inverse = torch.addcmul(noise.square(), signal, signal).rsqrt_()
        sin = noise * inverse
        speed = inverse.square().mul_(self.spread)
        return Instant(
            t=t,
            cos=signal.mul_(inverse),
            sin=sin,
            phase=phase,
            weight=speed.div_(speed.mean(1, keepdim=True)),
            gain=sin.square().add_(_SMALL**2).rsqrt_().mul_(sin),
        )

    @property
    def start(self) -> Instant:
        """The process at `t_min`."""
        start, spread = self._start, self.spread
        if start is None or not _is_like(start.t, spread):
            with torch.inference_mode(False):
                self._start = start = self.at(spread.new_tensor([self.t_min]))
        return start

    def times(self, share: Tensor) -> Tensor:
        """Find times by the share that the mean angle has of its range, (n,).

        Parameters
        ----------
        share : Tensor of shape (n_times,)
            Shares between 0, at `t_min`, and 1, at a right angle.

        Returns
        -------
        t : Tensor of shape (n_times,)
            Times, to the precision of a table.
        """
        return self._interpolated(share)[0]

    def _interpolated(self, share: Tensor) -> Tensor:
        """Times of shares, their cosines and sines, and phases, (4, *share.shape)."""
        shares, table = self._tabulated(share)
        below = torch.searchsorted(shares[1:-1], share.flatten(), right=True)
        at = table[below]
        part = (share.flatten() - at[:, 0]).div_(at[:, 1]).clamp_(0, 1)
        told = torch.addcmul(at[:, 2:6], part[:, None], at[:, 6:])
        return told.T.reshape(4, *share.shape)

    def _tabulated(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Increasing shares, and a table with a row for each.

        The columns are the share and its gap to the next one, what is interpolated, and
        its gaps: a row is all that is read for a time.
        """
        table = self._table
        if table is None or not _is_like(table[1], like):
            # Evenly in the angle of a direction of typical spread, and in that of the
            # features, so that no part of the range is without points.
            even = torch.linspace(0, _RIGHT, _TABLE, dtype=torch.float64)[1:]
            spread = self.spread.double().cpu()
            some = spread.log().mean().exp(), spread.min(), spread.max()
            parts = [torch.atan2(a * even.sin(), even.cos()) for a in some]
            t = torch.cat([even, *parts]).clamp(self.t_min, _RIGHT)
            t = torch.cat([t, t.new_tensor([self.t_min, _RIGHT])]).unique()
            process = NoiseProcess(spread, None, t_min=self.t_min)
            phases = torch.cat([process.at(part).phase for part in t.split(_BLOCK)])
            rising = torch.ones(len(t), dtype=torch.bool)
            rising[1:] = phases.diff() > 0
            t, phases = t[rising], phases[rising]
            shares = (phases - phases[0]) / (phases[-1] - phases[0])
            told = t, t.cos(), t.sin(), phases
            gap, *gaps = (x.diff(append=x[-1:]) for x in (shares, *told))
            rows = torch.stack([shares, gap, *told, *gaps], 1)
            self._table = table = shares.to(like), rows.to(like)
        return table


def _is_like(x: Tensor, like: Tensor) -> bool:
    return x.device == like.device and x.dtype == like.dtype
