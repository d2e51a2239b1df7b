"""Imputation of missing values by a generative model."""

import copy
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import (
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from skgen.base._failure import unchanged_on_failure
from skgen.base._fitting import draw_seed
from skgen.base._python_scalars import python_scalars
from skgen.base._training_data import TrainingData, without_weightless
from skgen.rbm import BernoulliRBMGPU

# Gibbs steps that fill in what is missing between two passes of training.
_STEPS_A_ROUND = 10


class GenerativeImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Fill in missing values by their means under a generative model.

    The model learns from incomplete rows: passes of training alternate with draws
    of the missing values from the model, given the known ones (stochastic EM [1]_).
    Then each missing value is estimated by its conditional mean, which has the
    smallest expected squared error.

    Each feature is encoded by `n_levels` bits: bit k is 1 if the value, scaled to
    [0, 1] by the smallest and the largest known value of the feature, is above
    :math:`(k - \frac{1}{2}) / n_\text{levels}`. The mean of these bits, or of their
    probabilities, is the value to within half a level. Known values are never
    changed.

    Parameters
    ----------
    estimator : estimator or None, default=None
        The model: an estimator with `fit`, `sample` with ``given``, and `impute`. Its
        `n_iter` is the number of epochs of one round. None means ``BernoulliRBMGPU(256,
        batch_size=50, n_iter=4)``.
    n_levels : int, default=4
        Number of bits by which a feature is encoded; 1 for binary features.
    max_iter : int, default=40
        Number of rounds of training and imputation. The learning rate falls linearly
        over them, from that of `estimator` to zero.
    n_gibbs_steps : int, default=200
        Number of steps of block Gibbs sampling by which `transform` estimates means.
    random_state : int, RandomState instance or None, default=None
        Determines training and imputation. `transform` uses the same seed each
        time.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model of the coded data.
    data_min_, data_max_ : ndarray of shape (n_features,)
        The smallest and the largest known value of each feature.
    n_iter_ : int
        Number of rounds run.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    sklearn.impute.KNNImputer : Imputation by the nearest rows.
    sklearn.impute.IterativeImputer : Imputation by regressions on other features.

    References
    ----------
    .. [1] G. Celeux and J. Diebolt, "The SEM algorithm: a probabilistic teacher
       algorithm derived from the EM algorithm for the mixture problem",
       Computational Statistics Quarterly 2, 1985.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skgen.impute import GenerativeImputer
    >>> X = load_digits().data[:200]
    >>> missing = np.random.RandomState(0).uniform(size=X.shape) < 0.3
    >>> imputer = GenerativeImputer(max_iter=5, random_state=0)
    >>> filled = imputer.fit_transform(np.where(missing, np.nan, X))
    >>> bool(np.isnan(filled).any())
    False
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit", "sample", "impute"]), None],
        "n_levels": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        n_levels=4,
        max_iter=40,
        n_gibbs_steps=200,
        random_state=None,
    ):
        self.estimator = estimator
        self.n_levels = n_levels
        self.max_iter = max_iter
        self.n_gibbs_steps = n_gibbs_steps
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None
    ) -> "GenerativeImputer":
        """Learn the model from incomplete rows.

        The result does not depend on the order of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, in which NaN marks what is missing.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How much each row counts. Integers say how often a row is repeated, each
            time with draws of its own, as long as all rows together are at most 10
            times as many as before, or 10,000; other weights are passed to `fit` of
            the model. A row of weight zero is as good as absent. None means that all
            count alike.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If a feature has no known value. What was fitted before stays as it was.
        KeyboardInterrupt
            If it is interrupted from the keyboard. What was learned by the last whole
            round is kept, if there was one.
        """
        with unchanged_on_failure(self), python_scalars(self):
            interrupted = self._fit(X, sample_weight)
        if interrupted:
            raise KeyboardInterrupt
        return self

    def _fit(self, X: Any, sample_weight: Any) -> bool:
        """Run the rounds; tell whether they were interrupted."""
        X, _, weight = without_weightless(X, None, sample_weight)
        X = self._validate(X, reset=True)
        unknown = np.flatnonzero(np.isnan(X).all(axis=0))
        if len(unknown):
            raise ValueError(
                f"Got no known value of features {unknown.tolist()}, but expected "
                "at least one of each. Drop these features."
            )
        rng = check_random_state(self.random_state)
        model = self.estimator
        if model is None:
            model = BernoulliRBMGPU(256, batch_size=50, n_iter=4)
        model = clone(model).set_params(warm_start=True, random_state=draw_seed(rng))
        self.data_min_, self.data_max_ = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
        bits, weight = _in_order(self._encode(X), weight)
        weights = {} if weight is None else {"sample_weight": weight}
        if weights and not has_fit_parameter(model, "sample_weight"):
            raise ValueError(
                "Got sample_weight that is not made of small integers, but fit of "
                f"{type(model).__name__} takes no sample_weight. Pass integers, by "
                "which rows are repeated, or None."
            )
        start = rng.uniform(size=bits.shape) < _known_means(bits, weight)
        filled = np.where(np.isnan(bits), start, bits)
        rate, whole, interrupted = float(model.learning_rate), (model, 0), False
        try:
            for round_ in range(self.max_iter):
                model.set_params(learning_rate=rate * (1 - round_ / self.max_iter))
                model.fit(filled, **weights)
                filled = model.sample(
                    given=bits,
                    sampler="gibbs",
                    n_gibbs_steps=_STEPS_A_ROUND,
                    random_state=draw_seed(rng),
                )
                # The next fit may be interrupted after some of its epochs.
                whole = copy.copy(model), round_ + 1
        except KeyboardInterrupt:
            if whole[1] == 0:
                raise
            interrupted = True
        self.estimator_, self.n_iter_ = whole
        self.estimator_.set_params(learning_rate=rate, warm_start=False)
        self._seed = draw_seed(rng)
        return interrupted

    def transform(self, X: Any) -> np.ndarray:
        """Impute the missing values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, in which NaN marks what is missing.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Data in which NaN is replaced by conditional means.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        missing = np.isnan(X)
        rows = missing.any(axis=1)
        if rows.any():
            bits = self.estimator_.impute(
                self._encode(X[rows]),
                n_gibbs_steps=self.n_gibbs_steps,
                random_state=self._seed,
            )
            share = bits.reshape(len(bits), X.shape[1], -1).mean(axis=2)
            values = self.data_min_ + share * (self.data_max_ - self.data_min_)
            X[rows] = np.where(missing[rows], values, X[rows])
        return X

    def _validate(self, X: Any, *, reset: bool) -> np.ndarray:
        return validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            copy=True,
            reset=reset,
        )

    def _encode(self, X: np.ndarray) -> np.ndarray:
        """Encode each feature by bits, (n_samples, n_features * n_levels)."""
        width = self.data_max_ - self.data_min_
        scaled = (X - self.data_min_) / np.where(width == 0, 1, width)
        levels = (np.arange(self.n_levels) + 0.5) / self.n_levels
        bits = (scaled[:, :, None] > levels).astype(X.dtype)
        bits[np.isnan(X)] = np.nan
        return bits.reshape(len(X), -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _in_order(
    bits: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Order rows by their contents and repeat them, as a fit of the model does.

    What is drawn for a row does not depend on where it stands then.
    """
    known = np.where(np.isnan(bits), -1, bits)
    data = TrainingData(known, None, weight, ordered=True)
    return bits[data.index], None if data.weight is None else data.weight[data.index]


def _known_means(bits: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Mean of the known bits of each column."""
    if weight is None:
        return np.nanmean(bits, axis=0)
    known = ~np.isnan(bits)
    return (weight @ np.where(known, bits, 0)) / (weight @ known)
