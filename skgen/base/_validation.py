"""Validation of data; on a large array each check costs one fast pass."""

import math
import sys
import warnings
from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn import get_config
from sklearn.utils import check_array, get_tags
from sklearn.utils.validation import validate_data

from skgen.base._intake import float32_of_polars, taken_in
from skgen.base._streams import of_mapped_file
from skgen.training._block_rows import BlockRows
from skgen.training._rows import to_tensor

# Packages between the line of a user and a warning of this one.
_BETWEEN = {"skgen", "sklearn", "skorch", "joblib", "torch", "contextlib", "functools"}
# Dtypes in which data is computed with as it is.
_DTYPES = [np.dtype(np.float64), np.dtype(np.float32)]
# Numbers up to which numpy passes over them in less time than torch.
_FEW_NUMBERS = 2**12
# How far outside [0, 1] a number may be by rounding. `MinMaxScaler` computes
# x * scale + shift, and is off by eps times the ratio of offset to range of a column:
# this is for a ratio of some hundred, as years or temperatures in kelvin have. It is
# the eps of float32 for float64 too, in which rounded numbers may be stored, so that
# `fit` in float32 and a score in float64 say the same.
_ROUNDING = 128 * float(np.finfo(np.float32).eps)


def validated(estimator: Any, X: Any, **params: Any) -> Any:
    """Validate data as `sklearn.utils.validation.validate_data` does, faster.

    Data of other kinds comes in by `skgen.base._intake`. Whether all numbers are finite
    is seen from their sum, computed on all threads; only if it is not finite is
    scikit-learn asked, which raises its error.

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
    X = taken_in(X, streams=True)
    is_new = "dtype" in params and params.get("reset", True)
    if is_new and _is_ready(X, params) and _is_finite(X):
        # What `validate_data` would remember of an array, without its other checks,
        # which take as long as some epochs of a small model.
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
        return X
    if isinstance(X, np.memmap) and X.ndim == 2 and X.dtype not in _allowed(params):
        X = of_mapped_file(X)
    if isinstance(X, BlockRows):
        return _validated_stream(estimator, X, **params)
    checked = _checked(estimator, X, **{**params, "ensure_all_finite": False})
    if get_config()["assume_finite"]:
        return checked
    numbers = checked.data if sp.issparse(checked) else checked
    if _is_finite(numbers):
        return checked
    # NaN marks what is missing; a zero that is not stored is known.
    if get_tags(estimator).input_tags.allow_nan and not sp.issparse(checked):
        params["ensure_all_finite"] = "allow-nan"
    return _checked(estimator, X, **params)


def has_gaps(X: Any) -> bool:
    """Whether NaN marks missing entries of valid data; not in a sparse matrix.

    Parameters
    ----------
    X : {ndarray, CSR matrix} or RowSource of shape (n_samples, n_features)
        The data, or rows of it: then the whole table from which they come is looked at.

    Returns
    -------
    has_gaps : bool
        Whether there are.
    """
    while hasattr(X, "source"):
        X = X.source
    X = getattr(X, "X", X)
    return isinstance(X, np.ndarray) and not _is_finite(X) and bool(np.isnan(X).any())


def validated_rows(estimator: Any, X: Any) -> Any:
    """Validate data of a fitted estimator, whose dtype stays.

    An array in which there is nothing to convert and nothing to complain about is seen
    at a glance: what `validate_data` asks of any kind of data takes longer than a small
    model needs for a row.

    Parameters
    ----------
    estimator : object
        The estimator.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data.

    Returns
    -------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Valid data, float64 or float32.
    """
    if _is_as_fitted(estimator, X) and _is_finite(X):
        return X
    return validated(estimator, X, dtype=_DTYPES, reset=False)


def _checked(estimator: Any, X: Any, *, reset: bool = True, **params: Any) -> Any:
    """Call `validate_data`, but leave a DataFrame of float32 in polars float32."""
    numbers = float32_of_polars(X)
    if numbers is None:
        return validate_data(estimator, X, reset=reset, **params)
    validate_data(estimator, X, reset=reset, skip_check_array=True)  # names of columns
    return check_array(numbers, estimator=estimator, input_name="X", **params)


def _validated_stream(
    estimator: Any, X: BlockRows, *, reset: bool = True, **params: Any
) -> BlockRows:
    """Validate a table that is read by blocks, each of which is checked as it is read.

    Its numbers are converted to the dtype, or to the first of several.
    """
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    allowed = _allowed(params)
    return X.converted(X.numpy_dtype if X.numpy_dtype in allowed else allowed[0])


def _allowed(params: dict[str, Any]) -> list[np.dtype]:
    """The dtypes that data may have after validation with these parameters."""
    dtype = params["dtype"]
    return [np.dtype(t) for t in (dtype if isinstance(dtype, list) else [dtype])]


def _is_ready(X: Any, params: dict[str, Any]) -> bool:
    """Whether X is a table of numbers in the dtype and order that are asked for."""
    return (
        type(X) is np.ndarray
        and X.dtype in _allowed(params)
        and X.ndim == 2
        and X.size > 0
        and (X.flags.c_contiguous or params.get("order") != "C")
    )


def _is_as_fitted(estimator: Any, X: Any) -> bool:
    """Whether X is an array of the right type and width, and names play no part."""
    return (
        _is_ready(X, {"dtype": _DTYPES})
        and X.shape[1] == getattr(estimator, "n_features_in_", X.shape[1])
        and not hasattr(estimator, "feature_names_in_")
    )


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and point at the line of the user.

    That is the innermost one outside of this package and of those that call it, such as
    a search of scikit-learn or the training loop of skorch.

    Parameters
    ----------
    message : str
        What was got, what was expected and what to try.
    category : type of Warning
        Its category.
    """
    level, frame = 1, sys._getframe()
    while _is_between(frame.f_globals) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_outside_unit_interval(X: Any) -> None:
    """Warn of data that is neither bits nor probabilities, but for rounding.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Valid data, in which NaN may mark what is missing.
    """
    if sp.issparse(X):
        # Zeros are not stored.
        low, high = _bounds(X.data) if X.nnz else (0.0, 0.0)
        low, high = min(low, 0.0), max(high, 0.0)
    else:
        low, high = _bounds(X)
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        warn(
            f"Got X with values in [{low:g}, {high:g}], but "
            "binary units expect [0, 1]. Scale X by "
            "sklearn.preprocessing.MinMaxScaler or threshold it by Binarizer."
        )


def bits_or_probabilities(X: Any, binarize: str) -> Any:
    """Return what binary units take data for; warn if it can be neither.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Valid data, in which NaN may mark what is missing.
    binarize : {"none", "threshold", "sample"}
        The parameter of the estimator. A threshold takes any values.

    Returns
    -------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        The data, thresholded at 0.5 if asked for.
    """
    if isinstance(X, BlockRows):
        return X.changed(partial(bits_or_probabilities, binarize=binarize))
    if binarize != "threshold":
        warn_outside_unit_interval(X)
    return binarized(X, binarize)


def binarized(X: Any, how: str) -> Any:
    """Threshold X at 0.5 if `how` is "threshold"; otherwise leave it as it is."""
    if how != "threshold":
        return X
    bits = (X > 0.5).astype(X.dtype)
    if has_gaps(X):
        bits[np.isnan(X)] = np.nan
    return bits


def _is_finite(X: np.ndarray) -> bool:
    """Whether the sum is finite: then all numbers are."""
    if X.size > _FEW_NUMBERS:
        return math.isfinite(_tensor(X).sum().item())
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(X.sum())


def _bounds(X: np.ndarray) -> tuple[float, float]:
    """Compute the least and the largest number, apart from NaN."""
    if X.size > _FEW_NUMBERS:
        bounds = [bound.item() for bound in torch.aminmax(_tensor(X))]
    else:
        bounds = [float(X.min()), float(X.max())]
    if math.isnan(bounds[0]):
        bounds = [float(f.reduce(X, axis=None)) for f in (np.fmin, np.fmax)]
    return bounds[0], bounds[1]


def _tensor(X: np.ndarray) -> torch.Tensor:
    """Make a tensor of the same numbers in any order, without a copy if possible."""
    return to_tensor(X.T if X.flags.f_contiguous else X, torch.device("cpu"))


def _is_between(variables: dict[str, Any]) -> bool:
    """Whether the global variables of a frame are those of a package in between."""
    return str(variables.get("__name__")).partition(".")[0] in _BETWEEN


def check_unchanged(
    new: Any, fitted: Any, *, what: str = "", but: Collection[str] = ()
) -> None:
    """Raise an error where a fit cannot go on, as what was fitted is another.

    Parameters
    ----------
    new, fitted : object
        What the parameters ask for, and what was fitted, with the same attributes.
    what : str
        What the error says before the value that was fitted.
    but : collection of str
        Attributes that may differ.
    """
    for name, value in vars(new).items():
        before = getattr(fitted, name)
        if name not in but and value != before:
            raise ValueError(
                f"Got {name}={value!r}, but the fit goes on with {what}{name}="
                f"{before!r}. Set it back, or fit with warm_start=False."
            )
