"""What an imputer gets and gives: validated tables, limits of values, arrays."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils._mask import _get_mask
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils.validation import validate_data

from skgen.base._intake import taken_into_memory
from skgen.base._training_data import as_repetitions
from skgen.impute._columns import Column
from skgen.impute._frames import is_frame, read_frame


def validated_table(imputer: Any, X: Any, *, reset: bool) -> Any:
    """Validate data, a DataFrame or what becomes an array of numbers.

    Parameters
    ----------
    imputer : estimator
        The imputer, with `missing_values`.
    X : {array-like, DataFrame} of shape (n_samples, n_features)
        Data.
    reset : bool
        Whether the names and the number of features are set, and not compared.

    Returns
    -------
    X : {ndarray, DataFrame} of shape (n_samples, n_features)
        A copy of floating point, or the DataFrame itself.
    """
    X = taken_into_memory(X)
    if is_frame(X):
        validate_data(imputer, X, reset=reset, skip_check_array=True)
        if not len(X):
            raise ValueError(
                f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 "
                f"is required by {type(imputer).__name__}."
            )
        return X
    marks = imputer.missing_values
    if isinstance(marks, str):
        raise ValueError(
            f"Got missing_values={marks!r} and an array, but expected a number, "
            "np.nan, None or pandas.NA. Pass a DataFrame."
        )
    return validate_data(
        imputer,
        X,
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan" if nan_is_missing(marks) else True,
        copy=True,
        reset=reset,
    )


def read_table(X: Any, missing_values: Any) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the columns of valid data, and where values are missing.

    Parameters
    ----------
    X : {ndarray, DataFrame} of shape (n_samples, n_features)
        Data; an array is changed in place.
    missing_values : object
        What marks missing values.

    Returns
    -------
    table : list of ndarray of shape (n_samples,)
        The columns: numbers with NaN, or objects with None, for what is missing.
    missing : ndarray of shape (n_samples, n_features), dtype=bool
        Where values are missing.
    """
    if is_frame(X):
        return read_frame(X, missing_values)
    marks = np.nan if nan_is_missing(missing_values) else missing_values
    missing = _get_mask(X, marks)
    X[missing] = np.nan
    return list(X.T), missing


def check_kinds(columns: list[Column], X: Any, table: list[np.ndarray]) -> None:
    """Raise a TypeError where columns of X are of other kinds than in `fit`."""
    for i, (column, values) in enumerate(zip(columns, table, strict=True)):
        if column.categories is None and values.dtype == object:
            raise TypeError(
                f"Got column {X.columns[i]!r} with values that are no numbers, but "
                "expected numbers, as in fit."
            )
        if column.categories is not None and not is_frame(X):
            raise TypeError(
                f"Got an array, but column {i} had categories in fit. Pass a DataFrame."
            )
        if column.categories is not None and _are_only_numbers(X, i, values):
            raise TypeError(
                f"Got column {X.columns[i]!r} of dtype {X.dtypes.iloc[i]}, but "
                "expected categories, as in fit. Convert it to the dtype that it had "
                "there."
            )


def _are_only_numbers(X: Any, i: int, values: np.ndarray) -> bool:
    """Whether column i of a DataFrame cannot hold categories, and has known numbers."""
    is_object = X.dtypes.iloc[i].kind == "O" or values.dtype.kind == "O"
    return not (is_object or np.isnan(values).all())


def value_limits(imputer: Any) -> np.ndarray:
    """Return the least and the largest values that an imputer may fill in.

    Parameters
    ----------
    imputer : estimator
        The imputer, with `min_value`, `max_value`, `data_min_` and `data_max_`, and a
        description of its columns.

    Returns
    -------
    limits : ndarray of shape (2, n_features)
        The limits, infinite where there are none.
    """
    limits = []
    for name, none, observed in (
        ("min_value", -np.inf, imputer.data_min_),
        ("max_value", np.inf, imputer.data_max_),
    ):
        value = getattr(imputer, name)
        if value is None:
            value = none
        elif isinstance(value, str):  # "observed"
            value = np.where(np.isnan(observed), none, observed)
        value = np.asarray(value, dtype=np.float64)
        if value.ndim and value.shape != observed.shape:
            raise ValueError(
                f"Got {name} of shape {value.shape}, but expected a number or "
                f"{len(observed)} numbers, one for each feature."
            )
        limits.append(np.broadcast_to(value, observed.shape))
    low, high = np.stack(limits)
    above = ~(low <= high)
    if above.any():
        raise ValueError(
            "Got min_value above max_value, or NaN, in features "
            f"{np.flatnonzero(above).tolist()}."
        )
    whole = np.array([column.whole for column in imputer._columns], dtype=bool)
    low, high = (
        np.where(whole, np.ceil(low), low),
        np.where(whole, np.floor(high), high),
    )
    if (low > high).any():
        raise ValueError(
            "Got min_value and max_value without an integer between them in features "
            f"{np.flatnonzero(low > high).tolist()}, which are integers."
        )
    return np.stack([low, high])


def with_repetitions(
    X: Any, weight: np.ndarray | None
) -> tuple[Any, np.ndarray | None]:
    """Repeat rows as often as their weights say, if these are small integers."""
    repetitions = as_repetitions(weight)
    if repetitions is None:
        return X, weight
    return _safe_indexing(X, np.arange(len(repetitions)).repeat(repetitions)), None


def as_array(
    table: list[np.ndarray],
    missing: np.ndarray,
    filled: list[np.ndarray],
    kept: np.ndarray,
    dtype: Any,
) -> np.ndarray:
    """Return the completed columns as one array, of objects if one of them is."""
    if any(filled[i].dtype == object for i in kept):
        dtype = object
    out = np.empty((len(missing), len(kept)), dtype=dtype)
    for place, i in enumerate(kept):
        out[:, place] = np.where(missing[:, i], filled[i], table[i])
    return out


def nan_is_missing(missing_values: Any) -> bool:
    """Whether NaN marks missing values in an array."""
    return (
        missing_values is None
        or is_scalar_nan(missing_values)
        or is_pandas_na(missing_values)
    )
