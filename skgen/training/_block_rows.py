"""Rows that are read from storage a block at a time."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skgen.training._rows import Index, RowSource, to_tensor, torch_dtype

# Bytes of the numbers of a block, at least: a read of fewer takes as long, and blocks
# are to be many, as they are what is shuffled.
_BLOCK_BYTES = 2**20


class BlockRows(RowSource):
    """Rows of an object that gives slices of rows, which are read when asked for.

    Each block that is read is checked: all its numbers are to be finite. The last one
    is kept, so that a block that is used in parts is read once. Only one thread reads
    at a time.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` returns an array of shape (stop - start, n_features).
    shape : tuple of (int, int)
        Number of rows and of features.
    dtype : dtype
        Floating-point dtype that numbers are converted to.
    chunk : int
        Number of rows that storage keeps together. Blocks are whole numbers of them.
    changes : tuple of callables
        What is done to each block after it is checked: functions of arrays, one after
        the other, that keep the shape.

    Attributes
    ----------
    numpy_dtype : dtype
        The dtype of numpy.
    """

    def __init__(
        self,
        read: Callable[[int, int], np.ndarray],
        shape: tuple[int, int],
        dtype: Any,
        *,
        chunk: int = 1,
        changes: tuple[Callable[[np.ndarray], np.ndarray], ...] = (),
    ):
        self.shape = shape
        self._read, self._chunk, self._changes = read, chunk, changes
        self.numpy_dtype = np.dtype(dtype)
        self.dtype = torch_dtype(self.numpy_dtype)
        least = _BLOCK_BYTES // max(1, shape[1] * self.numpy_dtype.itemsize)
        self._n_rows = max(1, -(-least // chunk)) * chunk
        self.rows_a_block = self._n_rows
        self._lock = threading.Lock()
        self._kept: tuple[int, np.ndarray] | None = None

    @property
    def ndim(self) -> int:
        """Number of dimensions: 2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Number of bytes that all rows would take in memory."""
        return self.shape[0] * self.shape[1] * self.numpy_dtype.itemsize

    def converted(self, dtype: Any) -> "BlockRows":
        """Return the source of the same rows in another floating-point dtype."""
        return BlockRows(
            self._read, self.shape, dtype, chunk=self._chunk, changes=self._changes
        )

    def changed(self, change: Callable[[np.ndarray], np.ndarray]) -> "BlockRows":
        """Return the source of rows to which a function of arrays is applied."""
        return BlockRows(
            self._read,
            self.shape,
            self.numpy_dtype,
            chunk=self._chunk,
            changes=(*self._changes, change),
        )

    def at(self, indices: np.ndarray) -> "BlockRows":
        """Return the source of some rows, given by ascending indices."""

        def read(start: int, stop: int) -> np.ndarray:
            """Read the selected rows of the given positions."""
            return self.gather(torch.from_numpy(indices[start:stop])).numpy()

        return BlockRows(read, (len(indices), self.shape[1]), self.numpy_dtype)

    def whole(self) -> np.ndarray:
        """Read all rows into memory."""
        return self.gather(slice(None)).numpy()

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:
        """Return some rows; each block with one of them is read, in ascending order."""
        if isinstance(index, slice):
            start, stop, _ = index.indices(self.shape[0])
            number = start // self._n_rows
            if stop <= (number + 1) * self._n_rows:  # of one block: a view
                first = number * self._n_rows
                return _tensor(self._block(number)[start - first : stop - first])
            rows = np.arange(start, stop)
        else:
            rows = index.cpu().numpy()
        shape = len(rows), self.shape[1]
        if out is None or out.device.type != "cpu":
            out = torch.empty(shape, dtype=self.dtype)
        self._fill(out.numpy(), rows)
        return out

    def _fill(self, table: np.ndarray, rows: np.ndarray) -> None:
        """Write rows into a table, block by block."""
        numbers = rows // self._n_rows
        order = None
        if (np.diff(numbers) < 0).any():
            order = np.argsort(numbers, kind="stable")
            numbers = numbers[order]
        ends = np.append(np.flatnonzero(np.diff(numbers)) + 1, len(numbers))
        begin = 0
        for end in ends[ends > 0]:
            part = slice(begin, end) if order is None else order[begin:end]
            number = int(numbers[begin])
            local = rows[part] - number * self._n_rows
            if (np.diff(local) == 1).all():
                local = slice(local[0], local[-1] + 1)
            table[part] = self._block(number)[local]
            begin = end

    def _block(self, number: int) -> np.ndarray:
        """Return the rows of a block."""
        with self._lock:
            if self._kept is not None and self._kept[0] == number:
                return self._kept[1]
            self._kept = None  # its memory
            start = number * self._n_rows
            stop = min(start + self._n_rows, self.shape[0])
            block = self._checked(self._read(start, stop), start, stop)
            for change in self._changes:
                block = change(block)
            self._kept = number, block
            return block

    def _checked(self, block: Any, start: int, stop: int) -> np.ndarray:
        """Convert a block, and check that it is what was announced."""
        block = np.asarray(block)
        expected = stop - start, self.shape[1]
        if block.shape != expected:
            raise ValueError(
                f"Got an array of shape {block.shape} for rows {start} to {stop - 1} "
                f"of X, but expected shape {expected}, as X.shape is {self.shape}."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            block = block.astype(self.numpy_dtype, copy=False)
            # The sum most often tells, in less time.
            finite = np.isfinite(block.sum()) or np.isfinite(block).all()
        if not finite:
            bad = start + np.flatnonzero(~np.isfinite(block).all(axis=1))
            which = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
            raise ValueError(
                "Got X with NaN, infinity or a number too large for "
                f"{self.numpy_dtype} in rows {which} of those from {start} to "
                f"{stop - 1}, but expected finite numbers in a table that is read by "
                "blocks. Drop these rows; "
                "where NaN marks what is missing, pass an array in memory."
            )
        return block


def _tensor(block: np.ndarray) -> Tensor:
    return to_tensor(block, torch.device("cpu"))
