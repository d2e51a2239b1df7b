"""BaseGenerator: the methods of scikit-learn that all estimators share."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skgen.base._automatic import AutomaticParameters
from skgen.base._blocks import apply_in_blocks, is_out_of_memory, no_memory_to_train
from skgen.base._capabilities import ConditionalMixin
from skgen.base._checked import checked_fit
from skgen.base._copies import CopiesCallbacks
from skgen.base._failure import unchanged_on_failure
from skgen.base._fit_tasks import FitTasks, SupportsCallbacks
from skgen.base._fitting import (
    Fitting,
    Phase,
    State,
    complete,
    draw_seed,
)
from skgen.base._nets import build_net, holds_out_rows
from skgen.base._python_scalars import python_scalars
from skgen.base._resume import files_of_fit
from skgen.base._saving import SavesMixin
from skgen.base._standardization import Standardization
from skgen.base._training_data import weighted_mean, without_weightless
from skgen.base._validation import validated, validated_rows
from skgen.base._weights import to_arrays
from skgen.nn._seeding import drawing_from, draws
from skgen.nn._threads import number_of_threads
from skgen.training import GenerativeNet, Objective, RowSource
from skgen.training._device import resolve_device
from skgen.training._optimizers import Adam
from skgen.training._precision import PRECISIONS
from skgen.training._rows import row_source
from skgen.training._schedules import SCHEDULES
from skgen.training._torch_state import plain_torch
from skgen.training._user_callbacks import check_callbacks, check_kinds


class BaseGenerator(
    AutomaticParameters,
    SavesMixin,
    SupportsCallbacks,
    DensityMixin,
    CopiesCallbacks,
    ABC,
):
    """Base of all generative estimators.

    The fitted state is a dict of arrays (and of what else is plain Python), which are
    attributes of the estimator. `Fitting` makes a torch module of it, trains it and
    reads the new state only if training ended well. Inference makes a module of the
    state in the dtype of the data. A family of models supplies

    - `_initial_state`: the state that training starts from,
    - `_build_model`: the module of a state,
    - `_build_objective`: what is minimised,
    - `sample` and `score_samples`,

    and may refine `_read_state` (by default the parameters of the module are the
    attribute ``weights_``), `_optimizer_arguments` (by default Adam), `_phases`,
    `_training_rows`, `_training_conditions`, `_number_of_epochs`, `_stops_early`,
    `_schedule`, `_build_inference_model`, `_finalise`, `_given_networks` and
    `_training_context`. What else an estimator can do, it gets from the mixins of
    `skgen.base`. Its constructor stores the parameters that it offers; for those of
    training that it does not offer, the class attributes below hold.

    See `skgen.BernoulliRBMGPU` for the parameters of training.
    """

    batch_size: int
    early_stopping: bool | str = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    learning_rate: float
    learning_rate_schedule: str = "constant"
    n_iter: int | str
    callbacks: Any = None
    device: Any = "auto"
    precision: str = "float32"
    warm_start: bool = False
    verbose: Any = 0
    random_state: Any = None

    # What is valid for the parameters of training, for the subclasses that offer them.
    _training_constraints: ClassVar[dict] = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "callbacks": "no_validation",  # `check_kinds` says what to do
        "device": [str, torch.device],
        "precision": [StrOptions(set(PRECISIONS))],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    # What `score` is called where it is shown.
    _score_name: ClassVar[str] = "score"
    # The attributes that hold the state; those in `_required_state` make an estimator
    # fitted, whoever assigned them.
    _state_names: ClassVar[tuple[str, ...]] = ("weights_",)
    _required_state: ClassVar[tuple[str, ...]] = ("weights_",)

    _doc_link_module = "skgen"
    _doc_link_template = (
        "https://scikit-generative.readthedocs.io/en/latest/generated/"
        "skgen.{estimator_name}.html"
    )

    @classmethod
    def _constraints_of(cls, *names: str) -> dict[str, list]:
        """Return what is valid for some parameters of training, by name."""
        return {name: cls._training_constraints[name] for name in names}

    @abstractmethod
    def _initial_state(
        self, rows: RowSource, y: np.ndarray | None, state: State
    ) -> State:
        """Complete a state for training on some rows; an empty one is a cold start.

        It may draw from ``self.random_state_``, and must not change `state`.
        """

    def _state_of_conditions(
        self, y: np.ndarray, weight: np.ndarray | None, state: State
    ) -> State:
        """Return entries of the state that count the conditions of all rows."""
        return {}

    def _units_of(self, state: State) -> Standardization | None:
        """Return the units in which a model of this state sees rows, if there are any.

        They are those of the rows of the first call of `partial_fit`, or of `fit`
        without a warm start.
        """
        return state.get("_units")

    @abstractmethod
    def _build_model(self, state: State) -> nn.Module:
        """Make the module of a state, with memory of its own, on the CPU."""

    @abstractmethod
    def _build_objective(self, state: State) -> Objective:
        """Make the objective of a state, with memory of its own, on the CPU."""

    @abstractmethod
    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> np.ndarray:
        """Draw samples of the model, shape (n_samples, n_features)."""

    @abstractmethod
    def score_samples(self, X: Any) -> np.ndarray:
        """Score each row, without randomness, higher is better, (n_samples,)."""

    def _phases(self, state: State) -> Iterator[Phase]:
        """Yield the parts of a fit; each updates `state` before the next is made."""
        yield Phase(self._build_model(state), self._build_objective(state))

    def _count_phases(self, state: State) -> int:
        """Return how many phases there are."""
        return 1

    def _optimizer_arguments(self, state: State) -> dict[str, Any]:
        """Return `optimizer` or `optimizers` of `GenerativeNet`, and their options."""
        return {"optimizer": Adam}

    def _training_rows(self, X: Any, state: State) -> Any:
        """Return the table that the net is trained on, of as many rows as X."""
        return X

    def _training_conditions(
        self, y: np.ndarray | None, state: State
    ) -> np.ndarray | None:
        """Return the conditions that the net is trained on, one row for each of X."""
        return y

    def _read_state(self, state: State, phase: Phase) -> State:
        """Copy what a phase has trained into arrays: entries of the new state."""
        model = phase.objective.inference_model(phase.model)
        return {"weights_": to_arrays(model)}

    def _build_inference_model(self, state: State) -> nn.Module:
        """Make the module that answers for a state, where it is not the trained one."""
        return self._build_model(state)

    def _finalise(
        self, rows: RowSource, y: np.ndarray | None, *, partial: bool
    ) -> None:
        """Set what has a closed form, given the state and the rows trained on."""

    def _training_context(self, model: nn.Module, seed: int) -> AbstractContextManager:
        """Return the context in which the model of a phase is trained.

        In it, the networks that draw random numbers get generators of their own.
        """
        given = self._given_networks(model)
        return drawing_from([net for net, n_in in given if draws(net, n_in)], seed)

    def _given_networks(self, model: Any) -> list[tuple[nn.Module, int]]:
        """Return the networks of the user, each with the width of its input."""
        return []

    @checked_fit()
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model to X.

        The result does not depend on the order of the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. Sparse data is made dense one mini-batch at a time.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How much each row counts. Integers say how often a row is repeated, as
            long as all rows together are at most 10 times as many as before, or
            10,000; other weights multiply the loss of a row, divided by their mean. A
            row of weight zero is as good as absent. None means that all count alike.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is invalid, before any training; or if training
            diverges. What was fitted before stays as it was.

        KeyboardInterrupt
            If training is interrupted from the keyboard. What was learned by the last
            whole epoch is kept: the estimator is as after a fit of so many epochs. If
            there was none, it is as it was before.

        Warns
        -----
        ConvergenceWarning
            If the loss of training ends above its start or still falls clearly at its
            end, for models whose loss shows it.
        UserWarning
            If a warm start cannot go on with the state of the optimizer.
        """
        warm = self.warm_start and self.__sklearn_is_fitted__()
        return self._fit(X, y, sample_weight, n_iter=self.n_iter, warm=warm)

    @checked_fit()
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Continue the fit by one pass over X in mini-batches.

        The first call starts a model. The learning rate is constant, and no
        row is held out.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How much each row counts among those of this call, as in `fit`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        warm = self.__sklearn_is_fitted__()
        return self._fit(X, y, sample_weight, n_iter=1, warm=warm, partial=True)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the mean of `score_samples` over X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights of the rows in the mean; None means that all count alike. A row of
            weight zero is as good as absent.

        Returns
        -------
        score : float
            Nats per sample, higher is better.
        """
        X, _, weight = without_weightless(X, None, sample_weight)
        return weighted_mean(self.score_samples(X), weight)

    @property
    def net_(self) -> GenerativeNet:  # numpydoc ignore=RT01
        """The skorch net, with the current parameters in it.

        It is left out of a pickle, and made again when it is asked for.
        """
        check_is_fitted(self)
        with plain_torch(), python_scalars(self):
            return self._current_net()

    def _current_net(self) -> GenerativeNet:
        *_, phase = self._phases(self._state())
        nets = self.__dict__.setdefault("_nets", {})
        if phase.name not in nets:
            rng = getattr(self, "random_state_", None) or self.random_state
            # A copy: reading an attribute must not change a random state.
            seed = draw_seed(check_random_state(copy.deepcopy(rng)))
            complete(phase, self, self._state())
            nets[phase.name] = build_net(
                self,
                phase,
                self._inference_device(),
                seed,
                stops_early=self._stops_early(None),
            )
        net = nets[phase.name]
        net.module_.load_state_dict(phase.model.state_dict())
        return net

    def __sklearn_is_fitted__(self) -> bool:
        return all(hasattr(self, name) for name in self._required_state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        n_iter: int | str,
        warm: bool,
        partial: bool = False,
    ) -> Self:
        number_of_threads()  # those of this thread of Python, from here on
        tasks = FitTasks(self, X, y, sample_weight)
        with plain_torch(), unchanged_on_failure(self) as before, python_scalars(self):
            check_kinds(self.callbacks)
            if partial and holds_out_rows(self, self._stops_early(None)):
                raise ValueError(
                    "partial_fit holds no rows out, but early_stopping or one of the "
                    "callbacks watches held-out rows. Call fit, or set_params("
                    "early_stopping=False, callbacks=None) first."
                )
            if not isinstance(self, ConditionalMixin):
                y = None
            X, y, weight = without_weightless(X, y, sample_weight)
            reset = not (warm and hasattr(self, "n_features_in_"))
            X, y = self._validate_training_data(X, y, reset=reset)
            if not (warm and hasattr(self, "random_state_")):
                self.random_state_ = check_random_state(self.random_state)
            nets = before.get("_nets", {})
            files = files_of_fit(
                self, X, y, weight, state=self._state() if warm else {}, partial=partial
            )
            fitting = Fitting(
                self,
                n_iter=n_iter,
                warm=warm,
                partial=partial,
                nets=nets,
                tasks=tasks,
                files=files,
            )
            try:
                fitting.run(X, y, weight)
            except BaseException as error:
                fitting.undo()
                if is_out_of_memory(error):
                    raise no_memory_to_train(self, error) from error
                raise
            self._nets = fitting.nets
            self.__dict__.pop("_training_states", None)
        if fitting.interrupted:
            raise KeyboardInterrupt
        return self

    def _state(self) -> State:
        return {n: getattr(self, n) for n in self._state_names if hasattr(self, n)}

    def _set_state(self, state: State) -> None:
        for name in self._state_names:
            self.__dict__.pop(name, None)
        self.__dict__.update(state)

    @property
    def _dtype(self) -> np.dtype:
        """Dtype of the parameters."""
        return np.dtype(PRECISIONS[self.precision].parameters)

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, np.ndarray | None]:
        """Validate what is trained on, in the dtype of the parameters; drop y."""
        check_callbacks(self.callbacks, self._schedule)
        # Numbers too large for the precision get validate_data's error alone.
        with np.errstate(over="ignore"):
            dtype = self._data_dtype
            return validated(self, X, dtype=dtype, order="C", reset=reset), None

    @property
    def _data_dtype(self) -> Any:
        """Dtype in which training data is validated, or several that are allowed."""
        return self._dtype

    def _validate_data(self, X: Any) -> Any:
        """Validate data of a fitted estimator; its dtype stays."""
        number_of_threads()  # as in `_fit`
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # its error; itself, it takes longer
        return validated_rows(self, X)

    def _apply(
        self,
        function: Callable[..., Tensor],
        X: Any,
        *more: np.ndarray | None,
        out: Any = None,
    ) -> np.ndarray:
        """Apply ``function(model, x)`` to valid data, a block of rows at a time.

        With more arrays of as many rows it is ``function(model, x, *more)``. They are
        conditions, weights and the like; None is handed on as such. Values are written
        into `out`, if that is given.
        """
        number_of_threads()  # as in `_fit`
        device, rows = self._inference_device(), row_source(X)
        with plain_torch():
            model = self._model(rows.dtype, device)
            with torch.inference_mode():
                return apply_in_blocks(
                    function, model, rows, *more, device=device, out=out
                )

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        return self._build_inference_model(self._state()).to(device, dtype).eval()

    def _rng(self, random_state: Any) -> np.random.RandomState:
        """Return the source of randomness that a method is asked to draw from."""
        check_is_fitted(self)
        return check_random_state(
            self.random_state if random_state is None else random_state
        )

    def _inference_device(self) -> torch.device:
        """Return the device asked for, or the CPU where this machine lacks it."""
        try:
            return resolve_device(self.device)
        except ValueError:
            return torch.device("cpu")

    def _generator(self, rng: np.random.RandomState) -> torch.Generator:
        """Make a source of randomness for inference, from one drawn integer."""
        generator = torch.Generator(device=self._inference_device())
        return generator.manual_seed(draw_seed(rng))
