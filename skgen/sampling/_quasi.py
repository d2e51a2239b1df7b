"""Quasi-random normal numbers, for integrals over Gaussians."""

from math import sqrt

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine


def balanced_normal(n_points: int, n_dims: int, *, seed: int) -> Tensor:
    r"""Make points that fill a standard normal distribution evenly.

    Half of them are :math:`\Phi^{-1}` of scrambled Sobol points (Owen, 1998), the
    others are their negatives, and all are multiplied by the matrix that makes
    their covariance exactly the identity. An average over them is exact for
    every polynomial of degree 3 or less, such as the squared error of a linear
    function, and for smooth functions close.

    Parameters
    ----------
    n_points : int
        Number of points, even, and at least twice `n_dims`; a power of 2 serves
        best.
    n_dims : int
        Dimensions. Those after the first 21201, for which there are Sobol points, get
        pseudo-random numbers.
    seed : int
        Seed of the scrambling. No other random state is used or changed.

    Returns
    -------
    points : Tensor of shape (n_points, n_dims)
        Points, float64, on the CPU.
    """
    half = _whitened(sobol_normal(n_points // 2, n_dims, seed))
    return torch.cat([half, -half])


def few_normal(n_points: int, n_dims: int, *, seed: int) -> Tensor:
    r"""Make fewer points than `balanced_normal` needs, exact for quadratic functions.

    They are :math:`\Phi^{-1}` of scrambled Sobol points, of which the mean is made
    exactly 0 and the covariance exactly the identity.

    Parameters
    ----------
    n_points : int
        Number of points, more than `n_dims`.
    n_dims : int
        Dimensions.
    seed : int
        Seed of the scrambling. No other random state is used or changed.

    Returns
    -------
    points : Tensor of shape (n_points, n_dims)
        Points, float64, on the CPU.
    """
    points = sobol_normal(n_points, n_dims, seed)
    return _whitened(points - points.mean(0))


def sobol_normal(n_points: int, n_dims: int, seed: int) -> Tensor:
    r"""Make standard normal numbers :math:`\Phi^{-1}` of scrambled Sobol points.

    There are Sobol points of at most 21201 dimensions. Further ones get pseudo-random
    numbers.

    Parameters
    ----------
    n_points : int
        Number of points; a power of 2 serves best.
    n_dims : int
        Dimensions.
    seed : int
        Seed of the scrambling. No other random state is used or changed.

    Returns
    -------
    points : Tensor of shape (n_points, n_dims)
        Points, float64, on the CPU.
    """
    n_even = min(n_dims, SobolEngine.MAXDIM)
    engine = SobolEngine(n_even, scramble=True, seed=seed)
    # In the middle of their cells of size 2^-30, away from 0, where the inverse
    # is infinite; 1 is not reached.
    u = engine.draw(n_points, dtype=torch.float64)
    # Torch makes the first in the default dtype, with its rounding.
    u[0] = engine.shift.double() / 2**engine.MAXBIT
    u += 2.0**-31
    points = torch.special.ndtri(u)
    if n_even == n_dims:
        return points
    generator = torch.Generator().manual_seed(seed)
    more = n_points, n_dims - n_even
    rest = torch.randn(more, generator=generator, dtype=torch.float64)
    return torch.cat([points, rest], 1)


def _whitened(points: Tensor) -> Tensor:
    """Multiply points by the matrix that makes their second moments the identity."""
    # points = Q R with orthonormal columns of Q. R is nearly a multiple of the identity
    # where there are many points; the signs keep its diagonal positive.
    q, r = torch.linalg.qr(points)
    return q * (r.diagonal().sign() * sqrt(len(points)))
