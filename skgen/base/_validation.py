"""Validation of data; on a large array each check costs one fast pass."""

import math
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn import get_config
from sklearn.utils.validation import validate_data

from skgen.training._rows import to_tensor


def validated(estimator: Any, X: Any, **params: Any) -> Any:
    """Validate data as `sklearn.utils.validation.validate_data` does, faster.

    Whether all numbers are finite is seen from their sum, computed on all threads;
    only if it is not finite is scikit-learn asked, which raises its error.

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
    """Threshold X at 0.5 if `how` is "threshold"; otherwise leave it as it is."""
    return (X > 0.5).astype(X.dtype) if how == "threshold" else X


def _tensor(X: np.ndarray) -> torch.Tensor:
    return to_tensor(X, torch.device("cpu"))
