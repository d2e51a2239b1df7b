"""TrainableDiffusionModel: how a diffusion model is trained."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skgen.base import BaseGenerator, Phase, load_arrays, to_arrays
from skgen.base._covariance import directions_of
from skgen.base._export import Units
from skgen.base._fitting import State, draw_seed
from skgen.base._portable_networks import PortableNetworksMixin
from skgen.base._standardization import estimate_units
from skgen.diffusion._architecture import DiffusionArchitecture
from skgen.diffusion._base import BaseDiffusionModel
from skgen.diffusion._export import Flow
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._objective import DenoisingObjective
from skgen.diffusion._process import NoiseProcess
from skgen.nn import ACTIVATIONS
from skgen.nn._networks import in_least_precision
from skgen.nn._seeding import draw_from
from skgen.training import RowSource
from skgen.training._optimizers import AdamW
from skgen.training._schedules import SCHEDULES

# The power of even shares at which times are, for such ample tables: rows tell narrow
# parts of the density, which take shape near the data.
_CLOSER = 2.0
# What dropout="auto" and weight_decay="auto" mean, but for tables of so many rows for
# each feature, where both are 0.
_DROPOUT, _WEIGHT_DECAY, _AMPLE_ROWS = 0.1, 0.3, 200


class TrainableDiffusionModel(PortableNetworksMixin, BaseDiffusionModel):
    """A diffusion model and its training, by the parameters of the constructor."""

    _automatic_steps = 2.0, 300, 10_000

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "architecture": [StrOptions({"mlp", "conv"})],
        "image_shape": [tuple, list, None],
        "network": [callable, None],
        "dropout": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "covariance_type": [StrOptions({"full", "diag"})],
        "t_min": [Interval(Real, 0, 0.5, closed="neither")],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
        "n_steps": [Interval(Integral, 2, None, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "learning_rate_schedule": [StrOptions({*SCHEDULES, "auto"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
    }

    _state_names: ClassVar[tuple[str, ...]] = (
        "weights_",
        "_last_weights",
        "_n_averaged",
        "_architecture",
        "_units",
        "_spread",
        "_basis",
        "_is_ample",
    )

    # What the constructor stores.
    network: Any
    dropout: float | str
    covariance_type: str
    _architecture: DiffusionArchitecture
    ema_decay: float
    weight_decay: float | str

    @property
    def _n_conditions(self) -> int:
        """Number of inputs of the network for the conditions of a conditional model."""
        return 0

    def _initial_state(
        self, rows: RowSource, y: np.ndarray | None, state: State
    ) -> State:
        architecture = DiffusionArchitecture.of(self)
        if state:
            architecture.check_same(state["_architecture"])
            return dict(state)
        names = getattr(self, "feature_names_in_", None)
        units = estimate_units(
            rows,
            per_feature=True,
            names=names,
            bounded=architecture.image_shape is None,
        )
        standard = units.of_rows(rows, bounded=True, dtype=torch.float64)
        generator = torch.Generator().manual_seed(draw_seed(self.random_state_))
        weights = to_arrays(architecture.initial_network(generator))
        return {
            "weights_": weights,
            "_last_weights": weights,
            "_n_averaged": 0,
            "_architecture": architecture,
            "_units": units,
            **self._gaussian_start(standard, y),
            "_is_ample": len(rows) >= _AMPLE_ROWS * rows.shape[1],
        }

    def _gaussian_start(
        self,
        rows: RowSource,
        y: np.ndarray | None,  # noqa: ARG002
    ) -> State:
        """Return the Gaussian of standardised rows that the model starts from."""
        spread, basis = directions_of(rows, correlated=self._is_correlated)
        return {"_spread": spread, "_basis": basis}

    @property
    def _is_correlated(self) -> bool:
        return self.covariance_type == "full"

    def _build_model(self, state: State) -> DiffusionNet:
        return self._network_of(state, "_last_weights")

    def _build_inference_model(self, state: State) -> DiffusionNet:
        model = self._network_of(state, "weights_")
        if state["_architecture"].network is not None:
            draw_from(model.network, 0)  # it may draw in spite of not being trained
        return model

    def _network_of(self, state: State, name: str) -> DiffusionNet:
        architecture = state["_architecture"]
        network = architecture.build(_strength(self.dropout, _DROPOUT, state))
        load_arrays(network, state[name])
        if architecture.image_shape is not None:  # faster on a CPU
            network = network.to(memory_format=torch.channels_last)
        return self._with_process(network, state)

    def _with_process(self, network: nn.Module, state: State) -> DiffusionNet:
        by_features = state["_architecture"].by_features
        process = self._process(state, "_spread", "_basis")
        return DiffusionNet(network, process, by_features=by_features)

    def _process(self, state: State, spread: str, basis: str) -> NoiseProcess:
        """Make a noise process of entries of the state."""
        directions = state[basis]
        return NoiseProcess(
            torch.tensor(state[spread]),
            None if directions is None else torch.tensor(directions),
            t_min=state["_architecture"].t_min,
        )

    def _given_networks(self, model: Any) -> list[tuple[nn.Module, int]]:
        if self.network is None:
            return []
        n_inputs = self.n_features_in_ + 1 + self._n_conditions
        return [(model.network.network, n_inputs)]

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        model = super()._model(dtype, device)
        if self._architecture.image_shape is not None:
            model.network = in_least_precision(model.network, dtype, self._dtype)
        return model

    def _torch_networks(self, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
        # The network of a user as it is, without what seeds one that draws.
        model = self._network_of(self._state(), "weights_").to(dtype).eval()
        encode, decode = (
            Flow(model, self._n_steps, to_data=to_data) for to_data in (False, True)
        )
        return encode, decode

    def _torch_units(self) -> Units:
        return Units(self._units)

    def _build_objective(self, state: State) -> DenoisingObjective:
        return DenoisingObjective(
            self._build_inference_model(state),
            decay=float(self.ema_decay),
            n_averaged=state["_n_averaged"],
            log_scale=state["_units"].log_scale,
            closer=_CLOSER if state["_is_ample"] else 1.0,
        )

    def _read_state(self, state: State, phase: Phase) -> State:  # noqa: ARG002
        model: Any = phase.model
        objective: Any = phase.objective
        return {
            "weights_": to_arrays(objective.average.network),
            "_last_weights": to_arrays(model.network),
            "_n_averaged": int(objective.n_averaged),
        }

    def _optimizer_arguments(self, state: State) -> dict[str, Any]:
        decay = _strength(self.weight_decay, _WEIGHT_DECAY, state)
        return {
            "optimizer": AdamW,
            "optimizer__weight_decay": decay,
            "optimizer__fused": True,
        }


def _strength(value: float | str, auto: float, state: State) -> float:
    """Return how strongly a network is regularised, if "auto" by the first table."""
    if value == "auto":
        return 0.0 if state["_is_ample"] else auto
    return float(value)
