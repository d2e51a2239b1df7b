"""What an estimator can do beyond `fit`, `sample` and `score`: one mixin each.

A model that cannot do a thing honestly does not have the methods for it. The contract
tests choose what they try of an estimator by these classes.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._metadata_requests import UNUSED
from sklearn.utils.validation import check_is_fitted, validate_data

from skgen.base._intake import taken_in, taken_into_memory
from skgen.base._training_data import weighted_mean, without_weightless


class DecoderMixin(ABC):
    """Mixin of models that compute data from features or noise."""

    # H is data: it takes no part in scikit-learn's metadata routing.
    __metadata_request__inverse_transform: ClassVar[dict] = {"H": UNUSED}

    @property
    @abstractmethod
    def _n_features_out(self) -> int:
        """Number of features, or width of the noise, of a row."""

    @abstractmethod
    def inverse_transform(self, H: Any) -> np.ndarray:
        """Compute the mean of the data given features, (n_samples, n_features)."""

    def _validate_components(self, H: Any) -> np.ndarray:
        """Validate what `inverse_transform` takes; its dtype stays."""
        check_is_fitted(self)
        H = taken_in(H, name="H")
        H = check_array(H, dtype=[np.float64, np.float32], input_name="H")
        n_components = self._n_features_out
        if H.shape[1] != n_components:
            as_returned = ", as transform returns" * hasattr(self, "transform")
            raise ValueError(
                f"Got H with {H.shape[1]} columns, but expected {n_components}, one "
                f"for each component{as_returned}."
            )
        return H


class EncoderMixin(
    DecoderMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ABC
):
    """Mixin of models that compute features of data, and data of features."""

    # Where a result is written takes no part in metadata routing, either.
    __metadata_request__transform: ClassVar[dict] = {"out": UNUSED}

    @abstractmethod
    def transform(self, X: Any, *, out: Any = None) -> np.ndarray:
        """Compute features, shape (n_samples, n_components), in the dtype of X."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class LikelihoodMixin(ABC):
    """Mixin of models whose `score_samples` is in nats, and that have a likelihood."""

    @abstractmethod
    def log_likelihood(self, X: Any) -> np.ndarray:
        """Compute or estimate log p(x) of each row, in nats, shape (n_samples,)."""


class ImputerMixin(ABC):
    """Mixin of models that know the law of some values of a row given the others.

    Their `sample` takes rows as ``given``, in which NaN marks what is to be drawn.
    """

    @abstractmethod
    def impute(self, X: Any) -> np.ndarray:
        """Replace NaN by means given the other values, (n_samples, n_features)."""

    def _validate_incomplete(self, X: Any) -> np.ndarray:
        """Validate data of a fitted estimator in which NaN marks what is missing."""
        check_is_fitted(self)
        return validate_data(
            self,
            taken_into_memory(X),
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=False,
        )


class ConditionalMixin(ABC):
    """Mixin of models of p(x | y), for which y is data.

    It comes before `BaseGenerator` among the base classes. Objectives find y in
    `skgen.training.Batch`, of shape (batch, n_conditions).
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model of X given y.

        The result does not depend on the order of the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions)
            What the model is conditioned on.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How much each row counts. Integers say how often a row is repeated, as
            long as all rows together are at most 10 times as many as before, or
            10,000; other weights multiply the loss of a row, divided by their mean. A
            row of weight zero is as good as absent. None means that all count alike.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        parent: Any = super()
        return parent.fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Continue the fit by one pass over X and y in mini-batches.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions)
            What the model is conditioned on.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How much each row counts among those of this call, as in `fit`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        parent: Any = super()
        return parent.partial_fit(X, y, sample_weight)

    def _validate_training_data(
        self: Any, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, np.ndarray]:
        parent: Any = super()
        X, _ = parent._validate_training_data(X, y, reset=reset)
        return X, self._validate_conditions(y, X)

    def _validate_conditions(self, y: Any, X: Any) -> np.ndarray:
        """Validate conditions of valid data, shape (n_samples, n_conditions)."""
        self._require_conditions(y)
        y = taken_in(y, name="y")
        dtype = getattr(X, "numpy_dtype", X.dtype)
        y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
        check_consistent_length(X, y)
        return y.reshape(len(y), -1)

    def _require_conditions(self, y: Any) -> None:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None. Pass what X is conditioned on, one value or row for each row of "
                "X."
            )

    @abstractmethod
    def score_samples(self, X: Any, y: Any) -> np.ndarray:
        """Score each row given its condition, higher is better, (n_samples,)."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute the mean of `score_samples` over X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions)
            What the model is conditioned on.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights of the rows in the mean; None means that all count alike. A row of
            weight zero is as good as absent.

        Returns
        -------
        score : float
            Mean score of a row, higher is better.
        """
        X, y, weight = without_weightless(X, y, sample_weight)
        return weighted_mean(self.score_samples(X, y), weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.required = True
        return tags
