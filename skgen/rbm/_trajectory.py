"""Machines kept along a training, as rungs of a ladder."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from skgen.rbm._model import BernoulliRBM
from skgen.sampling import differences, gibbs

# A machine is kept when states of the last one are accepted less often than this.
_LEAST_ACCEPTANCE = 0.4
# Gibbs steps over which an acceptance is averaged.
_N_STEPS = 10
# Updates from a rung to one look at the acceptance, times this, is the next look.
_GROWTH = 1.25
# Updates from one look to the next at most.
_LONGEST_WAIT = 100
# Machines that are kept at most; beyond, every other one is dropped.
_MAX_RUNGS = 64


class Trajectory:
    """Machines kept along a training, each within reach of the last.

    Replica exchange between a machine and its own past is accepted often as long
    as the two are alike, and the past mixes fast: early machines have weak
    couplings (Béreux et al., 2024). A machine is kept when the mean acceptance of a
    swap with the last one that was kept has fallen below 0.4. Looks at it become
    rarer as a rung ages, so that they cost little. A training with a large learning
    rate wanders, and would keep thousands: of more than 64 every other one is
    dropped.

    Parameters
    ----------
    rungs : sequence of BernoulliRBM
        Machines kept so far; at least the one that training starts from.
    """

    def __init__(self, rungs: Sequence[BernoulliRBM]):
        self.rungs = list(rungs)
        self._chains: Tensor | None = None
        self._age = 0
        self._least_age = 1
        self._next_look = 1

    def follow(
        self, model: BernoulliRBM, v: Tensor, *, generator: torch.Generator
    ) -> list[int] | None:
        """Look at the machine after an update, and keep a copy if it is time to.

        Parameters
        ----------
        model : BernoulliRBM
            The machine that is trained.
        v : Tensor of shape (n_chains, n_visible)
            States of its persistent chains.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        parents : list of int or None
            None if nothing was kept. Otherwise, for each of the new `rungs` and for
            `model` after them, where it stood before among the rungs and `model`.
        """
        self._age += 1
        if self._age < self._next_look:
            return None
        self._next_look = min(ceil(_GROWTH * self._age), self._age + _LONGEST_WAIT)
        if self._acceptance(model, v, generator) >= _LEAST_ACCEPTANCE:
            return None
        self.rungs.append(copy_of(model))
        parents = list(range(len(self.rungs)))
        if len(self.rungs) > _MAX_RUNGS:
            # The first and the last one stay.
            parents = [*parents[:-1:2], parents[-1]]
            self.rungs = [self.rungs[i] for i in parents]
            self._least_age *= 2
        self._chains = v.clone()
        self._age, self._next_look = 0, self._least_age
        return [*parents, parents[-1]]

    def _acceptance(
        self, model: BernoulliRBM, v: Tensor, generator: torch.Generator
    ) -> float:
        """Mean acceptance of swaps between the last rung and the machine."""
        last = self.rungs[-1]
        past = v if self._chains is None else self._chains
        total = 0.0
        for _ in range(_N_STEPS):
            past = gibbs(last, past, 1, generator=generator)
            v = gibbs(model, v, 1, generator=generator)
            total += differences(last, model, past, v).acceptance.mean().item()
        self._chains = past
        return total / _N_STEPS


def copy_of(model: BernoulliRBM) -> BernoulliRBM:
    """Copy a machine with memory of its own."""
    return BernoulliRBM(*(p.detach().clone() for p in model.parameters()))
