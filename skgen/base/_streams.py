"""Tables that are not in memory: whatever gives slices of rows, as rows to read.

Arrays of zarr, h5py and dask, files that numpy maps, a user's own class, and datasets
of torch come in here, for training and inference to read them a block at a time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from skgen.training._block_rows import BlockRows

# A table of up to so many bytes is read as a whole: it is shuffled as such, and what is
# fitted has the bits of a fit to an array.
_WHOLE_BYTES = 2**27
# The largest part of a table, in bytes, that storage keeps together and that is read
# as one.
_LARGEST_CHUNK = 2**28

Read = Callable[[int, int], Any]


def as_stream(X: Any) -> Any:
    """Return data that is read by blocks as such, and other data as it is.

    Parameters
    ----------
    X : object
        Data.

    Returns
    -------
    X : object
        An array, if X is not in memory but fits there easily; `BlockRows`, if it is
        larger; and X, if it is of another kind.

    Raises
    ------
    TypeError
        If X is a dataset without a length, or of numbers that are not real.
    ValueError
        If X is not a table of rows of known shape.
    """
    if isinstance(X, BlockRows):
        return X
    if isinstance(X, Dataset | DataLoader):
        stream = _of_dataset(X)
    elif _gives_slices(X):
        stream = _of_slices(X)
    else:
        return X
    return stream.whole() if stream.nbytes <= _WHOLE_BYTES else stream


def of_mapped_file(X: np.memmap) -> Any:
    """Return an array that is mapped from a file as one that is to be converted.

    In a dtype that a model uses it is used where it lies, and not read by blocks.

    Parameters
    ----------
    X : memmap of shape (n_samples, n_features)
        Data.

    Returns
    -------
    X : ndarray or BlockRows
        As of `as_stream`.
    """
    stream = _of_slices(X)
    return X if stream.nbytes <= _WHOLE_BYTES else stream


def _gives_slices(X: Any) -> bool:
    """Whether an object is a table that numpy, scipy and pandas do not know."""
    return (
        not isinstance(X, np.ndarray | np.generic | Tensor)
        and not sp.issparse(X)
        and not hasattr(X, "__dlpack__")
        and not isinstance(X, type)
        and all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))
        and isinstance(X.shape, tuple)
        and len(X.shape) == 2
    )


def _of_slices(X: Any) -> BlockRows:
    """Return the rows of an object with `shape`, `dtype` and slices of rows."""
    _check_shape(X)
    dtype = _real_dtype(X.dtype, type(X).__name__)
    shape = int(X.shape[0]), int(X.shape[1])
    chunk = _rows_a_chunk(X, shape)

    def read(start: int, stop: int) -> Any:
        return _in_memory(X[start:stop])

    return BlockRows(read, shape, dtype, chunk=chunk)


def _check_shape(X: Any) -> None:
    if not all(isinstance(n, int | np.integer) for n in X.shape):
        raise ValueError(
            f"Got X of type {type(X).__name__} and shape {X.shape}, but expected known "
            "numbers of rows and of features. Call X.compute_chunk_sizes() of an "
            "array of dask."
        )


def _rows_a_chunk(X: Any, shape: tuple[int, int]) -> int:
    """Return how many rows storage keeps together, as zarr, h5py and dask say."""
    chunks = getattr(X, "chunks", None)
    if not isinstance(chunks, tuple) or not chunks:
        return 1
    first = chunks[0]
    rows = max(first) if isinstance(first, tuple) else first
    if not isinstance(rows, int | np.integer) or rows < 1:
        return 1
    most = _LARGEST_CHUNK // max(1, shape[1] * 4)
    return int(min(rows, max(1, most)))


def _in_memory(rows: Any) -> Any:
    """Return rows that were sliced as an array."""
    if hasattr(rows, "compute"):  # of dask
        rows = rows.compute()
    if sp.issparse(rows):
        return rows.toarray()
    if isinstance(rows, Tensor):
        return rows.detach().cpu().numpy()
    return rows


def _real_dtype(dtype: Any, kind: str) -> np.dtype:
    """Return float32 for itself, and float64 for other real numbers, as for arrays."""
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise TypeError(
            f"Got X of type {kind} and dtype {dtype}, but expected real numbers or "
            "bits. Convert it to float32."
        )
    return dtype if dtype == np.float32 else np.dtype(np.float64)


def _of_dataset(X: Any) -> BlockRows:
    """Return the rows of a map-style dataset of torch, or of that of a loader."""
    collate = default_collate
    kind = type(X).__name__
    if isinstance(X, DataLoader):
        X, collate = X.dataset, X.collate_fn or default_collate
    if isinstance(X, IterableDataset) or not hasattr(X, "__len__"):
        raise TypeError(
            f"Got X of type {kind}, whose rows come one after the other, but expected "
            "a table that is read more than once, in any order: a dataset with "
            "__len__ and __getitem__. Call partial_fit on one batch at a time."
        )
    if not len(X):
        raise ValueError(f"Got X of type {kind} without a row, but expected some.")

    def read(start: int, stop: int) -> np.ndarray:
        numbers = range(start, stop)
        many = getattr(X, "__getitems__", None)
        items = many(list(numbers)) if many is not None else [X[i] for i in numbers]
        batch = collate(items)
        rows = batch[0] if isinstance(batch, list | tuple) else batch
        return np.asarray(_in_memory(rows)).reshape(stop - start, -1)

    first = read(0, 1)
    dtype = _real_dtype(first.dtype, kind)
    return BlockRows(read, (len(X), first.shape[1]), dtype)
