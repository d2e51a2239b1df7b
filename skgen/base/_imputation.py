"""Missing values replaced by means of draws."""

from collections.abc import Callable

import numpy as np


def filled_by_means(
    X: np.ndarray, n_draws: int, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Replace NaN by means of draws given the other values.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Data.
    n_draws : int
        Number of draws for each incomplete row.
    fill : callable
        Given incomplete rows and the indices in X from which they come, returns the
        same rows with a draw for each NaN.

    Returns
    -------
    X_new : ndarray of shape (n_samples, n_features)
        X itself if it is complete, otherwise a copy.
    """
    incomplete = np.flatnonzero(np.isnan(X).any(axis=1))
    if not len(incomplete):
        return X
    indices = incomplete.repeat(n_draws)
    drawn = fill(X[indices], indices)
    means = drawn.reshape(-1, n_draws, X.shape[1]).mean(axis=1)
    filled = X.copy()
    filled[incomplete] = np.where(np.isnan(X[incomplete]), means, X[incomplete])
    return filled
