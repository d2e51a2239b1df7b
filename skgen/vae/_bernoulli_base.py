"""BaseBernoulliVAE: what autoencoders of binary data share."""

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import StrOptions
from torch import nn

from skgen.base._export import Threshold
from skgen.base._fitting import State
from skgen.base._validation import bits_or_probabilities
from skgen.nn import BernoulliObservation
from skgen.training import RowSource
from skgen.vae._architecture import Architecture
from skgen.vae._base import BaseVAE
from skgen.vae._incomplete_start import column_means, factors_of_incomplete, fill_of


class BaseBernoulliVAE(BaseVAE):
    """Base of the variational autoencoders of binary data, given y or not."""

    _parameter_constraints: ClassVar[dict] = {
        **BaseVAE._parameter_constraints,
        "binarize": [StrOptions({"none", "threshold", "sample"})],
    }

    # What stands for missing entries in training.
    _state_names = (*BaseVAE._state_names, "_fill")
    # The location is all there is: bits have a unit.
    _scaled: ClassVar[bool] = False

    def _describe(self, rows: RowSource) -> State:
        return {}

    def _prepare_networks(
        self,
        networks: Any,
        architecture: Architecture,
        rows: RowSource,
        y: np.ndarray | None,
        state: State,
    ) -> None:
        # A feature that never is 1 may be 1 in the next row.
        margin = 1 / (rows.shape[0] + 2)
        names = getattr(self, "feature_names_in_", None)
        mean = column_means(rows, names).clip(margin, 1 - margin)
        factors = factors_of_incomplete(rows, architecture.n_components, mean)
        state["_fill"] = fill_of(mean, factors)
        if architecture.encoder is None:
            # Conditions, which follow the features, are not shifted.
            location = np.pad(mean, (0, architecture.n_conditions))
            networks["encoder"][0].set_(torch.from_numpy(location))
        if architecture.decoder is None:
            networks["decoder"][-1].set_(torch.logit(torch.from_numpy(mean)))

    def _build_observation(self, state: State) -> BernoulliObservation:
        return BernoulliObservation(sampled=self.binarize == "sample")

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, np.ndarray | None]:
        X, _ = super()._validate_training_data(X, y, reset=reset)
        return bits_or_probabilities(X, self.binarize), None

    def _torch_preparation(self) -> nn.Module:
        return Threshold() if self.binarize == "threshold" else nn.Identity()

    def _validate_data(self, X: Any) -> Any:
        return bits_or_probabilities(super()._validate_data(X), self.binarize)
