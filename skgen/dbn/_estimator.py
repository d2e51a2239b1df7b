"""DeepBeliefNetwork: the deep belief network as an estimator."""

from collections.abc import Iterator
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skgen.base import BaseGenerator, EncoderMixin, LikelihoodMixin, Phase
from skgen.base._fitting import State
from skgen.base._python_scalars import as_python, python_arguments
from skgen.base._validation import bits_or_probabilities
from skgen.dbn._bound import importance_weighted_bound, variational_bound
from skgen.dbn._features import FeatureRBM, OnFeatures
from skgen.dbn._model import DeepBeliefNet
from skgen.dbn._rows import FeatureRows
from skgen.dbn._state import Layer, check_sizes, sizes_of, tied_start
from skgen.likelihood import LogPartition
from skgen.nn import BernoulliObservation, Observation
from skgen.rbm import RBM, BernoulliRBM, BernoulliRBMGPU
from skgen.training import Objective, RowSource

_COUNT = [Interval(Integral, 1, None, closed="left")]
# Draws of each row for the score.
_N_SCORE_DRAWS = 16
# Parameters that each machine is given.
_OF_MACHINES = (
    *("learning_rate", "batch_size", "n_iter", "algorithm", "n_gibbs_steps"),
    *("n_chains", "centered", "momentum", "weight_decay", "learning_rate_schedule"),
    *("device", "precision", "random_state"),
)


class FitState(dict):
    """The state of a fit, with the rows that it is trained on."""

    rows: RowSource | None = None


class DeepBeliefNetwork(EncoderMixin, LikelihoodMixin, BaseGenerator):
    """TODO"""

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        **{
            name: BernoulliRBMGPU._parameter_constraints[name]
            for name in (
                *("algorithm", "n_gibbs_steps", "n_chains", "binarize", "centered"),
                *("momentum", "weight_decay"),
            )
        },
    }
    _state_names = ("layers_",)
    _required_state = ("layers_",)

    def __init__(
        self,
        hidden_layer_sizes=(256, 256),
        *,
        learning_rate=0.1,
        batch_size=10,
        n_iter=10,
        algorithm="pcd",
        n_gibbs_steps=1,
        n_chains=None,
        centered=True,
        momentum=0.0,
        weight_decay=0.0,
        learning_rate_schedule="constant",
        binarize="none",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        callbacks=None,
        device="auto",
        precision="float32",
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.learning_rate_schedule = learning_rate_schedule
        self.binarize = binarize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    # The methods of a fitted network

    @property
    def _n_features_out(self) -> int:
        return len(self.layers_[-1]["components_"])

    def transform(self, X: Any) -> np.ndarray:
        return self._apply(DeepBeliefNet.up, self._validate_data(X))

    def inverse_transform(self, H: Any) -> np.ndarray:
        return self._apply(DeepBeliefNet.down, self._validate_components(H))

    def score_samples(self, X: Any) -> np.ndarray:
        bound = partial(variational_bound, n_draws=_N_SCORE_DRAWS)
        terms = self._apply_to_observed(bound, X)
        return terms - self._current_log_partition().estimate

    def log_likelihood(
        self, X: Any, n_importance_samples: int = 100, *, random_state: Any = None
    ) -> np.ndarray:
        terms = self._importance_weighted(X, n_importance_samples, random_state)
        return terms - self._current_log_partition().estimate

    def log_likelihood_bounds(
        self, X: Any, n_importance_samples: int = 100, *, random_state: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        terms = self._importance_weighted(X, n_importance_samples, random_state)
        log_z = self._current_log_partition()
        if len(self.layers_) == 1:
            return terms - log_z.upper, terms - log_z.lower
        return terms - log_z.upper, np.full_like(terms, np.inf)

    def log_partition_function(
        self,
        method: str = "auto",
        *,
        n_chains: int = 200,
        n_temperatures: int = 2000,
        random_state: Any = None,
    ) -> LogPartition:
        check_is_fitted(self)
        top = self._top()
        result = top.log_partition_function(
            method,
            n_chains=n_chains,
            n_temperatures=n_temperatures,
            random_state=random_state,
        )
        self._log_partition = top._state().checksum(), result
        return result

    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        sampler: str | None = None,
        n_gibbs_steps: int | None = None,
    ) -> np.ndarray:
        rng = self._rng(random_state)
        h = self._top().sample(
            n_samples, random_state=rng, sampler=sampler, n_gibbs_steps=n_gibbs_steps
        )
        if len(self.layers_) == 1:
            return h
        down = partial(DeepBeliefNet.sample_down, generator=self._generator(rng))
        return self._apply(down, h)

    def _importance_weighted(
        self, X: Any, n_draws: int, random_state: Any
    ) -> np.ndarray:
        generator = self._generator(self._rng(random_state))
        bound = partial(
            importance_weighted_bound, n_draws=n_draws, generator=generator
        )
        return self._apply_to_observed(bound, X)

    def _apply_to_observed(self, function: Any, X: Any) -> np.ndarray:
        """Apply ``function(model, v)`` to what is observed of data."""
        observation = self._observation()

        def of_observed(model: DeepBeliefNet, x: Tensor) -> Tensor:
            return function(model, observation.observe(x, generator=None))

        return self._apply(of_observed, self._validate_data(X))

    def _current_log_partition(self) -> LogPartition:
        """Return the result for the present parameters, computed if necessary."""
        key, result = self.__dict__.get("_log_partition", (None, None))
        if key == self._top()._state().checksum():
            return result
        # A score is a function of the parameters alone.
        return self.log_partition_function(random_state=0)

    def _validate_data(self, X: Any) -> Any:
        return bits_or_probabilities(super()._validate_data(X), self.binarize)

    # Training

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Numbers of hidden units."""
        sizes = self.hidden_layer_sizes
        return tuple(map(int, np.atleast_1d(as_python(sizes))))

    def _machine(self, k: int, layer: Layer) -> BernoulliRBMGPU:
        """Return the estimator of one machine, with its fitted state."""
        parameters = {name: getattr(self, name) for name in _OF_MACHINES}
        # Upper machines get probabilities of the units that are their data.
        binarize = self.binarize if k == 0 else "sample"
        machine = BernoulliRBMGPU(self._sizes[k], binarize=binarize, **parameters)
        vars(machine).update(layer)
        if hasattr(self, "random_state_"):
            machine.random_state_ = self.random_state_
        return machine

    def _top(self) -> BernoulliRBMGPU:
        k = len(self.layers_) - 1
        return self._machine(k, self.layers_[k])

    def _observation(self) -> Observation:
        return BernoulliObservation(sampled=self.binarize == "sample")

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, None]:
        self._check_sizes()
        X, _ = super()._validate_training_data(X, y, reset=reset)
        return bits_or_probabilities(X, self.binarize), None

    def _check_sizes(self) -> None:
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        valid = sizes.ndim == 1 and len(sizes) and sizes.dtype.kind in "iu"
        if not valid or sizes.min() < 1:
            raise ValueError(
                f"Got hidden_layer_sizes={self.hidden_layer_sizes!r}, but expected one "
                "or more positive integers, the numbers of hidden units of each layer."
            )

    def _initial_state(
        self, rows: RowSource, y: np.ndarray | None, state: State
    ) -> FitState:
        layers = list(state.get("layers_", ({},) * len(self._sizes)))
        if "layers_" in state:
            check_sizes(layers, self._sizes)
        layers[0] = self._started(0, layers[0], rows)
        state = FitState(layers_=layers)
        state.rows = rows
        return state

    def _started(self, k: int, layer: Layer, rows: RowSource) -> Layer:
        """Complete the state of a machine for training on some rows."""
        machine = self._machine(k, {})
        return dict(machine._initial_state(rows, None, layer))

    def _start(self, k: int, layers: list[Layer], rows: RowSource) -> list[Layer]:
        """Complete the state of a machine for training on features of rows."""
        layer, below = layers[k], self._machines_below(k, layers)
        # Of any machine with as many visible units: it is the others that matter.
        above = BernoulliRBM(*map(torch.zeros, [(1, self._sizes[k - 1]), 1, 1]))
        features = FeatureRows(
            rows, FeatureRBM(above, below), OnFeatures(Objective(), self._observation())
        )
        if not layer:
            layer = tied_start(layers[k - 1], self._sizes[k], self.random_state_)
        layer = self._started(k, layer, features)
        return [*layers[:k], layer, *layers[k + 1 :]]

    def _machines_below(self, k: int, layers: list[Layer]) -> list[RBM]:
        return [self._machine(i, {})._build_model(layers[i]) for i in range(k)]

    def _phases(self, state: State) -> Iterator[Phase]:
        rows = getattr(state, "rows", None)
        n_layers = len(state["layers_"])
        for k in range(n_layers):
            if k and rows is not None:
                state["layers_"] = self._start(k, state["layers_"], rows)
            layers = state["layers_"]
            machine = self._machine(k, {})
            model = machine._build_model(layers[k])
            objective: Objective = machine._build_objective(layers[k])
            if k:
                model = FeatureRBM(model, self._machines_below(k, layers))
                objective = OnFeatures(objective, self._observation())
            yield Phase(
                model,
                objective,
                name="" if n_layers == 1 else f"layer {k + 1}",
                optimizer=machine._optimizer_arguments(layers[k]),
            )

    def _read_state(self, state: State, phase: Phase) -> State:
        k = int(phase.name.removeprefix("layer ") or 1) - 1
        objective: Any = phase.objective
        if k:
            objective = objective.objective
        layers = list(state["layers_"])
        part = Phase(phase.model, objective)
        trained = self._machine(k, {})._read_state(layers[k], part)
        layers[k] = layers[k] | trained
        return {"layers_": layers}

    def _finalise(
        self, rows: RowSource, y: np.ndarray | None, *, partial: bool
    ) -> None:
        """Give layers that an interrupted fit has not come to their start."""
        for k in range(1, len(self.layers_)):
            if not self.layers_[k]:
                self.layers_ = self._start(k, self.layers_, rows)

    def _build_model(self, state: State) -> DeepBeliefNet:
        layers = state["layers_"]
        return DeepBeliefNet(
            [self._machine(k, {})._build_model(layers[k]) for k in range(len(layers))]
        )

    def _build_objective(self, state: State) -> Objective:
        raise NotImplementedError
