"""Callbacks that a user gives: copies of them for a net, and checks."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from skorch.callbacks import (
    Callback,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    NeptuneLogger,
    SacredLogger,
    TensorBoard,
    WandbLogger,
)
from skorch.utils import noop

from skgen.training._callbacks import show

# Callbacks that log each entry of a row of the history as a number.
_LOGGERS = (MlflowLogger, NeptuneLogger, SacredLogger, TensorBoard, WandbLogger)


def copy_callbacks(callbacks: Sequence[Any] | None) -> Any:
    """Copy the callbacks of a user, as skorch sets attributes on them.

    The copies are shallow: what a callback was given (a summary writer, a list) is
    shared with the original. Where one callback of the list holds another, as
    `LoadInitState` does a checkpoint, the copies do likewise.

    Parameters
    ----------
    callbacks : list or None
        Callbacks, classes of them, or tuples of a name and one.

    Returns
    -------
    callbacks : list
        The same with each instance copied. What is no list is returned as it is.
    """
    if not isinstance(callbacks, list | tuple):
        return [] if callbacks is None else callbacks
    return linked_as(callbacks, map(_copy, callbacks))


def deepcopy_callbacks(callbacks: Sequence[Any]) -> Any:
    """Copy callbacks with what they hold, where that can be copied.

    Parameters
    ----------
    callbacks : list
        Callbacks, classes of them, or tuples of a name and one.

    Returns
    -------
    callbacks : list
        The copies, linked as the originals are. What cannot be copied, such as a file
        that a callback writes to, is shared. What is no list is returned as it is.
    """
    if not isinstance(callbacks, list | tuple):
        return callbacks
    return linked_as(callbacks, map(_deepcopy, callbacks))


def linked_as(originals: Sequence[Any], copies: Iterable[Any]) -> list[Any]:
    """Let copies of callbacks hold each other where the originals do.

    Parameters
    ----------
    originals : list
        Callbacks, classes of them, or tuples of a name and one.
    copies : iterable
        A copy of each.

    Returns
    -------
    copies : list
        The copies, whose attributes are changed in place.
    """
    pairs = [
        (unnamed_callback(one), unnamed_callback(other), other)
        for one, other in zip(originals, copies, strict=True)
    ]
    copy_of = {id(one): other for one, other, _ in pairs if not isinstance(one, type)}
    for one, other, _ in pairs:
        if isinstance(one, type):
            continue
        for name, value in getattr(one, "__dict__", {}).items():
            if id(value) in copy_of:
                setattr(other, name, copy_of[id(value)])
    return [item for *_, item in pairs]


def callbacks_for_training(callbacks: Sequence[Any] | None, verbose: Any) -> list[Any]:
    """Make the callbacks of a net of those of a user.

    Parameters
    ----------
    callbacks : list or None
        Callbacks, classes of them, or tuples of a name and one.
    verbose : int
        Whether those of skorch that print do so.

    Returns
    -------
    callbacks : list
        Copies of them, and instances in place of classes.
    """
    made = []
    copies = copy_callbacks(callbacks)
    own = [id(callback) for callback in _unnamed(copies)]
    for item in copies:
        callback = unnamed_callback(item)
        if isinstance(callback, type):
            callback = callback()
        _adapt(callback, verbose)
        if isinstance(callback, LoadInitState) and id(callback.checkpoint) not in own:
            callback.checkpoint = _initialised(callback.checkpoint)
        is_named = isinstance(item, tuple | list)
        made.append((item[0], callback) if is_named else callback)
    return made


def check_kinds(callbacks: Any) -> None:
    """Raise an error for callbacks that are not a list of those of skorch."""
    if callbacks is None:
        return
    if not isinstance(callbacks, list | tuple):
        raise TypeError(
            f"Got callbacks of type {kind_of(callbacks).__name__}, but expected a list "
            "of callbacks of skorch. "
            + (
                _use_set_callbacks(callbacks)
                or "Put it in a list: callbacks=[callback]."
            )
        )
    for callback in _unnamed(callbacks):
        kind = kind_of(callback)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"Got a callback of type {kind.__name__}, but expected those of "
                "skorch (skorch.callbacks.Callback), or tuples of a name and one. "
                + _use_set_callbacks(callback)
            )
        if issubclass(kind, InputShapeSetter):
            raise TypeError(
                "Got a callback InputShapeSetter, but the number of features is taken "
                "from X. Remove it from callbacks."
            )


def check_callbacks(callbacks: Sequence[Any] | None, schedule: str) -> None:
    """Raise an error for callbacks that contradict the schedule of learning rates."""
    if has_scheduler(callbacks) and schedule != "constant":
        raise ValueError(
            f"Got learning_rate_schedule={schedule!r} and a callback LRScheduler, "
            "but only one can set the learning rate. Use "
            "learning_rate_schedule='constant' with the callback."
        )


def check_phases(callbacks: Sequence[Any] | None, name: str) -> None:
    """Raise an error for callbacks that do not go with a fit of several phases.

    Parameters
    ----------
    callbacks : list or None
        Callbacks, classes of them, or tuples of a name and one.
    name : str
        Name of the class of the estimator.
    """
    if any(issubclass(kind_of(c), LoadInitState) for c in _unnamed(callbacks)):
        raise ValueError(
            f"Got a callback LoadInitState, but a {name} trains one part after "
            "another, and a checkpoint is of one part. Save the estimator itself "
            "(save, skgen.io.load) and fit on with warm_start=True."
        )


def has_scheduler(callbacks: Sequence[Any] | None) -> bool:
    """Whether a callback sets the learning rate."""
    return any(issubclass(kind_of(c), LRScheduler) for c in _unnamed(callbacks))


def restores_an_epoch(callbacks: Sequence[Any] | None) -> bool:
    """Whether a callback gives the model of one epoch, in place of that at the end."""
    return any(getattr(c, "load_best", False) is True for c in _unnamed(callbacks))


def watches_held_out_rows(callbacks: Sequence[Any] | None) -> bool:
    """Whether a callback uses rows that are held out of training."""
    made = [c() if isinstance(c, type) else c for c in _unnamed(callbacks)]
    return any(
        str(getattr(c, "monitor", None)).startswith("valid")
        or getattr(c, "on_train", None) is False
        or getattr(c, "held_out", False)
        or (isinstance(c, WandbLogger) and c.save_model)
        for c in made
    )


def unnamed_callback(item: Any) -> Any:
    """Return a callback without the name that it may have."""
    return item[1] if isinstance(item, tuple | list) else item


def _unnamed(callbacks: Sequence[Any] | None) -> list[Any]:
    return [unnamed_callback(item) for item in callbacks or []]


def kind_of(callback: Any) -> type:
    """Return the class of a callback, which may be a class itself."""
    return callback if isinstance(callback, type) else type(callback)


def _use_set_callbacks(callback: Any) -> str:
    """Say where a callback of scikit-learn belongs; empty if it is none."""
    if not hasattr(callback, "on_fit_task_end"):
        return ""
    return (
        f"{kind_of(callback).__name__} is a callback of scikit-learn: call "
        "set_callbacks(callback) of the estimator, or of the pipeline or the search "
        "around it."
    )


def _copy(item: Any) -> Any:
    if isinstance(item, tuple | list):
        return item[0], copy.copy(item[1])
    return copy.copy(item)


def _deepcopy(item: Any) -> Any:
    try:
        return copy.deepcopy(item)
    except Exception:  # noqa: BLE001  (whatever a callback of a user raises)
        return _copy(item)


def _adapt(callback: Any, verbose: Any) -> None:
    """Let a copy of a callback work in a net of the package."""
    if getattr(callback, "sink", None) is print:
        # Skorch would print in any case to what is not `print`.
        callback.sink = show if verbose else noop
    if isinstance(callback, _LOGGERS):
        # The name of a phase is no number.
        ignored = callback.keys_ignored or []
        ignored = [ignored] if isinstance(ignored, str) else list(ignored)
        callback.keys_ignored = [*ignored, "phase"]


def _initialised(checkpoint: Any) -> Any:
    """Copy a checkpoint of which another net has a copy, ready to be read."""
    checkpoint = copy.copy(checkpoint)
    return checkpoint.initialize() if hasattr(checkpoint, "initialize") else checkpoint
