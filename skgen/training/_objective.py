"""The seam between a family of models and its training."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from skgen.training._processes import Processes as Processes
from skgen.training._step import Batch, TrainingStep


class Objective(nn.Module):
    """What a family of models minimises in training.

    A family overrides `loss`, which is differentiated by autograd, or
    `training_step`, where a step is more than one loss and one optimizer, or has a
    closed form.

    An objective is a module, so that its state (persistent chains, running means)
    moves with the device and is saved with a checkpoint. It owns no parameters: the
    model that it trains is an argument.

    Attributes
    ----------
    differentiates : bool
        Whether the steps use autograd. The net does not record operations otherwise,
        and only then joins a last mini-batch of one row to the one before, as networks
        with batch norm need.
    loss_tells_convergence : bool
        Whether ``train_loss`` is what is minimised, or close to it, so that a fit may
        warn where it still falls or has risen.
    n_steps_a_record : int
        Number of steps from one that `TrainingStep.records` to the next, of which the
        first of an epoch is one.
    n_warmup : int
        Number of epochs in which the objective still changes. Early stopping begins
        after them.
    n_epochs : int or None
        Number of epochs that a fit trains for, from its start; None in `partial_fit`,
        which does not know of an end.
    counters : tuple of str
        Names of buffers that count steps. They stay on the CPU, as each step reads
        them.
    epoch : float
        Number of epochs that the model has been trained for, with fractions. The net
        sets it before each step, if `n_warmup` is not 0, and before each epoch.
    """

    differentiates = True
    loss_tells_convergence = False
    n_epochs: int | None = None
    n_steps_a_record = 16
    n_warmup = 0
    counters: tuple[str, ...] = ()
    epoch = 0.0

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> "Objective":
        counts = {name: self._buffers[name] for name in self.counters}
        super()._apply(fn, *args, **kwargs)
        self._buffers.update(counts)
        return self

    def loss(self, model: Any, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """Compute the training loss of each row of a mini-batch.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.
        batch : Batch
            The mini-batch.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        loss : Tensor of shape (batch,)
            Loss of each row in nats, lower is better; autograd differentiates it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} defines neither loss nor training_step."
        )

    def training_step(self, model: Any, batch: Batch, step: TrainingStep) -> None:
        """Take one training step: by default, minimise the mean of `loss`.

        Parameters
        ----------
        model : nn.Module
            The model that is trained, changed in place.
        batch : Batch
            The mini-batch.
        step : TrainingStep
            Gives the source of randomness, and differentiates and minimises losses.
        """
        with step.rounding():
            loss = self.loss(model, batch, generator=step.generator)
        mean, n_rows = step.minimize(loss, weight=batch.weight), len(batch.x)
        if batch.weight is None:
            step.record(n_rows, loss=mean)
        else:
            total = batch.weight.sum()
            step.record(total, loss=mean * n_rows / total)

    def training_steps(
        self, model: Any, batches: Iterable[Batch], step: TrainingStep
    ) -> None:
        """Take a step for each of several mini-batches.

        The net calls it where nothing happens between them: the learning rate and what
        is recorded stay the same, and no callback is called. By default each step is a
        call of `training_step` and one of `after_step`. An objective whose steps are
        short may go through the mini-batches in fewer instructions.

        Parameters
        ----------
        model : nn.Module
            The model that is trained, changed in place.
        batches : iterable of Batch
            The mini-batches, each of which may lie in the memory of the one before.
        step : TrainingStep
            As in `training_step`. Its `batch` is the last of them afterwards.
        """
        for batch in batches:
            step.batch = batch
            self.training_step(model, batch, step)
            self.after_step(model)

    def after_step(self, model: Any) -> None:
        """Follow the model after each training step; an average of weights does.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.
        """

    def evaluate(self, model: Any, batch: Batch) -> Tensor | None:  # noqa: ARG002
        """Compute the loss that is watched in training, without randomness.

        Parameters
        ----------
        model : nn.Module
            What `inference_model` returns.
        batch : Batch
            Data.

        Returns
        -------
        loss : Tensor of shape (batch,) or None
            Loss of each row in nats, lower is better. None, the default, means that
            there is none: the history has no losses, and training cannot stop early.
        """
        return None

    def running_value(self, model: Any) -> float | None:  # noqa: ARG002
        """Return what early stopping waits for as long as it falls.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.

        Returns
        -------
        value : float or None
            For example the log of a variance that follows the errors of the model; a
            fall by 0.01 counts. None, the default, means that there is nothing.
        """
        return None

    def inference_model(self, model: Any) -> Any:
        """Return the model that answers for the trained one, by default itself.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.

        Returns
        -------
        model : nn.Module
            The same model, or for example a copy with averaged weights.
        """
        return model

    def progress(self) -> dict[str, Any]:
        """Return what the next step depends on besides parameters and buffers.

        A training that is resumed in another process has the bits of one that was not
        interrupted only with it: numbers that are drawn ahead, and counts.

        Returns
        -------
        progress : dict
            Tensors, arrays and plain Python. Empty, the default, means that there is
            nothing.
        """
        return {}

    def resume(self, progress: dict[str, Any]) -> None:
        """Go on from what `progress` returned, before the first step.

        Parameters
        ----------
        progress : dict
            The state. Parameters and buffers have been loaded.
        """

    def running_means(self, model: Any) -> list[Tensor]:  # noqa: ARG002
        """Return tensors that follow means over mini-batches, besides gradients.

        Where several processes train together, each on its part of a mini-batch, they
        are averaged after each step.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.

        Returns
        -------
        tensors : list of Tensor
            For example a variance that follows squared errors. Empty, the default,
            means that there are none.
        """
        return []

    def divide(self, processes: Processes) -> None:
        """Keep what one of several processes has of the state, before the first step.

        By default all of them have the whole state. Persistent Markov chains are
        divided among them.

        Parameters
        ----------
        processes : Processes
            This process and the others.
        """

    def unite(self, processes: Processes) -> None:
        """Get back the whole state, after the last step; the reverse of `divide`.

        Parameters
        ----------
        processes : Processes
            This process and the others.
        """

    def batch_buffer(self, model: Any, n_rows: int) -> Tensor | None:  # noqa: ARG002
        """Return memory in which the net gathers a mini-batch, to save a copy.

        Parameters
        ----------
        model : nn.Module
            The model that is trained.
        n_rows : int
            Number of rows of the mini-batch.

        Returns
        -------
        buffer : Tensor of shape (n_rows, n_features) or None
            Memory to which the objective would copy the mini-batch otherwise. None,
            the default, means that the net uses its own.
        """
        return None
