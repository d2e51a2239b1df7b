"""Samplers: from noise to rows."""

from itertools import pairwise

import torch
from torch import Tensor

from skgen.diffusion._flow import flow_to_data, instants
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._process import Instant

SAMPLERS = ("heun", "ddim", "sde")


def sample_rows(
    model: DiffusionNet,
    y: Tensor,
    n_steps: int,
    sampler: str,
    *,
    generator: torch.Generator,
) -> Tensor:
    r"""Turn noise into rows.

    "heun" is the probability flow, of second order. "ddim" turns y by the angles of
    each step in the plane of y and g, the flow to first order with one evaluation of
    the network a step (Song, Meng & Ermon, 2021). "sde" draws from the noise process
    backwards, :math:`q(y_s \mid y_t, \xi)` with the mean of :math:`\xi` given
    :math:`y_t` (Ho et al., 2020), of first order.

    Parameters
    ----------
    model : DiffusionNet
        The model.
    y : Tensor of shape (batch, n_features)
        Standard normal noise.
    n_steps : int
        Number of steps.
    sampler : {"heun", "ddim", "sde"}
        The sampler.
    generator : torch.Generator
        Source of randomness of "sde".

    Returns
    -------
    x : Tensor of shape (batch, n_features)
        Rows of mean 0.
    """
    if sampler == "heun":
        return flow_to_data(model, y, n_steps)
    grid = instants(model.process, n_steps, like=y)[::-1]
    for now, then in pairwise(grid):
        if sampler == "ddim":
            by = now.angle - then.angle
            y = by.cos() * y + by.sin() * model.g(y, now)
        else:
            y = step_back(y, model.denoise(y, now), now, then, generator=generator)
    return model.unwhiten(y / grid[-1].cos)


def step_back(
    y: Tensor, xi: Tensor, now: Instant, then: Instant, *, generator: torch.Generator
) -> Tensor:
    r"""Draw from the noise process at an earlier time, given the present and the data.

    .. math:: q(y_s \mid y_t, \xi) = \mathcal{N}\left(
              \frac{\alpha\, \sin^2\theta_s}{\sin^2\theta_t}\, y_t
              + \frac{\cos\theta_s\, \sigma^2}{\sin^2\theta_t}\, \xi,\;
              \frac{\sigma^2 \sin^2\theta_s}{\sin^2\theta_t}\right), \quad
              \alpha = \frac{\cos\theta_t}{\cos\theta_s}, \quad
              \sigma^2 = \sin^2\theta_t - \alpha^2 \sin^2\theta_s

    Parameters
    ----------
    y : Tensor of shape (batch, n_features)
        Points at the present time.
    xi : Tensor of shape (batch, n_features)
        White data, or its mean given y.
    now, then : Instant
        The present time t, and the earlier one s.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    y : Tensor of shape (batch, n_features)
        Points at the earlier time.
    """
    alpha, variance = transition(then, now)
    share = variance / now.sin.square()
    kept = then.sin.square() / now.sin.square()
    mean = alpha * kept * y + then.cos * share * xi
    return mean + (variance * kept).sqrt() * normal_like(y, generator)


def transition(then: Instant, now: Instant) -> tuple[Tensor, Tensor]:
    r"""Factor and variance of :math:`q(y_t \mid y_s)`, s (`then`) before t (`now`)."""
    alpha = now.cos / then.cos
    variance = now.sin.square() - (alpha * then.sin).square()
    return alpha, variance.clamp(min=0)


def normal_like(y: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers of the shape, dtype and device of a tensor."""
    return torch.empty_like(y).normal_(generator=generator)
