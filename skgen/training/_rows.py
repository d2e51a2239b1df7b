"""Sources of rows: where data lies, and how some of its rows become a dense tensor."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skgen.training._read_ahead import read_ahead

# Share of the free memory of a GPU that data may take: the model and its mini-batches
# need memory, too.
_LARGEST_SHARE = 0.8
# Rows whose sum is taken in the precision of the data, before these sums are added up
# in double precision: exact for bits. Where the data are in double precision, more.
_ROWS_A_SUM, _DOUBLE_ROWS_A_SUM = 256, 4096
# Numbers that are read at a time for that, as they stay in the cache; and rows, as
# those of a wider table may have to be read for them.
_NUMBERS_AT_A_TIME, _ROWS_AT_A_TIME = 2**17, 2048
# Rows of a sparse matrix that are copied at a time, in another order.
_SPARSE_ROWS_A_SUM = 4096

Index = slice | Tensor


class RowSource(ABC):
    """A table of which some rows at a time are made a dense tensor.

    One subclass for each kind of storage. It is all that training and inference know
    of data.

    Attributes
    ----------
    shape : tuple of (int, int)
        Number of rows and of features.
    dtype : torch.dtype
        Dtype of the tensors.
    device : torch.device
        Device of the tensors.
    weight : ndarray of shape (n_samples,) or None
        Sample weights, float64, whose mean is 1, if there are any.
    rows_a_block : int or None
        Number of rows that are read from storage together; None where each row is at
        hand.
    """

    shape: tuple[int, int]
    dtype: torch.dtype
    device: torch.device = torch.device("cpu")
    weight: np.ndarray | None = None
    rows_a_block: int | None = None

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:
        """Return some rows.

        Parameters
        ----------
        index : slice or Tensor of shape (n,), dtype=int64, on the CPU or `device`
            Which rows.
        out : Tensor of shape (n, n_features) or None
            Memory that may be used, on `device`.

        Returns
        -------
        rows : Tensor of shape (n, n_features)
            The rows. They may share memory with the data: they are not to be changed.
        """

    def blocks(self, n_rows: int) -> Iterator[Tensor]:
        """Iterate over all rows in their order, `n_rows` at a time."""
        if self.rows_a_block is None:
            yield from self._slices(n_rows)
            return
        # As many as are worth a thread that reads them.
        for part in read_ahead(self._slices(n_rows * -(-self.rows_a_block // n_rows))):
            yield from part.split(n_rows)

    def _slices(self, n_rows: int) -> Iterator[Tensor]:
        for start in range(0, self.shape[0], n_rows):
            yield self.gather(slice(start, start + n_rows))

    def weighted_blocks(
        self, n_rows: int
    ) -> Iterator[tuple[Tensor, np.ndarray | None]]:
        """Iterate over all rows, `n_rows` at a time, with their weights or None."""
        for start, block in enumerate(self.blocks(n_rows)):
            weight = self.weight
            if weight is not None:
                weight = weight[start * n_rows : (start + 1) * n_rows]
            yield block, weight

    def column_sums(self) -> np.ndarray:
        """Sum all rows times their weights, float64, shape (n_features,)."""
        total = np.zeros(self.shape[1])
        is_double = self.dtype == torch.float64
        n_rows = _DOUBLE_ROWS_A_SUM if is_double else _ROWS_A_SUM
        at_a_time = min(_ROWS_AT_A_TIME, _NUMBERS_AT_A_TIME // self.shape[1])
        n_sums = max(1, at_a_time // n_rows)
        ones = np.ones(n_rows, np.float64 if is_double else np.float32)
        for block, weight in self.weighted_blocks(n_sums * n_rows):
            x = block.cpu().numpy()
            for start in range(0, len(x), n_rows):
                part = x[start : start + n_rows]
                of_rows = ones[: len(part)]
                if weight is not None:
                    of_rows = weight[start : start + n_rows]
                total += of_rows @ part
        return total

    def select(self, indices: Any, weight: np.ndarray | None = None) -> "RowSource":
        """Return the source of the rows `indices`, without a copy of the data."""
        return SelectedRows(self, torch.as_tensor(np.asarray(indices)), weight)

    def to(self, device: torch.device) -> "RowSource":
        """Return a source of the same rows on a device."""
        return self if device == self.device else MovedRows(self, device)


class TensorRows(RowSource):
    """Rows of a tensor.

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
        The table.
    """

    def __init__(self, X: Tensor):
        self.X = X
        self.shape = X.shape[0], X.shape[1]
        self.dtype, self.device = X.dtype, X.device

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:
        """Return some rows; a slice of them is a view."""
        if isinstance(index, slice):
            return self.X[index]
        if index.device != self.device:
            index = index.to(self.device)
        return torch.index_select(self.X, 0, index, out=out)

    def to(self, device: torch.device) -> RowSource:
        """Move rows from the CPU to a GPU by way of pinned memory."""
        if self.device.type == "cpu" and device.type == "cuda":
            return StreamedRows(self, device)
        return super().to(device)


class ArrayRows(RowSource):
    """Rows of an array of numpy, which may be mapped from a file.

    Parameters
    ----------
    X : ndarray or memmap of shape (n_samples, n_features)
        The table.
    """

    def __init__(self, X: np.ndarray):
        self.X = X
        self.shape = X.shape[0], X.shape[1]
        self.dtype = torch_dtype(X.dtype)

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return some rows; a slice of them is a view where that is possible."""
        return to_tensor(self.X[_for_numpy(index)], self.device)


class SparseRows(RowSource):
    """Rows of a sparse matrix, of which only those asked for are made dense.

    Parameters
    ----------
    X : CSR matrix or array of shape (n_samples, n_features)
        The table.
    """

    def __init__(self, X: Any):
        self.X = X
        self.shape = X.shape
        self.dtype = torch_dtype(X.dtype)

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return some rows, dense."""
        return to_tensor(self.X[_for_numpy(index)].toarray(), self.device)

    def column_sums(self) -> np.ndarray:
        """Sum all rows without making them dense."""
        return _sparse_sums(self.X, None)


class SelectedRows(RowSource):
    """Some rows of another source.

    Parameters
    ----------
    source : RowSource
        The other source.
    indices : Tensor of shape (n_samples,), dtype=int64
        Which of its rows.
    weight : ndarray of shape (n_samples,) or None
        Their weights, with mean 1.
    """

    def __init__(
        self, source: RowSource, indices: Tensor, weight: np.ndarray | None = None
    ):
        self.source = source
        self.indices = indices
        self.weight = weight
        self.shape = len(indices), source.shape[1]
        self.dtype, self.device = source.dtype, source.device
        self.rows_a_block = source.rows_a_block

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:
        """Return some rows."""
        if not isinstance(index, slice):
            index = index.to(self.indices.device)
        return self.source.gather(self.indices[index], out=out)

    def column_sums(self) -> np.ndarray:
        """Sum all rows times their weights, in their order, float64."""
        if not isinstance(self.source, SparseRows):
            return super().column_sums()
        total = np.zeros(self.shape[1])
        for start in range(0, len(self), _SPARSE_ROWS_A_SUM):
            part = slice(start, start + _SPARSE_ROWS_A_SUM)
            weight = None if self.weight is None else self.weight[part]
            rows = self.source.X[_for_numpy(self.indices[part])]
            total += _sparse_sums(rows, weight)
        return total

    def to(self, device: torch.device) -> RowSource:
        """Return a source of the same rows on a device."""
        if device == self.device:
            return self
        return SelectedRows(self.source.to(device), self.indices, self.weight)


class MovedRows(RowSource):
    """Rows of another source, moved to a device when they are asked for.

    Parameters
    ----------
    source : RowSource
        The other source.
    device : torch.device
        The device.
    """

    def __init__(self, source: RowSource, device: torch.device):
        self.source = source
        self.shape, self.dtype, self.device = source.shape, source.dtype, device
        self.rows_a_block = source.rows_a_block

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return some rows on the device."""
        return self.source.gather(index).to(self.device)


class StreamedRows(MovedRows):
    """Rows of a tensor on the CPU, for a GPU that works while the next are gathered.

    Rows are gathered in one of two pinned buffers, from which the GPU reads while the
    CPU goes on.

    Parameters
    ----------
    source : TensorRows
        The other source.
    device : torch.device
        The GPU.
    """

    def __init__(self, source: TensorRows, device: torch.device):
        super().__init__(source, device)
        self._buffers: list[PinnedBuffer] = []

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Begin to copy some rows to the GPU, and return where they will be."""
        if isinstance(index, slice):
            index = torch.arange(self.shape[0])[index]
        index = index.cpu()
        buffer = self._next_buffer(len(index))
        self.source.gather(index, out=buffer.rows[: len(index)])
        return buffer.send(len(index))

    def _next_buffer(self, n_rows: int) -> "PinnedBuffer":
        """Return memory that the GPU has read: not that of the last mini-batch."""
        if len(self._buffers) < 2 or len(self._buffers[0].rows) < n_rows:
            size = max([n_rows, *(len(buffer.rows) for buffer in self._buffers)])
            buffer = PinnedBuffer((size, self.shape[1]), self.dtype, self.device)
            self._buffers = [*self._buffers[-1:], buffer]
        else:
            self._buffers.reverse()
            buffer = self._buffers[-1]
            buffer.wait()
        return buffer


class PinnedBuffer:
    """Memory of the host that a GPU reads from while the host goes on.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : torch.dtype
        Its dtype.
    device : torch.device
        The GPU.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
    ):
        self.rows = torch.empty(shape, dtype=dtype, pin_memory=True)
        self._device = device
        self._sent = torch.cuda.Event()

    def wait(self) -> None:
        """Wait until the last copy has ended: the memory may be written again."""
        self._sent.synchronize()

    def send(self, n_rows: int) -> Tensor:
        """Begin to copy the first rows to the device."""
        # On the stream on which the mini-batch is used: it is ordered before its use.
        batch = self.rows[:n_rows].to(self._device, non_blocking=True)
        self._sent.record(torch.cuda.current_stream(self._device))
        return batch


def row_source(X: Any) -> RowSource:
    """Return the source of the rows of a table.

    Parameters
    ----------
    X : Tensor, ndarray, CSR matrix or RowSource of shape (n_samples, n_features)
        The table.

    Returns
    -------
    rows : RowSource
        Its rows.
    """
    if isinstance(X, RowSource):
        return X
    if isinstance(X, Tensor):
        return TensorRows(X)
    return SparseRows(X) if sp.issparse(X) else ArrayRows(X)


def is_read_by_blocks(X: Any) -> bool:
    """Whether a table is to be converted a block at a time, and not as a whole.

    It is where all of it, as a dense array in memory, may be too large: a sparse
    matrix, rows that are read by blocks already, and an array that is mapped from a
    file. Validation leaves the latter no `memmap`, but an array whose memory is that
    of one.

    Parameters
    ----------
    X : ndarray, CSR matrix or RowSource of shape (n_samples, n_features)
        The table.

    Returns
    -------
    is_read_by_blocks : bool
        Whether it is.
    """
    if sp.issparse(X) or isinstance(X, RowSource):
        return True
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False


def spread_index(n_rows: int, n_most: int) -> np.ndarray:
    """Return the indices of up to `n_most` of `n_rows` rows, spread evenly, int64."""
    return np.linspace(0, n_rows, min(n_most, n_rows), endpoint=False, dtype=np.int64)


def to_tensor(X: np.ndarray, device: torch.device) -> Tensor:
    """Make a tensor of an array, without a copy where it is on the CPU already."""
    X = np.ascontiguousarray(X)
    if not X.flags.writeable:
        # torch warns of read-only memory and cannot mark a tensor as such. Nothing
        # here writes to data, so that it gets the same memory under another flag.
        X = np.asarray(_Writeable(X))
    return torch.from_numpy(X).to(device)


class _Writeable:
    """The memory of an array without its read-only flag."""

    def __init__(self, X: np.ndarray):
        interface = dict(X.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self._keep_alive = X


def fits(n_bytes: int, device: torch.device) -> bool:
    """Whether data of so many bytes fits on the device beside the model."""
    if device.type != "cuda":
        return True
    # What torch keeps in reserve is as good as free.
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return n_bytes <= _LARGEST_SHARE * (torch.cuda.mem_get_info(device)[0] + reserve)


def _sparse_sums(X: Any, weight: np.ndarray | None) -> np.ndarray:
    """Sum the rows of a sparse matrix times their weights, float64."""
    weight = np.ones(X.shape[0]) if weight is None else weight
    return np.asarray(X.T @ weight, dtype=np.float64)


@cache
def torch_dtype(dtype: np.dtype) -> torch.dtype:
    """Return the dtype of torch that is the same as one of NumPy."""
    return torch.from_numpy(np.empty(0, dtype)).dtype


def _for_numpy(index: Index) -> Any:
    return index if isinstance(index, slice) else index.cpu().numpy()
