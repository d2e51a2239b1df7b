"""Fitting: how the model of an estimator is trained by skorch."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.dataset import Dataset, ValidSplit
from torch import nn

from skgen.nn._seeding import seeded
from skgen.training import GenerativeNet, Objective
from skgen.training._callbacks import (
    Progress,
    StopEarly,
    WatchLoss,
    copy_callbacks,
    watches_held_out_rows,
)
from skgen.training._device import resolve_device
from skgen.training._precision import PRECISIONS, matmul_precision
from skgen.training._rows import row_source

# The fitted state: arrays, and what else is plain Python, by attribute name.
State = dict[str, Any]


@dataclass
class Phase:
    """One part of a fit: a model and the objective that it is trained by.

    Most families have a single phase. Several follow one another where each needs the
    result of the last, as the layers of a deep belief network do.

    Attributes
    ----------
    model : nn.Module
        The model: before the phase as training starts from it, afterwards as trained.
    objective : Objective
        The objective, likewise.
    name : str
        Name of the phase in the history; empty if it is the only one.
    rows : array, CSR matrix or None
        What the phase is trained on; None means the data of the fit.
    """

    model: nn.Module
    objective: Objective
    name: str = ""
    rows: Any = None


class Fitting:
    """One call of `fit` or `partial_fit`, from valid data to the trained state.

    It sets ``random_state_``, the state, ``history_``, ``n_iter_`` and ``device_`` of
    the estimator. `skgen.base.BaseGenerator` says what it asks of the estimator.

    Parameters
    ----------
    estimator : BaseGenerator
        The estimator, with valid parameters.
    n_iter : int
        Number of passes over the data in each phase.
    warm : bool
        Whether to go on from the state of the estimator.
    partial : bool
        Whether this is `partial_fit`: no row is held out, and the learning rate is
        constant.
    nets : dict of str to GenerativeNet
        Nets of the last fit, by phase. One whose parameters are the same goes on,
        with the state of its optimizers.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        n_iter: int,
        warm: bool,
        partial: bool,
        nets: dict[str, GenerativeNet],
    ):
        self.estimator = estimator
        self.n_iter = n_iter
        self.warm = warm
        self.partial = partial
        self.nets = nets if warm else {}
        self.device = resolve_device(estimator.device)
        self.history: Any = estimator.__dict__.get("history_") if warm else None

    def run(self, X: Any, y: Any = None) -> None:
        """Train on valid data.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n_samples, n_features)
            Data.
        y : ndarray of shape (n_samples, n_conditions) or None
            What the model is conditioned on, if anything.
        """
        estimator = self.estimator
        split = None if self.partial else self._validation_split(X.shape[0])
        rows, y_rows = row_source(X), y
        if split is not None:
            # The net repeats the split: rows held out have no influence.
            indices = split(Dataset(X))[0].indices
            rows = rows.select(indices)
            y_rows = None if y is None else y[np.asarray(indices)]
        before = estimator._state() if self.warm else {}
        state = estimator._initial_state(rows, y_rows, before)
        for phase in estimator._phases(state):
            net = self._train(phase, X if phase.rows is None else phase.rows, y, split)
            phase.model, phase.objective = net.module_, net.criterion_
            state.update(estimator._read_state(state, phase))
            if net.interrupted_:
                _finish_interrupted(net, type(estimator).__name__)
                break
        estimator._set_state(state)
        estimator.history_ = self.history
        estimator.n_iter_ = len(self.history)
        estimator.device_ = str(self.device)
        estimator._finalise(rows, partial=self.partial)

    def _train(
        self, phase: Phase, X: Any, y: Any, split: ValidSplit | None
    ) -> GenerativeNet:
        watched = type(phase.objective).evaluate is not Objective.evaluate
        if self.estimator.early_stopping and not watched:
            raise ValueError(
                f"Got early_stopping=True, but {type(self.estimator).__name__} has no "
                "loss that can be watched. Set early_stopping=False."
            )
        net = self._net_of(phase)
        net.max_epochs = self.n_iter
        net.learning_rate_schedule = (
            "constant" if self.partial else self.estimator.learning_rate_schedule
        )
        net.train_split = split
        net.interrupted_ = False
        if self.n_iter:  # skorch's callbacks expect a row of history at their end
            seed = draw_seed(self.estimator.random_state_)
            with (
                seeded(seed, self.device),
                matmul_precision(self.estimator.precision),
                self.estimator._training_context(net.module_),
            ):
                net.partial_fit(X, y)
        return net

    def _net_of(self, phase: Phase) -> GenerativeNet:
        """Return the net that goes on with a phase, or a new one."""
        estimator = self.estimator
        params = estimator.get_params(deep=False)
        params = {k: v for k, v in params.items() if k != "n_iter"}
        net = self.nets.get(phase.name)
        if net is None or net.built_from_ != params:
            seed = draw_seed(estimator.random_state_)
            net = build_net(estimator, phase, self.device, seed)
            net.built_from_ = params
        else:
            dtype = next(net.module_.parameters()).dtype
            net.module_.load_state_dict(phase.model.state_dict())
            net.criterion_ = phase.objective.to(self.device, dtype)
        if self.history is not None:
            net.history = self.history
        self.history = net.history  # one for all phases
        self.nets[phase.name] = net
        return net

    def _validation_split(self, n_samples: int) -> ValidSplit | None:
        """Return how rows are held out, or None."""
        estimator = self.estimator
        if not holds_out_rows(estimator):
            return None
        if np.ceil(estimator.validation_fraction * n_samples) >= n_samples:
            raise ValueError(
                f"validation_fraction={estimator.validation_fraction} of n_samples="
                f"{n_samples} leaves no row to train on. Lower it, pass more "
                "samples, or set early_stopping=False."
            )
        seed = draw_seed(estimator.random_state_)
        return ValidSplit(estimator.validation_fraction, random_state=seed)


def build_net(
    estimator: Any, phase: Phase, device: torch.device, seed: int
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

    Returns
    -------
    net : GenerativeNet
        The net.
    """
    precision = PRECISIONS[estimator.precision]
    dtype = getattr(torch, precision.parameters)
    return GenerativeNet(
        phase.model.to(device, dtype),
        phase.objective.to(device, dtype),
        lr=estimator.learning_rate,
        max_epochs=estimator.n_iter,
        batch_size=estimator.batch_size,
        train_split=None,
        callbacks=_callbacks(estimator),
        verbose=0,
        device=str(device),
        generator=torch.Generator(device=device).manual_seed(seed),
        factor_dtype=precision.factors,
        phase=phase.name,
        **estimator._optimizer_arguments(),
    ).initialize()


def holds_out_rows(estimator: Any) -> bool:
    """Whether rows are held out: for early stopping, or for one of the callbacks."""
    return estimator.early_stopping or watches_held_out_rows(estimator.callbacks)


def draw_seed(rng: np.random.RandomState) -> int:
    """Draw the one integer that seeds a torch generator."""
    return int(rng.randint(np.iinfo(np.int32).max))


def _callbacks(estimator: Any) -> list[Any]:
    """Return copies of the user's callbacks, between those of the package."""
    callbacks: list[Any] = copy_callbacks(estimator.callbacks)
    if estimator.verbose or estimator.callbacks or estimator.early_stopping:
        callbacks.insert(0, ("watch_loss", WatchLoss()))
    if estimator.verbose:
        progress = Progress(type(estimator).__name__, estimator._score_name)
        callbacks.append(("progress", progress))
    if estimator.early_stopping:
        stopping = StopEarly(
            monitor="valid_loss",
            patience=estimator.n_iter_no_change,
            threshold=estimator.tol,
            threshold_mode="abs",
            load_best=True,
        )
        callbacks.append(("early_stopping", stopping))
    return callbacks


def _finish_interrupted(net: GenerativeNet, name: str) -> None:
    """Drop the history of the unfinished epoch, and warn."""
    del net.history[-1]
    warnings.warn(
        f"The fit of {name} was interrupted after {len(net.history)} epochs; what was "
        "learned by then is kept.",
        ConvergenceWarning,
        stacklevel=6,
    )
