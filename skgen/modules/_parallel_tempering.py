"""The likelihood gradient of a Bernoulli RBM by parallel tempering."""

from typing import Any

import torch
from torch import Tensor

from skgen.modules._contrastive import ContrastiveDivergence
from skgen.modules._rbm import BernoulliRBM
from skgen.modules._tempered import TemperedRBM
from skgen.sampling import bernoulli, exchange_


class ParallelTempering(ContrastiveDivergence):
    r"""Contrastive divergence whose chains exchange states with those of a ladder.

    Persistent chains run at every rung of a ladder of machines that ends at the
    one that is trained, and neighbours swap states after each step (Desjardins et
    al., 2010; Cho, Raiko & Ilin, 2010). The negative phase takes the chains of the
    last rung. The ladder is one of evenly spaced temperatures, down to independent
    bits (`TemperedRBM`), or the trajectory of the training itself.

    Parameters
    ----------
    chains : Tensor of shape (n_rungs, n_chains, n_hidden)
        Hidden states of the chains, those of the trained machine last. With a
        trajectory there is one rung more than it has machines.
    *offsets : Tensor or None
        As in `ContrastiveDivergence`.
    base_bias : Tensor of shape (n_visible,)
        Fields on the visible units at infinite temperature. Not used with a
        trajectory.
    **kwargs : dict
        As in `ContrastiveDivergence`.
    """

    chains: Tensor
    base_bias: Tensor

    def __init__(
        self,
        chains: Tensor,
        *offsets: Tensor | None,
        base_bias: Tensor,
        **kwargs: Any,
    ):
        super().__init__(chains, *offsets, **kwargs)
        self.register_buffer("base_bias", base_bias)
        self._first = 0

    def _phases(
        self, model: BernoulliRBM, v: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        ladder = self._ladder(model)
        ends = torch.stack(
            [
                self._run(rung, h, generator)
                for rung, h in zip(ladder, self.chains, strict=True)
            ]
        )
        exchange_(ladder, ends, self._first, generator=generator)
        self._first = 1 - self._first
        states = torch.cat([v, ends[-1]])
        probability = model.hidden_probability(states)
        for rung, h, end in zip(ladder[:-1], self.chains, ends, strict=False):
            h.copy_(bernoulli(rung.hidden_probability(end), generator=generator))
        self.chains[-1] = bernoulli(probability[len(v) :], generator=generator)
        if self.trajectory is not None:
            parents = self.trajectory.follow(model, ends[-1], generator=generator)
            if parents is not None:
                self.chains = self.chains[parents]
        return states, probability

    def _ladder(self, model: BernoulliRBM) -> list[Any]:
        if self.trajectory is not None:
            return [*self.trajectory.rungs, model]
        top = len(self.chains) - 1
        tempered = [TemperedRBM(model, self.base_bias, r / top) for r in range(top)]
        return [*tempered, model]
