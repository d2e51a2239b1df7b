"""Callbacks of skorch: those of the package, and checks of those of the user."""

import copy
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.dataset import Dataset

from skgen.training._batches import some_rows

# Number of rows whose loss is recorded, or the share of the training data where that is
# more. The score of a row of an RBM takes more time than a training step on it.
_MIN_WATCHED = 128
_WATCHED_SHARE = 0.005


class WatchLoss(Callback):
    """Record the objective on a fixed subset of rows after every epoch.

    Writes ``train_loss`` and, where rows are held out, ``valid_loss`` into the
    history (nats per sample, lower is better), each with skorch's ``…_best``.
    The rows are the same in every epoch, and no random number is drawn, so that
    training gives identical results with and without it.
    """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.best_: dict[str, float] = {}
        self.rows_: Dataset | None = None
        self.n_rows_: dict[str, int] = {}

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        if self.rows_ is None:
            self.rows_ = self._gather(net, dataset_train, dataset_valid)
        # Together: for a few rows, time depends on the number of operations.
        losses = net.losses(self.rows_)
        if losses is not None:
            parts = losses.split(list(self.n_rows_.values()))
            for name, part in zip(self.n_rows_, parts, strict=True):
                self._record(net, name, part.mean().item())

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        self.rows_ = None  # its memory

    def _gather(self, net: Any, dataset_train: Any, dataset_valid: Any) -> Dataset:
        n_rows = max(_MIN_WATCHED, int(_WATCHED_SHARE * len(dataset_train)))
        sets = {"train_loss": dataset_train, "valid_loss": dataset_valid}
        rows = {
            name: some_rows(dataset, n_rows, torch.device(net.device))
            for name, dataset in sets.items()
            if dataset is not None
        }
        self.n_rows_ = {name: len(some.x) for name, some in rows.items()}
        x, y, _ = zip(*rows.values(), strict=True)
        return Dataset(torch.cat(x), None if y[0] is None else torch.cat(y))

    def _record(self, net: Any, name: str, loss: float) -> None:
        is_best = loss < self.best_.get(name, np.inf)
        if is_best:
            self.best_[name] = loss
        net.history.record(name, loss)
        net.history.record(name + "_best", is_best)


class StopEarly(EarlyStopping):
    """Early stopping that begins after the warm-up of the objective.

    It restores the best model and, with it, the state of the objective then: an
    objective that is newer than its model would go on from Markov chains or averages
    of another model.
    """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        super().on_train_begin(net, **kwargs)
        self.best_objective_state_: dict[str, Any] | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if net.epochs_trained() <= net.criterion_.n_warmup:
            return
        try:
            super().on_epoch_end(net, **kwargs)
        finally:  # it may raise KeyboardInterrupt, to stop
            if self.best_epoch_ == net.history[-1, "epoch"]:
                state = net.criterion_.state_dict()
                self.best_objective_state_ = copy.deepcopy(state)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        super().on_train_end(net, **kwargs)
        is_last = self.best_epoch_ == net.history[-1, "epoch"]
        if self.best_objective_state_ is not None and not is_last:
            net.criterion_.load_state_dict(self.best_objective_state_)


class Progress(Callback):
    """Show epoch, score and remaining time.

    In a terminal or a notebook this is a tqdm bar; elsewhere (a log file, a
    captured stream) it is a line an epoch in scikit-learn's manner.

    Parameters
    ----------
    label : str
        The beginning of each line: the name of the estimator.
    score_name : str
        Name of minus the loss.
    """

    def __init__(self, label: str, score_name: str):
        self.label = label
        self.score_name = score_name

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.done_, self.began_ = 0, time.monotonic()
        self.bar_ = None
        if sys.stderr.isatty() or "ipykernel" in sys.modules:
            from tqdm.auto import tqdm

            self.bar_ = tqdm(total=net.max_epochs, desc=self.label, unit="epoch")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        row = net.history[-1]
        names = {"train_loss": self.score_name, "valid_loss": "validation"}
        scores = {
            label: f"{-row[name]:.2f}" for name, label in names.items() if name in row
        }
        if self.bar_ is not None:
            self.bar_.set_postfix(scores, refresh=False)
            self.bar_.update()
            return
        self.done_ += 1
        elapsed = time.monotonic() - self.began_
        remaining = elapsed / self.done_ * (net.max_epochs - self.done_)
        parts = [f"[{self.label}] Iteration {row['epoch']}"]
        parts += [f"{name} = {score}" for name, score in scores.items()]
        parts += [f"time = {row['dur']:.2f}s", f"remaining = {remaining:.1f}s"]
        print(", ".join(parts))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.bar_ is not None:
            self.bar_.close()


def copy_callbacks(callbacks: Sequence[Any] | None) -> list[Any]:
    """Copy the callbacks of a user, as skorch sets attributes on them.

    The copies are shallow: what a callback was given (a summary writer, a list) is
    shared with the original.

    Parameters
    ----------
    callbacks : list or None
        Callbacks, classes of them, or tuples of a name and one.

    Returns
    -------
    callbacks : list
        The same with each instance copied.
    """
    return [
        (item[0], copy.copy(item[1]))
        if isinstance(item, tuple | list)
        else copy.copy(item)
        for item in callbacks or []
    ]


def check_callbacks(callbacks: Sequence[Any] | None, schedule: str) -> None:
    """Raise an error for callbacks that are not of skorch or contradict `schedule`."""
    for callback in _unnamed(callbacks):
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"Got a callback of type {kind.__name__}, but expected those of "
                "skorch (skorch.callbacks.Callback), or tuples of a name and one."
            )
        if issubclass(kind, LRScheduler) and schedule != "constant":
            raise ValueError(
                f"Got learning_rate_schedule={schedule!r} and a callback LRScheduler, "
                "but only one can set the learning rate. Use "
                "learning_rate_schedule='constant' with the callback."
            )


def watches_held_out_rows(callbacks: Sequence[Any] | None) -> bool:
    """Whether a callback uses rows that are held out of training."""
    made = [c() if isinstance(c, type) else c for c in _unnamed(callbacks)]
    return any(
        str(getattr(c, "monitor", None)).startswith("valid")
        or getattr(c, "on_train", None) is False
        or getattr(c, "held_out", False)
        for c in made
    )


def _unnamed(callbacks: Sequence[Any] | None) -> list[Any]:
    return [c[1] if isinstance(c, tuple | list) else c for c in callbacks or []]
