"""TrainableGAN: how a GAN is trained."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skgen.base import BaseGenerator, Phase, load_arrays, to_arrays
from skgen.base._fitting import State, draw_seed
from skgen.base._portable_networks import PortableNetworksMixin
from skgen.base._standardization import estimate_units, sums_of_powers
from skgen.gan._architecture import PLAYERS, GANArchitecture
from skgen.gan._base import BaseGAN
from skgen.gan._losses import LOSSES
from skgen.gan._model import GANNet, Generator
from skgen.gan._objective import AdversarialObjective
from skgen.nn import ACTIVATIONS
from skgen.nn._networks import in_least_precision
from skgen.nn._seeding import draw_from
from skgen.training import RowSource
from skgen.training._optimizers import Adam
from skgen.training._schedules import SCHEDULES

# What n_critic="auto" means for each loss.
_N_CRITIC = {"relativistic": 1, "wasserstein": 5}
# What penalty="auto" means with "relativistic": so much for each feature, in bounds.
_PENALTY_A_FEATURE, _LEAST_PENALTY, _MOST_PENALTY = 0.05, 0.1, 5.0
# A feature of a smaller mean square, in the units of the model, is constant.
_CONSTANT = 1e-6


class TrainableGAN(PortableNetworksMixin, BaseGAN):
    """A GAN and its training, by the parameters of the constructor."""

    _automatic_steps = 2.0, 2000, 4000

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "architecture": [StrOptions({"mlp", "conv"})],
        "image_shape": [tuple, list, None],
        "generator": [callable, None],
        "critic": [callable, None],
        "loss": [StrOptions(set(LOSSES))],
        "penalty": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "n_critic": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "learning_rate_schedule": [StrOptions({*SCHEDULES, "auto"})],
    }

    _state_names: ClassVar[tuple[str, ...]] = (
        "weights_",
        "_last_weights",
        "_n_steps",
        "_architecture",
        "_units",
        "_varies",
    )

    # What the constructor stores.
    generator: Any
    critic: Any
    loss: str
    penalty: float | str
    n_critic: int | str
    ema_decay: float

    def _initial_state(
        self,
        rows: RowSource,
        y: np.ndarray | None,  # noqa: ARG002
        state: State,
    ) -> State:
        architecture = GANArchitecture.of(self)
        if state:
            architecture.check_same(state["_architecture"])
            return dict(state)
        names = getattr(self, "feature_names_in_", None)
        is_table = architecture.image_shape is None
        units = estimate_units(
            rows, per_feature=is_table, names=names, bounded=is_table
        )
        standard = units.of_rows(rows, bounded=True, dtype=torch.float64)
        squares, _, counts = sums_of_powers(standard)
        seeded = torch.Generator().manual_seed(draw_seed(self.random_state_))
        weights = to_arrays(architecture.initial_networks(seeded))
        return {
            "weights_": _part(weights, "generator"),
            "_last_weights": weights,
            "_n_steps": 0,
            "_architecture": architecture,
            "_units": units,
            "_varies": squares > _CONSTANT * counts,
        }

    def _build_model(self, state: State) -> GANNet:
        networks = state["_architecture"].build()
        load_arrays(networks, state["_last_weights"])
        return GANNet(
            self._as_generator(networks["generator"], state), networks["critic"]
        )

    def _build_inference_model(self, state: State) -> Generator:
        architecture = state["_architecture"]
        network = load_arrays(architecture.build()["generator"], state["weights_"])
        if architecture.generator is not None:
            draw_from(network, 0)  # it may draw in spite of not being trained
        return self._as_generator(network, state)

    def _as_generator(self, network: nn.Module, state: State) -> Generator:
        varies = torch.tensor(state["_varies"], dtype=torch.float64)
        return Generator(network, state["_architecture"].n_components, varies)

    def _build_objective(self, state: State) -> AdversarialObjective:
        penalty, n_critic = self.penalty, self.n_critic
        if penalty == "auto":
            penalty = _penalty(self.loss, state["_architecture"].n_features)
        return AdversarialObjective(
            self._build_inference_model(state),
            loss=self.loss,
            penalty=float(penalty),
            n_critic=int(_N_CRITIC[self.loss] if n_critic == "auto" else n_critic),
            decay=float(self.ema_decay),
            n_steps=state["_n_steps"],
        )

    def _read_state(self, state: State, phase: Phase) -> State:  # noqa: ARG002
        model: Any = phase.model
        objective: Any = phase.objective
        networks = {"generator": model.generator.network, "critic": model.critic}
        return {
            "weights_": to_arrays(objective.average.network),
            "_last_weights": to_arrays(nn.ModuleDict(networks)),
            "_n_steps": int(objective.n_steps),
        }

    def _optimizer_arguments(
        self,
        state: State,  # noqa: ARG002
    ) -> dict[str, Any]:
        # A group for each player, with moments and numbers of steps of its own.
        return {
            "optimizer": Adam,
            "optimizer__betas": (0.0, 0.99),
            "optimizer__param_groups": [(f"{name}.*", {}) for name in PLAYERS],
            "optimizer__fused": True,
        }

    def _given_networks(self, model: Any) -> list[tuple[nn.Module, int]]:
        networks = {"generator": model.generator.network, "critic": model.critic}
        return [
            (networks[name], width)
            for name, (width, _) in self._architecture_now.widths.items()
            if getattr(self, name) is not None
        ]

    @property
    def _architecture_now(self) -> GANArchitecture:
        """The architecture that the parameters ask for, in a fit."""
        return GANArchitecture.of(self)

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        model = super()._model(dtype, device)
        if self._architecture.image_shape is not None:
            network = model.network.to(memory_format=torch.channels_last)
            model.network = in_least_precision(network, dtype, self._dtype)
        return model


def _penalty(loss: str, n_features: int) -> float:
    """Return what penalty="auto" means.

    The more features, the farther rows are from each other, and the smaller is the
    slope by which a critic tells them apart: its square is proportional to one over the
    number of features.
    """
    if loss == "wasserstein":  # which asks for slopes of 1
        return 1.0
    return min(max(_PENALTY_A_FEATURE * n_features, _LEAST_PENALTY), _MOST_PENALTY)


def _part(weights: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Parameters of one network of several, by their names in it."""
    prefix = name + "."
    return {
        key.removeprefix(prefix): value
        for key, value in weights.items()
        if key.startswith(prefix)
    }
