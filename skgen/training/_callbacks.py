"""Callbacks of the package, which are callbacks of skorch."""

import copy
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import Dataset

from skgen.training._batches import some_rows

# Number of rows whose loss is recorded, or the share of the training data where that is
# more. The score of a row of an RBM takes more time than a training step on it.
_MIN_WATCHED = 128
# Steps that early stopping waits for at least, and by how much a running value, the log
# of a variance, must fall to count.
_LEAST_STEPS_TO_WAIT, _CLEAR_FALL = 200, 0.01
_WATCHED_SHARE = 0.005


class WatchLoss(Callback):
    """Record the objective on a fixed subset of the held-out rows after every epoch.

    Writes ``valid_loss`` into the history (nats per sample, lower is better), with
    skorch's ``…_best``. The rows are the same in every epoch, and no random number is
    drawn, so that training gives identical results with and without it.
    """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.rows_: Dataset | None = None

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        if dataset_valid is None:
            return
        if self.rows_ is None:
            n_rows = max(_MIN_WATCHED, int(_WATCHED_SHARE * len(dataset_train)))
            some = some_rows(dataset_valid, n_rows, torch.device(net.device))
            self.rows_, self.weight_ = Dataset(some.x, some.y), some.weight
        losses, weight = net.losses(self.rows_), self.weight_
        if losses is not None:
            if weight is not None:
                losses = losses * (weight / weight.mean())
            net.record("valid_loss", losses.mean().item())

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        self.rows_ = self.weight_ = None  # their memory


class StopEarly(EarlyStopping):
    """Early stopping that begins after the warm-up of the objective.

    It waits for as many epochs as it is told, and for 200 steps at least, as an epoch
    of a small table may be one step; and while a value that training improves on its
    own, such as a noise variance, still falls (`Objective.running_value`).

    It restores the best model and, with it, the state of the objective then: an
    objective that is newer than its model would go on from Markov chains or averages
    of another model.
    """

    patience: int
    misses_: int

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        super().on_train_begin(net, **kwargs)
        self.best_objective_state_: dict[str, Any] | None = None
        self.n_epochs_: int = self.patience
        self.least_value_ = inf

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if net.epochs_trained() <= net.criterion_.n_warmup:
            return
        n_steps = net.history[-1, "train_batch_count"]
        self.patience = max(self.n_epochs_, -(-_LEAST_STEPS_TO_WAIT // n_steps))
        value = net.criterion_.running_value(net.module_)
        if value is not None and value < self.least_value_ - _CLEAR_FALL:
            self.least_value_ = value
            self.misses_ = min(self.misses_, 0)
        try:
            super().on_epoch_end(net, **kwargs)
        finally:  # it may raise KeyboardInterrupt, to stop
            if self.best_epoch_ == net.history[-1, "epoch"]:
                state = net.criterion_.state_dict()
                self.best_objective_state_ = copy.deepcopy(state)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        super().on_train_end(net, **kwargs)
        self.patience = self.n_epochs_
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
        self.bar_: Any = None
        if "ipykernel" in sys.modules or _is_terminal(sys.stderr):
            with self._bar_may_fail():
                from tqdm.auto import tqdm

                # The delay leaves the first output to `refresh`, when it may fail.
                self.bar_ = tqdm(
                    total=net.max_epochs, desc=self.label, unit="epoch", delay=1e-9
                )
                self.bar_.refresh()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        row = net.history[-1]
        names = {"train_loss": self.score_name, "valid_loss": "validation"}
        scores = {
            label: f"{-row[name]:.2f}" for name, label in names.items() if name in row
        }
        self.done_ += 1
        if self.bar_ is not None:
            with self._bar_may_fail():
                self.bar_.set_postfix(scores, refresh=False)
                self.bar_.update(net.epochs_of_fit() - self.bar_.n)
            return
        elapsed = time.monotonic() - self.began_
        remaining = elapsed / self.done_ * (net.max_epochs - net.epochs_of_fit())
        parts = [f"[{self.label}] Iteration {row['epoch']}"]
        parts += [f"{name} = {score}" for name, score in scores.items()]
        parts += [f"time = {row['dur']:.2f}s", f"remaining = {remaining:.1f}s"]
        show(", ".join(parts))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.bar_ is not None:
            with self._bar_may_fail():
                self.bar_.close()

    @contextmanager
    def _bar_may_fail(self) -> Iterator[None]:
        """Go on without a bar where it cannot be shown: a fit does not end by it."""
        try:
            yield
        except Exception:  # noqa: BLE001  (whatever a stream raises)
            if self.bar_ is not None:
                self.bar_.disable = True
            self.bar_ = None


def show(text: str) -> None:
    """Print a line, if there is where to: a fit does not end by what is shown of it."""
    with suppress(Exception):
        print(text)


def _is_terminal(stream: Any) -> bool:
    """Whether a stream, which may be None, closed or anything, is a terminal."""
    with suppress(Exception):
        return bool(stream.isatty())
    return False
