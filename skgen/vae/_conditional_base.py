"""BaseConditionalVAE: what the conditional variational autoencoders share."""

from functools import partial as partial_function
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from skgen.base._arguments import validated_arguments
from skgen.base._bayes_rule import BayesRuleMixin
from skgen.base._conditions_mixin import ConditionsMixin
from skgen.base._over_conditions import given
from skgen.vae import _answers
from skgen.vae._base import BaseVAE
from skgen.vae._conditional_model import (
    ConditionalVAE,
    average_over_conditions,
    conditional_mean,
    marginal_bound,
)
from skgen.vae._importance import importance_weighted_bound
from skgen.vae._model import VAE, elbo


# Its `fit` requires y, and those of the other models do not.
class BaseConditionalVAE(  # type: ignore[misc]
    BayesRuleMixin, ConditionsMixin, BaseVAE
):
    """Base of the conditional variational autoencoders.

    It comes before the class of the unconditional model among the base classes.
    """

    _model_class: ClassVar[type[VAE]] = ConditionalVAE
    _bound = staticmethod(elbo)

    def transform(self, X: Any, y: Any = None, *, out: Any = None) -> np.ndarray:
        r"""Compute the features, the posterior mean of z.

        Given y it is :math:`\mu(x, y)`. Without y, as in a pipeline at prediction time,
        it is averaged over the conditions that x may have,

        .. math:: \langle z \rangle_{p(z \mid x)}
                  = \sum_k p(y_k \mid x)\, \mu(x, y_k), \quad
                  p(y_k \mid x) \propto p(y_k)\, e^{\mathrm{ELBO}(x \mid y_k)} ,

        which is the posterior mean under the model of x alone. The sum is over all
        labels; if y has values, over 64 quantiles of the conditions of the training
        data. `fit_transform` is ``fit(X, y).transform(X)``: training rows and new ones
        get their features in one way.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions, if they are known.
        out : array-like of shape (n_samples, n_components) or None, default=None
            Where the result is written, a block of rows at a time, for results that
            memory cannot hold: an array, a file that numpy maps, or whatever takes
            ``out[start:stop] = rows``, such as an array of zarr or h5py.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Posterior means, in the dtype of X; or `out`.
        """
        return self._average(VAE.forward, X, y, out=out)

    def encode(  # type: ignore[override]
        self, X: Any, y: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Compute the posterior q(z | x, y) :math:`= \mathcal{N}(\mu, \sigma^2)`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Conditions.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            Posterior means, in the dtype of X.
        std : ndarray of shape (n_samples, n_components)
            Posterior standard deviations, in the dtype of X.
        """
        X = self._validate_data(X)
        both = self._apply(given(_answers.features_and_std), X, self._encoded(y, X))
        mean, std = np.split(both, 2, axis=1)
        return mean, std

    def inverse_transform(self, H: Any, y: Any = None) -> np.ndarray:
        """Compute the mean of the data given latent variables.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)
            Latent variables z.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions. Without them it is the average over p(y), as in `transform`: z
            and y are independent.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Means of p(x | z, y), or of p(x | z), in the dtype of H.
        """
        H = self._validate_components(H)
        if y is None:
            mean = self._apply(partial_function(conditional_mean, **self._p_of_y()), H)
        else:
            mean = self._apply(given(VAE.conditional_mean), H, self._encoded(y, H))
        return self._in_units_of_data(mean)

    def reconstruct(self, X: Any, y: Any = None) -> np.ndarray:
        """Encode X and decode the posterior mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions. Without them it is the average over p(y | x), as in `transform`.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            ``inverse_transform(transform(X, y), y)``, in the dtype of X.
        """
        return self._in_units_of_data(self._average(_answers.reconstruction, X, y))

    def score_samples(self, X: Any, y: Any = None) -> np.ndarray:
        r"""Compute the evidence lower bound of each sample.

        .. math:: \mathrm{ELBO}(x \mid y) = \left\langle \log p(x \mid z, y)
                  \right\rangle_{q(z \mid x, y)} - \mathrm{KL}\left(q(z \mid x, y)
                  \,\|\, p(z)\right) \le \log p(x \mid y)

        with all constants, deterministic, as that of the unconditional model. Without y
        it is a bound on :math:`\log p(x)`,

        .. math:: \log \sum_k p(y_k)\, e^{\mathrm{ELBO}(x \mid y_k)} \le \log p(x) ,

        with the sum of `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions.

        Returns
        -------
        elbo : ndarray of shape (n_samples,)
            Evidence lower bound in nats, higher is better.
        """
        return self._bounds(X, y, elbo)

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

    def elbo_terms(  # type: ignore[override]
        self, X: Any, y: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the two terms of the evidence lower bound.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Conditions.

        Returns
        -------
        reconstruction : ndarray of shape (n_samples,)
            Mean of log p(x | z, y) over the posterior, in nats.
        kl : ndarray of shape (n_samples, n_components)
            KL divergence of each latent variable's posterior from its prior, in
            nats. ``reconstruction - kl.sum(axis=1)`` is ``score_samples(X, y)``.
        """
        X = self._validate_data(X)
        both = self._apply(given(_answers.bound_columns), X, self._encoded(y, X))
        return both[:, 0] - self._log_scale_of(X), both[:, 1:]

    @validated_arguments(
        {
            "X": "no_validation",
            "y": "no_validation",
            "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        }
    )
    def log_likelihood(
        self,
        X: Any,
        y: Any = None,
        n_importance_samples: int = 1000,
        *,
        random_state: Any = None,
    ) -> np.ndarray:
        r"""Estimate log p(x | y) of each sample by importance sampling.

        .. math:: \log \frac{1}{K} \sum_{k=1}^{K}
                  \frac{p(x \mid z_k, y)\, p(z_k)}{q(z_k \mid x, y)},
                  \quad z_k \sim q(z \mid x, y)

        (Burda, Grosse & Salakhutdinov, 2016). Its expectation is a lower bound on
        log p(x | y), which rises with K.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            Conditions. Without them log p(x) is estimated, from K draws for each
            condition of the sum of `transform`.
        n_importance_samples : int, default=1000
            Draws a row, K.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None means the estimator's own.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Estimate in nats.
        """
        estimate = partial_function(
            importance_weighted_bound,
            n_samples=n_importance_samples,
            generator=self._generator(self._rng(random_state)),
        )
        return self._bounds(X, y, estimate)

    @validated_arguments(
        {
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "y": "no_validation",
            "noise": ["boolean"],
            "random_state": ["random_state"],
        }
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        y: Any = None,
        noise: bool = True,
        random_state: Any = None,
    ) -> Any:
        """Draw samples given y, or both from the distribution of the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        y : object or array-like, default=None
            One condition for all samples (a label or value, or one for each column),
            or one for each of `n_samples`; with ``n_samples=1``, one sample for each.
            Without it y is drawn from the training data: labels by their frequencies,
            and rows with values by resampling up to 10,000 of them.
        noise : bool, default=True
            Whether x is drawn from p(x | z, y). Otherwise it is the mean of that, which
            is smoother, and no sample of the model.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Samples.
        y : ndarray of shape (n_samples,) or (n_samples, n_columns)
            Only if y is not given: the conditions that were drawn, as the labels and
            values of the training data.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        if y is None:
            numbers = self._law.sample(n_samples, rng)
        else:
            numbers = self._numbers_to_sample(y, n_samples)
        encoded = self._conditions.encoded(numbers)
        X = self._sample(len(numbers), encoded, rng, noise=noise)
        return X if y is not None else (X, self._conditions.originals(numbers))

    def _prior_conditions(self, n_points: int) -> np.ndarray:
        drawn = self._law.sample(n_points, np.random.RandomState(0))
        return self._conditions.encoded(drawn)

    def _average(self, function: Any, X: Any, y: Any, *, out: Any = None) -> np.ndarray:
        """Apply a function of a model given y, or average it over p(y | x)."""
        X = self._validate_data(X)
        if y is not None:
            return self._apply(given(function), X, self._encoded(y, X), out=out)
        average = partial_function(
            average_over_conditions, function=function, **self._p_of_y()
        )
        return self._apply(average, X, out=out)

    def _bounds(self, X: Any, y: Any, bound: Any) -> np.ndarray:
        """Bound log p(x | y), or log p(x), in the units of X."""
        X = self._validate_data(X)
        if y is not None:
            bounds = self._apply(given(bound), X, self._encoded(y, X))
        else:
            marginal = partial_function(marginal_bound, bound=bound, **self._p_of_y())
            bounds = self._apply(marginal, X)
        return bounds - self._log_scale_of(X)

    def _p_of_y(self) -> dict[str, Any]:
        """The distribution p(y) of averages: conditions and their log-probabilities."""
        law = self._law.averaged(self._conditions)
        return {
            "conditions": torch.from_numpy(self._conditions.encoded(law.numbers)),
            "log_p": torch.from_numpy(law.log_probability),
        }
