"""Tables of pandas: columns as arrays, and filled columns in their dtypes."""

import sys
from typing import Any

import numpy as np

from skgen.impute._columns import Column, categorical_column, numeric_column


def is_frame(X: Any) -> bool:
    """Whether X is a DataFrame of pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(X, pandas.DataFrame)


def read_frame(X: Any, missing_values: Any) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the columns of a DataFrame as arrays, and where values are missing.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        Data.
    missing_values : object
        What marks missing values, beside those that pandas has for that.

    Returns
    -------
    table : list of ndarray of shape (n_samples,)
        Numbers with NaN for what is missing, float64, or objects with None.
    missing : ndarray of shape (n_samples, n_features), dtype=bool
        Where values are missing.
    """
    import pandas as pd

    table, missing = [], np.empty(X.shape, dtype=bool)
    for i in range(X.shape[1]):
        column = X.iloc[:, i]
        gaps = column.isna().to_numpy(bool)
        if not pd.isna(missing_values):
            gaps = gaps | _is_marked(column, missing_values)
        if _is_number(column[~gaps]):
            values = column.where(~gaps).to_numpy(float, na_value=np.nan)
            if np.isinf(values).any():
                raise ValueError(
                    f"Got infinity in column {X.columns[i]!r}, but expected finite "
                    "values, or those that mark what is missing."
                )
        else:
            _check_categories(column, X.columns[i])
            values = column.astype(object).to_numpy(copy=True)
            values[gaps] = None
        table.append(values)
        missing[:, i] = gaps
    return table, missing


def _is_marked(column: Any, mark: Any) -> np.ndarray:
    """Where a column has the mark of missing values; False is no 0, and True no 1."""
    import pandas as pd

    equal = (column == mark).fillna(False).to_numpy(bool)
    types = bool, np.bool_
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) or _is_object(dtype):
        is_truth = np.array([isinstance(value, types) for value in column], dtype=bool)
    else:
        is_truth = np.full(len(column), pd.api.types.is_bool_dtype(dtype))
    return equal & (is_truth == isinstance(mark, types))


def describe_frame(X: Any, table: list[np.ndarray]) -> list[Column]:
    """Describe the columns of a DataFrame, read by `read_frame`."""
    import pandas as pd

    columns = []
    for i, values in enumerate(table):
        dtype = X.dtypes.iloc[i]
        # A column of objects that are all missing is as good as one of text.
        if values.dtype != object and (
            not _is_object(dtype) or not np.isnan(values).all()
        ):
            whole = pd.api.types.is_integer_dtype(dtype)
            columns.append(numeric_column(values, whole=whole))
        else:
            columns.append(
                categorical_column(values, getattr(dtype, "categories", None))
            )
    return columns


def filled_frame(
    X: Any, missing: np.ndarray, filled: list[np.ndarray], kept: np.ndarray
) -> Any:
    """Return a DataFrame with missing values replaced, in its own dtypes.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        Data.
    missing : ndarray of shape (n_samples, n_features)
        Where values are missing.
    filled : list of ndarray of shape (n_samples,)
        Values of all columns.
    kept : ndarray of int
        The columns that are returned.

    Returns
    -------
    frame : DataFrame of shape (n_samples, n_kept)
        The completed table.
    """
    import pandas as pd

    parts = []
    for i in kept:
        column, gaps = X.iloc[:, i].copy(), missing[:, i]
        if isinstance(column.dtype, pd.SparseDtype):  # of which no value can be set
            column = column.sparse.to_dense()
        if gaps.any():
            column[gaps] = _like(filled[i][gaps], column.dtype)
        parts.append(column)
    if not parts:
        return X.iloc[:, :0].copy()
    return pd.concat(parts, axis=1)


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _like(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Round numbers to the dtype of a column of NumPy's, which pandas does not do."""
    if values.dtype != object and isinstance(dtype, np.dtype) and dtype.kind == "f":
        return values.astype(dtype)
    return values


def _is_number(column: Any) -> bool:
    """Whether a column has numbers, and not categories."""
    import pandas as pd

    types = pd.api.types
    if types.is_bool_dtype(column.dtype):
        return False
    if column.dtype == object:
        kind = types.infer_dtype(column, skipna=True)
        return kind in ("floating", "integer", "mixed-integer-float", "empty")
    return types.is_numeric_dtype(column.dtype)


def _check_categories(column: Any, name: Any) -> None:
    """Raise a TypeError for columns that are neither numbers nor categories."""
    import pandas as pd

    types, dtype = pd.api.types, column.dtype
    if not (
        isinstance(dtype, pd.CategoricalDtype)
        or types.is_object_dtype(dtype)
        or types.is_string_dtype(dtype)
        or types.is_bool_dtype(dtype)
    ):
        raise TypeError(
            f"Got column {name!r} of dtype {dtype}, but expected numbers, categories, "
            "strings or booleans. Convert it, or drop it."
        )
