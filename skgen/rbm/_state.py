"""The fitted state of an RBM."""

from abc import abstractmethod
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import torch
from scipy.special import expit, logit
from torch import Tensor

from skgen.rbm._model import RBM, BernoulliRBM
from skgen.rbm._units import BernoulliUnits, Units
from skgen.training._rows import to_tensor

# Means that follow from biases alone are kept this far from 0 and 1.
_MARGIN = 1e-6
PARAMETERS = ("components_", "intercept_hidden_", "intercept_visible_")


class RBMState(dict):
    """The fitted attributes of an RBM by name, and what follows from them.

    They are the arrays `parameters`, of which a model is made, and as far as there has
    been a training ``h_samples_``, ``trajectory_``, ``mean_``, ``n_samples_seen_`` and
    what a subclass has besides. A model for inference sees data in the units in which
    the estimator hands it over, one for training in those of its rows of training.
    """

    parameters: ClassVar[tuple[str, ...]] = PARAMETERS

    @abstractmethod
    def model(self) -> RBM:
        """Make the model for inference, with memory of its own, on the CPU."""

    @abstractmethod
    def model_to_read(self, dtype: torch.dtype, device: torch.device) -> RBM:
        """Make a model for inference that is not to be changed.

        It may share the memory of the arrays.

        Parameters
        ----------
        dtype : torch.dtype
            Dtype of the parameters.
        device : torch.device
            Their device.

        Returns
        -------
        model : RBM
            The model.
        """

    @abstractmethod
    def model_to_train(self) -> RBM:
        """Make the model for training, with memory of its own, on the CPU."""

    @abstractmethod
    def models_to_follow(self) -> list[Any]:
        """Make the models kept in training as that goes on from them."""

    @abstractmethod
    def trajectory_models(self) -> list[Any]:
        """Make the models kept in training for inference, the oldest first."""

    @abstractmethod
    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the means of v and h over the data, as training sees it."""

    @abstractmethod
    def base_bias(self) -> np.ndarray:
        """Return the biases of independent visible units like that data."""

    @abstractmethod
    def independent_units(self, like: Tensor) -> Units:
        """Make independent visible units like the data, as a tensor is."""

    @abstractmethod
    def scattered_units(self, like: Tensor) -> Units:
        """Make visible units at whose states chains may start to look for modes."""

    def ladder_models(self, like: Tensor) -> list[Any]:
        """Make the models kept in training and the trained one, as a tensor is."""
        models = [*self.trajectory_models(), self.model()]
        return [model.to(like.device, like.dtype) for model in models]

    def kept_states(self) -> list[Any]:
        """Return a state for each model that was kept in training, the oldest first."""
        kept = self.get("trajectory_", {})
        n_models = len(kept["components_"]) if kept else 0
        state: Any = type(self)
        return [
            state(
                (name, kept[name][r] if name in kept else value)
                for name, value in self.items()
            )
            for r in range(n_models)
        ]

    def checksum(self) -> int:
        """Tell these parameters from others, as they may be assigned."""
        total = 0
        for name in self.parameters:
            total = crc32(np.ascontiguousarray(self[name]).tobytes(), total)
        return total

    def _weights_and_biases(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return W and both biases, float32 at least, after a check of their shapes."""
        weight, c, b = (
            np.asarray(self[name], np.result_type(self[name], np.float32))
            for name in PARAMETERS
        )
        # They may have been assigned.
        shapes = weight.shape[:1], weight.shape[1:]
        if weight.ndim != 2 or (c.shape, b.shape) != shapes:
            raise ValueError(
                f"Got components_ of shape {weight.shape}, intercept_hidden_ of shape "
                f"{c.shape} and intercept_visible_ of shape {b.shape}, but expected "
                "(n_components, n_features), (n_components,) and (n_features,)."
            )
        return weight, c, b


class BernoulliRBMState(RBMState):
    """The fitted attributes of a Bernoulli RBM; see `skgen.BernoulliRBMGPU`."""

    def model(self) -> BernoulliRBM:
        """Make the model, with memory of its own, on the CPU."""
        # A copy in memory of torch, as numpy's may begin in the middle of a vector:
        # updates in place are up to a third slower there.
        return BernoulliRBM(*map(torch.tensor, self._weights_and_biases()))

    def model_to_read(self, dtype: torch.dtype, device: torch.device) -> BernoulliRBM:
        """Make a model that is not to be changed; see `RBMState.model_to_read`."""
        # It shares the memory of the arrays if they are in that dtype and the device is
        # the CPU: for a single row, a copy would take most of the time.
        weight, *biases = self._weights_and_biases()
        # scikit-learn keeps the weights of its machines column by column.
        by_columns = weight.flags.f_contiguous
        W = to_tensor(weight.T, device).T if by_columns else to_tensor(weight, device)
        tensors = W, *(to_tensor(bias, device) for bias in biases)
        return BernoulliRBM(*(tensor.to(dtype) for tensor in tensors))

    def model_to_train(self) -> BernoulliRBM:
        """Make the model for training: the same."""
        return self.model()

    def models_to_follow(self) -> list[BernoulliRBM]:
        """Make the models kept in training: the same as for inference."""
        return self.trajectory_models()

    def trajectory_models(self) -> list[BernoulliRBM]:
        """Make the models that were kept in training, the oldest first."""
        return [state.model() for state in self.kept_states()]

    def visible_means(self) -> np.ndarray:
        """Compute the means of the visible units over the data, away from 0 and 1."""
        if "mean_" not in self:
            # Parameters from elsewhere: the biases are all there is.
            mean = expit(np.asarray(self["intercept_visible_"], dtype=np.float64))
            margin = _MARGIN
        else:
            mean, margin = self["mean_"], 1 / (self["n_samples_seen_"] + 2)
        return np.clip(mean, margin, 1 - margin)

    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Return means of v over the data, and of h in mean field."""
        mean = self.visible_means()
        return mean, expit(self["components_"] @ mean + self["intercept_hidden_"])

    def base_bias(self) -> np.ndarray:
        """Return biases of independent visible units with the means of the data."""
        return logit(self.visible_means())

    def independent_units(self, like: Tensor) -> BernoulliUnits:
        """Make independent visible units with the means of the data, as a tensor is."""
        return BernoulliUnits(torch.from_numpy(self.base_bias()).to(like))

    def scattered_units(self, like: Tensor) -> BernoulliUnits:
        """Make fair bits."""
        return BernoulliUnits(like.new_zeros(len(self["intercept_visible_"])))


def parameter_arrays(model: RBM) -> dict[str, Any]:
    """Copy weights and biases of a model into arrays, by the names of the state."""
    parameters = list(model.parameters())[: len(PARAMETERS)]
    return {
        name: parameter.detach().cpu().numpy().copy()
        for name, parameter in zip(PARAMETERS, parameters, strict=True)
    }


def check_width(X: Any, components: np.ndarray) -> None:
    """Check the width of X against the weights, which may be assigned."""
    if X.shape[1] != components.shape[1]:
        raise ValueError(
            f"Got X with {X.shape[1]} features, but expected {components.shape[1]}, "
            "the number of columns of components_."
        )
