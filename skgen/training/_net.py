"""The skorch net that trains every family."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from skorch.dataset import Dataset
from skorch.utils import TeeGenerator, is_dataset
from torch import Tensor

from skgen.nn import rounded_products
from skgen.training._batches import DeviceBatches, fits, to_tensor
from skgen.training._graphs import GraphedStep, capturable
from skgen.training._schedules import SCHEDULES

# Batches between two looks at whether the parameters are still finite.
_BATCHES_A_CHECK = 100
# Rows that are scored at a time.
_ROWS_A_SCORE = 1024


class GenerativeNet(NeuralNet):
    """A skorch net whose criterion is an `Objective` and which needs no target.

    It owns the training step, and nothing else does: it averages a loss per
    sample, calls the optimizer, keeps the history and stops a fit that
    diverges. An epoch is one tight loop, in which callbacks are told of batches
    and of gradients only if one of them listens.

    Parameters
    ----------
    *args : tuple
        Those of `skorch.NeuralNet`: `module` is the model, `criterion` the
        objective, both initialised.
    generator : torch.Generator
        Source of all randomness in training, on the device of the net.
    products : torch.dtype or None
        What autograd rounds the factors of matrix products to, by
        `rounded_products`; None means not at all. An objective that `descends`
        sees to that itself.
    graphs : bool
        Whether steps are captured as a CUDA graph, on a device that has them and
        where the objective is `capturable`.
    learning_rate_schedule : {"constant", "linear", "one_cycle"}
        How the learning rate moves over `max_epochs`, a step every mini-batch: a
        key of `SCHEDULES`.
    **kwargs : dict
        Those of `skorch.NeuralNet`.

    Attributes
    ----------
    interrupted_ : bool
        Whether the last training was interrupted in the middle of an epoch.
    """

    def __init__(
        self,
        *args: Any,
        generator: torch.Generator,
        products: torch.dtype | None = None,
        graphs: bool = False,
        learning_rate_schedule: str = "constant",
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.generator = generator
        self.products = products
        self.graphs = graphs
        self._graphed: GraphedStep | None = None
        self.learning_rate_schedule = learning_rate_schedule
        self.interrupted_ = False

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Wrap X; dense data moves to the device of the net, once, if it fits there."""
        if is_dataset(X):
            return X
        if hasattr(X, "__array__") and not isinstance(X, Tensor):
            X = to_tensor(X, torch.device("cpu"))
        if isinstance(X, Tensor):
            dtype = next(self.module_.parameters()).dtype
            there = fits(X.numel() * dtype.itemsize, self._device)
            X = X.to(self._device if there else X.device, dtype)
        return Dataset(X)

    def get_iterator(self, dataset: Any, training: bool = False) -> DeviceBatches:
        """Iterate over mini-batches of a dataset, shuffled in training."""
        generator = self.generator if training else None
        return DeviceBatches(
            dataset, self.batch_size, device=self._device, generator=generator
        )

    def fit_loop(self, X: Any, y: Any = None, epochs: Any = None, **kwargs: Any) -> Any:
        """Train for `epochs` passes over X."""
        self.interrupted_ = False
        # The schedule counts from here: a net may be trained more than once.
        self._first_epoch = len(self.history)
        self._base_lr = [float(g["lr"]) for g in self.optimizer_.param_groups]
        try:
            return super().fit_loop(X, y, epochs, **kwargs)
        finally:
            self._graphed = None  # its memory
            if self.learning_rate_schedule != "constant":
                self._set_learning_rate(1.0)

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
        try:
            if training:
                self._train_epoch(iterator)
            elif self._listeners("on_batch_begin", "on_batch_end"):
                for x, _ in iterator:
                    self._tell_batch(x, training=False)
        except KeyboardInterrupt:
            self.interrupted_ = True
            raise

    def score(self, X: Any, y: Any = None) -> float:
        """Mean score of X in nats per sample: minus the objective, watched."""
        return -self.losses(X).mean().item()

    def losses(self, X: Any) -> Tensor:
        """Objective of each row of X as it is watched, float64, in nats."""
        self._set_training(False)
        batches = DeviceBatches(self.get_dataset(X), _ROWS_A_SCORE, device=self._device)
        with torch.no_grad():
            parts = [self.criterion_.evaluate(self.module_, x) for x, _ in batches]
        return torch.cat(parts).double()

    @property
    def _device(self) -> torch.device:
        return torch.device(self.device)

    def _train_epoch(self, batches: DeviceBatches) -> None:
        listens = bool(self._listeners("on_batch_begin", "on_batch_end"))
        step = self._choose_step()
        if not listens:
            # Nobody keeps a batch.
            batches.room = partial(self.criterion_.room, self.module_)
            if self._captures():
                step = self._graphed_step(step)
        moves = self.criterion_.n_warmup or self.learning_rate_schedule != "constant"
        self._move_on(0.0)
        with torch.set_grad_enabled(listens or not self._in_place()):
            for count, (x, _) in enumerate(batches):
                if moves:
                    self._move_on(count / len(batches))
                if listens:
                    self._tell_batch(x, training=True, step=step)
                else:
                    step(x)
                if count % _BATCHES_A_CHECK == _BATCHES_A_CHECK - 1:
                    self._check_finite()
        self._check_finite()
        if not listens:
            # One row stands for all: skorch's Checkpoint and LRScheduler read it.
            self.history.new_batch()
            self.history.record_batch("train_batch_size", len(x))
        self.history.record("train_batch_count", len(batches))

    def _move_on(self, share: float) -> None:
        """Tell objective and optimizer how far the training is, in this epoch."""
        epoch = len(self.history) - 1 + share
        self.criterion_.epoch = epoch
        factor = SCHEDULES[self.learning_rate_schedule]
        if factor is not None:
            progress = (epoch - self._first_epoch) / self.max_epochs
            self._set_learning_rate(factor(progress))

    def _in_place(self) -> bool:
        """Whether the objective takes the steps itself: nobody looks at gradients."""
        optimizer = self.optimizer_
        plain = type(optimizer) is torch.optim.SGD and not any(
            group["nesterov"] or group["dampening"] or group["maximize"]
            for group in optimizer.param_groups
        )
        return self.criterion_.descends and plain and not self._tells_gradients()

    def _tells_gradients(self) -> bool:
        return bool(self._listeners("on_grad_computed"))

    def _choose_step(self) -> Callable[[Tensor], None]:
        """The cheapest training step that gives everybody what they listen to."""
        if not self._in_place():
            return partial(self._optimizer_step, tell=self._tells_gradients())
        optimizer = self.optimizer_
        optimizer.zero_grad(set_to_none=True)
        # With no gradient there, this moves nothing; it tells learning rate
        # schedulers of torch that the optimizer has begun.
        optimizer.step()
        group = optimizer.param_groups[0]
        descend = partial(
            self.criterion_.descend_,
            self.module_,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            velocity=self._velocity() if group["momentum"] else None,
            generator=self.generator,
        )

        return lambda x: descend(x, learning_rate=group["lr"])

    def _captures(self) -> bool:
        """Whether steps of this epoch can be replayed without Python."""
        return (
            self.graphs
            and capturable(self._device)
            and self.criterion_.capturable
            and not self._tells_gradients()
        )

    def _graphed_step(self, step: Callable[[Tensor], None]) -> GraphedStep:
        """One graph for all epochs from here on."""
        if self._graphed is None:
            for group in self.optimizer_.param_groups:
                # Numbers of Python would stay what they are now.
                group["lr"] = torch.as_tensor(group["lr"], device=self._device)
                if "capturable" in group:
                    group["capturable"] = True
            self._graphed = GraphedStep(step, generator=self.generator)
        return self._graphed

    def _velocity(self) -> list[Tensor]:
        """Running sums of gradients, where the optimizer keeps them."""
        buffers = []
        for parameter in self.module_.parameters():
            state = self.optimizer_.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter.detach())
            buffers.append(state["momentum_buffer"])
        return buffers

    def _optimizer_step(self, x: Tensor, tell: bool) -> None:
        self.optimizer_.zero_grad(set_to_none=True)
        with self._rounding():
            loss = self.criterion_(self.module_, x, generator=self.generator)
        if loss is not None:
            loss.mean().backward()
        if tell:
            parameters = TeeGenerator(self.get_all_learnable_params())
            self.notify(
                "on_grad_computed", named_parameters=parameters, batch=x, training=True
            )
        self.optimizer_.step()

    def _rounding(self) -> AbstractContextManager:
        if self.products is None or self.criterion_.descends:
            return nullcontext()
        return rounded_products(self.products, self._device)

    def _tell_batch(self, x: Tensor, training: bool, step: Any = None) -> None:
        batch = x, None
        self.notify("on_batch_begin", batch=batch, training=training)
        if step is not None:
            with torch.set_grad_enabled(not self._in_place()):
                step(x)
        prefix = "train" if training else "valid"
        self.history.record_batch(f"{prefix}_batch_size", len(x))
        # As at inference: to be told must not move batch norm or draw a dropout.
        self.module_.eval()
        with torch.no_grad():
            y_pred = self.module_(x)
        self.module_.train(training)
        self.notify("on_batch_end", batch=batch, training=training, y_pred=y_pred)

    def _listeners(self, *methods: str) -> list[str]:
        """Names of callbacks that override one of the methods."""
        return [
            name
            for name, callback in self.callbacks_
            for method in methods
            if getattr(type(callback), method) is not getattr(Callback, method)
        ]

    def _set_learning_rate(self, factor: float) -> None:
        for group, base in zip(
            self.optimizer_.param_groups, self._base_lr, strict=True
        ):
            if isinstance(group["lr"], Tensor):  # which a graph reads
                group["lr"].fill_(base * factor)
            else:
                group["lr"] = base * factor

    def _check_finite(self) -> None:
        with torch.no_grad():
            # A sum is finite only if all its terms are, and one that overflows is of
            # terms that are as good as infinite; one number crosses over.
            total = sum(p.sum() for p in self.module_.parameters())
        if not torch.isfinite(torch.as_tensor(total)):
            raise ValueError(
                f"Training diverged in epoch {len(self.history)}: the parameters are "
                "no longer finite. Lower learning_rate (got "
                f"{float(self.optimizer_.param_groups[0]['lr']):g}), momentum or "
                "weight_decay, or scale X to [0, 1]."
            )
