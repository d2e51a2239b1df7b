"""Mini-batches that are sliced from the data where it lies."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from skorch.utils import data_from_dataset
from torch import Tensor
from torch.utils.data import Dataset, Subset

# Of the memory that is free on a GPU, what data may take: the model and its batches
# need room too.
_SHARE = 0.8
# Batches whose indices are made at a time: cheaper than one by one, and few enough
# to take no memory to speak of.
_BATCHES_A_SPLIT = 1024


def fits(n_bytes: int, device: torch.device) -> bool:
    """Whether data of so many bytes leave room on the device, beside the model."""
    if device.type != "cuda":
        return True
    # What torch keeps in reserve is as good as free.
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return n_bytes <= _SHARE * (torch.cuda.mem_get_info(device)[0] + reserve)


def to_tensor(X: np.ndarray, device: torch.device) -> Tensor:
    """Give an array to torch, without a copy where it is on the CPU already."""
    X = np.ascontiguousarray(X)
    if not X.flags.writeable:
        # Memory-mapped data in a worker process of joblib is read-only, which
        # torch has no notion of. Nothing here writes to data: tell torch so by
        # handing it the same memory under another flag.
        X = np.asarray(_Writeable(X))
    return torch.from_numpy(X).to(device)


class _Writeable:
    """The memory of an array without its read-only flag."""

    def __init__(self, X: np.ndarray):
        interface = dict(X.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self._keep_alive = X


class PinnedRows:
    """A buffer on the host that a GPU reads from while the host goes on.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : torch.dtype
        Its type.
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
        """Wait until the last copy has ended: the buffer may be written again."""
        self._sent.synchronize()

    def send(self, n_rows: int) -> Tensor:
        """Begin to copy the first rows to the device."""
        # On the stream that the batch is used on: it takes its turn there, and its
        # memory needs no care. That it does not overlap with the step costs little
        # beside gathering the rows here, which does.
        batch = self.rows[:n_rows].to(self._device, non_blocking=True)
        self._sent.record(torch.cuda.current_stream(self._device))
        return batch


class DeviceBatches:
    """Iterate over mini-batches as tensors on one device.

    It stands where skorch expects a data loader. Rows are taken a batch at a
    time from the whole array (no row is fetched alone), and a `Subset` is
    followed to the array that it selects from, without a copy. The rows of a
    sparse matrix are made dense here, and only here. A tensor on the CPU does not
    move to a GPU as a whole: its batches are gathered in pinned memory, the next
    one while the GPU works on the last. Other tensors move to the device at once.

    Parameters
    ----------
    dataset : Dataset
        A `skorch.dataset.Dataset` with X a tensor, an ndarray or a CSR matrix,
        or a `Subset` of one.
    batch_size : int
        Rows a mini-batch; the last one is shorter where they do not divide.
    device : torch.device
        Where the batches shall be.
    generator : torch.Generator or None
        If given, rows are shuffled at the start of each pass.

    Attributes
    ----------
    room : callable or None
        If set, it gives memory of the device for n rows that are gathered there, or
        None for that of the iterator. A batch is then overwritten by one of the next.
    """

    room: Callable[[int], Tensor | None] | None = None

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        device: torch.device,
        generator: torch.Generator | None = None,
    ):
        indices = None
        while isinstance(dataset, Subset):
            outer = torch.as_tensor(np.asarray(dataset.indices), dtype=torch.int64)
            indices = outer if indices is None else outer[indices]
            dataset = dataset.dataset
        X = data_from_dataset(dataset)[0]
        self._streams = (
            isinstance(X, Tensor) and X.device.type == "cpu" and device.type == "cuda"
        )
        move = isinstance(X, Tensor) and not self._streams
        self.X = X.to(device) if move else X
        self.indices = indices
        self.batch_size = batch_size
        self.device = device
        self.generator = generator
        self.n_rows = self.X.shape[0] if indices is None else len(indices)
        self._own: Tensor | None = None

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, None]]:
        order = self._order()
        if not isinstance(self.X, Tensor):
            yield from self._convert(order)
        elif self._streams:
            yield from self._stream(order)
        elif order is None:
            for batch in self._split(self.X):
                yield batch, None
        else:
            for rows in self._split(order):
                out = self._room(rows.shape[0])
                yield torch.index_select(self.X, 0, rows, out=out), None

    def _order(self) -> Tensor | None:
        """Indices of the rows, where the array itself is; None means as they come."""
        order = self.indices
        if self.generator is not None:
            device = self.generator.device
            order = torch.randperm(self.n_rows, generator=self.generator, device=device)
            if self.indices is not None:
                order = self.indices.to(device)[order]
        if order is None:
            return None
        return order.to(self.X.device if isinstance(self.X, Tensor) else "cpu")

    def _split(self, rows: Tensor) -> Iterator[Tensor]:
        """Cut rows, or their indices, into batches."""
        if self.n_rows:
            for span in rows.split(self.batch_size * _BATCHES_A_SPLIT):
                yield from span.split(self.batch_size)

    def _room(self, n: int) -> Tensor | None:
        """Where the next n rows go; None is new memory."""
        if self.room is None:
            return None
        room = self.room(n)
        if room is None:
            if self._own is None:
                shape = (min(self.batch_size, self.n_rows), *self.X.shape[1:])
                self._own = torch.empty(shape, dtype=self.X.dtype, device=self.device)
            room = self._own[:n]
        return room

    def _stream(self, order: Tensor | None) -> Iterator[tuple[Tensor, None]]:
        shape = (min(self.batch_size, self.n_rows), *self.X.shape[1:])
        n_buffers = min(2, len(self))
        buffers = cycle(
            [PinnedRows(shape, self.X.dtype, self.device) for _ in range(n_buffers)]
        )
        for part in self._split(self.X if order is None else order):
            # The GPU still works on the batches before, all of which were only
            # begun: what is waited for is the copy of the last but one.
            buffer = next(buffers)
            buffer.wait()
            rows = buffer.rows[: len(part)]
            if order is None:
                rows.copy_(part)
            else:
                torch.index_select(self.X, 0, part, out=rows)
            yield buffer.send(len(part)), None

    def _convert(self, order: Tensor | None) -> Iterator[tuple[Tensor, None]]:
        for start in range(0, self.n_rows, self.batch_size):
            rows = slice(start, start + self.batch_size)
            batch: Any = self.X[rows if order is None else order[rows].numpy()]
            if sp.issparse(batch):
                batch = batch.toarray()
            yield to_tensor(batch, self.device), None


def some_rows(dataset: Dataset, n_rows: int, device: torch.device) -> Tensor:
    """Take up to `n_rows` rows, spread evenly over a dataset, the same each time."""
    n_all = len(dataset)  # type: ignore[arg-type]
    spread = np.linspace(0, n_all, min(n_rows, n_all), endpoint=False, dtype=int)
    subset = Subset(dataset, spread.tolist())
    return next(iter(DeviceBatches(subset, len(spread), device=device)))[0]
