"""Looks at data before it is used; on a large array each costs one fast pass."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn import get_config
from sklearn.utils.validation import validate_data

from skgen.training import to_tensor

# Rows whose sum is taken in the precision of the data, before sums of these are
# taken in double: exact for bits.
_ROWS_A_SUM = 256


def validated(estimator: Any, X: Any, **params: Any) -> Any:
    """Validate data as `sklearn.utils.validation.validate_data` does, faster.

    Whether all numbers are finite is asked of their sum, on all threads; only if it
    is not is scikit-learn asked, which raises its error.

    Parameters
    ----------
    estimator : object
        The estimator.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data.
    **params : dict
        Those of `validate_data`.

    Returns
    -------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Valid data.
    """
    params["accept_sparse"] = "csr"
    checked = validate_data(estimator, X, ensure_all_finite=False, **params)
    if get_config()["assume_finite"]:
        return checked
    numbers = checked.data if sp.issparse(checked) else checked
    if math.isfinite(_tensor(numbers).sum().item()):
        return checked
    return validate_data(estimator, X, **params)


class Rows:
    """Some rows of a valid array, of which a slice at a time is copied.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        The array.
    indices : sequence of int
        Which rows.
    """

    def __init__(self, X: Any, indices: Sequence[int]):
        self.X = X
        self.indices = np.asarray(indices)
        self.shape = len(self.indices), X.shape[1]
        self.dtype = X.dtype

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: slice) -> Any:
        return self.X[self.indices[rows]]


def column_means(X: Any) -> np.ndarray:
    """Compute the mean of each column of a valid array, shape (n_features,)."""
    n = X.shape[0]
    if sp.issparse(X):
        return np.asarray(X.sum(axis=0, dtype=np.float64)).ravel() / n
    total = np.zeros(X.shape[1])
    ones = np.ones(_ROWS_A_SUM, X.dtype)
    for start in range(0, n, _ROWS_A_SUM):
        rows = X[start : start + _ROWS_A_SUM]
        total += ones[: rows.shape[0]] @ rows
    return total / n


def warn_outside_unit_interval(X: Any) -> None:
    """Warn of data that is neither bits nor probabilities."""
    if sp.issparse(X):
        low, high = X.min(), X.max()
    else:
        low, high = (bound.item() for bound in torch.aminmax(_tensor(X)))
    if low < 0 or high > 1:
        warnings.warn(
            f"Got X with values in [{low:g}, {high:g}], but "
            "binary units expect [0, 1]. Scale X by "
            "sklearn.preprocessing.MinMaxScaler or threshold it by Binarizer.",
            UserWarning,
            stacklevel=6,
        )


def binarized(X: Any, how: str) -> Any:
    """Threshold values between 0 and 1, if that is how they are made bits."""
    return (X > 0.5).astype(X.dtype) if how == "threshold" else X


def _tensor(X: np.ndarray) -> torch.Tensor:
    return to_tensor(X, torch.device("cpu"))
