"""The seam between a family of models and its training."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Objective(nn.Module, ABC):
    """What a family minimises.

    It is a module, so that its state (persistent chains, running means) moves
    with the device and is saved with a checkpoint, but it owns no parameters:
    the model that it trains is an argument.

    Attributes
    ----------
    descends : bool
        Whether the objective has a `descend_` that takes a step of plain
        stochastic gradient descent itself, without passing through ``.grad``.
    n_warmup : int
        Epochs in which the objective still changes: early stopping starts after
        them.
    epoch : float
        Epochs that the model was trained for, with fractions. The caller keeps
        it.
    """

    descends = False
    n_warmup = 0
    epoch = 0.0

    def room(self, model: Any, n: int) -> Tensor | None:  # noqa: ARG002
        """Memory that a mini-batch of n rows may be gathered in, to save a copy.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.
        n : int
            Rows of the mini-batch.

        Returns
        -------
        room : Tensor of shape (n, n_features) or None
            Where the objective would copy the mini-batch anyway.
        """
        return None

    @property
    def capturable(self) -> bool:
        """Whether a step may be replayed as a CUDA graph from now on."""
        # It may if it does the same as any later one, on tensors alone: no number of
        # Python changes, and none is read from a tensor.
        return False

    @abstractmethod
    def forward(
        self, model: Any, x: Tensor, *, generator: torch.Generator
    ) -> Tensor | None:
        """Compute the training loss, or its gradient, on one mini-batch.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.
        x : Tensor of shape (batch, n_features)
            The mini-batch.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        loss : Tensor of shape (batch,) or None
            Loss per sample in nats, to be averaged and differentiated by the
            caller; None says that ``.grad`` of every parameter was filled with
            the gradient of the mean loss already.
        """

    @abstractmethod
    def evaluate(self, model: Any, x: Tensor) -> Tensor:
        """Score data deterministically: what is watched while training.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.
        x : Tensor of shape (batch, n_features)
            Data.

        Returns
        -------
        loss : Tensor of shape (batch,)
            Loss per sample in nats, lower is better.
        """

    def descend_(
        self,
        model: Any,
        x: Tensor,
        *,
        learning_rate: float | Tensor,
        weight_decay: float,
        momentum: float,
        velocity: Sequence[Tensor] | None,
        generator: torch.Generator,
    ) -> None:
        """Take one step of gradient descent in place.

        It does what `forward` followed by `torch.optim.SGD` does, in fewer passes
        over the weights. The caller has switched gradients off.

        Parameters
        ----------
        model : nn.Module
            The model that is trained, changed in place.
        x : Tensor of shape (batch, n_features)
            The mini-batch.
        learning_rate : float or Tensor of shape ()
            As in `torch.optim.SGD`.
        weight_decay, momentum : float
            As in `torch.optim.SGD`.
        velocity : sequence of Tensor or None
            The optimizer's ``momentum_buffer`` of each parameter, changed in place;
            None means no momentum.
        generator : torch.Generator
            Source of randomness.
        """
        raise NotImplementedError(f"{type(self).__name__} descends by autograd only")
