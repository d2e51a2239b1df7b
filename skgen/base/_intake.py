"""Data of any kind, as what scikit-learn validates: the one place that knows kinds.

Arrays of numpy, lists, sparse matrices of scipy and DataFrames pass as they are. A
tensor becomes an array, and what would be misread raises an error that says what to
call.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skgen.base._streams import as_stream
from skgen.training._block_rows import BlockRows

# Libraries whose objects stand for numbers that are elsewhere, one class of theirs or
# all (None), and what reads the numbers.
_LAZY = (
    ("polars", "LazyFrame", ".collect()"),
    ("dask", None, ".compute()"),
    ("dask_expr", None, ".compute()"),
    ("zarr", None, "[:]"),
)
# Floating-point dtypes that numpy has. Others become float32, which has their numbers.
_FLOATS = {torch.float64, torch.float32, torch.float16}
# What the array API calls the CPU (DLPack's kDLCPU).
_DLPACK_CPU = 1


def taken_in(X: Any, *, name: str = "X", streams: bool = False) -> Any:
    """Return data as scikit-learn's validation can read it, without a copy if possible.

    Parameters
    ----------
    X : object
        Data, conditions, weights or features. None stays None.
    name : str
        What an error calls it.
    streams : bool
        Whether a table that is not in memory may be read by blocks (`as_stream`).

    Returns
    -------
    X : object
        An array with the memory of the tensor, if it is one on the CPU of a dtype that
        numpy has. Tensors of other floating-point dtypes become float32, and those of
        other devices are copied from there; a gradient is left behind. Arrays of other
        libraries of the array API become arrays of numpy. Everything else is returned
        as it is.

    Raises
    ------
    TypeError
        If X is a Dataset or DataLoader or an array of dask or zarr, which are read only
        with `streams`; a LazyFrame, a masked array, or a tensor that is sparse, nested,
        quantized or on the device "meta".
    ValueError
        If X has more than two dimensions.
    """
    if type(X) is not np.ndarray:
        if streams:
            X = as_stream(X)
        _refuse(X, name)
        if isinstance(X, list | tuple) and X and isinstance(X[0], Tensor):
            X = torch.stack(tuple(X))
        elif _is_foreign_array(X):
            X = _from_array_api(X)
        if isinstance(X, Tensor):
            X = _array_of(X, name)
    n_dimensions = _number_of_dimensions(X)
    if n_dimensions > 2:
        shape = f"shape {tuple(X.shape)}" if hasattr(X, "shape") else "lists in lists"
        raise ValueError(
            f"Got {name} of {shape}, which has {n_dimensions} dimensions, but expected "
            "a table with one row for each sample. Call reshape(n_samples, -1) of the "
            "array. A VAE with architecture='conv' is told by image_shape what images "
            "the rows are."
        )
    return X


def taken_into_memory(X: Any) -> Any:
    """Return data as `taken_in` does, and refuse a table that is read by blocks.

    Parameters
    ----------
    X : object
        Data.

    Returns
    -------
    X : object
        As of `taken_in`; a small table that is not in memory is read.

    Raises
    ------
    TypeError
        As of `taken_in`, and for a table that is too large to be read as a whole.
    """
    table = taken_in(X, streams=True)
    if isinstance(table, BlockRows):
        raise TypeError(
            f"Got X of type {type(X).__name__} and shape {table.shape}, which is read "
            "by blocks, but this method expects an array in memory. Call it for "
            "X[start:stop], one part at a time."
        )
    return table


def float32_of_polars(X: Any) -> np.ndarray | None:
    """Return a DataFrame of polars whose columns are all float32 as an array, or None.

    scikit-learn would make it float64.

    Parameters
    ----------
    X : object
        Data.

    Returns
    -------
    array : ndarray of shape (n_samples, n_features), dtype=float32, or None
        The numbers, row by row; None for data of any other kind.
    """
    if not hasattr(X, "schema") or not _is_of("polars", "DataFrame", X):
        return None
    if {str(dtype) for dtype in X.schema.values()} != {"Float32"}:
        return None
    return X.to_numpy(order="c")


def _refuse(X: Any, name: str) -> None:
    """Raise a TypeError for what is no table of numbers, but may look like one."""
    kind = type(X).__name__
    expected = "expected an array-like"
    if name == "X":
        expected += " or a sparse matrix of scipy, of shape (n_samples, n_features)"
    if isinstance(X, torch.utils.data.Dataset | torch.utils.data.DataLoader):
        raise TypeError(
            f"Got {name} of type {kind}, but {expected}. Pass the array behind it, or "
            "call partial_fit on one batch at a time."
        )
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError(
            f"Got {name} of type {kind}, whose mask would be ignored, but {expected}. "
            "Call filled(np.nan) where NaN may mark what is missing: for GaussianVAE, "
            "the method impute and skgen.impute.GenerativeImputer. Elsewhere call "
            "filled with a value."
        )
    for package, cls, call in _LAZY:
        if _is_of(package, cls, X):
            raise TypeError(
                f"Got {name} of type {kind} from {package}, whose numbers are not in "
                f"memory, but {expected}. Pass {name}{call} to read all of it, or call "
                "partial_fit on one part at a time."
            )


def _is_of(package: str, cls: str | None, X: Any) -> bool:
    """Whether the class of an object, or one above it, comes from a package."""
    return any(
        parent.__module__.partition(".")[0] == package
        and (cls is None or parent.__name__ == cls)
        for parent in type(X).__mro__
    )


def _is_foreign_array(X: Any) -> bool:
    """Whether this is an array of the array API, neither of numpy nor of torch."""
    own = isinstance(X, np.ndarray | np.generic | Tensor)
    return not own and hasattr(X, "__dlpack__") and hasattr(X, "__dlpack_device__")


def _from_array_api(X: Any) -> Any:
    """Make an array of numpy, or a tensor where the numbers are on another device."""
    if X.__dlpack_device__()[0] == _DLPACK_CPU:
        return np.from_dlpack(X)
    return torch.from_dlpack(X)


def _array_of(X: Tensor, name: str) -> np.ndarray:
    """Return the numbers of a tensor, in the same memory if that is possible."""
    problem = advice = None
    if X.is_nested:
        problem, advice = "nested", f"Call {name}.to_padded_tensor(torch.nan)"
    elif X.layout is not torch.strided:
        problem = f"of the layout {X.layout}"
        advice = f"Call {name}.to_dense(), or pass a matrix of scipy.sparse"
    elif X.is_quantized:
        problem, advice = "quantized", f"Call {name}.dequantize()"
    elif X.is_meta:
        problem, advice = "on the device 'meta'", "Load or make it on the CPU"
    if problem is not None:
        raise TypeError(
            f"Got {name}, a tensor that is {problem}, but expected a dense one with "
            f"numbers in memory. {advice}."
        )
    if X.is_floating_point() and X.dtype not in _FLOATS:
        X = X.float()
    return X.detach().cpu().resolve_conj().resolve_neg().numpy()


def _number_of_dimensions(X: Any) -> int:
    """Return the number of dimensions, of lists by their first elements."""
    depth = 0
    while isinstance(X, list | tuple) and X:
        depth, X = depth + 1, X[0]
    n_dimensions = getattr(X, "ndim", 0)
    return depth + n_dimensions if isinstance(n_dimensions, int) else 0
