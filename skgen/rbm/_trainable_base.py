"""TrainableRBM: how the restricted Boltzmann machines are trained."""

from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skgen.base import BaseGenerator, Phase
from skgen.base._fitting import State
from skgen.rbm._base import BaseRBM
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._state import RBMState, check_width
from skgen.rbm._trajectory import Trajectory
from skgen.training import RowSource
from skgen.training._optimizers import SGD
from skgen.training._precision import PRECISIONS
from skgen.training._user_callbacks import restores_an_epoch

# What n_iter="auto" means: at least so many passes, and so many mini-batches.
_LEAST_EPOCHS, _LEAST_STEPS = 20, 2500


def epochs_of_machine(n_iter: int | str, n_rows: int, batch_size: int) -> int:
    """Return the number of epochs that `n_iter` means, which may be "auto"."""
    if n_iter != "auto":
        return int(n_iter)
    n_batches = max(1, -(-n_rows // batch_size))
    return max(_LEAST_EPOCHS, -(-_LEAST_STEPS // n_batches))


class TrainableRBM(BaseRBM):
    """Base of the restricted Boltzmann machines that are trained by Markov chains.

    A subclass says what is known of data before training, `_described`, and what the
    parameters of a cold start are, `_initial_parameters`.
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "algorithm": [StrOptions({"pcd", "cd", "pt"})],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "n_chains": [Interval(Integral, 1, None, closed="left"), None],
        "n_temperatures": [Interval(Integral, 2, None, closed="left")],
        "keep_trajectory": ["boolean"],
        "centered": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
    }

    # What trains with chains of the model alone, and what with a ladder of models.
    _contrastive_divergence: ClassVar[type[ContrastiveDivergence]]
    _parallel_tempering: ClassVar[type[ParallelTempering]]

    # What the constructor of a subclass stores.
    n_components: int
    algorithm: str
    n_gibbs_steps: int
    n_chains: int | None
    n_temperatures: int
    keep_trajectory: bool
    centered: bool
    momentum: float
    weight_decay: float

    @abstractmethod
    def _described(self, rows: RowSource, state: RBMState) -> State:
        """Return what is known of data before training: entries of the state."""

    @abstractmethod
    def _initial_parameters(self, state: RBMState) -> State:
        """Draw the parameters of a cold start."""

    @abstractmethod
    def _parameters_of(self, model: Any, state: RBMState) -> State:
        """Copy the parameters of a model that was trained into the state's."""

    @property
    def _keeps_trajectory(self) -> bool:
        return self.keep_trajectory

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, None]:
        X, _ = super()._validate_training_data(X, y, reset=reset)
        if self._keeps_trajectory and self.algorithm == "cd":
            raise ValueError(
                "Got keep_trajectory=True with algorithm='cd', but only persistent "
                "chains show when a model should be kept. Set algorithm='pcd' or 'pt'."
            )
        return self._valid_states(X), None

    def _initial_state(
        self, rows: RowSource, y: np.ndarray | None, state: State
    ) -> RBMState:
        state = self._state_class(state)
        state.update(self._described(rows, state))
        if "components_" not in state:
            state.update(self._initial_parameters(state))
        self._check_continues(rows, state["components_"])
        if not self._keeps_trajectory:
            state.pop("trajectory_", None)
        elif "trajectory_" not in state:
            state["trajectory_"] = {
                name: np.asarray(state[name])[None] for name in state.parameters
            }
        if self.algorithm == "cd":
            state.pop("h_samples_", None)
        elif np.shape(state.get("h_samples_", 0)) != self._chains_shape(state):
            state["h_samples_"] = self._initial_chains(state)
        return state

    def _check_continues(self, rows: RowSource, components: np.ndarray) -> None:
        """Check that a fit can go on from the weights."""
        check_width(rows, components)
        if len(components) != self.n_components:
            raise ValueError(
                f"Got n_components={self.n_components}, but the fit goes on from "
                f"components_ with {len(components)} rows. Set n_components="
                f"{len(components)}, or fit with warm_start=False."
            )

    def _chains_shape(self, state: RBMState) -> tuple[int, ...]:
        """Shape of the hidden states of the persistent chains."""
        shape = self.n_chains or self.batch_size, len(state["components_"])
        if self.algorithm != "pt":
            return shape
        if self._keeps_trajectory:
            return len(state["trajectory_"]["components_"]) + 1, *shape
        return self.n_temperatures, *shape

    def _initial_chains(self, state: RBMState) -> np.ndarray:
        """Draw random hidden states of the persistent chains."""
        bits = self.random_state_.uniform(size=self._chains_shape(state)) < 0.5
        return bits.astype(self._dtype)

    def _build_model(self, state: State) -> nn.Module:
        return self._state_class(state).model_to_train()

    def _build_objective(self, state: State) -> ContrastiveDivergence:
        state = self._state_class(state)
        offsets = state.offsets() if self.centered else (None, None)
        tensors: Any = (
            None if a is None else torch.tensor(a)
            for a in (state.get("h_samples_"), *offsets)
        )
        options = self._objective_options(state)
        if self.algorithm == "pt":
            base_bias = torch.from_numpy(state.base_bias())
            return self._parallel_tempering(*tensors, base_bias=base_bias, **options)
        return self._contrastive_divergence(*tensors, **options)

    def _objective_options(self, state: RBMState) -> dict[str, Any]:
        """Return further arguments of the objective."""
        options: dict[str, Any] = {
            "n_steps": self.n_gibbs_steps,
            "factor_dtype": PRECISIONS[self.precision].factors,
        }
        if self._keeps_trajectory:
            options["trajectory"] = Trajectory(state.models_to_follow())
        return options

    def _read_state(self, state: State, phase: Phase) -> State:
        before = self._state_class(state)
        objective: Any = phase.objective
        chosen = self.early_stopping or restores_an_epoch(self.callbacks)
        if not chosen:
            objective.conclude_(phase.model)
        trained = self._parameters_of(phase.model, before)
        if objective.chains is not None:
            trained["h_samples_"] = objective.chains.cpu().numpy().copy()
        if objective.trajectory is not None:
            kept = [
                self._parameters_of(model, before)
                for model in objective.trajectory.models
            ]
            trained["trajectory_"] = {
                name: np.stack([arrays[name] for arrays in kept])
                for name in before.parameters
            }
        return trained

    def _optimizer_arguments(self, state: State) -> dict[str, Any]:
        # Only the weights decay, as is usual: biases need no shrinking.
        return {
            "optimizer": SGD,
            "optimizer__momentum": self.momentum,
            "optimizer__param_groups": [
                ("weight", {"weight_decay": self.weight_decay})
            ],
        }
