"""A net that loads and saves checkpoints, as callbacks of skorch ask it to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import LoadInitState
from torch import Tensor, nn


class CheckpointedNet(NeuralNet):
    """A skorch net that belongs to an estimator, or to nobody.

    That of an estimator trains and loads in fits of the estimator alone: outside of
    them, it is set to the state of the estimator.

    Attributes
    ----------
    owner : str
        Class of the estimator; empty if the net is on its own. A pickle is.
    """

    owner = ""
    _is_in_a_fit = False

    def fit(self, X: Any, y: Any = None, **kwargs: Any) -> Any:
        """Train from the start, as skorch does."""
        self._refuse_to_train()
        return super().fit(X, y, **kwargs)

    def load_params(self, *args: Any, **kwargs: Any) -> None:
        """Load a checkpoint, as skorch does; callbacks do it in a training."""
        if self._must_not_change:
            raise TypeError(
                f"The net of a {self.owner} follows the estimator, so that what is "
                "loaded into it would be undone. Fit with "
                "callbacks=[LoadInitState(checkpoint)] to go on from a checkpoint, "
                "with n_iter=0 to load it alone, or save and load the estimator "
                "(skgen.io)."
            )
        super().load_params(*args, **kwargs)

    def save_params(
        self, *args: Any, use_safetensors: bool = False, **kwargs: Any
    ) -> None:
        """Save parameters, the objective and the like, as skorch does."""
        # Safetensors saves no views, such as parameters that lie in one table.
        modules = [self.module_, self.criterion_] if use_safetensors else []
        hooks = [module._register_state_dict_hook(_cloned) for module in modules]
        try:
            super().save_params(*args, use_safetensors=use_safetensors, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    def load_initial_state(self) -> None:
        """Let `LoadInitState` load what no training follows."""
        with self.in_a_fit():
            for _, callback in self.callbacks_:
                if isinstance(callback, LoadInitState):
                    callback.on_train_begin(self)

    @contextmanager
    def in_a_fit(self) -> Iterator[None]:
        """Let a net that an estimator owns train and load: the estimator is fitted."""
        self._is_in_a_fit = True
        try:
            yield
        finally:
            self._is_in_a_fit = False

    @property
    def _must_not_change(self) -> bool:
        return bool(self.owner) and not self._is_in_a_fit

    def _refuse_to_train(self) -> None:
        if self._must_not_change:
            raise TypeError(
                f"The net of a {self.owner} follows the estimator, so that what it "
                "learns on its own would be undone. Call fit with warm_start=True, or "
                "partial_fit, of the estimator; or train a copy of the net, "
                "pickle.loads(pickle.dumps(net))."
            )

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"owner": "", "_is_in_a_fit": False}


def _cloned(_: nn.Module, state: dict[str, Any], *__: Any) -> dict[str, Any]:
    """Copy the tensors of a state dict, each into memory of its own."""
    return {
        name: value.clone(memory_format=torch.contiguous_format)
        if isinstance(value, Tensor)
        else value
        for name, value in state.items()
    }
