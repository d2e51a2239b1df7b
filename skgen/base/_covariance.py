"""Directions and spreads of standardised rows, by their covariance."""

from typing import Any, NamedTuple

import numpy as np

from skgen.base._standardization import blocks
from skgen.training import RowSource

# Features up to which the covariance is computed; its directions take the cube of that.
_MOST_FEATURES = 1024
# The least variance of a direction, of a mean of 1 or less.
_LEAST_VARIANCE = 1e-5


class Offsets(NamedTuple):
    """What is subtracted from rows, linear in conditions.

    Attributes
    ----------
    conditions : ndarray of shape (n_samples, n_conditions)
        Conditions of the rows.
    slope : ndarray of shape (n_conditions, n_features)
        What one of each adds.
    """

    conditions: np.ndarray
    slope: np.ndarray


def regression(rows: RowSource, conditions: np.ndarray) -> Offsets:
    r"""Regress rows on conditions, shrunk as if one more row had each of them alone.

    .. math:: B = (E^T E + \Lambda)^{-1} E^T X,

    where :math:`\Lambda` has ones on its diagonal, and 0 for the last condition, which
    is 1 in all rows.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Standardised rows.
    conditions : ndarray of shape (n_samples, n_conditions)
        Conditions E.

    Returns
    -------
    offsets : Offsets
        The conditions, and B.
    """
    n_conditions = conditions.shape[1]
    square = np.diag([1.0] * (n_conditions - 1) + [0.0])
    product = np.zeros((n_conditions, rows.shape[1]))
    start = 0
    for x, weight in _blocks(rows):
        e = conditions[start : start + len(x)]
        start += len(x)
        square += e.T @ (e * weight[:, None])
        product += e.T @ (x * weight[:, None])
    return Offsets(conditions, np.linalg.solve(square, product))


def directions_of(
    rows: RowSource, *, correlated: bool, offsets: Offsets | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    r"""Estimate the directions in which rows vary independently, and their spreads.

    The covariance is shrunk towards a multiple of the identity by the amount that
    minimises the expected squared error (Ledoit & Wolf, 2004).

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Standardised rows.
    correlated : bool
        Whether the features may be correlated; otherwise the directions are theirs.
    offsets : Offsets or None
        What is subtracted from the rows before.

    Returns
    -------
    spread : ndarray of shape (n_features,)
        Standard deviations.
    basis : ndarray of shape (n_features, n_features) or None
        Directions, in columns; None for those of the features.
    """
    n_features = rows.shape[1]
    if not correlated or not 1 < n_features <= _MOST_FEATURES:
        if offsets is None:
            return np.ones(n_features), None
        return np.sqrt(np.maximum(_variances(rows, offsets), _LEAST_VARIANCE)), None
    variance, basis = np.linalg.eigh(shrunk_covariance(rows, offsets))
    # A direction has two signs. Entries may be equal but for rounding, as they are for
    # two features.
    largest = np.abs(basis).round(6).argmax(axis=0)
    basis = basis * np.sign(basis[largest, np.arange(n_features)])
    return np.sqrt(np.maximum(variance, _LEAST_VARIANCE)), basis


def _variances(rows: RowSource, offsets: Offsets) -> np.ndarray:
    """Mean squares of the features, (n_features,)."""
    squares, total = np.zeros(rows.shape[1]), 0.0
    for x, weight in _blocks(rows, offsets):
        squares, total = squares + weight @ np.square(x), total + weight.sum()
    return squares / total


def shrunk_covariance(rows: RowSource, offsets: Offsets | None = None) -> np.ndarray:
    """Estimate a covariance by Ledoit & Wolf's shrinkage, (n_features, n_features)."""
    n_features = rows.shape[1]
    second, mean = np.zeros((n_features, n_features)), np.zeros(n_features)
    fourth = total = squares = 0.0
    for x, weight in _blocks(rows, offsets):
        weighted = x * weight[:, None]
        mean += weighted.sum(axis=0)
        second += x.T @ weighted
        fourth += float(weight**2 @ np.square(x).sum(axis=1) ** 2)
        total, squares = total + weight.sum(), squares + (weight**2).sum()
    mean /= total
    covariance = second / total - np.outer(mean, mean)
    scale = np.trace(covariance) / n_features
    distance = np.square(covariance).sum() - n_features * scale**2
    # Variance of the entries: of means over so many rows.
    error = fourth / total**2 - squares / total**2 * np.square(covariance).sum()
    share = 1.0 if distance <= 0 else min(1.0, max(error, 0.0) / distance)
    return (1 - share) * covariance + share * scale * np.eye(n_features)


def _blocks(rows: RowSource, offsets: Offsets | None = None) -> Any:
    """Blocks of rows, float64, less their offsets, with their weights."""
    start = 0
    for block in blocks(rows):
        x = block.cpu().numpy().astype(np.float64)
        here, weight = slice(start, start + len(x)), np.ones(len(x))
        if rows.weight is not None:
            weight = rows.weight[here]
        if offsets is not None:
            x -= offsets.conditions[here] @ offsets.slope
        start += len(x)
        yield x, weight
