"""Training of an RBM by parallel tempering."""

from typing import Any

import torch
from torch import Tensor

from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import RBM
from skgen.rbm._scaled import TemperedRBM
from skgen.rbm._workspace import Workspace
from skgen.sampling import RandomBits, gibbs, swap_neighbours_


class ParallelTempering(ContrastiveDivergence):
    r"""Contrastive divergence with replica exchange.

    Persistent chains run at every model of a ladder that ends at the one that is
    trained, and neighbours swap states after each step (Desjardins et al., 2010; Cho,
    Raiko & Ilin, 2010). The negative phase takes the chains of the last model. The
    ladder is one of evenly spaced inverse temperatures, from independent units
    (`TemperedRBM`), or the trajectory of the training itself.

    Parameters
    ----------
    chains : Tensor of shape (n_replicas, n_chains, n_hidden)
        Hidden states of the chains, those of the trained model last. With a
        trajectory there is one replica more than it has models.
    *offsets : Tensor or None
        As in `ContrastiveDivergence`.
    base_bias : Tensor of shape (n_visible,)
        Biases of the visible units at infinite temperature. Not used with a
        trajectory.
    **kwargs : dict
        As in `ContrastiveDivergence`.
    """

    steps_jointly = False

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
        # The pairs that swap next: even and odd ones take turns.
        self._first = 0

    def progress(self) -> dict[str, Any]:
        """Return what the next step depends on; see `Objective`."""
        return {**super().progress(), "first": self._first}

    def resume(self, progress: dict[str, Any]) -> None:
        """Go on from what `progress` returned; see `Objective`."""
        super().resume(progress)
        self._first = progress["first"]

    def _run_phases(self, space: Workspace, model: RBM, bits: RandomBits) -> None:
        generator = bits.generator
        ladder = self._ladder(model)
        chain_ends = torch.stack(
            [
                self._run_chains(replica, h, bits)
                for replica, h in zip(ladder, self.chains, strict=True)
            ]
        )
        swap_neighbours_(ladder, chain_ends, self._first, generator=generator)
        self._first = 1 - self._first
        space.chain_ends.copy_(chain_ends[-1])
        parameters = space.parameters
        parameters.update_()
        parameters.hidden_mean(space.states, out=space.hidden_mean)
        for replica, h, v in zip(ladder[:-1], self.chains, chain_ends, strict=False):
            replica.hidden.sample(replica.hidden_mean(v), generator=bits, out=h)
        parameters.hidden.sample(space.negative, generator=bits, out=self.chains[-1])
        if self.trajectory is not None:
            parents = self.trajectory.follow(model, chain_ends[-1], generator=generator)
            if parents is not None:
                self.chains = self.chains[parents]

    def _run_chains(self, replica: Any, h: Tensor, bits: RandomBits) -> Tensor:
        """Run the chains of one model of the ladder from hidden states."""
        v = replica.visible.sample(replica.visible_mean(h), generator=bits)
        return gibbs(replica, v, self.n_steps - 1, generator=bits)

    def _ladder(self, model: RBM) -> list[Any]:
        if self.trajectory is not None:
            return [*self.trajectory.models, model]
        n_steps = len(self.chains) - 1
        base = model.visible.with_bias(self.base_bias)
        tempered = [TemperedRBM(model, base, r / n_steps) for r in range(n_steps)]
        return [*tempered, model]
