"""Block Gibbs sampling of models with two layers."""

from typing import Protocol

import torch
from torch import Tensor

from skgen.sampling._bits import RandomBits


class Layer(Protocol):
    """What block Gibbs sampling needs of the units of a layer."""

    def sample(
        self,
        mean: Tensor,
        *,
        generator: torch.Generator | RandomBits,
        out: Tensor | None = None,
    ) -> Tensor:
        """Draw states given conditional means, which `out` may overwrite."""


class TwoLayerModel(Protocol):
    """What block Gibbs sampling needs of a model: both conditional distributions."""

    @property
    def visible(self) -> Layer:
        """The visible units."""

    @property
    def hidden(self) -> Layer:
        """The hidden units."""

    def hidden_mean(self, v: Tensor) -> Tensor:
        """Mean of h given v, shape (n_chains, n_hidden), a new tensor."""

    def visible_mean(self, h: Tensor) -> Tensor:
        """Mean of v given h, shape (n_chains, n_visible), a new tensor."""


def gibbs(
    model: TwoLayerModel,
    v: Tensor,
    n_steps: int,
    *,
    generator: torch.Generator | RandomBits,
    clamped: Tensor | None = None,
) -> Tensor:
    r"""Run block Gibbs chains, each step :math:`v \to h \to v`.

    One step draws :math:`h \sim p(h \mid v)` and then :math:`v \sim p(v \mid h)`,
    all units of a layer at once (Geman & Geman, 1984; Smolensky, 1986). It
    leaves the model's :math:`p(v)` invariant; with some units clamped, it leaves
    invariant the conditional distribution of the others given those.

    Parameters
    ----------
    model : TwoLayerModel
        The model, of which both conditional distributions are sampled.
    v : Tensor of shape (n_chains, n_visible)
        Initial states of the chains. It is not changed.
    n_steps : int
        Number of steps; 0 returns `v`.
    generator : torch.Generator or RandomBits
        Source of randomness, on the device of `v`.
    clamped : Tensor of shape (n_chains, n_visible), dtype=bool, or None
        Units that keep the value that they have in `v`.

    Returns
    -------
    v : Tensor of shape (n_chains, n_visible)
        Final states of the chains.
    """
    if isinstance(generator, torch.Generator):
        generator = RandomBits(generator, most=2 * n_steps * v.numel())
    for _ in range(n_steps):
        mean = model.hidden_mean(v)
        h = model.hidden.sample(mean, generator=generator, out=mean)
        mean = model.visible_mean(h)
        new = model.visible.sample(mean, generator=generator, out=mean)
        v = new if clamped is None else torch.where(clamped, v, new)
    return v


def clamped_mean(
    model: TwoLayerModel,
    v: Tensor,
    n_steps: int,
    *,
    generator: torch.Generator,
    clamped: Tensor,
) -> Tensor:
    r"""Compute the mean of the units that are free, given those that are clamped.

    The average of the mean of v given h over the second half of `n_steps` steps of
    `gibbs`: the mean over v given h is taken exactly, which lowers the variance.

    Parameters
    ----------
    model : TwoLayerModel
        The model.
    v : Tensor of shape (n_chains, n_visible)
        Initial states of the chains. It is not changed.
    n_steps : int
        Number of steps, at least 1.
    generator : torch.Generator
        Source of randomness, on the device of `v`.
    clamped : Tensor of shape (n_chains, n_visible), dtype=bool
        Units that keep the value that they have in `v`.

    Returns
    -------
    mean : Tensor of shape (n_chains, n_visible)
        Means, and the values of the units that are clamped.
    """
    n_counted = (n_steps + 1) // 2
    v = gibbs(model, v, n_steps - n_counted, generator=generator, clamped=clamped)
    total = torch.zeros_like(v)
    for _ in range(n_counted):
        mean = model.hidden_mean(v)
        h = model.hidden.sample(mean, generator=generator, out=mean)
        mean = model.visible_mean(h)
        total += mean
        new = model.visible.sample(mean, generator=generator, out=mean)
        v = torch.where(clamped, v, new)
    return torch.where(clamped, v, total / n_counted)
