"""The nets that train the phases of a fit."""

from itertools import chain
from typing import Any

import torch
from torch import nn

from skgen.base._resume import Resume
from skgen.training import GenerativeNet
from skgen.training._callbacks import Progress, StopEarly, WatchLoss
from skgen.training._precision import PRECISIONS
from skgen.training._user_callbacks import (
    callbacks_for_training,
    unnamed_callback,
    watches_held_out_rows,
)


def build_net(
    estimator: Any,
    phase: Any,
    device: torch.device,
    seed: int,
    *,
    stops_early: bool = False,
) -> GenerativeNet:
    """Make the net that trains a phase, initialised.

    Parameters
    ----------
    estimator : BaseGenerator
        The estimator, of which the parameters are read.
    phase : Phase
        Model and objective.
    device : torch.device
        Where the net trains.
    seed : int
        Seed of its source of randomness.
    stops_early : bool
        Whether it stops early.

    Returns
    -------
    net : GenerativeNet
        The net.
    """
    precision = PRECISIONS[estimator.precision]
    dtype = getattr(torch, precision.parameters)
    net = GenerativeNet(
        _moved(phase.model, device, dtype),
        _moved(phase.objective, device, dtype),
        lr=estimator.learning_rate,
        max_epochs=0,  # `Fitting` knows
        batch_size=estimator.batch_size,
        train_split=None,
        callbacks=_callbacks(estimator, stops_early),
        verbose=0,
        device=str(device),
        generator=torch.Generator(device=device).manual_seed(seed),
        factor_dtype=precision.factors,
        phase=phase.name,
        **(phase.optimizer or {}),
    ).initialize()
    net.owner = type(estimator).__name__
    return net


def _moved(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Move a module, unless it is there: to find that out takes less time."""
    tensors = chain(module.parameters(), module.buffers())
    if all((t.device, t.dtype) == (device, dtype) for t in tensors):
        return module
    return module.to(device, dtype)


def holds_out_rows(estimator: Any, stops_early: bool) -> bool:
    """Whether rows are held out: for early stopping, or for one of the callbacks."""
    return stops_early or watches_held_out_rows(estimator.callbacks)


def _callbacks(estimator: Any, stops_early: bool) -> list[Any]:
    """Return copies of the user's callbacks, between those of the package."""
    callbacks = callbacks_for_training(estimator.callbacks, estimator.verbose)
    if holds_out_rows(estimator, stops_early):
        callbacks.insert(0, ("watch_loss", WatchLoss()))
    if estimator.verbose:
        progress = Progress(type(estimator).__name__, estimator._score_name)
        callbacks.append(("progress", progress))
    if stops_early:
        stopping = StopEarly(
            monitor="valid_loss",
            patience=estimator.n_iter_no_change,
            threshold=estimator.tol,
            threshold_mode="abs",
            load_best=True,
        )
        callbacks.append(("early_stopping", stopping))
    # It saves what all others remember.
    return sorted(callbacks, key=lambda c: isinstance(unnamed_callback(c), Resume))


def keep_frozen(net: GenerativeNet, old: GenerativeNet, parameters: Any) -> None:
    """Freeze what the callbacks of an old net have frozen, if they are still the same.

    A `Freezer` acts at one epoch of the history, which goes on.

    Parameters
    ----------
    net, old : GenerativeNet
        The new net and the old one.
    parameters : dict
        Parameters of the estimator now.
    """
    if old.built_from_.get("callbacks") == parameters.get("callbacks"):
        pairs = zip(net.module_.parameters(), old.module_.parameters(), strict=False)
        for parameter, former in pairs:
            parameter.requires_grad_(former.requires_grad)


def parameters_of(estimator: Any) -> dict[str, Any]:
    """Return what a net is built from; lists are copied, as they may be changed."""
    return {
        name: list(value) if isinstance(value, list) else value
        for name, value in estimator.get_params(deep=False).items()
        if name != "n_iter"
    }


def are_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether all parameters are equal; arrays are only if they are the same object."""
    if one.keys() != other.keys():
        return False
    try:
        return all(one[k] is v or bool(one[k] == v) for k, v in other.items())
    except ValueError:
        return False
