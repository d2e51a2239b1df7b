"""Block Gibbs sampling of models with two layers."""

from typing import Protocol

import torch
from torch import Tensor

from skgen.sampling._bits import RandomBits, bernoulli


class TwoLayerModel(Protocol):
    """What block Gibbs sampling needs: both conditional distributions.

    Each call returns a new tensor, in which bits are drawn.
    """

    def hidden_probability(self, v: Tensor) -> Tensor:
        """P(h = 1 | v), shape (n_chains, n_hidden)."""

    def visible_probability(self, h: Tensor) -> Tensor:
        """P(v = 1 | h), shape (n_chains, n_visible)."""


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
        The model, which gives both conditional probabilities.
    v : Tensor of shape (n_chains, n_visible)
        Where the chains start. It is not changed.
    n_steps : int
        Number of steps; 0 returns `v`.
    generator : torch.Generator or RandomBits
        Source of randomness, on the device of `v`.
    clamped : Tensor of shape (n_chains, n_visible), dtype=bool, or None
        Units that keep the value that they have in `v`.

    Returns
    -------
    v : Tensor of shape (n_chains, n_visible)
        Where the chains end.
    """
    if isinstance(generator, torch.Generator):
        generator = RandomBits(generator, most=2 * n_steps * v.numel())
    for _ in range(n_steps):
        p = model.hidden_probability(v)
        h = bernoulli(p, generator=generator, out=p)
        p = model.visible_probability(h)
        new = bernoulli(p, generator=generator, out=p)
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
    r"""Mean of the units that are free, given those that are clamped.

    The average of :math:`P(v_i = 1 \mid h)` over the second half of `n_steps`
    steps of `gibbs`: the mean over v given h is taken exactly, which lowers the
    variance.

    Parameters
    ----------
    model : TwoLayerModel
        The model.
    v : Tensor of shape (n_chains, n_visible)
        Where the chains start. It is not changed.
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
        h = bernoulli(model.hidden_probability(v), generator=generator)
        p = model.visible_probability(h)
        total += p
        v = torch.where(clamped, v, bernoulli(p, generator=generator))
    return torch.where(clamped, v, total / n_counted)
