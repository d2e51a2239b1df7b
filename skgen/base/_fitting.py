"""How an estimator is fitted: validate, build the net, train, read the result."""

import warnings
from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from skorch.dataset import Dataset, ValidSplit
from torch import nn

from skgen.base._validation import Rows, validated
from skgen.nn import seeded
from skgen.training import (
    PRECISIONS,
    SCHEDULES,
    GenerativeNet,
    Objective,
    Progress,
    StopEarly,
    WatchLoss,
    check_callbacks,
    copies,
    products_in,
    resolve_device,
    watches_held_out_rows,
)

State = dict[str, Any]


class Fitting(BaseEstimator, ABC):
    """Fit by a skorch net.

    The fitted state is a dict of arrays (and of what else is plain Python), which
    are attributes of the estimator.
    Training copies them into a torch module, trains it by a `GenerativeNet`, and
    copies them back when it has ended well. A family supplies five methods:

    - `_start`: the state that training starts from,
    - `_build_model`: the state as a torch module,
    - `_build_objective`: what is minimised,
    - `_optimizer`: what steps,
    - `_read`: the state of a trained module and objective,

    and may refine `_conclude`: what follows from the training rows by closed form.
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "callbacks": [list, tuple, None],
        "device": [str, torch.device],
        "precision": [StrOptions(set(PRECISIONS))],
        "compile": ["boolean"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    # What `score` is called where it is shown.
    _score_name: ClassVar[str]
    # The attributes that hold the state; the first ones in `_required_state`
    # make an estimator fitted, whoever assigned them.
    _state_names: ClassVar[tuple[str, ...]]
    _required_state: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _start(self, X: Any, state: State) -> State:
        """Complete a state for training on X; an empty one is a cold start.

        It may draw from ``self.random_state_``, and must not change `state`.
        """

    @abstractmethod
    def _build_model(self, state: State) -> nn.Module:
        """Make the module of a state, with memory of its own, on the CPU."""

    @abstractmethod
    def _build_objective(self, state: State) -> Objective:
        """Make the objective of a state, with memory of its own, on the CPU."""

    @abstractmethod
    def _read(self, state: State, model: Any, objective: Any) -> State:
        """Copy a trained module and objective into arrays, the rest from `state`."""

    @abstractmethod
    def _optimizer(self) -> dict[str, Any]:
        """Give skorch its arguments `optimizer` and ``optimizer__…``."""

    def _conclude(self, X: Any, *, partial: bool) -> None:
        """Set what has a closed form, given the state and the rows trained on."""

    def _state(self) -> State:
        return {n: getattr(self, n) for n in self._state_names if hasattr(self, n)}

    def _fit(
        self, X: Any, *, n_iter: int, warm: bool, partial: bool = False
    ) -> "Fitting":
        # The net leaves the estimator while it trains: a fit that fails leaves
        # everything as it was, and no half-trained net.
        net = self.__dict__.pop("_net", None)
        before = self.__dict__.copy()
        try:
            reset = not (warm and hasattr(self, "n_features_in_"))
            X = self._validate_training_data(X, reset=reset)
            self._train(X, net if warm else None, n_iter, warm=warm, partial=partial)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _train(
        self, X: Any, net: Any, n_iter: int, *, warm: bool, partial: bool
    ) -> None:
        device = resolve_device(self.device)
        if not (warm and hasattr(self, "random_state_")):
            self.random_state_ = check_random_state(self.random_state)
        split = None if partial else self._split(X.shape[0])
        # The net repeats the split: what is held out is not even looked at here.
        rows = X if split is None else Rows(X, split(Dataset(X))[0].indices)
        state = self._start(rows, self._state() if warm else {})
        params = {k: v for k, v in self.get_params(False).items() if k != "n_iter"}
        if net is None or getattr(net, "built_from_", None) != params:
            net = self._build_net(state, device, draw_seed(self.random_state_))
            net.built_from_ = params
            if warm and "history_" in self.__dict__:
                net.history = self.__dict__["history_"]
        else:
            net.module_.load_state_dict(self._build_model(state).state_dict())
            net.criterion_ = self._build_objective(state).to(device, self._torch_dtype)
        schedule = "constant" if partial else self.learning_rate_schedule
        net.max_epochs, net.learning_rate_schedule = n_iter, schedule
        net.train_split = split
        if n_iter:  # skorch's callbacks expect a row of history at their end
            seed = draw_seed(self.random_state_)
            with seeded(seed, device), products_in(self.precision):
                net.partial_fit(X)
        if net.interrupted_:
            _finish_interrupted(net, type(self).__name__)
        for name in self._state_names:
            self.__dict__.pop(name, None)
        self.__dict__.update(self._read(state, net.module_, net.criterion_))
        self.history_ = net.history
        self.n_iter_ = len(net.history)
        self.device_ = str(device)
        self._net = net
        self._conclude(rows, partial=partial)

    def _build_net(
        self, state: State, device: torch.device, seed: int
    ) -> GenerativeNet:
        net = GenerativeNet(
            self._build_model(state).to(device, self._torch_dtype),
            self._build_objective(state).to(device, self._torch_dtype),
            lr=self.learning_rate,
            max_epochs=self.n_iter,
            batch_size=self.batch_size,
            train_split=None,
            callbacks=self._net_callbacks(),
            verbose=0,
            device=str(device),
            generator=torch.Generator(device=device).manual_seed(seed),
            products=PRECISIONS[self.precision].products,
            graphs=self.compile,
            **self._optimizer(),
        ).initialize()
        for group in net.optimizer_.param_groups:
            # For schedulers of torch that join after some epochs.
            group.setdefault("initial_lr", group["lr"])
        return net

    @property
    def _dtype(self) -> np.dtype:
        """Dtype of the parameters."""
        return np.dtype(PRECISIONS[self.precision].parameters)

    @property
    def _torch_dtype(self) -> torch.dtype:
        return getattr(torch, self._dtype.name)

    def _net_callbacks(self) -> list[Any]:
        """The house's callbacks around copies of the user's own."""
        callbacks: list[Any] = copies(self.callbacks)
        if self.verbose or self.callbacks or self.early_stopping:
            callbacks.insert(0, ("watch_loss", WatchLoss()))
        if self.verbose:
            progress = Progress(type(self).__name__, self._score_name)
            callbacks.append(("progress", progress))
        if self.early_stopping:
            stopping = StopEarly(
                monitor="valid_loss",
                patience=self.n_iter_no_change,
                threshold=self.tol,
                threshold_mode="abs",
                load_best=True,
            )
            callbacks.append(("early_stopping", stopping))
        return callbacks

    def _split(self, n_samples: int) -> ValidSplit | None:
        """How rows are held out, or None."""
        if not (self.early_stopping or watches_held_out_rows(self.callbacks)):
            return None
        if np.ceil(self.validation_fraction * n_samples) >= n_samples:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of n_samples="
                f"{n_samples} leaves no row to train on. Lower it, pass more "
                "samples, or set early_stopping=False."
            )
        seed = draw_seed(self.random_state_)
        return ValidSplit(self.validation_fraction, random_state=seed)

    def _validate_training_data(self, X: Any, *, reset: bool) -> Any:
        check_callbacks(self.callbacks, self.learning_rate_schedule)
        if isinstance(X, torch.utils.data.Dataset | torch.utils.data.DataLoader):
            raise TypeError(
                f"Got X of type {type(X).__name__}, but expected an array-like or a "
                "sparse matrix of shape (n_samples, n_features). Pass the array "
                "behind it, or call partial_fit on one batch at a time."
            )
        dtype = self._dtype
        # Numbers too large for the precision get validate_data's error alone.
        with np.errstate(over="ignore"):
            return validated(self, X, dtype=dtype, order="C", reset=reset)


def draw_seed(rng: np.random.RandomState) -> int:
    """Draw the one integer that seeds a torch generator."""
    return int(rng.randint(np.iinfo(np.int32).max))


def _finish_interrupted(net: GenerativeNet, name: str) -> None:
    """Drop the history of the unfinished epoch, and say so."""
    del net.history[-1]
    warnings.warn(
        f"The fit of {name} was interrupted after {len(net.history)} epochs; what was "
        "learned by then is kept.",
        ConvergenceWarning,
        stacklevel=6,
    )
