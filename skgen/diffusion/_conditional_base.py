"""BaseConditionalDiffusionModel: what a conditional diffusion model does with y."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import nn

from skgen.base._arguments import validated_arguments
from skgen.base._bayes_rule import BayesRuleMixin
from skgen.base._conditions_mixin import ConditionsMixin
from skgen.base._covariance import directions_of, regression
from skgen.base._fitting import State
from skgen.base._validation import warn
from skgen.diffusion._base import COUNT, STEPS, BaseDiffusionModel
from skgen.diffusion._bound import bound
from skgen.diffusion._conditional_model import ConditionalDiffusionNet
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._samplers import SAMPLERS
from skgen.training import RowSource

# Standard deviations from the mean beyond which samples are said to be wrong.
_FAR = 100


class BaseConditionalDiffusionModel(  # type: ignore[misc]  # see ConditionsMixin
    BayesRuleMixin, ConditionsMixin, BaseDiffusionModel
):
    """The methods of a conditional diffusion model.

    It comes before the class of the unconditional model among the base classes.
    """

    condition_dropout: float

    _conditional_constraints: ClassVar[dict] = {
        **ConditionsMixin._conditional_constraints,
        "condition_dropout": [Interval(Real, 0, 1, closed="neither")],
    }
    _conditional_state = (
        *ConditionsMixin._conditional_state,
        "_offset",
        "_spread_alone",
        "_basis_alone",
    )
    _bound = staticmethod(bound)

    _is_correlated: bool

    def transform(self, X: Any, y: Any = None, *, out: Any = None) -> np.ndarray:
        """Follow the probability flow from data to noise.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions. Without them, as in a pipeline at prediction time, it is the
            flow of the model of x alone.
        out : array-like of shape (n_samples, n_features) or None, default=None
            Where the result is written, a block of rows at a time, for results that
            memory cannot hold: an array, a file that numpy maps, or whatever takes
            ``out[start:stop] = rows``, such as an array of zarr or h5py.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            Noise, in the dtype of X; or `out`.
        """
        X = self._validate_data(X)
        return self._to_noise(X, self._given(y, X), out=out)

    def inverse_transform(self, H: Any, y: Any = None) -> np.ndarray:
        """Follow the probability flow from noise to data.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_features)
            Noise.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions; without them, it is the flow of the model of x alone.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Data, in the dtype of H.
        """
        H = self._validate_components(H)
        return self._to_data(H, self._given(y, H))

    def score_samples(self, X: Any, y: Any = None) -> np.ndarray:
        r"""Compute the evidence lower bound of each sample.

        It is that of :class:`DiffusionModel`, for :math:`\log p(x \mid y)`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions. Without them it bounds :math:`\log p(x)` of the model of x
            alone.

        Returns
        -------
        elbo : ndarray of shape (n_samples,)
            Evidence lower bound in nats, higher is better.
        """
        X = self._validate_data(X)
        return self._bounds(X, self._given(y, X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the mean of `score_samples` over X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions; see `score_samples` for what it is without them.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights of the rows in the mean; None means that all count alike. A row of
            weight zero is as good as absent.

        Returns
        -------
        score : float
            Nats per sample, higher is better.
        """
        return super().score(X, y, sample_weight)

    @validated_arguments(
        {"y": "no_validation", "n_steps": STEPS, "return_error": ["boolean"]}
    )
    def log_likelihood(
        self,
        X: Any,
        y: Any = None,
        n_steps: int | None = None,
        *,
        return_error: bool = False,
    ) -> Any:
        r"""Compute log p(x | y) of each sample by the probability flow.

        It is the density of the samples given y without guidance, as that of
        :class:`DiffusionModel`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions. Without them it is :math:`\log p(x)` of the model of x alone.
        n_steps : int or None, default=None
            Number of steps of the solver; None means that of the estimator.
        return_error : bool, default=False
            Whether the error of the solver is returned, too.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-density in nats.
        error : ndarray of shape (n_samples,)
            Estimate of its discretisation error, in nats. Only if `return_error`.

        Warns
        -----
        UserWarning
            If that error exceeds 0.1 nats in the mean over the samples.
        """
        X = self._validate_data(X)
        density, error = self._log_densities(X, n_steps, self._given(y, X))
        return (density, error) if return_error else density

    @validated_arguments(
        {
            "n_samples": COUNT,
            "y": "no_validation",
            "guidance": [Interval(Real, None, None, closed="neither")],
            "random_state": ["random_state"],
            "n_steps": STEPS,
            "sampler": [StrOptions(set(SAMPLERS))],
            "given": ["array-like", None],
            "n_repeats": COUNT,
        }
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        y: Any = None,
        guidance: float = 0.0,
        random_state: Any = None,
        n_steps: int | None = None,
        sampler: str = "heun",
        given: Any = None,
        n_repeats: int = 10,
    ) -> Any:
        r"""Draw samples given y, or both from the distribution of the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, for each of its rows.
        y : object or array-like, default=None
            One condition for all samples (a label or value, or one for each column),
            or one for each of `n_samples`; with ``n_samples=1``, one sample for each.
            Without it y is drawn from the training data: labels by their frequencies,
            and rows with values by resampling up to 10,000 of them. With `given`, one
            condition for all of its rows or one for each, and without it the draws are
            of the model of x alone.
        guidance : float, default=0.0
            Weight w of guidance: samples follow the score :math:`(1 + w) \nabla \log
            p(x \mid y) - w \nabla \log p(x)` at all times. More of it makes samples
            more typical of y and less varied; with 0 their law is that of
            `log_likelihood`.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        n_steps : int or None, default=None
            Number of steps; None means that of the estimator.
        sampler : {"heun", "ddim", "sde"}, default="heun"
            As in :class:`DiffusionModel`. Not used with `given`.
        given : array-like of shape (n_rows, n_features) or None, default=None
            Rows of which NaN marks what is to be drawn, from its distribution given
            the rest and y.
        n_repeats : int, default=10
            With `given`, how often each step is repeated.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_rows * n_samples, n_features)
            Samples.
        y : ndarray of shape (n_samples,) or (n_samples, n_columns)
            Only if neither y nor `given` is given: the conditions that were drawn, as
            the labels and values of the training data.

        Warns
        -----
        UserWarning
            If guidance is so large that samples are not finite, or are more than 100
            standard deviations from the mean of a feature.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        if given is not None:
            X = self._validate_incomplete(given)
            numbers = None if y is None else self._numbers_to_sample(y, len(X))
            X = X.repeat(n_samples, axis=0)
            if numbers is None:
                return self._fill(X, rng, n_steps, n_repeats)
            check_consistent_length(X[::n_samples], numbers)
            encoded = self._conditions.encoded(numbers).repeat(n_samples, axis=0)
            options: dict[str, Any] = {"guidance": float(guidance)}
            filled = self._fill(X, rng, n_steps, n_repeats, encoded, **options)
            return self._watched(filled, guidance, drawn=np.isnan(X))
        if y is None:
            numbers = self._law.sample(n_samples, rng)
        else:
            numbers = self._numbers_to_sample(y, n_samples)
        encoded = self._conditions.encoded(numbers)
        X = self._sample(
            len(numbers), rng, n_steps, sampler, encoded, guidance=float(guidance)
        )
        X = self._watched(X, guidance)
        return X if y is not None else (X, self._conditions.originals(numbers))

    def _watched(self, X: np.ndarray, guidance: float, drawn: Any = True) -> np.ndarray:
        """Return samples; warn if guidance has carried some of them away.

        `drawn` is where their values are not given.
        """
        assert self._units is not None
        with np.errstate(over="ignore", invalid="ignore"):
            distance = np.abs(X - self._units.location) / self._units.scale
        n_far = np.count_nonzero((drawn & ~(distance <= _FAR)).any(axis=1))
        if guidance and n_far:
            warn(
                f"Got guidance={guidance:g}, and {n_far} of {len(X)} samples are "
                f"more than {_FAR} standard deviations from the mean of a feature, or "
                "are not finite. Lower guidance, or raise n_steps."
            )
        return X

    @validated_arguments(
        {
            "y": "no_validation",
            "n_draws": COUNT,
            "n_steps": STEPS,
            "n_repeats": COUNT,
            "random_state": ["random_state"],
        }
    )
    def impute(
        self,
        X: Any,
        y: Any = None,
        *,
        n_draws: int = 20,
        n_steps: int | None = None,
        n_repeats: int = 10,
        random_state: Any = None,
    ) -> np.ndarray:
        """Replace missing values by estimates of their means given the other values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, in which NaN marks what is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions; without them it is by the model of x alone.
        n_draws : int, default=20
            Number of draws of which the mean is taken.
        n_steps : int or None, default=None
            Number of steps of each draw; None means that of the estimator.
        n_repeats : int, default=10
            How often each step is repeated, as in `sample`.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            X with NaN replaced, in its dtype.
        """
        X, rng = self._validate_incomplete(X), self._rng(random_state)
        encoded = self._given(y, X)
        return self._impute(X, rng, n_draws, n_steps, n_repeats, encoded)

    @property
    def _n_conditions(self) -> int:
        return self._conditions.width + 1

    def _given(self, y: Any, X: Any) -> np.ndarray | None:
        """What the model is given for conditions of valid data; None for none."""
        return None if y is None else self._encoded(y, X)

    def _gaussian_start(self, rows: RowSource, y: np.ndarray) -> State:
        e = np.hstack([y, np.ones((len(y), 1))])
        offsets = regression(rows, e)
        correlated = self._is_correlated
        spread, basis = directions_of(rows, correlated=correlated, offsets=offsets)
        alone = directions_of(rows, correlated=correlated)
        return {
            "_spread": spread,
            "_basis": basis,
            "_offset": offsets.slope,
            "_spread_alone": alone[0],
            "_basis_alone": alone[1],
        }

    def _with_process(self, network: nn.Module, state: State) -> DiffusionNet:
        model: Any = self
        return ConditionalDiffusionNet(
            network,
            model._process(state, "_spread", "_basis"),
            model._process(state, "_spread_alone", "_basis_alone"),
            torch.tensor(state["_offset"]),
            dropped=float(self.condition_dropout),
            by_features=state["_architecture"].by_features,
        )
