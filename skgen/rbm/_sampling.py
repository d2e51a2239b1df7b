"""RBMSampling: samples of an RBM, also given some values, and imputation."""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from skgen.base._validation import binarized
from skgen.rbm._base import RBMLikelihood, check_width, marginals
from skgen.rbm._partition_trajectory import trajectory_lines
from skgen.sampling import bernoulli, clamped_mean, climb, gibbs, tempering

# Steps of a sampler, if none are asked for.
_GIBBS_STEPS = {"gibbs": 1000, "tempering": 100}
# Chains that run up a ladder together, and with which one is built.
_LADDER_CHAINS = 256

_COUNT = [Interval(Integral, 1, None, closed="left")]


class RBMSampling(RBMLikelihood):
    """What a Bernoulli RBM draws, given its parameters; a subclass trains them."""

    def gibbs(self, v: Any) -> np.ndarray:
        """Perform one Gibbs sampling step, v → h → v.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states to start from.

        Returns
        -------
        v_new : ndarray of shape (n_samples, n_features)
            Visible states after one step, zeros and ones in the dtype of `v`.
            Each call draws anew, from ``random_state_``.
        """
        v = self._validate_data(v)
        if not hasattr(self, "random_state_"):
            self.random_state_ = check_random_state(self.random_state)
        generator = self._generator(self.random_state_)
        return self._apply(partial(gibbs, n_steps=1, generator=generator), v)

    @validate_params(
        {
            "n_samples": _COUNT,
            "random_state": ["random_state"],
            "sampler": [StrOptions({"gibbs", "tempering"}), None],
            "n_gibbs_steps": [Interval(Integral, 0, None, closed="left"), None],
            "given": ["array-like", None],
        },
        prefer_skip_nested_validation=True,
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        sampler: str | None = None,
        n_gibbs_steps: int | None = None,
        given: Any = None,
    ) -> np.ndarray:
        """Draw samples from fresh Markov chains.

        Each sample is the end of a chain of its own, which starts at
        independent bits with the means of the training data and is never
        that of training.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, for each of its rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        sampler : {"gibbs", "tempering"} or None, default=None
            "gibbs" runs chains of the machine alone. "tempering" runs chains at
            each rung of a ladder, from independent bits to the machine, which swap
            states: modes that are far from each other then have their right
            weights. The ladder goes through ``rungs_``, or else through
            temperatures. None means "tempering" if there are ``rungs_``, else
            "gibbs".
        n_gibbs_steps : int or None, default=None
            Steps of block Gibbs sampling, of each chain; None means 1000 for
            "gibbs" and 100 for "tempering". The law of the samples is that of the
            model once the chains have mixed, which takes the longer the larger
            the weights are.
        given : array-like of shape (n_rows, n_features) or None, default=None
            Rows of which NaN marks what is to be drawn, from its distribution given
            the rest, which stays as it is.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_rows * n_samples, n_features)
            Visible states, zeros and ones in the dtype of `components_` or of
            `given`. Samples of one row of `given` stand together.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        if sampler is None:
            sampler = "tempering" if hasattr(self, "rungs_") else "gibbs"
        if n_gibbs_steps is None:
            n_gibbs_steps = _GIBBS_STEPS[sampler]
        if given is None:
            known = None
            dtype = np.result_type(self.components_, np.float32)
            start = np.full((n_samples, self.components_.shape[1]), np.nan, dtype)
        else:
            start = self._validate_incomplete(given).repeat(n_samples, axis=0)
            known = ~np.isnan(start)
        start, generator = self._filled(start, rng), self._generator(rng)
        if sampler == "tempering":
            return self._temper(start, known, n_gibbs_steps, generator)
        run = partial(gibbs, n_steps=n_gibbs_steps, generator=generator)
        return self._apply_clamped(run, start, known)

    @validate_params(
        {"n_gibbs_steps": _COUNT, "random_state": ["random_state"]},
        prefer_skip_nested_validation=True,
    )
    def impute(
        self, X: Any, *, n_gibbs_steps: int = 200, random_state: Any = None
    ) -> np.ndarray:
        """Fill in missing values by their means, given the other values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, in which NaN marks what is missing.
        n_gibbs_steps : int, default=200
            Steps of block Gibbs sampling with the known values clamped, of one
            chain a row; P(v = 1 | h) is averaged over the second half.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Data with estimates of the conditional means, in [0, 1], for NaN.

        See Also
        --------
        skgen.impute.GenerativeImputer : A transformer that learns from incomplete
            data, too.
        """
        X = self._validate_incomplete(X)
        rng = self._rng(random_state)
        start, generator = self._filled(X, rng), self._generator(rng)
        run = partial(clamped_mean, n_steps=n_gibbs_steps, generator=generator)
        return self._apply_clamped(run, start, ~np.isnan(X))

    def _validate_incomplete(self, X: Any) -> np.ndarray:
        """Validate data of a fitted estimator with NaN for what is missing."""
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=False,
        )
        check_width(X, self.components_)
        return np.where(np.isnan(X), X, binarized(X, self.binarize))

    def _filled(self, X: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Put random bits with the means of the training data where NaN is."""
        bits = rng.uniform(size=X.shape) < marginals(self._state())
        return np.where(np.isnan(X), bits.astype(X.dtype), X)

    def _apply_clamped(
        self, run: Callable[..., Tensor], start: np.ndarray, known: np.ndarray | None
    ) -> np.ndarray:
        """Run chains from `start`, with what is known clamped to it."""
        if known is None:
            return self._apply(run, start)

        def clamped(model: Any, both: Tensor) -> Tensor:
            v, is_known = both.tensor_split(2, dim=1)
            return run(model, v, clamped=is_known.bool())

        return self._apply(clamped, np.hstack([start, known.astype(start.dtype)]))

    def _temper(
        self,
        start: np.ndarray,
        known: np.ndarray | None,
        n_steps: int,
        generator: torch.Generator,
    ) -> np.ndarray:
        """Draw by replica exchange, from `start` where some units are known."""
        with torch.inference_mode():
            v = torch.from_numpy(start).to(generator.device)
            base_bias = self._base_bias(v)
            lines = trajectory_lines(self._machines(v), base_bias)

            def ladder() -> tuple[list[Any], Tensor]:
                p = torch.sigmoid(base_bias).expand(_LADDER_CHAINS, -1)
                draws = bernoulli(p, generator=generator)
                return climb(lines, draws, generator=generator)

            run = partial(tempering, n_steps=n_steps, generator=generator)
            if known is None:
                n_ladders = -(-len(v) // _LADDER_CHAINS)
                parts = [run(*ladder())[-1] for _ in range(n_ladders)]
            else:
                # A population has no meaning across rows of different knowns: all
                # rungs start from the rows.
                models, _ = ladder()
                clamped = torch.from_numpy(known).to(v.device)
                parts = [
                    run(
                        models,
                        rows.expand(len(models), -1, -1),
                        kernel=partial(gibbs, clamped=fixed),
                    )[-1]
                    for rows, fixed in zip(
                        v.split(_LADDER_CHAINS),
                        clamped.split(_LADDER_CHAINS),
                        strict=True,
                    )
                ]
            return torch.cat(parts)[: len(v)].cpu().numpy()
