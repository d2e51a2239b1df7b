"""Models that are kept along a training, for replica exchange between them."""

import copy
from collections.abc import Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor

from skgen.rbm._model import RBM
from skgen.sampling import free_energy_differences, gibbs

# A model is kept when the swap of states with the last one kept is accepted less often
# than this.
_LEAST_ACCEPTANCE = 0.4
# Gibbs steps over which an acceptance is averaged.
_N_STEPS = 10
# Ratio of the ages of the last model kept, in updates, at successive checks.
_GROWTH = 1.25
# Updates from one check to the next at most.
_LONGEST_WAIT = 100
# Models that are kept at most; beyond, every other one is dropped.
_MOST_MODELS = 64


class Trajectory:
    """Models kept along a training, each close to the one before.

    Replica exchange between a model and its own past is accepted often as long
    as the two are alike, and the past mixes fast: early models have weak
    interactions (Béreux et al., 2025). A model is kept when the mean acceptance of a
    swap with the last one that was kept has fallen below 0.4. This is checked the less
    often the older that one is, so that it costs little. A training with a large
    learning rate wanders, and would keep thousands: of more than 64, every other one
    is dropped.

    Parameters
    ----------
    models : sequence of RBM
        Models kept so far, the oldest first; at least the one that training starts
        from.
    """

    def __init__(self, models: Sequence[RBM]):
        self.models = list(models)
        self._chains: Tensor | None = None
        self._age = 0
        self._least_age = 1
        self._next_check = 1

    def restore(self, states: Sequence[dict[str, Tensor]]) -> None:
        """Replace the models by those with the given parameters (``state_dict()``)."""
        first = self.models[0]
        self.models = [copy.deepcopy(first) for _ in states]
        for model, state in zip(self.models, states, strict=True):
            model.load_state_dict(state)
        self._chains, self._age, self._next_check = None, 0, self._least_age

    @property
    def progress(self) -> dict[str, Any]:
        """When the next model is kept depends on this, besides the models."""
        return {name: value for name, value in vars(self).items() if name != "models"}

    @progress.setter
    def progress(self, progress: dict[str, Any]) -> None:  # numpydoc ignore=GL08
        vars(self).update(progress)

    def follow(
        self, model: RBM, v: Tensor, *, generator: torch.Generator
    ) -> list[int] | None:
        """Check the model after an update, and keep a copy if it has moved on.

        Parameters
        ----------
        model : RBM
            The model that is trained.
        v : Tensor of shape (n_chains, n_visible)
            States of its persistent chains.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        parents : list of int or None
            None if nothing was kept. Otherwise, for each of the new `models` and for
            `model` after them, its former index among the models and `model`.
        """
        self._age += 1
        if self._age < self._next_check:
            return None
        self._next_check = min(ceil(_GROWTH * self._age), self._age + _LONGEST_WAIT)
        if self._acceptance(model, v, generator) >= _LEAST_ACCEPTANCE:
            return None
        self.models.append(_copy(model))
        parents = list(range(len(self.models)))
        if len(self.models) > _MOST_MODELS:
            # The first and the last one stay.
            parents = [*parents[:-1:2], parents[-1]]
            self.models = [self.models[i] for i in parents]
            self._least_age *= 2
        self._chains = v.clone()
        self._age, self._next_check = 0, self._least_age
        return [*parents, parents[-1]]

    def _acceptance(self, model: RBM, v: Tensor, generator: torch.Generator) -> float:
        """Mean acceptance of swaps between the last model kept and the present one."""
        last = self.models[-1]
        past = v if self._chains is None else self._chains
        total = 0.0
        for _ in range(_N_STEPS):
            past = gibbs(last, past, 1, generator=generator)
            v = gibbs(model, v, 1, generator=generator)
            differences = free_energy_differences(last, model, past, v)
            total += differences.acceptance.mean().item()
        self._chains = past
        return total / _N_STEPS


def _copy(model: RBM) -> RBM:
    """Copy a model, without gradients."""
    new = copy.deepcopy(model)
    new.zero_grad(set_to_none=True)
    return new.requires_grad_(False)
