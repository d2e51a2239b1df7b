"""One step of training: what an objective is given to take it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skgen.nn._rounding import rounded_products

NamedParameters = list[tuple[str, nn.Parameter]]


class Batch(NamedTuple):
    """One mini-batch.

    Attributes
    ----------
    x : Tensor of shape (batch, n_features)
        Rows of the data.
    y : Tensor of shape (batch, n_conditions) or None
        What the model is conditioned on, if anything.
    weight : Tensor of shape (batch,) or None
        Sample weights, whose mean over the training data is 1.
    """

    x: Tensor
    y: Tensor | None = None
    weight: Tensor | None = None


class TrainingStep:
    """Differentiate losses and step optimizers, for an `Objective`.

    The net makes one for each epoch. An objective calls `minimize`; or it fills the
    gradients by itself and calls `apply_gradients`.

    Parameters
    ----------
    optimizers : mapping of str to torch.optim.Optimizer
        The optimizers of the net by name. If there is only one, it is "optimizer".
    named_parameters : list of (str, nn.Parameter)
        Names of all parameters that are learned.
    generator : torch.Generator
        Source of randomness, on the device of the model.
    factor_dtype : torch.dtype or None
        To what `rounding` rounds the factors of matrix products; None means not at
        all.
    on_gradients : callable or None
        Called with the named parameters of an optimizer and the mini-batch after each
        computation of gradients, if a callback reads them.

    Attributes
    ----------
    generator : torch.Generator
        Source of randomness.
    optimizers : mapping of str to torch.optim.Optimizer
        The optimizers.
    batch : Batch
        The mini-batch of the step.
    """

    batch: Batch

    def __init__(
        self,
        optimizers: Mapping[str, Optimizer],
        named_parameters: NamedParameters,
        *,
        generator: torch.Generator,
        factor_dtype: torch.dtype | None = None,
        on_gradients: Callable[[NamedParameters, Batch], None] | None = None,
    ):
        self.optimizers = optimizers
        self.generator = generator
        self._factor_dtype = factor_dtype
        self._on_gradients = on_gradients
        self._named_parameters = {
            name: _stepped_by(optimizer, named_parameters)
            for name, optimizer in optimizers.items()
        }

    @property
    def gradients_are_watched(self) -> bool:
        """Whether a callback reads or changes the gradients of each step."""
        return self._on_gradients is not None

    def rounding(self) -> AbstractContextManager:
        """Return the context in which a model is evaluated in reduced precision."""
        if self._factor_dtype is None:
            return nullcontext()
        return rounded_products(self._factor_dtype, self.generator.device)

    def minimize(
        self,
        loss: Tensor,
        *,
        optimizer: str = "optimizer",
        weight: Tensor | None = None,
    ) -> None:
        """Take a step of one optimizer along the gradient of a mean loss.

        Only the parameters of this optimizer get a gradient.

        Parameters
        ----------
        loss : Tensor of shape (batch,) or ()
            Losses of rows, whose mean is minimised.
        optimizer : str
            Name of the optimizer.
        weight : Tensor of shape (batch,) or None
            Weights of the rows, with mean 1 over the training data.
        """
        if weight is not None:
            loss = loss * weight
        self.zero_gradients(optimizer)
        self.backward([loss.mean()], None, optimizer=optimizer)
        self.apply_gradients(optimizer)

    def zero_gradients(self, optimizer: str = "optimizer") -> None:
        """Remove the gradients of all parameters of one optimizer."""
        self.optimizers[optimizer].zero_grad(set_to_none=True)

    def backward(
        self,
        outputs: list[Tensor],
        gradients: list[Tensor] | None,
        *,
        optimizer: str = "optimizer",
    ) -> None:
        """Add to the gradients of the parameters of one optimizer.

        Parameters
        ----------
        outputs : list of Tensor
            What is differentiated.
        gradients : list of Tensor or None
            Gradients with respect to `outputs`; None means 1, for a scalar.
        optimizer : str
            Name of the optimizer.
        """
        inputs = None
        if len(self.optimizers) > 1:
            inputs = [p for _, p in self._named_parameters[optimizer]]
        # Each layer is differentiated in the dtype in which it was evaluated.
        with torch.autocast(self.generator.device.type, enabled=False):
            torch.autograd.backward(outputs, gradients, inputs=inputs)

    def apply_gradients(self, optimizer: str = "optimizer") -> None:
        """Show the gradients to callbacks, and step one optimizer along them."""
        if self._on_gradients is not None:
            self._on_gradients(self._named_parameters[optimizer], self.batch)
        self.optimizers[optimizer].step()


def _stepped_by(optimizer: Optimizer, parameters: NamedParameters) -> NamedParameters:
    """Select the parameters that an optimizer steps."""
    ids = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return [(name, p) for name, p in parameters if id(p) in ids]
