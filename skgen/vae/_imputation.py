"""ImputingVAE: what a variational autoencoder knows of missing entries."""

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skgen.base import ImputerMixin
from skgen.base._arguments import validated_arguments
from skgen.base._fitting import draw_seed
from skgen.base._intake import taken_into_memory
from skgen.base._validation import validated_rows
from skgen.vae._base import BaseVAE
from skgen.vae._missing import by_completeness
from skgen.vae._missing_importance import draw_of_missing, mean_of_missing

_COUNT = [Interval(Integral, 1, None, closed="left")]


class ImputingVAE(ImputerMixin, BaseVAE):
    """Base of the variational autoencoders for which NaN marks missing entries."""

    @validated_arguments(
        {"n_importance_samples": _COUNT, "random_state": ["random_state"]}
    )
    def impute(
        self, X: Any, *, n_importance_samples: int = 256, random_state: Any = None
    ) -> np.ndarray:
        r"""Replace missing entries by their means given the observed ones.

        .. math:: \langle x_m \mid x_o \rangle \approx \sum_k w_k
                  \langle x_m \mid z_k \rangle, \quad
                  w_k \propto \frac{p(x_o \mid z_k)\, p(z_k)}{q(z_k \mid x_o)},
                  \quad \sum_k w_k = 1

        with quasi-random points from a Gaussian approximation of the posterior
        (Mattei & Frellsen, "MIWAE", ICML 2019). What a row gets depends on that row
        alone, and not on others of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, in which NaN marks what is missing.
        n_importance_samples : int, default=256
            Number of points, K. There are two a latent at least.
        random_state : int, RandomState instance or None, default=None
            Source of the points; None means the estimator's own. An int gives the same
            means at every call.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            X with NaN replaced, in its dtype. A row of which nothing is observed gets
            the mean of the model.
        """
        seed = draw_seed(self._rng(random_state))
        rows, known = self._incomplete_rows(X)
        function = partial(mean_of_missing, n_samples=n_importance_samples, seed=seed)
        return self._with_filled(rows, known, function)

    @validated_arguments(
        {
            "n_samples": _COUNT,
            "random_state": ["random_state"],
            "noise": ["boolean"],
            "given": ["array-like", None],
            "n_importance_samples": _COUNT,
        }
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        noise: bool = True,
        given: Any = None,
        n_importance_samples: int = 256,
    ) -> np.ndarray:
        """Draw samples of the model: z from the prior, and x from p(x | z).

        With `given`, what is missing of its rows is drawn given the rest: z by
        importance resampling from its posterior, and x from p(x | z). Several draws
        of each row are a multiple imputation.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, for each of its rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        noise : bool, default=True
            Whether x is drawn from p(x | z). Otherwise it is the mean of that, which is
            smoother, and no sample of the model.
        given : array-like of shape (n_rows, n_features) or None, default=None
            Rows of which NaN marks what is to be drawn, from its distribution given
            the rest, which stays as it is.
        n_importance_samples : int, default=256
            With `given`, number of points of which each z is chosen. The law of the
            samples is that of the model as the number grows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_rows * n_samples, n_features)
            Samples; from `GaussianVAE` in the dtype of the data that it was fitted to,
            from `BernoulliVAE` in that of training, and in the dtype of `given`.
            Samples of one row of `given` stand together.
        """
        if given is None:
            return super().sample(n_samples, random_state=random_state, noise=noise)
        rng = self._rng(random_state)
        rows, known = self._incomplete_rows(given)
        function = partial(
            draw_of_missing,
            n_draws=n_samples,
            n_samples=n_importance_samples,
            noise=noise,
            generator=self._generator(rng),
        )
        return self._with_filled(rows, known, function, n_samples)

    def _incomplete_rows(self, X: Any) -> tuple[Any, np.ndarray]:
        """Validate data, and return it as the model and as the user sees it."""
        check_is_fitted(self)
        X = taken_into_memory(X)
        rows = self._validate_data(X)
        if hasattr(X, "tocsr"):
            raise TypeError(
                "Got a sparse matrix, of which no entry is missing, but expected an "
                "array with NaN for missing entries. Call toarray."
            )
        return self._in_double(rows), validated_rows(self, X)

    def _with_filled(
        self, rows: Any, known: np.ndarray, function: Any, n_each: int = 1
    ) -> np.ndarray:
        """Replace what is missing by what a function gives for incomplete rows.

        It returns shape (n_rows, n_each, n_features).
        """

        def complete(model: Any, x: Tensor) -> Tensor:  # noqa: ARG001
            return x[:, None].expand(-1, n_each, -1)

        filled = self._apply(by_completeness(complete, function), rows)
        filled = self._in_units_of_data(filled)
        known = known[:, None]
        filled = np.where(np.isnan(known), filled, known).astype(known.dtype)
        return filled.reshape(-1, known.shape[2])

    def _in_double(self, rows: Any) -> Any:
        """Return valid data in float64: the best posterior must not depend on others.

        It is chosen by bounds that may differ by less than float32 can tell.
        """
        return rows.astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
