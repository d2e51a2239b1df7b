"""TrainableDeepBeliefNetwork: how the layers of a deep belief network are trained."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from skgen.base import Phase
from skgen.base._fitting import State
from skgen.base._python_scalars import as_python
from skgen.base._standardization import Standardization
from skgen.dbn._base import BaseDeepBeliefNetwork
from skgen.dbn._features import FeatureRBM, OnFeatures
from skgen.dbn._fine_tuning import FineTuning
from skgen.dbn._model import DeepBeliefNet, linear_of
from skgen.dbn._rows import FeatureRows
from skgen.dbn._state import (
    OF_MACHINE,
    RECOGNITION,
    Layer,
    check_sizes,
    is_fine_tuned,
    recognition_machine,
    tied_start,
    with_recognition,
)
from skgen.nn import BernoulliObservation, Observation
from skgen.rbm import (
    RBM,
    BernoulliRBMGPU,
    ContrastiveDivergence,
    GaussianRBM,
)
from skgen.rbm._trainable_base import TrainableRBM, epochs_of_machine
from skgen.training import Objective, RowSource
from skgen.training._optimizers import Adam

# Parameters that each machine is given.
_OF_MACHINES = (
    *("learning_rate", "batch_size", "n_iter", "algorithm", "n_gibbs_steps"),
    *("n_chains", "centered", "momentum", "weight_decay", "learning_rate_schedule"),
    *("early_stopping", "callbacks", "device", "precision", "random_state"),
)
_FINE_TUNING = "fine-tuning"


class FitState(dict):
    """The state of a fit, with the rows that it is trained on.

    The first `n_kept` machines stay as they are.
    """

    rows: RowSource | None = None
    n_kept = 0


class TrainableDeepBeliefNetwork(BaseDeepBeliefNetwork):
    """Training of the machines one after another, and of all layers together.

    A subclass stores the parameters.
    """

    hidden_layer_sizes: Any
    visible: str
    binarize: str
    noise_variance: Any
    n_chains: int | None
    n_gibbs_steps: int
    fine_tune_iter: int
    fine_tune_learning_rate: float

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Numbers of hidden units."""
        sizes = self.hidden_layer_sizes
        return tuple(map(int, np.atleast_1d(as_python(sizes))))

    def _number_of_epochs(self, n_iter: Any, n_rows: int) -> int:
        return epochs_of_machine(n_iter, n_rows, int(self.batch_size))

    def _machine(self, k: int, layer: Layer) -> TrainableRBM:
        """Return the estimator of the machine of layer k, with a fitted state.

        What the state tells goes before parameters, which may have been set anew.
        """
        parameters = {name: getattr(self, name) for name in _OF_MACHINES}
        is_fitted = "components_" in layer
        size = len(layer["components_"]) if is_fitted else self._sizes[k]
        is_real = "_units" in layer if is_fitted else self.visible == "gaussian"
        machine: Any
        if k == 0 and is_real:
            machine = GaussianRBM(
                size, noise_variance=self.noise_variance, **parameters
            )
        else:
            # Upper machines get probabilities of the units that are their data.
            binarize: Any = self.binarize if k == 0 else "sample"
            machine = BernoulliRBMGPU(size, binarize=binarize, **parameters)
        vars(machine).update(layer)
        if hasattr(self, "random_state_"):
            machine.random_state_ = self.random_state_
        return machine

    def _observation(self) -> Observation:
        is_sampled = self.visible == "bernoulli" and self.binarize == "sample"
        return BernoulliObservation(sampled=is_sampled)

    @property
    def _data_dtype(self) -> Any:
        return self._machine(0, {})._data_dtype

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, None]:
        self._check_sizes()
        X, _ = super()._validate_training_data(X, y, reset=reset)
        return self._machine(0, {})._validate_training_data(X, None, reset=True)

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
        layers = list(state.get("layers_", ()))
        n_kept = check_sizes(layers, self._sizes)
        if layers:
            self._check_visible(layers[0])
        layers += [{} for _ in self._sizes[len(layers) :]]
        if not n_kept:
            layers[0] = self._started(0, layers[0], rows)
        state = FitState(layers_=layers)
        state.rows, state.n_kept = rows, n_kept
        return state

    def _check_visible(self, lowest: Layer) -> None:
        fitted = "gaussian" if "_units" in lowest else "bernoulli"
        if fitted != self.visible:
            raise ValueError(
                f"Got visible={self.visible!r}, but the fit goes on from visible units "
                f"of visible={fitted!r}. Set that, or warm_start=False and call fit."
            )

    def _units_of(self, state: State) -> Standardization | None:
        layers = state.get("layers_") or [{}]
        return layers[0].get("_units")

    def _started(self, k: int, layer: Layer, rows: RowSource) -> Layer:
        """Complete the state of a machine for training on some rows."""
        machine = self._machine(k, {})
        return dict(machine._initial_state(rows, None, layer))

    def _start(self, k: int, layers: list[Layer], rows: RowSource) -> list[Layer]:
        """Complete the state of a machine for training on features of rows."""
        layer = layers[k]
        if "_units" in layers[0]:
            dtype = getattr(torch, str(self._dtype))
            rows = layers[0]["_units"].of_rows(rows, bounded=True, dtype=dtype)
        below = [m.to(rows.dtype) for m in self._machines_below(k, layers)]
        features = FeatureRows(rows, below, self._observation())
        if not layer:
            layer = tied_start(layers[k - 1], self._sizes[k], self.random_state_)
        layer = self._started(k, layer, features)
        return [*layers[:k], layer, *layers[k + 1 :]]

    def _machines_below(self, k: int, layers: list[Layer]) -> list[Any]:
        return [self._machine(i, layers[i])._build_model(layers[i]) for i in range(k)]

    def _training_rows(self, X: Any, state: State) -> Any:
        return self._machine(0, {})._training_rows(X, state["layers_"][0])

    def _fine_tunes(self, layers: list[Layer]) -> bool:
        return is_fine_tuned(layers) or bool(self.fine_tune_iter and len(layers) > 1)

    def _count_phases(self, state: State) -> int:
        layers = state["layers_"]
        n_kept = getattr(state, "n_kept", 0)
        n_machines = 0 if is_fine_tuned(layers) else len(layers) - n_kept
        return n_machines + self._fine_tunes(layers)

    def _phases(self, state: State) -> Iterator[Phase]:
        if not is_fine_tuned(state["layers_"]):
            yield from self._phases_of_layers(state)
        layers = state["layers_"]
        if self._fine_tunes(layers):
            state["layers_"] = self._untied(layers, cold=hasattr(state, "rows"))
            yield Phase(
                self._build_model(state),
                self._build_objective(state),
                name=_FINE_TUNING,
                optimizer={
                    "optimizer": Adam,
                    "optimizer__lr": self.fine_tune_learning_rate,
                },
                n_iter=self.fine_tune_iter,
            )

    def _phases_of_layers(self, state: State) -> Iterator[Phase]:
        rows, n_kept = getattr(state, "rows", None), getattr(state, "n_kept", 0)
        n_layers = len(state["layers_"])
        for k in range(n_kept, n_layers):
            if k and rows is not None:
                state["layers_"] = self._start(k, state["layers_"], rows)
            layers = state["layers_"]
            machine = self._machine(k, {})
            model: Any = machine._build_model(layers[k])
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

    def _untied(self, layers: list[Layer], *, cold: bool) -> list[Layer]:
        """Give q parameters of its own, and the top machine chains."""
        *lower, top = layers
        shape = self.n_chains or self.batch_size, len(top["components_"])
        h: Any = top.get("h_samples_")
        if h is not None and h.ndim == 3:  # of the model itself, among replicas
            h = h[-1]
        if cold and np.shape(h) != shape:
            h = (self.random_state_.uniform(size=shape) < 0.5).astype(self._dtype)
        elif h is None:
            h = np.zeros(shape, self._dtype)
        return [*map(with_recognition, lower), top | {"h_samples_": h}]

    def _read_state(self, state: State, phase: Phase) -> State:
        layers, objective = list(state["layers_"]), phase.objective
        if phase.name == _FINE_TUNING:
            return {"layers_": self._read_fine_tuned(layers, phase)}
        k = int(phase.name.removeprefix("layer ") or 1) - 1
        if isinstance(objective, OnFeatures):
            objective = objective.objective
        layers[k] = layers[k] | self._read_machine(k, layers[k], phase.model, objective)
        return {"layers_": layers}

    def _read_fine_tuned(self, layers: list[Layer], phase: Phase) -> list[Layer]:
        model: Any = phase.model
        objective: Any = phase.objective
        nothing = ContrastiveDivergence(None, None, None)
        trained = [
            layer | self._read_machine(k, layer, model.layers[k], nothing)
            for k, layer in enumerate(layers)
        ]
        for k, linear in enumerate(model.recognition):
            machine = copy.deepcopy(model.layers[k])
            machine.weight, machine.hidden_bias = linear.weight, linear.bias
            of_q = self._read_machine(k, layers[k], machine, nothing)
            names = zip(RECOGNITION, OF_MACHINE, strict=True)
            trained[k] |= {name: of_q[other] for name, other in names}
        trained[-1]["h_samples_"] = objective.chains.cpu().numpy().copy()
        return trained

    def _read_machine(
        self, k: int, layer: Layer, model: Any, objective: Objective
    ) -> Layer:
        return self._machine(k, {})._read_state(layer, Phase(model, objective))

    def _finalise(
        self, rows: RowSource, y: np.ndarray | None, *, partial: bool
    ) -> None:
        """Give layers that an interrupted fit has not come to their start."""
        for k in range(1, len(self.layers_)):
            if not self.layers_[k]:
                self.layers_ = self._start(k, self.layers_, rows)

    def _network(
        self, layers: list[Layer], build: Callable[[int, Layer], RBM]
    ) -> DeepBeliefNet:
        machines = [build(k, layer) for k, layer in enumerate(layers)]
        recognition = []
        if is_fine_tuned(layers):
            of_q = map(recognition_machine, layers[:-1])
            recognition = [linear_of(build(k, layer)) for k, layer in enumerate(of_q)]
        return DeepBeliefNet(machines, recognition)

    def _build_model(self, state: State) -> DeepBeliefNet:
        def build(k: int, layer: Layer) -> RBM:
            # Noise variances are not fine-tuned.
            layer = layer | {"_learns_variance": False}
            model: Any = self._machine(k, layer)._build_model(layer)
            return model

        return self._network(state["layers_"], build)

    def _build_objective(self, state: State) -> FineTuning:
        chains = torch.tensor(state["layers_"][-1]["h_samples_"])
        return FineTuning(chains, self._observation(), n_steps=self.n_gibbs_steps)
