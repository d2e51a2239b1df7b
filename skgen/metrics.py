"""How far samples are from data, for models with and without a likelihood.

None of these measures has its ideal value for two sets of rows from the same
distribution; `null_distribution` computes the values to expect in this case.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import pairwise_distances_chunked, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

__all__ = [
    "PrecisionRecall",
    "classifier_two_sample_test",
    "energy_distance",
    "null_distribution",
    "precision_recall",
]

_DATA = ["array-like"]
# Squares of numbers are finite, and above 0, between this and its inverse.
_SMALLEST = 1e-100


class PrecisionRecall(NamedTuple):
    """What `precision_recall` returns.

    Attributes
    ----------
    precision : float
        Share of samples that lie among the data.
    recall : float
        Share of the data that lie among the samples.
    """

    precision: float
    recall: float


@validate_params({"X": _DATA, "Y": _DATA}, prefer_skip_nested_validation=True)
def energy_distance(X: Any, Y: Any) -> float:
    r"""Estimate the energy distance between two distributions from rows of each.

    .. math:: 2 \langle \lVert x - y \rVert \rangle - \langle \lVert x - x' \rVert
              \rangle - \langle \lVert y - y' \rVert \rangle \ge 0

    (Székely & Rizzo, 2013), which is 0 only if the distributions are equal. Pairs of
    different rows are averaged over, so that the estimate is without bias and may be
    negative.
    All features count by their scale: standardise them first.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Data.
    Y : array-like of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    distance : float
        The estimate, in the units of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.metrics import energy_distance
    >>> rng = np.random.RandomState(0)
    >>> X, Y = rng.standard_normal((2, 500, 2))
    >>> energy_distance(X, Y + 1) > energy_distance(X, Y)
    True
    """
    X, Y, unit = _two_sets(X, Y, least=2)
    X, Y = _centered(X, Y)
    within = (_sum_of_distances(A, A) / (len(A) * (len(A) - 1)) for A in (X, Y))
    between = _sum_of_distances(X, Y) / (len(X) * len(Y))
    return float(2 * between - sum(within)) * unit


@validate_params(
    {
        "X": _DATA,
        "Y": _DATA,
        "classifier": "no_validation",
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def classifier_two_sample_test(
    X: Any,
    Y: Any,
    *,
    classifier: Any = None,
    n_folds: int = 5,
    random_state: Any = None,
) -> float:
    """Measure how well a classifier tells samples from data.

    The area under the ROC curve of predictions by cross-validation (Lopez-Paz & Oquab,
    2017): about 0.5 if the classifier sees no difference, 1 if it is never mistaken.
    Anything that only one of the two sets has, such as whole numbers, makes it 1.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Data.
    Y : array-like of shape (n_samples, n_features)
        Samples, best about as many.
    classifier : classifier or None, default=None
        With `predict_proba`; None means `HistGradientBoostingClassifier`.
    n_folds : int, default=5
        Number of folds of the cross-validation.
    random_state : int, RandomState instance or None, default=None
        Determines the folds, and the default classifier.

    Returns
    -------
    auc : float
        Area under the ROC curve.
    """
    X, Y, _ = _two_sets(X, Y, least=n_folds)
    rng = check_random_state(random_state)
    if classifier is None:
        seed = rng.randint(np.iinfo(np.int32).max)
        classifier = HistGradientBoostingClassifier(random_state=seed)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=rng)
    rows, labels = np.concatenate([X, Y]), np.repeat([0, 1], [len(X), len(Y)])
    probability = cross_val_predict(
        clone(classifier), rows, labels, cv=folds, method="predict_proba"
    )
    return float(roc_auc_score(labels, probability[:, 1]))


@validate_params(
    {
        "X": _DATA,
        "Y": _DATA,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def precision_recall(X: Any, Y: Any, *, n_neighbors: int = 5) -> PrecisionRecall:
    """Estimate which share of samples is like data, and which of the data is covered.

    A row lies among others if it is within the distance of one of them to its k-th
    neighbour of its own set (Kynkäänniemi et al., 2019). Samples that are all alike,
    and good, have a high precision and a low recall.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Data.
    Y : array-like of shape (n_samples, n_features)
        Samples, best as many as there are data.
    n_neighbors : int, default=5
        Number of neighbours, k.

    Returns
    -------
    result : PrecisionRecall
        Precision and recall, between 0 and 1.
    """
    X, Y, _ = _two_sets(X, Y, least=n_neighbors + 1)
    X, Y = _centered(X, Y)
    return PrecisionRecall(
        _share_among(Y, X, n_neighbors), _share_among(X, Y, n_neighbors)
    )


@validate_params(
    {
        "measure": [callable],
        "X": _DATA,
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "share": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def null_distribution(
    measure: Callable[[Any, Any], Any],
    X: Any,
    *,
    n_repeats: int = 10,
    share: float = 0.5,
    random_state: Any = None,
) -> np.ndarray:
    """Compute what a measure is for real rows against real rows.

    The rows are divided at random into two sets, again and again. A measure of samples
    means something only beside these values, taken with as many rows.

    Parameters
    ----------
    measure : callable
        ``measure(X, Y)``, a number or a tuple of numbers.
    X : array-like of shape (n_rows, n_features)
        Data.
    n_repeats : int, default=10
        How often they are divided.
    share : float, default=0.5
        Share of the rows in the first set.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    values : ndarray of shape (n_repeats,) or (n_repeats, n_numbers)
        The values.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen.metrics import null_distribution, precision_recall
    >>> X = load_iris().data
    >>> null_distribution(precision_recall, X, random_state=0).shape
    (10, 2)
    """
    X = check_array(X, dtype=[np.float64, np.float32], ensure_min_samples=2)
    rng = check_random_state(random_state)
    n_first = min(max(round(share * len(X)), 1), len(X) - 1)
    values = []
    for _ in range(n_repeats):
        order = rng.permutation(len(X))
        values.append(measure(X[order[:n_first]], X[order[n_first:]]))
    return np.array(values, dtype=float)


def _two_sets(X: Any, Y: Any, *, least: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Validate two sets of rows with the same features; return them, and their unit.

    Numbers whose squares would overflow, or vanish, are divided by a unit.
    """
    X, Y = (
        check_array(A, dtype=np.float64, ensure_min_samples=least, input_name=name)
        for A, name in ((X, "X"), (Y, "Y"))
    )
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"Got X with {X.shape[1]} features and Y with {Y.shape[1]}, but expected "
            "the same features in both."
        )
    largest = max(np.abs(A).max(initial=0) for A in (X, Y))
    unit = 1.0
    if largest and not _SMALLEST < largest < 1 / _SMALLEST:
        unit = 2.0 ** np.floor(np.log2(largest))
        X, Y = X / unit, Y / unit
    return X, Y, float(unit)


def _centered(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subtract a location: scikit-learn computes distances as x² + y² - 2xy."""
    location = np.median(np.concatenate([X, Y]), axis=0)
    return X - location, Y - location


def _sum_of_distances(X: np.ndarray, Y: np.ndarray) -> float:
    """Sum of the distances of all pairs, with no more memory than a part of them."""
    return float(sum(part.sum() for part in pairwise_distances_chunked(X, Y)))


def _share_among(X: np.ndarray, Y: np.ndarray, n_neighbors: int) -> float:
    """Share of the rows X that are as near to one of Y as its k-th neighbour in Y."""
    # The nearest one of a row in its own set is itself.
    search = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(Y)
    radius = search.kneighbors(Y)[0][:, -1]
    n_among = 0
    parts = pairwise_distances_chunked(X, Y)
    for part in parts:
        n_among += int((part <= radius).any(axis=1).sum())
    return n_among / len(X)
