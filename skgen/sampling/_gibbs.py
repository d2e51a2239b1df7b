"""Block Gibbs sampling of models with two layers."""

from typing import Protocol

import torch
from torch import Tensor

from skgen.sampling._bits import bernoulli


class TwoLayerModel(Protocol):
    """What block Gibbs sampling needs: both conditional distributions."""

    def hidden_probability(self, v: Tensor) -> Tensor:
        """P(h = 1 | v), shape (n_chains, n_hidden)."""

    def visible_probability(self, h: Tensor) -> Tensor:
        """P(v = 1 | h), shape (n_chains, n_visible)."""


def gibbs(
    model: TwoLayerModel, v: Tensor, n_steps: int, *, generator: torch.Generator
) -> Tensor:
    r"""Run block Gibbs chains, each step :math:`v \to h \to v`.

    One step draws :math:`h \sim p(h \mid v)` and then :math:`v \sim p(v \mid h)`,
    all units of a layer at once (Geman & Geman, 1984; Smolensky, 1986). It
    leaves the model's :math:`p(v)` invariant.

    Parameters
    ----------
    model : TwoLayerModel
        The model, which gives both conditional probabilities.
    v : Tensor of shape (n_chains, n_visible)
        Where the chains start. It is not changed.
    n_steps : int
        Number of steps; 0 returns `v`.
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    v : Tensor of shape (n_chains, n_visible)
        Where the chains end.
    """
    for _ in range(n_steps):
        h = bernoulli(model.hidden_probability(v), generator=generator)
        v = bernoulli(model.visible_probability(h), generator=generator)
    return v
