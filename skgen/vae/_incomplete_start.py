"""A table with holes, completed for the linear start: factor analysis by EM."""

from typing import Any

import numpy as np

from skgen.training import RowSource
from skgen.vae._standardization import check_columns_known

# Steps of EM.
_N_STEPS = 100
# The least noise variance, as a share of that of a feature, and the weight of the prior
# of the loadings: that of so many rows.
_LEAST_NOISE, _PRIOR = 1e-3, 1.0


def completed(
    x: np.ndarray, n_factors: int, weight: np.ndarray | None = None
) -> np.ndarray:
    r"""Replace what is missing by draws from a linear model of the table.

    .. math:: x \sim \mathcal{N}(W z, \operatorname{diag} \psi), \quad
              z \sim \mathcal{N}(0, I)

    is fitted to what is observed by the EM algorithm (Rubin & Thayer, "EM algorithms
    for ML factor analysis", Psychometrika 47, 1982; of incomplete data: Little & Rubin,
    "Statistical analysis with missing data", 2019, chapter 11), with a weak Gaussian
    prior of W. The draws are from the law of the missing entries given the observed
    ones, so that the covariance of the completed table is that of the model. They are
    the same ones for the same table.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Standardised data, float64, in which NaN marks what is missing.
    n_factors : int
        The largest number of factors; there are fewer than features.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.

    Returns
    -------
    x : ndarray of shape (n_samples, n_features)
        The completed table; observed entries are as they were.
    """
    missing = np.isnan(x)
    if not missing.any():
        return x
    n_factors = min(n_factors, x.shape[1] - 1)
    filled = np.where(missing, 0.0, x)
    loadings, noise = _factor_analysis(filled, ~missing, n_factors, weight)
    mean, covariance = _posterior(filled, ~missing, loadings, noise)
    rng = np.random.RandomState(0)
    z = rng.standard_normal(mean.shape)
    z = mean + np.einsum("ijk,ik->ij", np.linalg.cholesky(covariance), z)
    draws = z @ loadings.T + np.sqrt(noise) * rng.standard_normal(x.shape)
    return np.where(missing, draws, x)


def _factor_analysis(
    x: np.ndarray, observed: np.ndarray, n_factors: int, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Loadings, (n_features, n_factors), and noise variances, by EM."""
    counts = observed.astype(np.float64)
    if weight is not None:
        counts *= weight[:, None]
    total = counts.sum(axis=0)
    squares = (counts * x**2).sum(axis=0)
    values, vectors = np.linalg.eigh((counts * x).T @ x / len(x))
    order = np.argsort(values)[::-1][:n_factors]
    loadings = vectors[:, order] * np.sqrt(np.maximum(values[order], 1e-6))
    least = _LEAST_NOISE * squares / total
    noise = np.maximum(squares / total - (loadings**2).sum(axis=1), 0.1)
    for _ in range(_N_STEPS):
        mean, covariance = _posterior(x, observed, loadings, noise)
        second = covariance + mean[:, :, None] * mean[:, None, :]
        flat = counts.T @ second.reshape(len(x), -1)
        normal = flat.reshape(-1, n_factors, n_factors) + _PRIOR * np.eye(n_factors)
        cross = (counts * x).T @ mean
        loadings = np.linalg.solve(normal, cross[:, :, None])[:, :, 0]
        noise = np.maximum((squares - (loadings * cross).sum(axis=1)) / total, least)
    return loadings, noise


def _posterior(
    x: np.ndarray, observed: np.ndarray, loadings: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of the factors given what is observed of each row."""
    n_factors = loadings.shape[1]
    by_noise = loadings / noise[:, None]
    products = (by_noise[:, :, None] * loadings[:, None, :]).reshape(len(noise), -1)
    precision = (observed @ products).reshape(-1, n_factors, n_factors)
    covariance = np.linalg.inv(np.eye(n_factors) + precision)
    pull = np.where(observed, x, 0.0) @ by_noise
    return np.einsum("ijk,ik->ij", covariance, pull), covariance


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
