"""The fitted state of an RBM of real visible units."""

from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from skgen.base._standardization import Standardization
from skgen.rbm._gaussian_model import GaussianBernoulliRBM
from skgen.rbm._gaussian_units import GaussianUnits
from skgen.rbm._state import PARAMETERS, RBMState


class GaussianRBMState(RBMState):
    r"""The fitted attributes of an RBM of real visible units.

    The parameters are in the units of X; see `skgen.GaussianRBM`. A model sees data in
    units in which v = (x - location) / scale. Its parameters are then W / scale,
    (c - location) / scale, :math:`\sigma^2` / scale² and
    :math:`b + W\, (\text{location} / \sigma^2)`: the energy of a row is the same.

    In training, location and scale are those of the data of the first fit. At inference
    they are the centers c and the standard deviations :math:`\sigma` themselves, which
    follow from the parameters alone.
    """

    parameters: ClassVar[tuple[str, ...]] = (*PARAMETERS, "noise_variance_")

    def _noise_variance(self, n_features: int) -> np.ndarray:
        """Return the variance of each feature, after a check: it may be assigned."""
        variance = np.asarray(self["noise_variance_"], dtype=np.float64)
        if variance.shape not in {(), (1,), (n_features,)} or not (variance > 0).all():
            raise ValueError(
                f"Got noise_variance_ of shape {variance.shape} and with values from "
                f"{variance.min():g} on, but expected a positive number, or one for "
                f"each of {n_features} features."
            )
        return np.broadcast_to(variance, (n_features,))

    def inference_units(self) -> Standardization:
        """Return the units in which the noise has mean 0 and variance 1."""
        _, _, c = self._weights_and_biases()
        std = np.sqrt(self._noise_variance(len(c)))
        units: Standardization | None = self.get("_units")
        dtype = "float64" if units is None else units.dtype
        return Standardization(c.astype(np.float64), std, None, dtype)

    def model_in(
        self, units: Standardization, *, learns_variance: bool = False
    ) -> GaussianBernoulliRBM:
        """Make the model that sees data in some units, in float64, on the CPU.

        Parameters
        ----------
        units : Standardization
            Location and scale.
        learns_variance : bool
            Whether the variances are parameters of the model: one, if they are one
            number.

        Returns
        -------
        model : GaussianBernoulliRBM
            The model, with memory of its own.
        """
        weight, b, c = (x.astype(np.float64) for x in self._weights_and_biases())
        variance = self._noise_variance(len(c))
        moved = b + weight @ (units.location / variance)
        log_variance = np.log(variance / units.scale**2)
        if not np.ndim(self["noise_variance_"]) and units.has_one_scale:
            log_variance = log_variance[:1]
        return GaussianBernoulliRBM(
            *(
                torch.tensor(x)
                for x in (
                    weight / units.scale,
                    moved,
                    (c - units.location) / units.scale,
                    log_variance,
                )
            ),
            learns_variance=learns_variance,
        )

    def parameters_of(
        self, model: GaussianBernoulliRBM, units: Standardization
    ) -> dict[str, Any]:
        """Convert the parameters of a model that sees data in some units: a way back.

        Parameters
        ----------
        model : GaussianBernoulliRBM
            The model.
        units : Standardization
            Location and scale.

        Returns
        -------
        parameters : dict of str to ndarray or float
            Those in the units of X, float64.
        """
        tensors = model.weight, model.hidden_bias, model.visible_bias
        weight, b, c = (x.detach().cpu().double().numpy() for x in tensors)
        log_variance = model.log_variance.detach().cpu().double().numpy()
        weight = weight * units.scale
        shared = len(log_variance) < len(c)
        scale = units.scale[:1] if shared else units.scale
        variance = np.exp(log_variance) * scale**2
        return {
            "components_": weight,
            "intercept_hidden_": b - weight @ (units.location / variance),
            "intercept_visible_": units.location + units.scale * c,
            "noise_variance_": float(variance[0]) if shared else variance,
        }

    def model(self) -> GaussianBernoulliRBM:
        """Make the model for inference, in the dtype of the data of training."""
        units = self.inference_units()
        return self.model_in(units).to(getattr(torch, units.dtype))

    def model_to_read(
        self, dtype: torch.dtype, device: torch.device
    ) -> GaussianBernoulliRBM:
        """Make a model for inference; see `RBMState.model_to_read`."""
        return self.model_in(self.inference_units()).to(device, dtype)

    def model_to_train(self) -> GaussianBernoulliRBM:
        """Make the model for training, with memory of its own, on the CPU."""
        learns = self["_learns_variance"]
        return self.model_in(self["_units"], learns_variance=learns)

    def models_to_follow(self) -> list[GaussianBernoulliRBM]:
        """Make the models kept in training as that goes on from them."""
        return [state.model_to_train() for state in self.kept_states()]

    def trajectory_models(self) -> list[GaussianBernoulliRBM]:
        """Make the models kept in training for inference, the oldest first."""
        units = self.inference_units()
        return [state.model_in(units) for state in self.kept_states()]

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the data, or of the noise without training."""
        units = self.inference_units()
        if "mean_" not in self:
            return units.location, units.scale
        return self["mean_"], np.sqrt(np.maximum(self["var_"], units.scale**2))

    def independent_units(self, like: Tensor) -> GaussianUnits:
        """Make independent units with the means and variances of the data."""
        units = self.inference_units()
        mean, std = self.mean_and_std()
        mean, std = (mean - units.location) / units.scale, std / units.scale
        return GaussianUnits(torch.tensor(mean).to(like), torch.tensor(std**2).to(like))

    def scattered_units(self, like: Tensor) -> GaussianUnits:
        """Make units at whose states chains may start: the same."""
        return self.independent_units(like)

    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Return means of v over the data of the first fit, which are 0, and of h."""
        model = self.model_to_train()
        return self.base_bias(), expit(model.hidden_bias.detach().numpy())

    def base_bias(self) -> np.ndarray:
        """Return the centers of independent units in training, 0."""
        return np.zeros(len(self["intercept_visible_"]))
