"""TrainableDiffusionModel: how a diffusion model is trained."""

from math import ceil
from numbers import Integral
from typing import Any, cast

import numpy as np
import torch

from skgen.base import Phase, load_arrays, to_arrays
from skgen.base._fitting import State, draw_seed
from skgen.base._standardization import estimate_units
from skgen.diffusion._base import BaseDiffusionModel
from skgen.diffusion._covariance import directions_of
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._network import TimeMLP, reset_time_mlp
from skgen.diffusion._objective import DenoisingObjective
from skgen.diffusion._process import NoiseProcess
from skgen.nn._networks import with_memory
from skgen.training import RowSource
from skgen.training._optimizers import AdamW
from skgen.training._user_callbacks import has_scheduler

# What n_iter="auto" means: so many steps for a row, at least, and at most.
_STEPS_A_ROW, _LEAST_STEPS, _MOST_STEPS = 2.0, 300, 10_000
# What hidden_layer_sizes="auto" means: widths for up to so many features and for more.
_FEW_FEATURES, _NARROW, _WIDE, _N_LAYERS = 16, 128, 256, 4
# Rows from which on early_stopping="auto" holds some out.
_ROWS_TO_HOLD_OUT = 40
# Rows up to which it does: large tables are not learnt by heart, and gain most at the
# end of the schedule.
_MOST_ROWS_TO_STOP_EARLY = 5000
# What dropout="auto" and weight_decay="auto" mean, but for tables of so many rows for
# each feature, where both are 0.
_DROPOUT, _WEIGHT_DECAY, _AMPLE_ROWS = 0.1, 0.3, 1000


class TrainableDiffusionModel(BaseDiffusionModel):
    """A diffusion model and its training, by the parameters of the constructor."""

    _state_names = (
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
    hidden_layer_sizes: Any
    activation: str
    dropout: float | str
    covariance_type: str
    t_min: float
    ema_decay: float
    weight_decay: float | str

    def _initial_state(
        self,
        rows: RowSource,
        y: np.ndarray | None,  # noqa: ARG002
        state: State,
    ) -> State:
        sizes = _sizes_of(self.hidden_layer_sizes, rows.shape[1])
        architecture = {
            "hidden_layer_sizes": sizes,
            "activation": self.activation,
            "t_min": float(self.t_min),
        }
        if state:
            _check_same(architecture, state["_architecture"])
            return dict(state)
        names = getattr(self, "feature_names_in_", None)
        units = estimate_units(rows, per_feature=True, names=names)
        standard = units.of_rows(rows, bounded=True, dtype=torch.float64)
        spread, basis = directions_of(
            standard, correlated=self.covariance_type == "full"
        )
        network = self._built(architecture, rows.shape[1], dropout=0.0)
        generator = torch.Generator().manual_seed(draw_seed(self.random_state_))
        reset_time_mlp(network, generator)
        weights = to_arrays(network)
        return {
            "weights_": weights,
            "_last_weights": weights,
            "_n_averaged": 0,
            "_architecture": architecture,
            "_units": units,
            "_spread": spread,
            "_basis": basis,
            "_is_ample": len(rows) >= _AMPLE_ROWS * rows.shape[1],
        }

    def _build_model(self, state: State) -> DiffusionNet:
        return self._network_of(state, "_last_weights")

    def _build_inference_model(self, state: State) -> DiffusionNet:
        return self._network_of(state, "weights_")

    def _network_of(self, state: State, name: str) -> DiffusionNet:
        architecture, basis = state["_architecture"], state["_basis"]
        dropout = _strength(self.dropout, _DROPOUT, state)
        network = self._built(architecture, len(state["_spread"]), dropout=dropout)
        process = NoiseProcess(
            torch.tensor(state["_spread"]),
            None if basis is None else torch.tensor(basis),
            t_min=architecture["t_min"],
        )
        return DiffusionNet(load_arrays(network, state[name]), process)

    def _built(
        self, architecture: dict[str, Any], n_features: int, *, dropout: float
    ) -> TimeMLP:
        """Make the network, whose parameters are still to be set, float64."""
        network = TimeMLP(
            n_features,
            architecture["hidden_layer_sizes"],
            architecture["activation"],
            dropout=dropout,
            device="meta",
        )
        return cast(TimeMLP, with_memory(network))

    def _build_objective(self, state: State) -> DenoisingObjective:
        return DenoisingObjective(
            self._build_inference_model(state),
            decay=float(self.ema_decay),
            n_averaged=state["_n_averaged"],
            log_scale=state["_units"].log_scale,
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

    def _number_of_epochs(self, n_iter: Any, n_rows: int) -> int:
        if n_iter != "auto":
            return int(n_iter)
        n_steps = min(max(_STEPS_A_ROW * n_rows, _LEAST_STEPS), _MOST_STEPS)
        return ceil(n_steps / ceil(n_rows / int(self.batch_size)))

    def _stops_early(self, n_rows: int | None) -> bool:
        if self.early_stopping != "auto":
            return bool(self.early_stopping)
        if n_rows is None:
            return False
        return _ROWS_TO_HOLD_OUT <= n_rows <= _MOST_ROWS_TO_STOP_EARLY

    @property
    def _schedule(self) -> str:
        if self.learning_rate_schedule != "auto":
            return self.learning_rate_schedule
        return "constant" if has_scheduler(self.callbacks) else "linear"


def _strength(value: float | str, auto: float, state: State) -> float:
    """Return how strongly a network is regularised, if "auto" by the first table."""
    if value == "auto":
        return 0.0 if state["_is_ample"] else auto
    return float(value)


def _sizes_of(sizes: Any, n_features: int) -> tuple[int, ...]:
    if isinstance(sizes, str):  # "auto"
        return (_NARROW if n_features <= _FEW_FEATURES else _WIDE,) * _N_LAYERS
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
        raise ValueError(
            f"Got hidden_layer_sizes={sizes!r}, but expected integers of at least 1, "
            "one a hidden layer."
        )
    return tuple(int(size) for size in sizes)


def _check_same(wanted: dict[str, Any], fitted: dict[str, Any]) -> None:
    """Raise an error where a fit cannot go on from another architecture."""
    for name, value in wanted.items():
        if value != fitted[name]:
            raise ValueError(
                f"Got {name}={value!r}, but the fit goes on with {name}="
                f"{fitted[name]!r}. Set it back, or fit with warm_start=False."
            )
