"""A table with holes: factor analysis by EM, a completed table, means of columns."""

from typing import Any

import numpy as np

from skgen.base._standardization import check_columns_known, spread_rows
from skgen.base._validation import has_gaps
from skgen.training import RowSource

# Steps of EM, at most, and the relative change of a noise variance that ends them.
_N_STEPS, _CHANGE = 100, 1e-3
# The least noise variance, as a share of that of a feature, and the weight of the prior
# of the loadings: that of so many rows.
_LEAST_NOISE, _PRIOR = 1e-3, 1.0
# Products of a step of EM, at most, and rows that it takes in any case.
_MOST_PRODUCTS, _LEAST_ROWS = 2**28, 500


def factor_analysis(
    x: np.ndarray, n_factors: int, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Fit a linear model to what is observed of a table.

    .. math:: x \sim \mathcal{N}(W z, \operatorname{diag} \psi), \quad
              z \sim \mathcal{N}(0, I)

    by the EM algorithm (Rubin & Thayer, "EM algorithms for ML factor analysis",
    Psychometrika 47, 1982; of incomplete data: Little & Rubin, "Statistical analysis
    with missing data", 2019, chapter 11), with a weak Gaussian prior of W.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Centered data, float64, in which NaN marks what is missing.
    n_factors : int
        The largest number of factors; there are fewer than features.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.

    Returns
    -------
    loadings : ndarray of shape (n_features, n_factors)
        W.
    noise_variance : ndarray of shape (n_features,)
        :math:`\psi`, at least 1e-3 of the variance of the feature.
    """
    n_factors = min(n_factors, max(1, x.shape[1] - 1))
    observed = ~np.isnan(x)
    counts = observed.astype(np.float64)
    if weight is not None:
        counts *= weight[:, None]
    x = np.where(observed, x, 0.0)
    # A column of which these rows know nothing has the variance 1, all of it noise.
    total = np.maximum(counts.sum(axis=0), 1e-30)
    squares = (counts * x**2).sum(axis=0)
    variance = np.where(observed.any(axis=0) & (squares > 0), squares / total, 1.0)
    values, vectors = np.linalg.eigh((counts * x).T @ x / len(x))
    largest = np.argsort(values)[::-1][:n_factors]
    loadings = vectors[:, largest] * np.sqrt(np.maximum(values[largest], 1e-6))
    noise = np.maximum(variance - (loadings**2).sum(axis=1), 0.1 * variance)
    for _ in range(_N_STEPS):
        before = noise
        mean, covariance = _posterior(x, observed, loadings, noise)
        second = covariance + mean[:, :, None] * mean[:, None, :]
        normal = counts.T @ second.reshape(len(x), -1)
        normal = normal.reshape(-1, n_factors, n_factors) + _PRIOR * np.eye(n_factors)
        cross = (counts * x).T @ mean
        loadings = np.linalg.solve(normal, cross[:, :, None])[:, :, 0]
        rest = (squares - (loadings * cross).sum(axis=1)) / total
        noise = np.maximum(rest, _LEAST_NOISE * variance)
        if np.abs(noise / before - 1).max() < _CHANGE:
            break
    return loadings, noise


def completed(x: np.ndarray, loadings: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Replace what is missing by draws given what is observed of each row.

    The covariance of the completed table is then that of the model where nothing is
    observed. The draws are the same ones for the same table.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Centered data, float64, in which NaN marks what is missing.
    loadings, noise : ndarray
        What `factor_analysis` returns.

    Returns
    -------
    x : ndarray of shape (n_samples, n_features)
        The completed table; observed entries are as they were.
    """
    missing = np.isnan(x)
    mean, covariance = _posterior(np.where(missing, 0.0, x), ~missing, loadings, noise)
    rng = np.random.RandomState(0)
    z = rng.standard_normal(mean.shape)
    z = mean + np.einsum("ijk,ik->ij", np.linalg.cholesky(covariance), z)
    draws = z @ loadings.T + np.sqrt(noise) * rng.standard_normal(x.shape)
    return np.where(missing, draws, x)


def _posterior(
    x: np.ndarray, observed: np.ndarray, loadings: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of the factors given what is observed of each row."""
    n_factors = loadings.shape[1]
    by_noise = loadings / noise[:, None]
    products = (by_noise[:, :, None] * loadings[:, None, :]).reshape(len(noise), -1)
    precision = (observed @ products).reshape(-1, n_factors, n_factors)
    covariance = np.linalg.inv(np.eye(n_factors) + precision)
    pull = x @ by_noise  # x is 0 where it is missing
    return np.einsum("ijk,ik->ij", covariance, pull), covariance


def factors_of_incomplete(
    rows: RowSource, n_factors: int, location: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray] | None:
    """Fit a linear model to a table, if some of it is missing.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Data, in which NaN may mark what is missing.
    n_factors : int
        The largest number of factors.
    location : ndarray of shape (n_features,) or float
        Means of the features.

    Returns
    -------
    factors : tuple of (ndarray, ndarray) or None
        What `factor_analysis` returns; None where nothing is missing.
    """
    if not has_gaps(rows):
        return None
    n_most = _MOST_PRODUCTS // (rows.shape[1] * n_factors**2)
    x, weight = spread_rows(rows, max(_LEAST_ROWS, n_most))
    return factor_analysis(x - location, n_factors, weight)


def fill_of(
    location: np.ndarray, factors: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Return arrays of a `LinearFill`: of means alone, if there is no linear model."""
    if factors is None:
        return {"location": location}
    return {"location": location, "loadings": factors[0], "variances": factors[1]}


def column_means(rows: RowSource, names: Any) -> np.ndarray:
    """Compute the weighted mean of what is known of each column.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Data, in which NaN may mark what is missing.
    names : sequence of str or None
        Names of the columns.

    Returns
    -------
    mean : ndarray of shape (n_features,)
        The means, float64.

    Raises
    ------
    ValueError
        If no value of a column is known.
    """
    total = rows.column_sums()
    if not np.isnan(total).any():
        return total / rows.shape[0]
    total, counts = np.zeros((2, rows.shape[1]))
    for block, weight in rows.weighted_blocks(1024):
        x = block.cpu().numpy().astype(np.float64)
        by = np.ones(len(x)) if weight is None else weight
        total += by @ np.nan_to_num(x)
        counts += by @ ~np.isnan(x)
    check_columns_known(counts > 0, names)
    return total / counts
