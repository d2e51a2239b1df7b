"""The likelihood gradient of a Bernoulli RBM by parallel tempering."""

from typing import Any

import torch
from torch import Tensor

from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._scaled import TemperedRBM
from skgen.rbm._workspace import Phases
from skgen.sampling import RandomBits, exchange_, gibbs


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

    @property
    def capturable(self) -> bool:
        """False: whose turn it is to swap is a number of Python."""
        return False

    def _fill_(self, phases: Phases, model: BernoulliRBM, bits: RandomBits) -> None:
        generator = bits.generator
        ladder = self._ladder(model)
        ends = torch.stack(
            [
                self._step(rung, h, bits)
                for rung, h in zip(ladder, self.chains, strict=True)
            ]
        )
        exchange_(ladder, ends, self._first, generator=generator)
        self._first = 1 - self._first
        phases.ends.copy_(ends[-1])
        machine = phases.machine
        machine.update_()
        machine.hidden_probability(phases.states, out=phases.probability)
        for rung, h, end in zip(ladder[:-1], self.chains, ends, strict=False):
            bits.bernoulli(rung.hidden_probability(end), out=h)
        bits.bernoulli(phases.negative, out=self.chains[-1])
        if self.trajectory is not None:
            parents = self.trajectory.follow(model, ends[-1], generator=generator)
            if parents is not None:
                self.chains = self.chains[parents]

    def _step(self, rung: Any, h: Tensor, bits: RandomBits) -> Tensor:
        """Gibbs chains of one rung from hidden states."""
        v = bits.bernoulli(rung.visible_probability(h))
        return gibbs(rung, v, self.n_steps - 1, generator=bits)

    def _ladder(self, model: BernoulliRBM) -> list[Any]:
        if self.trajectory is not None:
            return [*self.trajectory.rungs, model]
        top = len(self.chains) - 1
        tempered = [TemperedRBM(model, self.base_bias, r / top) for r in range(top)]
        return [*tempered, model]
