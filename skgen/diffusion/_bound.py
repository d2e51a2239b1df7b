"""The evidence lower bound of a diffusion model."""

from collections.abc import Callable
from math import e, log, pi

import torch
from torch import Tensor

from skgen.diffusion._model import DiffusionNet, corrupt
from skgen.diffusion._process import Instant, NoiseProcess
from skgen.sampling._quasi import sobol_normal

# Points of the bound: so many over the number of features, at least, and at most. The
# narrow parts of a density of few features need many.
_POINTS, _LEAST_POINTS, _MOST_POINTS = 2048, 128, 1024
# Numbers that the network is evaluated for at a time: on a CPU, that its cache holds.
_BLOCK, _CACHED = 2**21, 2**16
# Times are at these powers of even shares of the range.
_CLOSER = 3.0


def bound(model: DiffusionNet, x: Tensor) -> Tensor:
    """Compute the bound of each row by a number of points for so many features."""
    n_points = min(max(_POINTS // x.shape[1], _LEAST_POINTS), _MOST_POINTS)
    return elbo(model, x, n_points)


def elbo(model: DiffusionNet, x: Tensor, n_points: int) -> Tensor:
    r"""Compute the bound of each row, without randomness.

    .. math:: \log p(x) \ge -\frac{D}{2} \log\left(2 \pi e \tan^2 t_{\min}\right)
              - \sum_i \int_{\theta_i(t_{\min})}^{\pi/2} \cot\theta\,
              \left\langle (g_i(y) - g_i)^2 \right\rangle_z d\theta

    (Kingma et al., 2021, "Variational diffusion models", for continuous time; the
    prior is exact at the right angle). It is :math:`\log p(x)` where the network gives
    the mean of g, up to what of p is finer than :math:`t_{\min}`. The part of g = 0 is
    computed in closed form, so that only :math:`g(y)^2 - 2\, g(y)\, g` is averaged over
    times and noise.

    Parameters
    ----------
    model : DiffusionNet
        The model.
    x : Tensor of shape (batch, n_features)
        Rows of mean 0.
    n_points : int
        Pairs of time and noise, even; the same ones for all rows.

    Returns
    -------
    elbo : Tensor of shape (batch,)
        The bound in nats.
    """
    points = bound_points(model.process, n_points, like=x)
    return _elbo(model, x, n_points, lambda _: points)


def elbo_by_own_points(model: DiffusionNet, x: Tensor, n_points: int) -> Tensor:
    """Compute the bound of each row by points that no other row has.

    The mean over rows is by as many points as all rows have together, and so has a
    small error where each row has few. The value of a row depends on its place.

    Parameters
    ----------
    model : DiffusionNet
        The model.
    x : Tensor of shape (batch, n_features)
        Rows of mean 0.
    n_points : int
        Pairs of time and noise of each row, a power of 2.

    Returns
    -------
    elbo : Tensor of shape (batch,)
        The bound in nats.
    """
    t, z, share = bound_points(model.process, n_points, like=x, n_sets=len(x))
    return _elbo(model, x, n_points, lambda rows: (t[rows], z[rows], share[rows]))


def _elbo(
    model: DiffusionNet,
    x: Tensor,
    n_points: int,
    points_of: Callable[[slice], tuple[Tensor, Tensor, Tensor]],
) -> Tensor:
    """Compute the bound of each row by the points of some rows at a time."""
    xi = model.whiten(x)
    block = _CACHED if x.device.type == "cpu" else _BLOCK
    n_rows = max(1, block // (n_points * max(x.shape[1], 64)))
    starts = range(0, len(xi), n_rows)
    parts = [
        correction(*of_rows, *points_of(slice(start, start + n_rows)))
        for start, of_rows in zip(starts, model.blocks(xi, n_rows), strict=True)
    ]
    gaussian = gaussian_elbo(model.process, xi)
    # Of a row so far away that its square overflows there is no correction.
    return torch.where(gaussian.isfinite(), gaussian - torch.cat(parts), -torch.inf)


def gaussian_elbo(process: NoiseProcess, xi: Tensor) -> Tensor:
    """Compute the bound of white rows for g = 0, of mean directions and spreads.

    Parameters
    ----------
    process : NoiseProcess
        The noise process.
    xi : Tensor of shape (batch, n_features)
        White rows.

    Returns
    -------
    elbo : Tensor of shape (batch,)
        The bound in nats: that of the Gaussian of the process.
    """
    cos = process.start.cos
    constants = 0.5 * log(2 * pi * e) + (process.spread / cos).log() - 0.5 * cos**2
    return -constants.sum() - 0.5 * (xi * cos).square().sum(1)


def correction(
    model: DiffusionNet, xi: Tensor, t: Tensor, z: Tensor, share: Tensor
) -> Tensor:
    """Estimate by how much the bound is less than that for g = 0, (batch,), nats.

    Parameters
    ----------
    model : DiffusionNet
        The model.
    xi : Tensor of shape (batch, n_features)
        White rows.
    t : Tensor of shape (n_points,) or (batch, n_points)
        Times, the same for all rows or their own.
    z : Tensor of shape (..., n_points, n_features)
        Noise at each time.
    share : Tensor of the shape of `t`
        Part of the range of the mean angle that each time stands for.

    Returns
    -------
    correction : Tensor of shape (batch,)
        The difference in nats.
    """
    n_rows = len(xi)
    at = model.process.at(t.flatten())
    now = Instant(*(part.view(*t.shape, *part.shape[1:]) for part in at))
    y, target = corrupt(xi[:, None], z, now)
    phase = now.phase.expand(n_rows, -1)
    g = now.gain * model.output(y.flatten(0, 1), phase.flatten()).view_as(y)
    factor = now.weight * now.cos / now.sin * share[..., None]
    value = (factor * g * (g - 2 * target)).sum((1, 2))
    return value * phase_range(model.process)


def phase_range(process: NoiseProcess) -> Tensor:
    """Mean range of the angles."""
    return pi / 2 - process.start.angle.mean()


def bound_points(
    process: NoiseProcess, n_points: int, *, like: Tensor, n_sets: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Make times and noise that fill their space evenly, by scrambled Sobol points.

    Times are closer to each other near the data, where the integrand is large. Each is
    that of z and of -z, so that all terms odd in z are without error. All come from a
    fixed seed.

    Parameters
    ----------
    process : NoiseProcess
        The noise process.
    n_points : int
        Number of points, even.
    like : Tensor
        Of the dtype and device wanted.
    n_sets : int or None
        If given, results have a first dimension for so many sets of points. With a
        power of 2 of points each set is even by itself, and all are together.

    Returns
    -------
    t : Tensor of shape (n_points,)
        Times.
    z : Tensor of shape (n_points, n_features)
        Noise.
    share : Tensor of shape (n_points,)
        Part of the range of the mean angle that each time stands for.
    """
    half, n_dims = n_points // 2, len(process.spread)
    points = sobol_normal(half * (n_sets or 1), n_dims + 1, seed=0)
    if n_sets is not None:
        points = points.view(n_sets, half, -1)
    middle, z = torch.special.ndtr(points[..., 0]), points[..., 1:].to(like)
    share = (_CLOSER * middle ** (_CLOSER - 1) / n_points).to(like)
    t = process.times((middle**_CLOSER).to(like))
    return torch.cat([t, t], -1), torch.cat([z, -z], -2), torch.cat([share, share], -1)
