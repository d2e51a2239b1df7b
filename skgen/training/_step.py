"""One step of training: what an objective is given to take it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skgen.nn._rounding import rounded_products
from skgen.training._processes import Processes

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
    processes : Processes or None
        Those that train together, each on its part of a mini-batch: gradients, and what
        is recorded, are averaged over all of them.

    Attributes
    ----------
    generator : torch.Generator
        Source of randomness.
    optimizers : mapping of str to torch.optim.Optimizer
        The optimizers.
    batch : Batch
        The mini-batch of the step.
    records : bool
        Whether an objective should `record` what takes time to compute: at the first
        mini-batch of an epoch, and after each `Objective.n_steps_a_record`.
    callbacks_between : bool
        Whether callbacks are called between the steps of this epoch. If not, nothing
        but the objective changes the model until its end.
    """

    batch: Batch
    records: bool = False
    callbacks_between: bool = True

    def __init__(
        self,
        optimizers: Mapping[str, Optimizer],
        named_parameters: NamedParameters,
        *,
        generator: torch.Generator,
        factor_dtype: torch.dtype | None = None,
        on_gradients: Callable[[NamedParameters, Batch], None] | None = None,
        processes: Processes | None = None,
    ):
        self.optimizers = optimizers
        self.generator = generator
        self._factor_dtype = factor_dtype
        self._on_gradients = on_gradients
        self._processes = processes
        self._named_parameters = {
            name: _stepped_by(optimizer, named_parameters)
            for name, optimizer in optimizers.items()
        }
        self._records: list[tuple[float | Tensor, dict[str, float | Tensor]]] = []

    @property
    def gradients_are_watched(self) -> bool:
        """Whether a callback or another process reads the gradients of each step."""
        return self._on_gradients is not None or self._processes is not None

    def rounding(self) -> AbstractContextManager:
        """Return the context in which a model is evaluated in reduced precision."""
        if self._factor_dtype is None:
            return nullcontext()
        return rounded_products(self._factor_dtype, self.generator.device)

    def record(self, n_rows: float | Tensor, **values: float | Tensor) -> None:
        """Note means over the mini-batch for the history of training.

        At the end of an epoch the net writes the mean of each over all rows that it was
        recorded for: ``loss`` becomes ``train_loss``. Nothing is moved from the device
        until then.

        Parameters
        ----------
        n_rows : float or Tensor of shape ()
            Number of rows of which the values are means, or the sum of their weights.
        **values : float or Tensor of shape ()
            What is recorded, in nats per row: `loss`, and the terms that it is made of.
        """
        means = {  # without the graph that autograd made of them
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        self._records.append((n_rows, means))

    def record_rows(
        self, loss: Tensor, weight: Tensor | None, **values: float | Tensor
    ) -> None:
        """Note the weighted mean of a loss that rows have each for themselves.

        Parameters
        ----------
        loss : Tensor of shape (n_rows,)
            Loss of each row, in nats.
        weight : Tensor of shape (n_rows,) or None
            Their weights; None means equal ones.
        **values : float or Tensor of shape ()
            Means that are recorded besides, as by `record`.
        """
        if weight is None:
            self.record(len(loss), loss=loss.mean(), **values)
        else:
            total = weight.sum()
            self.record(total, loss=(weight * loss).sum() / total, **values)

    def recorded_means(self) -> dict[str, float]:
        """Return the mean of each recorded value over its rows, and forget them."""
        records, self._records = self._records, []
        names = list(dict.fromkeys(name for _, values in records for name in values))
        numbers = iter(_to_numbers([x for n, v in records for x in (n, *v.values())]))
        totals, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        for _, values in records:
            n_rows = next(numbers)
            for name in values:
                mean = next(numbers)
                if n_rows:  # rows without weight may have no mean
                    totals[name] += n_rows * mean
                    counts[name] += n_rows
        if self._processes is not None:
            device = self.generator.device
            sums = [*totals.values(), *counts.values()]
            sums = self._processes.summed(sums, device)
            totals = dict(zip(names, sums[: len(names)], strict=True))
            counts = dict(zip(names, sums[len(names) :], strict=True))
        return {name: totals[name] / counts[name] for name in names if counts[name]}

    def minimize(
        self,
        loss: Tensor,
        *,
        optimizer: str = "optimizer",
        weight: Tensor | None = None,
        only: str = "",
    ) -> Tensor:
        """Take a step of one optimizer along the gradient of a mean loss.

        Only the parameters of this optimizer get a gradient. With `only`, these are
        those of one part of the model: an optimizer of torch leaves parameters without
        a gradient, and its state for them, as they are. So the players of a game may
        share an optimizer, in which callbacks of skorch find all learning rates, and
        each have a state of their own in it.

        Parameters
        ----------
        loss : Tensor of shape (batch,) or ()
            Losses of rows, whose mean is minimised.
        optimizer : str
            Name of the optimizer.
        weight : Tensor of shape (batch,) or None
            Weights of the rows, with mean 1 over the training data.
        only : str
            Name of the submodule of the model whose parameters are stepped; empty for
            all of the optimizer.

        Returns
        -------
        mean : Tensor of shape ()
            The mean of the weighted losses.
        """
        if weight is not None:
            loss = loss * weight
        self.zero_gradients(optimizer)
        mean = loss.mean()
        self.backward([mean], None, optimizer=optimizer, only=only)
        self.apply_gradients(optimizer, only=only)
        return mean.detach()

    def zero_gradients(self, optimizer: str = "optimizer") -> None:
        """Remove the gradients of all parameters of one optimizer."""
        self.optimizers[optimizer].zero_grad(set_to_none=True)

    def backward(
        self,
        outputs: list[Tensor],
        gradients: list[Tensor] | None,
        *,
        optimizer: str = "optimizer",
        only: str = "",
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
        only : str
            Name of a submodule of the model, as in `minimize`.
        """
        own = [p for _, p in self._of(optimizer, only) if p.requires_grad]
        if not own:  # all are frozen
            return
        inputs = own if only or len(self.optimizers) > 1 else None
        if gradients:  # a user's networks may all be frozen
            outputs = [_GivenGradients.apply(gradients, *outputs)]
        # Each layer is differentiated in the dtype in which it was evaluated.
        with torch.autocast(self.generator.device.type, enabled=False):
            torch.autograd.backward(outputs, inputs=inputs)

    def apply_gradients(self, optimizer: str = "optimizer", *, only: str = "") -> None:
        """Show the gradients to callbacks, and step one optimizer along them."""
        if self._processes is not None:
            gradients = (p.grad for _, p in self._of(optimizer, only))
            self._processes.average_(
                [g for g in gradients if g is not None], len(self.batch.x)
            )
        if self._on_gradients is not None:
            self._on_gradients(self._of(optimizer, only), self.batch)
        self.optimizers[optimizer].step()

    def _of(self, optimizer: str, only: str) -> NamedParameters:
        """Parameters of an optimizer, or those of them that are of one submodule."""
        named = self._named_parameters[optimizer]
        if not only:
            return named
        return [(name, p) for name, p in named if name.startswith(only + ".")]


class _GivenGradients(torch.autograd.Function):
    """A scalar that has the gradients that it is given.

    `torch.autograd.backward` takes gradients, too, but imports sympy to compare their
    shapes with those of the outputs: half a second in the first fit of a process.
    """

    @staticmethod
    def forward(ctx: Any, gradients: list[Tensor], *outputs: Tensor) -> Tensor:
        ctx.gradients = gradients
        return outputs[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.gradients


def _stepped_by(optimizer: Optimizer, parameters: NamedParameters) -> NamedParameters:
    """Select the parameters that an optimizer steps."""
    ids = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return [(name, p) for name, p in parameters if id(p) in ids]


def _to_numbers(values: list[float | Tensor]) -> list[float]:
    """Fetch numbers from the device, all in one transfer."""
    tensors = [x for x in values if isinstance(x, Tensor)]
    fetched = iter(torch.stack(tensors).cpu().double().tolist() if tensors else ())
    return [next(fetched) if isinstance(x, Tensor) else float(x) for x in values]
