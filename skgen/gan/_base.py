"""BaseGAN: what a fitted GAN answers."""

from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from skgen.base import BaseGenerator, DecoderMixin
from skgen.base._arguments import validated_arguments
from skgen.base._standardized import StandardizedMixin
from skgen.gan._architecture import GANArchitecture
from skgen.gan._energy_score import energy_scores_of_model
from skgen.gan._model import Generator


class BaseGAN(StandardizedMixin, DecoderMixin, BaseGenerator):
    """The methods of a fitted GAN. A subclass says how it is trained."""

    _score_name = "energy score"
    _architecture: GANArchitecture

    @property
    def _n_features_out(self) -> int:
        return self._architecture.n_components

    @validated_arguments(
        {
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        }
    )
    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> np.ndarray:
        """Draw samples from the distribution of the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Samples, in the dtype of the data of `fit`.
        """
        rng = self._rng(random_state)
        z = rng.standard_normal((n_samples, self._n_features_out))
        x = self._apply(_generate, z.astype(self._dtype))
        return self._in_units_of_data(x.astype(self._sample_dtype, copy=False))

    def inverse_transform(self, H: Any) -> np.ndarray:
        r"""Compute what the generator makes of noise.

        There is no `transform`: a GAN does not know which noise a row is made of.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)
            Noise. That of `sample` is from :math:`\mathcal{N}(0, I)`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows, in the dtype of H.
        """
        return self._in_units_of_data(
            self._apply(_generate, self._validate_components(H))
        )

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the negative energy score of each row.

        .. math:: S(x) = -\left( \langle \lVert x - Y \rVert \rangle - \frac{1}{2}
                  \langle \lVert Y - Y' \rVert \rangle \right)

        for independent draws Y and Y' of the model, here 1024 fixed draws. All are in
        the units in which the model sees data: each feature divided by its standard
        deviation in the data of `fit`, or all by one number with convolutions. The
        mean of the score over the data is greatest for the law of the data, and for no
        other [1]_.

        It compares models of the same data in the same units. It is not in nats, and
        is never to be compared with a log-likelihood. It hardly sees details that are
        small beside the spread of the data; see :mod:`skgen.metrics` for others.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            The score of each row, which depends on that row alone; higher is better.

        References
        ----------
        .. [1] T. Gneiting and A. E. Raftery, "Strictly proper scoring rules,
           prediction, and estimation", JASA 102 (2007).
        """
        return self._apply(energy_scores_of_model, self._validate_data(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the mean negative energy score of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights of the rows in the mean; None means that all count alike. A row of
            weight zero is as good as absent.

        Returns
        -------
        score : float
            Mean of `score_samples`, not in nats; higher is better.
        """
        return super().score(X, y, sample_weight)

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        return super()._model(dtype, device).requires_grad_(False)


def _generate(generator: Generator, z: Tensor) -> Tensor:
    return generator(z)
