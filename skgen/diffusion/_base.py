"""BaseDiffusionModel: what a fitted diffusion model answers."""

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from skgen.base import (
    BaseGenerator,
    EncoderMixin,
    ExportMixin,
    ImputerMixin,
    LikelihoodMixin,
)
from skgen.base._arguments import validated_arguments
from skgen.base._imputation import filled_by_means
from skgen.base._over_conditions import given
from skgen.base._standardized import StandardizedMixin
from skgen.base._validation import warn
from skgen.diffusion._bound import bound
from skgen.diffusion._flow import (
    divergence_probes,
    flow_log_density,
    flow_to_data,
    flow_to_noise,
)
from skgen.diffusion._imputation import draw_missing
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._samplers import SAMPLERS, sample_rows
from skgen.training._rows import row_source

# By how much a solver of second order is nearer to its limit with twice the steps.
_ORDER = 2**2 - 1
# Error of a log-density that is told, in nats.
_LARGE_ERROR = 0.1
COUNT = [Interval(Integral, 1, None, closed="left")]
STEPS = [Interval(Integral, 2, None, closed="left"), None]


class BaseDiffusionModel(
    StandardizedMixin,
    ImputerMixin,
    EncoderMixin,
    ExportMixin,
    LikelihoodMixin,
    BaseGenerator,
):
    """The methods of a fitted diffusion model. A subclass says how it is trained."""

    _score_name = "ELBO"

    n_steps: int

    @property
    def _n_features_out(self) -> int:
        return self.n_features_in_

    def transform(self, X: Any, *, out: Any = None) -> np.ndarray:
        r"""Follow the probability flow from data to noise.

        The result has the law :math:`\mathcal{N}(0, I)` for data of the law of the
        model, and `inverse_transform` undoes it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        out : array-like of shape (n_samples, n_features) or None, default=None
            Where the result is written, a block of rows at a time, for results that
            memory cannot hold: an array, a file that numpy maps, or whatever takes
            ``out[start:stop] = rows``, such as an array of zarr or h5py.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            Noise, in the dtype of X; or `out`.
        """
        return self._to_noise(self._validate_data(X), out=out)

    def inverse_transform(self, H: Any) -> np.ndarray:
        """Follow the probability flow from noise to data.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_features)
            Noise.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Data, in the dtype of H.
        """
        return self._to_data(self._validate_components(H))

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the evidence lower bound of each sample.

        .. math:: \mathrm{ELBO}(x) = -\frac{D}{2} \log(2 \pi e \tan^2 t_{\min})
                  - \sum_i \int \cot\theta_i \left\langle \left(g_i(y) -
                  g_i\right)^2 \right\rangle_{z} d\theta_i
                  - \sum_i \log s_i \le \log p(x)

        with all constants, in the symbols of the Notes. The average is taken over
        fixed pairs of time and noise, the same ones for all rows: 2048 divided by the
        number of features, at least 128 and at most 1024.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        elbo : ndarray of shape (n_samples,)
            Evidence lower bound in nats, higher is better.
        """
        return self._bounds(self._validate_data(X))

    @validated_arguments({"n_steps": STEPS, "return_error": ["boolean"]})
    def log_likelihood(
        self, X: Any, n_steps: int | None = None, *, return_error: bool = False
    ) -> Any:
        r"""Compute log p(x) of each sample by the probability flow.

        .. math:: \log p(x) = \log \mathcal{N}(y; 0, I) - \sum_i \int \frac{\partial
                  g_i}{\partial y_i}\, d\theta_i + \sum_i \log \frac{\cos
                  \theta_i(t_{\min})}{a_i s_i}

        for y, the end of the flow that starts at x. It is the density of the samples of
        the flow, up to the error of its solver, and no bound. The divergence is exact
        up to 128 features, and beyond that estimated along 16 fixed directions. What a
        row gets depends on that row alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_steps : int or None, default=None
            Number of steps of the solver, Heun's method; None means that of the
            estimator. The error falls with its square.
        return_error : bool, default=False
            Whether the error of the solver is returned, too.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-density in nats.
        error : ndarray of shape (n_samples,)
            Estimate of its discretisation error, in nats: a third of the difference
            to half as many steps. Only if `return_error`.

        Warns
        -----
        UserWarning
            If that error exceeds 0.1 nats in the mean over the samples.
        """
        density, error = self._log_densities(self._validate_data(X), n_steps)
        return (density, error) if return_error else density

    @validated_arguments(
        {
            "n_samples": COUNT,
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
        random_state: Any = None,
        n_steps: int | None = None,
        sampler: str = "heun",
        given: Any = None,
        n_repeats: int = 10,
    ) -> np.ndarray:
        """Draw samples from the distribution of the model.

        With `given`, what is missing of its rows is drawn given the rest, as by
        `impute`. Several draws of each row are a multiple imputation.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, for each of its rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        n_steps : int or None, default=None
            Number of steps; None means that of the estimator.
        sampler : {"heun", "ddim", "sde"}, default="heun"
            "heun" follows the probability flow, with an error that falls with the
            square of the number of steps and two evaluations of the network in each.
            "ddim" follows it to first order, with one evaluation. "sde" adds noise in
            each step, which makes up for errors of earlier ones, and needs more steps.
            Not used with `given`.
        given : array-like of shape (n_rows, n_features) or None, default=None
            Rows of which NaN marks what is to be drawn, from its distribution given
            the rest, which stays as it is.
        n_repeats : int, default=10
            With `given`, how often each step is repeated. The law of the samples is
            that of the model as `n_steps` and this number grow.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_rows * n_samples, n_features)
            Samples, in the dtype of the data of `fit`, or in that of `given`. Samples
            of one row of `given` stand together.
        """
        rng = self._rng(random_state)
        if given is not None:
            X = self._validate_incomplete(given).repeat(n_samples, axis=0)
            return self._fill(X, rng, n_steps, n_repeats)
        return self._sample(n_samples, rng, n_steps, sampler)

    @validated_arguments(
        {
            "n_draws": COUNT,
            "n_steps": STEPS,
            "n_repeats": COUNT,
            "random_state": ["random_state"],
        }
    )
    def impute(
        self,
        X: Any,
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
        return self._impute(X, rng, n_draws, n_steps, n_repeats)

    @property
    def _n_steps(self) -> int:
        """The number of steps, as a number of Python."""
        return int(self.n_steps)

    # In what follows, y is what a conditional model is given: one row of encoded
    # conditions for each row of data, or None.

    def _to_noise(
        self, X: Any, y: np.ndarray | None = None, *, out: Any = None
    ) -> np.ndarray:
        """Follow the flow from valid data to noise."""
        flow = given(partial(flow_to_noise, n_steps=self._n_steps))
        return self._apply(flow, X, y, out=out)

    def _to_data(self, H: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
        """Follow the flow from noise to data."""
        flow = given(partial(flow_to_data, n_steps=self._n_steps))
        return self._in_units_of_data(self._apply(flow, H, y))

    def _bounds(self, X: Any, y: np.ndarray | None = None) -> np.ndarray:
        """Compute the evidence lower bound of valid data."""
        return self._apply(given(bound), X, y) - self._log_scale_of(X)

    def _log_densities(
        self, X: Any, n_steps: int | None, y: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute log-densities of valid data by the flow, and their errors."""
        n_steps = n_steps or self._n_steps
        fine, coarse = (self._log_density(X, n, y) for n in (n_steps, n_steps // 2))
        error = np.abs(fine - coarse) / _ORDER
        if np.mean(error) > _LARGE_ERROR:
            warn(
                f"Got a mean discretisation error of {np.mean(error):.2g} nats from "
                f"n_steps={n_steps}, but expected at most {_LARGE_ERROR}. Pass more "
                "steps to log_likelihood, such as twice as many."
            )
        return fine, error

    def _log_density(self, X: Any, n_steps: int, y: np.ndarray | None) -> np.ndarray:
        def density(model: DiffusionNet, x: Tensor) -> Tensor:
            probes = divergence_probes(x.shape[1], like=x)
            return flow_log_density(model, x, n_steps, probes)

        return self._apply(given(density), X, y) - self._log_scale_of(X)

    def _sample(
        self,
        n_samples: int,
        rng: np.random.RandomState,
        n_steps: int | None,
        sampler: str,
        y: np.ndarray | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Draw samples; the options are those of a model that is given y."""
        z = rng.standard_normal((n_samples, self._n_features_out))
        draw = partial(
            sample_rows,
            n_steps=n_steps or self._n_steps,
            sampler=sampler,
            generator=self._generator(rng),
        )
        x = self._apply(given(draw, **options), z.astype(self._dtype), y)
        return self._in_units_of_data(x.astype(self._sample_dtype, copy=False))

    def _fill(
        self,
        X: np.ndarray,
        rng: np.random.RandomState,
        n_steps: int | None,
        n_repeats: int,
        y: np.ndarray | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Replace NaN by draws given the other values."""
        draw = partial(
            draw_missing,
            n_steps=n_steps or self._n_steps,
            n_repeats=n_repeats,
            generator=self._generator(rng),
        )
        assert self._units is not None
        rows = self._units.of_rows(row_source(X), bounded=False)
        drawn = self._in_units_of_data(self._apply(given(draw, **options), rows, y))
        return np.where(np.isnan(X), drawn, X)

    def _impute(
        self,
        X: np.ndarray,
        rng: np.random.RandomState,
        n_draws: int,
        n_steps: int | None,
        n_repeats: int,
        y: np.ndarray | None = None,
    ) -> np.ndarray:
        """Replace NaN by means of draws."""

        def fill(rows: np.ndarray, indices: np.ndarray) -> np.ndarray:
            given = None if y is None else y[indices]
            return self._fill(rows, rng, n_steps, n_repeats, given)

        return filled_by_means(X, n_draws, fill)

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        return super()._model(dtype, device).requires_grad_(False)
