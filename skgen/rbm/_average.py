"""The mean of the parameters over the end of a training."""

from typing import Any

import torch
from torch import Tensor, nn


class ParameterAverage:
    """Mean of the parameters after each epoch of the last quarter of a training.

    Persistent chains that mix slowly move the weights of the modes of a model to and
    fro. Averages of the iterates of a stochastic approximation are closer to its limit
    than the last of them (Polyak & Juditsky, 1992).
    """

    def __init__(self) -> None:
        self._n_begun = self._n = 0
        self._mean: list[Tensor] = []

    @property
    def state(self) -> dict[str, Any]:
        """The mean so far, and of how many epochs it is."""
        return dict(vars(self))

    @state.setter
    def state(self, state: dict[str, Any]) -> None:  # numpydoc ignore=GL08
        vars(self).update(state)

    def begin_epoch(self, model: nn.Module, n_epochs: int | None) -> None:
        """Take the parameters as the last epoch has left them, if it counts.

        Parameters
        ----------
        model : nn.Module
            The model.
        n_epochs : int or None
            Number of epochs of the training; None means that there is no average.
        """
        if n_epochs is not None and 4 * self._n_begun > 3 * n_epochs:
            self._add(model)
        self._n_begun += 1

    @torch.no_grad()
    def conclude_(self, model: nn.Module) -> None:
        """Give a model the mean, with its parameters after the last epoch."""
        for mean, parameter in zip(self._mean, model.parameters(), strict=False):
            parameter.copy_(mean.lerp(parameter, 1 / (self._n + 1)))

    @torch.no_grad()
    def _add(self, model: Any) -> None:
        if not self._n:
            self._mean = [torch.zeros_like(p) for p in model.parameters()]
        self._n += 1
        for mean, parameter in zip(self._mean, model.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 / self._n)
