"""TrainableEnergyModel: how an energy model is trained."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skgen.base import BaseGenerator, Phase, load_arrays, to_arrays
from skgen.base._fitting import State, draw_seed
from skgen.base._portable_networks import PortableNetworksMixin
from skgen.base._standardization import estimate_units
from skgen.energy._architecture import EnergyArchitecture
from skgen.energy._base import BaseEnergyModel
from skgen.energy._base_density import fit_base
from skgen.energy._chains import LARGEST_STEP
from skgen.energy._mixture import GaussianMixtureDensity
from skgen.energy._model import EnergyNet
from skgen.energy._noise_contrastive import NoiseContrastive
from skgen.energy._persistent import PersistentLangevin
from skgen.nn import ACTIVATIONS
from skgen.nn._seeding import draw_from
from skgen.training import Objective, RowSource
from skgen.training._optimizers import AdamW
from skgen.training._schedules import SCHEDULES

# Step size of unadjusted chains where it is "auto", in the units of standardised data.
_UNADJUSTED_STEP = 0.01


class TrainableEnergyModel(PortableNetworksMixin, BaseEnergyModel):
    """An energy model and its training, by the parameters of the constructor."""

    _automatic_steps = 2.0, 300, 6000

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "base": [
            StrOptions({"auto", "gaussian"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "base_covariance_type": [StrOptions({"auto", "full", "diag"})],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "architecture": [StrOptions({"mlp", "conv"})],
        "image_shape": [tuple, list, None],
        "network": [callable, None],
        "objective": [StrOptions({"nce", "pcd"})],
        "n_noise": [Interval(Integral, 1, None, closed="left")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "step_size": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "adjusted": ["boolean"],
        "temperature": [Interval(Real, 0, None, closed="left")],
        "buffer_size": [Interval(Integral, 1, None, closed="left")],
        "reinit_fraction": [Interval(Real, 0, 1, closed="both")],
        "n_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "learning_rate_schedule": [StrOptions({*SCHEDULES, "auto"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
    }

    _state_names: ClassVar[tuple[str, ...]] = (
        "weights_",
        "log_normalizer_",
        "_architecture",
        "_units",
        "_base",
        "_buffer",
        "_buffer_ages",
        "_buffer_step",
        "_n_tuned",
    )

    # What the constructor stores.
    base: Any
    base_covariance_type: str
    network: Any
    objective: str
    n_noise: int
    n_steps: int
    step_size: Any
    adjusted: bool
    temperature: float
    buffer_size: int
    reinit_fraction: float
    weight_decay: float
    _architecture: EnergyArchitecture

    def _initial_state(
        self,
        rows: RowSource,
        y: np.ndarray | None,  # noqa: ARG002
        state: State,
    ) -> State:
        architecture = EnergyArchitecture.of(self)
        state = dict(state)
        if state:
            architecture.check_same(state["_architecture"])
        else:
            state = self._cold_start(architecture, rows)
        if self.objective == "pcd" and "_buffer" not in state:
            base = self._build_base(state)
            generator = torch.Generator().manual_seed(draw_seed(self.random_state_))
            buffer = base.sample(int(self.buffer_size), generator=generator)
            state["_buffer"] = buffer.numpy().astype(self._dtype)
            state["_buffer_step"], state["_n_tuned"] = self._first_step, 0
        return state

    def _cold_start(self, architecture: EnergyArchitecture, rows: RowSource) -> State:
        names = getattr(self, "feature_names_in_", None)
        is_table = architecture.image_shape is None
        units = estimate_units(rows, per_feature=True, names=names, bounded=is_table)
        standard = units.of_rows(rows, bounded=True, dtype=torch.float64)
        seed = draw_seed(self.random_state_)
        base = fit_base(
            standard, self.base, self.base_covariance_type, seed, units.scale
        )
        generator = torch.Generator().manual_seed(draw_seed(self.random_state_))
        return {
            "weights_": to_arrays(architecture.initial_network(generator)),
            "log_normalizer_": 0.0,
            "_architecture": architecture,
            "_units": units,
            "_base": base,
        }

    @property
    def _first_step(self) -> float:
        """Step size of the chains of training at their start."""
        if self.step_size != "auto":
            return float(self.step_size)
        return LARGEST_STEP if self.adjusted else _UNADJUSTED_STEP

    def _build_base(self, state: State) -> GaussianMixtureDensity:
        tensors = {name: torch.tensor(array) for name, array in state["_base"].items()}
        return GaussianMixtureDensity(**tensors)

    def _build_model(self, state: State) -> EnergyNet:
        network = load_arrays(state["_architecture"].build(), state["weights_"])
        return EnergyNet(network, self._build_base(state), state["log_normalizer_"])

    def _build_inference_model(self, state: State) -> EnergyNet:
        model = self._build_model(state)
        if state["_architecture"].network is not None:
            draw_from(model.network, 0)  # it may draw in spite of not being trained
        return model

    def _build_objective(self, state: State) -> Objective:
        if self.objective == "nce":
            return NoiseContrastive(int(self.n_noise))
        step, ages = state["_buffer_step"], state.get("_buffer_ages")
        if self.step_size != "auto":
            step = float(self.step_size)
        return PersistentLangevin(
            torch.tensor(state["_buffer"]),
            n_steps=int(self.n_steps),
            step_size=min(step, LARGEST_STEP) if self.adjusted else step,
            n_noise=int(self.n_noise),
            reinit_fraction=float(self.reinit_fraction),
            adjusted=bool(self.adjusted),
            tunes=self.step_size == "auto",
            temperature=float(self.temperature),
            n_tuned=state["_n_tuned"],
            ages=None if ages is None else torch.tensor(ages),
        )

    def _read_state(self, state: State, phase: Phase) -> State:  # noqa: ARG002
        model: Any = phase.model
        new = {
            "weights_": to_arrays(model.network),
            "log_normalizer_": model.log_normalizer.item(),
        }
        if isinstance(phase.objective, PersistentLangevin):
            objective = phase.objective
            new["_buffer"] = objective.chains.cpu().numpy().copy()
            new["_buffer_ages"] = objective.ages.cpu().numpy().copy()
            new["_buffer_step"] = objective.step_size.item()
            new["_n_tuned"] = int(objective.n_tuned)
        return new

    def _given_networks(self, model: Any) -> list[tuple[nn.Module, int]]:
        return [] if self.network is None else [(model.network, self.n_features_in_)]

    def _optimizer_arguments(self, state: State) -> dict[str, Any]:  # noqa: ARG002
        return {
            "optimizer": AdamW,
            "optimizer__weight_decay": float(self.weight_decay),
            "optimizer__fused": True,
        }
