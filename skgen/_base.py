"""What all estimators share: validate, build the net, fit, score."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._metadata_requests import UNUSED
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.dataset import Dataset, ValidSplit
from torch import Tensor, nn

from skgen.modules import Objective, seeded
from skgen.training import (
    SCHEDULES,
    DeviceBatches,
    GenerativeNet,
    Progress,
    StopEarly,
    WatchLoss,
    check_callbacks,
    copies,
    resolve_device,
    watches_held_out_rows,
)

State = dict[str, Any]

# Numbers in a chunk of data that inference moves to the device at a time.
_CHUNK = 2**22


class BaseGenerator(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    BaseEstimator,
    ABC,
):
    """Base of all generative estimators.

    The fitted state is a dict of arrays (and of what else is plain Python), which
    are attributes of the estimator.
    Training copies them into a torch module, trains it by a `GenerativeNet`, and
    copies them back when it has ended well; inference builds a module from them
    in the dtype of the data. A family supplies five methods:

    - `_start`: the state that training starts from,
    - `_build_model`: the state as a torch module,
    - `_build_objective`: what is minimised,
    - `_optimizer`: what steps,
    - `_read`: the state of a trained module and objective,

    and may refine `_conclude`: what follows from the training rows by closed form.
    See `skgen.BernoulliRBMGPU` for the parameters, which are shared.
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
        "precision": [StrOptions({"float32", "float64"})],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _doc_link_module = "skgen"
    _doc_link_template = (
        "https://scikit-generative.readthedocs.io/en/latest/generated/"
        "{estimator_module}.{estimator_name}.html"
    )

    # H is data: it takes no part in scikit-learn's metadata routing.
    __metadata_request__inverse_transform: ClassVar[dict] = {"H": UNUSED}

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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "BaseGenerator":
        """Fit the model to X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. Sparse data is made dense a mini-batch at a time.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is bad, before any training; or if training
            diverges. What was fitted before stays as it was.

        Warns
        -----
        ConvergenceWarning
            If training is interrupted from the keyboard; what was learned by
            then is kept.
        """
        warm = self.warm_start and self.__sklearn_is_fitted__()
        return self._fit(X, n_iter=self.n_iter, warm=warm)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> "BaseGenerator":
        """Go on with the fit by one pass over X in mini-batches.

        The first call starts a model. The learning rate is constant, and no
        row is held out.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        if self.early_stopping or watches_held_out_rows(self.callbacks):
            raise ValueError(
                "partial_fit holds no rows out, but early_stopping or one of the "
                "callbacks watches held-out rows. Call fit, or set_params("
                "early_stopping=False, callbacks=None) first."
            )
        warm = self.__sklearn_is_fitted__()
        return self._fit(X, n_iter=1, warm=warm, partial=True)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples` over X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            Nats per sample, higher is better.
        """
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    @property
    def net_(self) -> GenerativeNet:  # numpydoc ignore=RT01
        """The skorch net, with the current parameters in it.

        It is left out of a pickle, and made anew when it is asked for.
        """
        check_is_fitted(self)
        state = self._state()
        if "_net" not in self.__dict__:
            rng = getattr(self, "random_state_", None) or self.random_state
            # A copy: to look at an attribute must not move a random state.
            seed = draw_seed(check_random_state(copy.deepcopy(rng)))
            self._net = self._build_net(state, self._inference_device(), seed)
        model = self._build_model(state)
        self._net.module_.load_state_dict(model.state_dict())
        return self._net

    def __sklearn_is_fitted__(self) -> bool:
        return all(hasattr(self, name) for name in self._required_state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Pickle arrays and parameters; net and callbacks of a fit stay behind."""
        state = {k: v for k, v in super().__getstate__().items() if k != "_net"}
        if self.__sklearn_is_fitted__():
            state["callbacks"] = None
        return state

    def _state(self) -> State:
        return {n: getattr(self, n) for n in self._state_names if hasattr(self, n)}

    def _fit(
        self, X: Any, *, n_iter: int, warm: bool, partial: bool = False
    ) -> "BaseGenerator":
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
        rows = X if split is None else X[split(Dataset(X))[0].indices]
        state = self._start(rows, self._state() if warm else {})
        params = {k: v for k, v in self.get_params(False).items() if k != "n_iter"}
        if net is None or getattr(net, "built_from_", None) != params:
            net = self._build_net(state, device, draw_seed(self.random_state_))
            net.built_from_ = params
            if warm and "history_" in self.__dict__:
                net.history = self.__dict__["history_"]
        else:
            net.module_.load_state_dict(self._build_model(state).state_dict())
            net.criterion_ = self._build_objective(state).to(
                device, getattr(torch, self.precision)
            )
        schedule = "constant" if partial else self.learning_rate_schedule
        net.max_epochs, net.learning_rate_schedule = n_iter, schedule
        net.train_split = split
        if n_iter:  # skorch's callbacks expect a row of history at their end
            with seeded(draw_seed(self.random_state_), device):
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
        dtype = getattr(torch, self.precision)
        net = GenerativeNet(
            self._build_model(state).to(device, dtype),
            self._build_objective(state).to(device, dtype),
            lr=self.learning_rate,
            max_epochs=self.n_iter,
            batch_size=self.batch_size,
            train_split=None,
            callbacks=self._net_callbacks(),
            verbose=0,
            device=str(device),
            generator=torch.Generator(device=device).manual_seed(seed),
            **self._optimizer(),
        ).initialize()
        for group in net.optimizer_.param_groups:
            # For schedulers of torch that join after some epochs.
            group.setdefault("initial_lr", group["lr"])
        return net

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
        dtype = np.dtype(self.precision)
        # Numbers too large for the precision get validate_data's error alone.
        with np.errstate(over="ignore"):
            return validate_data(
                self, X, accept_sparse="csr", dtype=dtype, order="C", reset=reset
            )

    def _validate_data(self, X: Any) -> Any:
        """Validate data of a fitted estimator; its dtype stays."""
        check_is_fitted(self)
        dtype = [np.float64, np.float32]
        return validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=False)

    def _validate_components(self, H: Any) -> np.ndarray:
        """Validate what `inverse_transform` takes; its dtype stays."""
        check_is_fitted(self)
        H = check_array(H, dtype=[np.float64, np.float32], input_name="H")
        n_components = self._n_features_out
        if H.shape[1] != n_components:
            raise ValueError(
                f"Got H with {H.shape[1]} columns, but expected {n_components}, one "
                "for each component, as transform gives."
            )
        return H

    def _apply(self, function: Callable[[Any, Tensor], Tensor], X: Any) -> np.ndarray:
        """Apply ``function(model, rows)`` to valid data, a chunk at a time."""
        device = self._inference_device()
        model = self._model(torch.from_numpy(np.empty(0, X.dtype)).dtype, device)
        batches = DeviceBatches(Dataset(X), max(1, _CHUNK // X.shape[1]), device=device)
        with torch.inference_mode():
            parts = [function(model, x).cpu().numpy() for x, _ in batches]
        return np.concatenate(parts)

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        return self._build_model(self._state()).to(device, dtype).eval()

    def _rng(self, random_state: Any) -> np.random.RandomState:
        """Give the source of randomness that a method was asked to draw from."""
        return check_random_state(
            self.random_state if random_state is None else random_state
        )

    def _inference_device(self) -> torch.device:
        """The device asked for, or the CPU where this machine lacks it."""
        try:
            return resolve_device(self.device)
        except ValueError:
            return torch.device("cpu")

    def _generator(self, rng: np.random.RandomState) -> torch.Generator:
        """Make a source of randomness where inference runs, from one drawn integer."""
        generator = torch.Generator(device=self._inference_device())
        return generator.manual_seed(draw_seed(rng))


def warn_outside_unit_interval(X: Any) -> None:
    """Warn of data that is neither bits nor probabilities."""
    low, high = X.min(), X.max()
    if low < 0 or high > 1:
        warnings.warn(
            f"Got X with values in [{low:g}, {high:g}], but "
            "binary units expect [0, 1]. Scale X by "
            "sklearn.preprocessing.MinMaxScaler or threshold it by Binarizer.",
            UserWarning,
            stacklevel=6,
        )


def binarized(X: Any, how: str) -> Any:
    """Threshold values between 0 and 1, if that is how they are made bits."""
    return (X > 0.5).astype(X.dtype) if how == "threshold" else X


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
