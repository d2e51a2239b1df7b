"""The skorch net that trains every family."""

import math
from collections.abc import Mapping
from fnmatch import fnmatch
from functools import partial
from itertools import islice
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping, EpochTimer
from skorch.dataset import Dataset
from skorch.utils import is_dataset
from torch import Tensor, nn
from torch.optim import Optimizer

from skgen.training._batches import DeviceBatches, table_of
from skgen.training._callbacks import WatchLoss
from skgen.training._divergence import TrainingDivergedError
from skgen.training._parallel import ParallelNet
from skgen.training._rows import fits, to_tensor
from skgen.training._schedules import SCHEDULES
from skgen.training._snapshot import Snapshot
from skgen.training._step import Batch, NamedParameters, TrainingStep
from skgen.training._torch_state import plain_torch

# Mini-batches between two checks that the parameters are still finite.
_BATCHES_A_CHECK = 96
# Rows that are scored at a time.
_ROWS_A_SCORE = 1024
# Callbacks that belong to an epoch: without what they record it is not whole.
_OF_AN_EPOCH = (EpochTimer, WatchLoss)


class StopTraining(KeyboardInterrupt):
    """Raised where a callback stops training early; skorch catches it."""


class GenerativeNet(ParallelNet):
    """A skorch net whose criterion is an `Objective` and which needs no target.

    It owns the epoch: mini-batches, learning rates, callbacks and history, and it
    stops a training that diverges. What a training step does is the objective's
    (`Objective.training_step`). An epoch is one loop, in which callbacks are notified
    of mini-batches and of gradients only if one of them overrides such a method.

    A training that is interrupted goes back to the end of its last whole epoch: the
    history, the model, the objective, the optimizers and the random numbers. An epoch
    is whole when callbacks are told that it has ended. What `EarlyStopping` raises is
    no interruption.

    Parameters
    ----------
    *args : tuple
        Those of `skorch.NeuralNet`: `module` is the model, `criterion` the
        objective, both initialised.
    generator : torch.Generator
        Source of all randomness in training, on the device of the net.
    factor_dtype : torch.dtype or None
        To what autograd rounds the factors of matrix products, by `rounded_products`;
        None means not at all.
    learning_rate_schedule : {"constant", "linear", "one_cycle"}
        How the learning rate moves over `max_epochs`, from mini-batch to mini-batch: a
        key of `SCHEDULES`.
    optimizers : mapping of str to (type, str) or None
        Optimizers by name, each with its class and a pattern of the names of the
        parameters that it steps, such as ``{"critic_optimizer": (torch.optim.Adam,
        "critic.*")}``. Their arguments are ``critic_optimizer__lr`` and the like; `lr`
        is the default. None means one, "optimizer", for all parameters, as in skorch.
    phase : str
        Name of this part of a fit of several, which each row of the history gets;
        empty if there is but one.
    **kwargs : dict
        Those of `skorch.NeuralNet`.

    Attributes
    ----------
    interrupted_ : bool
        Whether the last training was ended by a `KeyboardInterrupt`, which is not
        raised again, as in skorch.
    has_ended_early_ : bool
        Whether the last training was stopped by a callback, or interrupted.
    n_resumed_ : int
        Number of epochs of a training that were done when it began, in another process:
        a callback sets it at the beginning.
    built_from_ : dict or None
        Parameters of the estimator that the net was built from; None means that it is
        to be built again for another fit.
    """

    def __init__(
        self,
        *args: Any,
        generator: torch.Generator,
        factor_dtype: torch.dtype | None = None,
        learning_rate_schedule: str = "constant",
        optimizers: Mapping[str, tuple[type[Optimizer], str]] | None = None,
        phase: str = "",
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.generator = generator
        self.factor_dtype = factor_dtype
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizers = optimizers
        self.phase = phase
        self.interrupted_ = self.has_ended_early_ = False
        self.n_resumed_ = 0
        self.built_from_: Any = None
        self._n_trained = self._n_whole = 0
        self._best: dict[str, float] = {}

    def get_all_learnable_params(self) -> Any:
        """Give the named parameters of the model: an objective has none."""
        return self.module_.named_parameters()

    def initialize_optimizer(self, triggered_directly: Any = None) -> "GenerativeNet":
        """Make the optimizers, each for its own parameters."""
        wanted = self.optimizers or {"optimizer": (self.optimizer, "*")}
        for name, (kind, pattern) in wanted.items():
            named = self.get_all_learnable_params()
            own = ((n, p) for n, p in named if fnmatch(n, pattern))
            args, kwargs = self.get_params_for_optimizer(name, own)
            kwargs.setdefault("lr", self.lr)
            setattr(self, name + "_", kind(*args, **kwargs))
        for group in self.param_groups():
            # For schedulers of torch that join after some epochs.
            group.setdefault("initial_lr", group["lr"])
        return self

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Wrap X and y; dense data moves to the device of the net, if it fits there."""
        if is_dataset(X):
            return X
        if hasattr(X, "__array__") and not isinstance(X, Tensor):
            X = to_tensor(X, torch.device("cpu"))
        if isinstance(X, Tensor):
            dtype = next(self.module_.parameters()).dtype
            there = fits(X.numel() * dtype.itemsize, self._device)
            X = X.to(self._device if there else X.device, dtype)
        return Dataset(X, y)

    def get_iterator(self, dataset: Any, training: bool = False) -> DeviceBatches:
        """Iterate over mini-batches of a dataset, shuffled in training."""
        processes = self.processes if training else None
        generator = self.generator if processes is None else self._order
        return DeviceBatches(
            dataset,
            self.batch_size,
            device=self._device,
            generator=generator if training else None,
            join_single_row=training and self.criterion_.differentiates,
            processes=processes,
        )

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, **kwargs: Any
    ) -> "GenerativeNet":
        """Train for `max_epochs` passes over X, from where the net is."""
        self._refuse_to_train()
        if not self.initialized_:
            self.initialize()
        self.interrupted_ = self.has_ended_early_ = False
        self.n_resumed_ = 0
        self._n_whole = len(self.history)
        try:
            with self._together():
                return super().partial_fit(X, y, classes, **kwargs)
        except KeyboardInterrupt as error:  # before or after the epochs
            self._note_end(error)
            return self
        finally:
            del self.history[self._n_whole :]

    def fit_loop(self, X: Any, y: Any = None, epochs: Any = None, **kwargs: Any) -> Any:
        """Train for `epochs` passes over X, less those that were done before."""
        epochs = (self.max_epochs if epochs is None else epochs) - self.n_resumed_
        # The schedule counts from here: a net may be trained more than once.
        self._n_trained = len(self.own_rows())
        self._first_epoch = self._n_trained - self.n_resumed_
        self._base_lr = [float(group["lr"]) for group in self.param_groups()]
        self._best = {}
        self._n_whole = len(self.history)
        self._before_epoch = Snapshot(
            [self.module_, self.criterion_],
            self.named_optimizers().values(),
            self.generator,
        )
        try:
            with plain_torch():
                return super().fit_loop(X, y, epochs, **kwargs)
        except KeyboardInterrupt as error:
            self._note_end(error)
            if len(self.history) > self._n_whole:
                self._before_epoch.restore()
                if self._n_whole:  # at their end callbacks of skorch read a row
                    del self.history[self._n_whole :]
            raise
        except TrainingDivergedError:
            self._before_epoch.restore()
            del self.history[self._n_whole :]
            raise
        finally:
            del self._before_epoch  # its memory
            if self.learning_rate_schedule != "constant":
                self._set_learning_rate(1.0)

    def _note_end(self, error: KeyboardInterrupt) -> None:
        self.has_ended_early_ = True
        self.interrupted_ = not isinstance(error, StopTraining)

    def on_epoch_begin(self, net: Any, *args: Any, **kwargs: Any) -> None:
        """Keep what the epoch starts from, and begin a row of the history."""
        self._before_epoch.take()
        super().on_epoch_begin(net, *args, **kwargs)

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Tell the net and its callbacks of an event."""
        if method_name == "on_train_begin" and is_dataset(kwargs.get("X")):
            # Callbacks that score look at how conditions are to be indexed.
            kwargs["y"] = table_of(kwargs["X"]).y
        getattr(self, method_name)(self, **kwargs)
        ends = method_name == "on_epoch_end"
        for _, callback in self.callbacks_:
            if ends and not isinstance(callback, _OF_AN_EPOCH):
                self._n_whole = len(self.history)
            try:
                getattr(callback, method_name)(self, **kwargs)
            except KeyboardInterrupt:
                if isinstance(callback, EarlyStopping):
                    raise StopTraining from None
                raise
        if ends:
            self._n_whole = len(self.history)

    def run_single_epoch(
        self,
        iterator: DeviceBatches | None,
        training: bool,
        prefix: str,
        step_fn: Any,
        **fit_params: Any,
    ) -> None:
        """Pass over the data once."""
        if iterator is None:
            return
        self._set_training(training)
        if training:
            self._train_epoch(iterator)
        elif self._listens_to_batches():
            for batch in iterator:
                self._notify_begin(batch, training=False)
                self._notify_end(batch, training=False)

    def evaluation_step(self, batch: Batch, training: bool = False) -> Any:
        """Evaluate the module on the rows of a mini-batch."""
        self.check_is_fitted()
        with torch.set_grad_enabled(training):
            self._set_training(training)
            return self.infer(*_inputs(batch))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean score of X in nats per row: minus the loss that is watched."""
        losses = self.losses(X, y)
        if losses is None:
            raise ValueError(
                f"{type(self.criterion_).__name__} has no loss to evaluate. Score the "
                "estimator instead of its net."
            )
        return -losses.mean().item()

    def losses(self, X: Any, y: Any = None) -> Tensor | None:
        """Loss of each row as it is watched, float64, nats; None if there is none."""
        self._set_training(False)
        model = self.criterion_.inference_model(self.module_)
        dataset = self.get_dataset(X, y)
        batches = DeviceBatches(dataset, _ROWS_A_SCORE, device=self._device)
        with torch.no_grad():
            parts = [self.criterion_.evaluate(model, batch) for batch in batches]
        return None if parts[0] is None else torch.cat(parts).double()

    def record(self, name: str, value: float) -> None:
        """Write a value into the history; with a loss, whether it is the best so far.

        Parameters
        ----------
        name : str
            Name of the column.
        value : float
            Its value in the current epoch. If the name ends with ``loss``, ``…_best``
            says whether no epoch before had one as low, as in skorch.
        """
        row = self._row
        row[name] = value
        if name.endswith("loss"):
            if name not in self._best:
                self._best[name] = self._best_so_far(name)
            is_best = value < self._best[name]
            if is_best:
                self._best[name] = value
            row[f"{name}_best"] = is_best

    @property
    def _row(self) -> dict[str, Any]:
        """The last row of the history, which skorch finds by a copy of all rows."""
        return next(reversed(self.history))

    @property
    def _device(self) -> torch.device:
        return torch.device(self.device)

    def _train_epoch(self, batches: DeviceBatches) -> None:
        objective, model = self.criterion_, self.module_
        listens = self._listens_to_batches()
        if not listens:
            # No callback keeps a mini-batch, so that memory can be used again.
            batches.buffer = partial(objective.batch_buffer, model)
        named = list(self.get_all_learnable_params())
        step = self._training_step(named)
        step.callbacks_between = listens or step.gradients_are_watched
        parameters = [parameter for _, parameter in named]
        self._move_on(self._n_trained)
        with torch.set_grad_enabled(objective.differentiates):
            if listens or self._moves_in_an_epoch or self.processes is not None:
                self._step_by_step(batches, step, parameters, listens=listens)
            else:
                self._step_in_runs(batches, step, parameters)
        self._check_finite(parameters)
        if not listens:
            # One row stands for all: skorch's Checkpoint and LRScheduler read it.
            self._row["batches"].append({"train_batch_size": len(step.batch.x)})
        self._row["train_batch_count"] = len(batches)
        for name, value in step.recorded_means().items():
            if name == "loss" and not math.isfinite(value):
                self._raise_diverged(f"the loss is {value}")
            self.record(f"train_{name}", value)
        self._n_trained += 1
        if self.phase:
            self._row["phase"] = self.phase

    def _step_by_step(
        self,
        batches: DeviceBatches,
        step: TrainingStep,
        parameters: list[nn.Parameter],
        *,
        listens: bool,
    ) -> None:
        """Train on each mini-batch, with what is to be done between two of them."""
        objective, model, moves = self.criterion_, self.module_, self._moves_in_an_epoch
        n_trained, n_batches = self._n_trained, len(batches)
        every = objective.n_steps_a_record
        for count, batch in enumerate(batches):
            if moves:
                self._move_on(n_trained + count / n_batches)
            if listens:
                self._notify_begin(batch, training=True)
            step.batch, step.records = batch, count % every == 0
            objective.training_step(model, batch, step)
            objective.after_step(model)
            if self.processes is not None:
                self._average_running_means(len(batch.x))
            if listens:
                self._notify_end(batch, training=True)
            if (count + 1) % _BATCHES_A_CHECK == 0:
                self._check_finite(parameters)

    def _step_in_runs(
        self,
        batches: DeviceBatches,
        step: TrainingStep,
        parameters: list[nn.Parameter],
    ) -> None:
        """Train on mini-batches, between which nothing else is to be done."""
        train, model = self.criterion_.training_steps, self.module_
        every, coming = self.criterion_.n_steps_a_record, iter(batches)
        for count in range(0, len(batches), every):
            if count and count % _BATCHES_A_CHECK < every:
                self._check_finite(parameters)
            step.records = True
            train(model, islice(coming, 1), step)
            step.records = False
            part = islice(coming, every - 1)
            train(model, list(part) if batches.are_made_together else part, step)

    def _training_step(self, named_parameters: NamedParameters) -> TrainingStep:
        return TrainingStep(
            self.named_optimizers(),
            named_parameters,
            generator=self.generator,
            factor_dtype=self.factor_dtype,
            on_gradients=(
                self._notify_gradients if self._listeners("on_grad_computed") else None
            ),
            processes=self.processes,
        )

    def named_optimizers(self) -> dict[str, Optimizer]:
        """Return the optimizers by name."""
        return {name: getattr(self, name + "_") for name in self._optimizers}

    def param_groups(self) -> list[dict[str, Any]]:
        """Return the groups of parameters of all optimizers."""
        optimizers = self.named_optimizers().values()
        return [group for optimizer in optimizers for group in optimizer.param_groups]

    def epochs_trained(self) -> int:
        """Number of epochs of this phase whose pass has ended, in all fits."""
        return self._n_trained

    def epochs_of_fit(self) -> int:
        """Number of epochs of this phase whose pass has ended, in this fit."""
        return self._n_trained - self._first_epoch

    def own_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the history of this phase."""
        return [row for row in self.history if row.get("phase", "") == self.phase]

    def _best_so_far(self, name: str) -> float:
        """Lowest loss of a name in this phase, in the rows before the current one."""
        for row in reversed(self.own_rows()):
            if row.get(f"{name}_best"):
                return row[name]
        return float("inf")

    @property
    def _moves_in_an_epoch(self) -> bool:
        """Whether the objective or the learning rate changes from step to step."""
        is_constant = self.learning_rate_schedule == "constant"
        return bool(self.criterion_.n_warmup) or not is_constant

    def _move_on(self, epoch: float) -> None:
        """Set how far the training is, for the objective and the learning rate."""
        self.criterion_.epoch = epoch
        factor = SCHEDULES[self.learning_rate_schedule]
        if factor is not None:
            progress = (epoch - self._first_epoch) / self.max_epochs
            self._set_learning_rate(factor(progress))

    def _notify_begin(self, batch: Batch, training: bool) -> None:
        self.notify("on_batch_begin", batch=(batch.x, batch.y), training=training)

    def _notify_end(self, batch: Batch, training: bool) -> None:
        prefix = "train" if training else "valid"
        self.history.record_batch(f"{prefix}_batch_size", len(batch.x))
        # As at inference: a callback must not move batch norm or draw a dropout.
        self.module_.eval()
        with torch.no_grad():
            y_pred = self.module_(*_inputs(batch))
        self.module_.train(training)
        self.notify(
            "on_batch_end",
            batch=(batch.x, batch.y),
            training=training,
            y_pred=y_pred,
        )

    def _notify_gradients(self, named_parameters: list[Any], batch: Batch) -> None:
        self.notify(
            "on_grad_computed",
            named_parameters=named_parameters,
            batch=(batch.x, batch.y),
            training=True,
        )

    def _listens_to_batches(self) -> bool:
        return bool(self._listeners("on_batch_begin", "on_batch_end"))

    def _listeners(self, *methods: str) -> list[str]:
        """Names of callbacks that override one of the methods."""
        return [
            name
            for name, callback in self.callbacks_
            for method in methods
            if getattr(type(callback), method) is not getattr(Callback, method)
        ]

    def _set_learning_rate(self, factor: float) -> None:
        for group, base in zip(self.param_groups(), self._base_lr, strict=True):
            group["lr"] = base * factor

    def _check_finite(self, parameters: list[nn.Parameter]) -> None:
        with torch.no_grad():
            # A sum is finite only if all its terms are, and one that overflows is of
            # terms that are as good as infinite; one number crosses over.
            total = torch.stack([p.sum() for p in parameters]).sum()
        if not math.isfinite(total.item()):
            self._raise_diverged("the parameters are no longer finite")

    def _raise_diverged(self, reason: str) -> None:
        raise TrainingDivergedError(
            f"Training diverged in epoch {len(self.history)}: {reason}. Lower "
            f"learning_rate (got {self.param_groups()[0]['lr']:g}), momentum or "
            "weight_decay, or scale X. The attribute estimator of this error is the "
            "model of the epochs before, if there are any."
        )


def _inputs(batch: Batch) -> tuple[Tensor, ...]:
    """What a module is called with: the rows, and their conditions if there are any."""
    return (batch.x,) if batch.y is None else (batch.x, batch.y)
