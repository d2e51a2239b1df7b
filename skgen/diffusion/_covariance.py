"""Directions and spreads of standardised rows, by their covariance."""

from typing import Any

import numpy as np

from skgen.base._standardization import blocks
from skgen.training import RowSource

# Features up to which the covariance is computed; its directions take the cube of that.
_MOST_FEATURES = 1024
# The least variance of a direction, of a mean of 1 or less.
_LEAST_VARIANCE = 1e-5


def directions_of(
    rows: RowSource, *, correlated: bool
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

    Returns
    -------
    spread : ndarray of shape (n_features,)
        Standard deviations.
    basis : ndarray of shape (n_features, n_features) or None
        Directions, in columns; None for those of the features.
    """
    n_features = rows.shape[1]
    if not correlated or not 1 < n_features <= _MOST_FEATURES:
        return np.ones(n_features), None
    variance, basis = np.linalg.eigh(shrunk_covariance(rows))
    # A direction has two signs.
    largest = np.abs(basis).argmax(axis=0)
    basis = basis * np.sign(basis[largest, np.arange(n_features)])
    return np.sqrt(np.maximum(variance, _LEAST_VARIANCE)), basis


def shrunk_covariance(rows: RowSource) -> np.ndarray:
    """Estimate a covariance by Ledoit & Wolf's shrinkage, (n_features, n_features)."""
    n_features = rows.shape[1]
    second, mean = np.zeros((n_features, n_features)), np.zeros(n_features)
    fourth = total = squares = 0.0
    for x, weight in _blocks(rows):
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


def _blocks(rows: RowSource) -> Any:
    """Blocks of rows, float64, with their weights."""
    start = 0
    for block in blocks(rows):
        x = block.cpu().numpy().astype(np.float64)
        weight = np.ones(len(x))
        if rows.weight is not None:
            weight = rows.weight[start : start + len(x)]
        start += len(x)
        yield x, weight
