"""The fitted state of a Bernoulli RBM."""

from typing import Any
from zlib import crc32

import numpy as np
import torch
from scipy.special import expit, logit
from torch import Tensor

from skgen.rbm._model import BernoulliRBM
from skgen.rbm._units import BernoulliUnits
from skgen.training._rows import to_tensor

PARAMETERS = ("components_", "intercept_hidden_", "intercept_visible_")


class RBMState(dict):
    """The fitted attributes of a Bernoulli RBM by name, and what follows from them.

    They are the arrays `PARAMETERS`, of which a model is made, and as far as there has
    been a training ``h_samples_``, ``trajectory_``, ``mean_`` and
    ``n_samples_seen_``; see `skgen.BernoulliRBMGPU`.
    """

    def model(self) -> BernoulliRBM:
        """Make the model, with memory of its own, on the CPU."""
        # A copy in memory of torch, as numpy's may begin in the middle of a vector:
        # updates in place are up to a third slower there.
        return BernoulliRBM(*map(torch.tensor, self._parameters()))

    def model_to_read(self, dtype: torch.dtype, device: torch.device) -> BernoulliRBM:
        """Make a model that is not to be changed.

        It shares the memory of the arrays if they are in that dtype and the device is
        the CPU: for a single row, a copy would take most of the time.

        Parameters
        ----------
        dtype : torch.dtype
            Dtype of the parameters.
        device : torch.device
            Their device.

        Returns
        -------
        model : BernoulliRBM
            The model.
        """
        weight, *biases = self._parameters()
        # scikit-learn keeps the weights of its machines column by column.
        by_columns = weight.flags.f_contiguous
        W = to_tensor(weight.T, device).T if by_columns else to_tensor(weight, device)
        tensors = W, *(to_tensor(bias, device) for bias in biases)
        return BernoulliRBM(*(tensor.to(dtype) for tensor in tensors))

    def _parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return W, c and b, float32 at least, after a check of their shapes."""
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

    def trajectory_models(self) -> list[BernoulliRBM]:
        """Make the models that were kept in training, the oldest first."""
        kept = self.get("trajectory_", {})
        n_models = len(kept["components_"]) if kept else 0
        return [
            RBMState((name, kept[name][r]) for name in PARAMETERS).model()
            for r in range(n_models)
        ]

    def ladder_models(self, like: Tensor) -> list[BernoulliRBM]:
        """Make the models kept in training and the trained one, as a tensor is."""
        models = [*self.trajectory_models(), self.model()]
        return [model.to(like.device, like.dtype) for model in models]

    def visible_means(self) -> np.ndarray:
        """Compute the means of the visible units over the data, away from 0 and 1."""
        if "mean_" not in self:
            # Parameters from elsewhere: the biases are all there is.
            return expit(np.asarray(self["intercept_visible_"], dtype=np.float64))
        margin = 1 / (self["n_samples_seen_"] + 2)
        return np.clip(self["mean_"], margin, 1 - margin)

    def independent_units(self, like: Tensor) -> BernoulliUnits:
        """Make independent visible units with the means of the data, as a tensor is."""
        return BernoulliUnits(torch.from_numpy(logit(self.visible_means())).to(like))

    def checksum(self) -> int:
        """Tell these parameters from others, as they may be assigned."""
        total = 0
        for name in PARAMETERS:
            total = crc32(np.ascontiguousarray(self[name]).tobytes(), total)
        return total


def parameter_arrays(model: BernoulliRBM) -> dict[str, Any]:
    """Copy the parameters of a model into arrays, by the names of the state."""
    return {
        name: parameter.detach().cpu().numpy().copy()
        for name, parameter in zip(PARAMETERS, model.parameters(), strict=True)
    }


def check_width(X: Any, components: np.ndarray) -> None:
    """Check the width of X against the weights, which may be assigned."""
    if X.shape[1] != components.shape[1]:
        raise ValueError(
            f"Got X with {X.shape[1]} features, but expected {components.shape[1]}, "
            "the number of columns of components_."
        )
