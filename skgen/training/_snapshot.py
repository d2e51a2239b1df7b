"""A copy of all that training changes, to which it can go back."""

import copy
from collections.abc import Iterable
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Snapshot:
    """Copies of parameters, buffers, states of optimizers and of random numbers.

    They are made anew before each epoch, in memory that is kept. `restore` is for the
    rare epoch that does not come to its end.

    Parameters
    ----------
    modules : list of nn.Module
        The model and the objective.
    optimizers : iterable of torch.optim.Optimizer
        The optimizers.
    generator : torch.Generator
        Source of randomness.
    """

    def __init__(
        self,
        modules: list[nn.Module],
        optimizers: Iterable[Optimizer],
        generator: torch.Generator,
    ):
        parts = [part for module in modules for part in module.modules()]
        owners = [owner for m in parts for owner in (m._parameters, m._buffers)]
        self._owners: list[dict] = [owner for owner in owners if owner]
        self._optimizers = list(optimizers)
        self._generator = generator
        plain = nn.Module.get_extra_state
        self._more = [m for m in parts if type(m).get_extra_state is not plain]
        self._known: list[dict] = []
        self._n_items = 0
        self._places: list[tuple[dict, Any, Tensor]] = []
        self._tensors: list[Tensor] = []
        self._copies: list[Tensor] = []

    def take(self) -> None:
        """Copy everything as it is now."""
        states = [s for o in self._optimizers for s in o.state.values()]
        owners = [*self._owners, *states]
        if self._are_known(owners):
            if self._copies:
                with torch.no_grad():
                    torch._foreach_copy_(self._copies, self._tensors)
        else:
            self._places = [
                (owner, key, value)
                for owner in owners
                for key, value in owner.items()
                if isinstance(value, Tensor)
            ]
            self._tensors = [value for *_, value in self._places]
            self._copies = [tensor.detach().clone() for tensor in self._tensors]
            self._known, self._n_items = owners, sum(map(len, owners))
        self._groups = [dict(g) for o in self._optimizers for g in o.param_groups]
        self._extra = [copy.deepcopy(module.get_extra_state()) for module in self._more]
        self._random = self._generator.get_state()

    def _are_known(self, owners: list[dict]) -> bool:
        """Whether tensors are where they were the last time, and no others.

        A module may have replaced its buffers, and an optimizer have begun.
        """
        return (
            len(owners) == len(self._known)
            and sum(map(len, owners)) == self._n_items
            and all(map(is_, owners, self._known))
            and all(owner.get(key) is x for owner, key, x in self._places)
        )

    def restore(self) -> None:
        """Make everything what it was when `take` was called."""
        known = {id(owner) for owner, *_ in self._places}
        for optimizer in self._optimizers:
            for parameter, state in list(optimizer.state.items()):
                if id(state) not in known:  # begun since then
                    del optimizer.state[parameter]
        # A scheduler may have changed the learning rates.
        groups = [group for o in self._optimizers for group in o.param_groups]
        for group, options in zip(groups, self._groups, strict=True):
            group.update(options)
        for module, state in zip(self._more, self._extra, strict=True):
            module.set_extra_state(copy.deepcopy(state))
        with torch.no_grad():
            for (owner, key, _), kept in zip(self._places, self._copies, strict=True):
                now = owner[key]
                if now is not None and now.shape == kept.shape:
                    now.copy_(kept)
                else:
                    owner[key] = kept.clone()
        self._generator.set_state(self._random)
