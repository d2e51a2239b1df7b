"""What a training of an RBM goes on from, as state dicts and plain Python."""

from collections import defaultdict
from typing import Any

from torch import Tensor

from skgen.rbm._trajectory import Trajectory
from skgen.training._objective import Objective

# Prefix of the parameters of the models kept along the training, in a state dict.
_KEPT = "trajectory."


class CheckpointedObjective(Objective):
    """An objective with Markov chains, a trajectory of models, and numbers drawn ahead.

    Attributes
    ----------
    chains : Tensor or None
        States of the persistent chains.
    trajectory : Trajectory or None
        Models kept along the training.
    """

    chains: Tensor | None
    trajectory: Trajectory | None
    _bits: Any
    _loss: Any
    # What `resume` was given, for what the first step makes.
    _resumed: dict[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        # A generator on a GPU cannot be restored by `torch.load`; the rest is made anew
        # at the next step.
        return self.__dict__ | {
            "_bits": None,
            "_step": None,
            "_sgd": None,
            "_joint": None,
            "_loss": None,
            "_workspaces": {},
        }

    def get_extra_state(self) -> list[dict[str, Tensor]]:
        """Return the parameters of the models kept along the training."""
        models = [] if self.trajectory is None else self.trajectory.models
        return [model.state_dict() for model in models]

    def set_extra_state(self, state: list[dict[str, Tensor]]) -> None:
        """Restore what `get_extra_state` gives."""
        if self.trajectory is not None:
            self.trajectory.restore(state)

    def progress(self) -> dict[str, Any]:
        """Return what the next step depends on; see `Objective`."""
        return {
            "bits": None if self._bits is None else self._bits.state,
            "loss": None if self._loss is None else self._loss.state,
            "trajectory": self.trajectory and self.trajectory.progress,
        }

    def resume(self, progress: dict[str, Any]) -> None:
        """Go on from what `progress` returned; see `Objective`."""
        self._resumed = dict(progress)
        if self.trajectory is not None:
            self.trajectory.progress = progress["trajectory"]

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # Tensors alone, as safetensors needs it.
        for i, state in enumerate(destination.pop(prefix + "_extra_state")):
            for name, tensor in state.items():
                destination[f"{prefix}{_KEPT}{i}.{name}"] = tensor

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # The number of chains grows with that of the models kept.
        chains = state_dict.get(prefix + "chains")
        if self.chains is not None and chains is not None:
            self.chains = self.chains.new_empty(chains.shape)
        kept: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key in [key for key in state_dict if key.startswith(prefix + _KEPT)]:
            i, _, name = key.removeprefix(prefix + _KEPT).partition(".")
            kept[int(i)][name] = state_dict.pop(key)
        states = [kept[i] for i in sorted(kept)]
        # Older checkpoints have a list of them.
        state_dict.setdefault(prefix + "_extra_state", states)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Objective:
        # The models kept move with the device. They are no submodules, whose
        # parameters an optimizer would find.
        if self.trajectory is not None:
            for model in self.trajectory.models:
                model._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)
