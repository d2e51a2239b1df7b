"""BaseGaussianVAE: what autoencoders of real-valued data share."""

from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from skgen.base import Phase
from skgen.base._export import Units
from skgen.base._fitting import State
from skgen.base._over_conditions import given
from skgen.base._standardization import Standardization, estimate_units
from skgen.base._standardized import StandardizedMixin
from skgen.nn import GaussianObservation
from skgen.sampling import balanced_normal
from skgen.training import RowSource
from skgen.training._schedules import SCHEDULES
from skgen.vae._answers import squared_error_of_observed, weighted_sum
from skgen.vae._architecture import Architecture
from skgen.vae._base import BaseVAE
from skgen.vae._gaussian_start import start_of
from skgen.vae._importance_objective import ImportanceWeightedELBO
from skgen.vae._incomplete_start import factors_of_incomplete, fill_of
from skgen.vae._missing import by_completeness
from skgen.vae._model import VAE, number_of_points, posterior_average
from skgen.vae._objective import NegativeELBO
from skgen.vae._schedule import StagedLatents

# The least number of training steps that is divided into stages.
_STEPS_FOR_STAGES = 1000
# Of the weight decay "auto": the number of correlations between features, or latents
# if these are fewer, that the rows must determine, is multiplied by it.
_DECAY = 30.0
# The largest product of learning rate and that weight decay.
_MOST_DECAY = 0.1
# The least standard deviation of a feature under the model, as a share of that of the
# data, and points of the prior from which it is found.
_LEAST_SPREAD = 0.7
_LEAST_PRIOR_POINTS = 512


class BaseGaussianVAE(StandardizedMixin, BaseVAE):
    """Base of the variational autoencoders of real-valued data, given y or not."""

    _parameter_constraints: ClassVar[dict] = {
        **BaseVAE._parameter_constraints,
        "noise_variance": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"learned", "per_feature"}),
        ],
        "architecture": [StrOptions({"shortcut", "mlp", "conv"})],
        "n_warmup_iter": [
            Interval(Integral, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "learning_rate_schedule": [StrOptions({*SCHEDULES, "auto"})],
    }

    _state_names = (
        *BaseVAE._state_names,
        "noise_variance_",
        "_noise_floor",
        "_units",
        "_fill",
        "_n_used",
        "_weight_decay",
    )
    # The data is standardised outside of the networks.
    _scaled: ClassVar[bool | None] = None

    def _describe(self, rows: RowSource) -> State:
        names = getattr(self, "feature_names_in_", None)
        units = estimate_units(
            rows,
            per_feature=self._per_feature,
            names=names,
            bounded=self.architecture != "conv",
        )
        return {"_units": units}

    def _prepare_networks(
        self,
        networks: Any,
        architecture: Architecture,
        rows: RowSource,
        y: np.ndarray | None,
        state: State,
    ) -> None:
        units = state["_units"]
        noise = None
        if not isinstance(self.noise_variance, str):
            noise = float(self.noise_variance) / units.scale[0] ** 2
        standard = units.of_rows(rows, bounded=True)
        factors = factors_of_incomplete(standard, architecture.n_components)
        state["_fill"] = fill_of(np.zeros(rows.shape[1]), factors)
        start = start_of(
            networks,
            standard,
            y,
            noise=noise,
            per_feature=self._per_feature,
            shortcut=architecture.shortcut,
            linear=architecture.is_linear,
            factors=factors,
        )
        # The latents beyond those of the linear start are opened in stages.
        staged = self._number_of_steps(len(rows)) >= _STEPS_FOR_STAGES
        state["_n_used"] = start.n_used if staged else None
        state["_noise_floor"] = start.floor
        state["noise_variance_"] = _in_units(start.noise_variance, units)
        n_correlated = min(rows.shape[1], architecture.n_components)
        n_correlations = n_correlated * (n_correlated - 1) / 2
        state["_weight_decay"] = _DECAY * n_correlations / len(rows)

    @property
    def _per_feature(self) -> bool:
        return self.noise_variance == "per_feature"

    def _torch_units(self) -> Units:
        return Units(self._units)

    def _build_observation(self, state: State) -> GaussianObservation:
        variance = _in_units(state["noise_variance_"], state.get("_units"), -1)
        floor = None
        if isinstance(self.noise_variance, str):
            least = np.asarray(state["_noise_floor"])
            least = least if np.ndim(variance) else least.max()
            floor = torch.tensor(least, dtype=torch.float64)
        return GaussianObservation(
            torch.tensor(variance, dtype=torch.float64),
            floor=floor,
            in_proportion=not self._per_feature,
        )

    def _initial_state(
        self, rows: RowSource, y: np.ndarray | None, state: State
    ) -> State:
        new = super()._initial_state(rows, y, state)
        # A warm start may ask for another noise than that of the last fit.
        variance = new["noise_variance_"]
        if not isinstance(self.noise_variance, str):
            variance = float(self.noise_variance)
        elif not self._per_feature:
            variance = float(np.mean(variance))
        elif not np.ndim(variance):
            variance = np.full(rows.shape[1], variance)
        return {**new, "noise_variance_": variance}

    def _learned_noise(self, variance: Any, units: Standardization | None) -> Any:
        """Convert variances of the model to the units of X, one or one a feature."""
        variance = _in_units(variance, units)
        return variance if self._per_feature else float(np.mean(variance))

    def _build_objective(self, state: State) -> NegativeELBO:
        objective = super()._build_objective(state)
        n_used, n_latents = state.get("_n_used"), state["_architecture"].n_components
        if self.n_warmup_iter == "auto" and n_used is not None and n_used < n_latents:
            objective.stages = StagedLatents(n_used, n_latents)
        if state.get("_units") is not None:
            objective.log_scale = state["_units"].log_scale
            if isinstance(objective, ImportanceWeightedELBO):
                scales = torch.from_numpy(np.log(state["_units"].scale))
                objective.log_scales = scales
        return objective

    def _build_inference_model(self, state: State) -> VAE:
        model = super()._build_inference_model(state)
        units = state.get("_units")
        if units is not None and units.bounds is not None:
            low, high = (
                torch.from_numpy((bound - units.location) / units.scale)
                for bound in units.bounds
            )
            model.bounds = low, high
        return model

    def _read_state(self, state: State, phase: Phase) -> State:
        trained = super()._read_state(state, phase)
        observation: Any = phase.model.observation
        if observation.floor is not None:
            variance = observation.variance.cpu().double().numpy()
            trained["noise_variance_"] = self._learned_noise(
                variance, state.get("_units")
            )
        # The stages are those of a first fit.
        trained["_n_used"] = None
        return trained

    def _optimizer_arguments(self, state: State) -> dict[str, Any]:
        if self.weight_decay != "auto":
            return super()._optimizer_arguments(state)
        # A step takes away a tenth of a weight at most.
        most = _MOST_DECAY / max(self.learning_rate, 1e-12)
        decay = {"weight_decay": min(state.get("_weight_decay", 0.0), most)}
        # The linear map keeps its size, and a linear model is exact.
        shortcut = state["_architecture"].shortcut
        groups = [("*.network.*", decay)] if shortcut else []
        return self._adam(groups)

    def _finalise(
        self, rows: RowSource, y: np.ndarray | None, *, partial: bool
    ) -> None:
        if self._units is not None:
            rows = self._units.of_rows(rows, bounded=True)
        super()._finalise(rows, y, partial=partial)

    def _statistics(
        self, model: VAE, x: Tensor, weight: Tensor | None = None, *, pairs: bool
    ) -> Tensor:
        kl = super()._statistics(model, x, weight, pairs=pairs)
        if not isinstance(self.noise_variance, str):
            return kl
        function = by_completeness(
            partial(_squared_error, pairs=pairs), squared_error_of_observed
        )
        observed = (~x.isnan()).to(x.dtype)
        parts = function(model, x), x.nan_to_num().square(), observed
        sums = [weighted_sum(part, weight) for part in parts]
        return torch.cat([kl, *sums], 1)

    def _set_statistics(self, means: np.ndarray, *, partial: bool) -> None:
        super()._set_statistics(means, partial=partial)
        if isinstance(self.noise_variance, str) and not partial:
            error, variance, observed = np.split(means[self._n_features_out :], 3)
            if not self._per_feature:  # one variance, of all that is observed
                observed = observed.mean()
            observed = np.maximum(observed, 1e-30)
            observation = self._build_observation(self._state())
            mean = torch.from_numpy(error / observed)[None]
            best = observation.optimal_variance(mean).numpy()
            if self._per_feature:
                best = np.maximum(best, self._least_noise(variance / observed))
            self.noise_variance_ = self._learned_noise(best, self._units)

    def _least_noise(self, variance: np.ndarray) -> np.ndarray:
        """Noise with which samples have enough of the variance of each feature."""
        n_latents = self._n_features_out
        n_points = number_of_points(n_latents, _LEAST_PRIOR_POINTS)
        points = balanced_normal(n_points, n_latents, seed=0).numpy()
        conditions = self._prior_conditions(n_points)
        means = self._apply(
            given(VAE.conditional_mean), points.astype(self._dtype), conditions
        )
        return _LEAST_SPREAD**2 * variance - means.var(axis=0, dtype=np.float64)


def _squared_error(model: VAE, x: Tensor, *, pairs: bool) -> Tensor:
    """Mean of (x - f)^2 over the posterior of complete rows, the shape of x."""
    return posterior_average(
        model, x, model.posterior(x), lambda x, f: (x - f).square(), pairs=pairs
    )


def _in_units(
    variance: Any, units: Standardization | None, power: int = 1
) -> float | np.ndarray:
    """Convert variances from the units of the model to those of X.

    One number stays one where all features have one scale. A `power` of -1 is the way
    back.
    """
    variance = np.asarray(variance, dtype=np.float64)
    if units is not None:
        scale = units.scale
        if not variance.ndim and (scale == scale[0]).all():
            scale = scale[0]
        variance = np.asarray(
            variance * scale**2 if power == 1 else variance / scale**2
        )
    return variance.copy() if variance.ndim else float(variance)
