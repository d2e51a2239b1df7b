"""Mini-batches that are gathered from the data where it lies."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Tensor
from torch.utils.data import Dataset as AnyDataset
from torch.utils.data import Subset

from skgen.training._pools import pooled_batches
from skgen.training._processes import Processes
from skgen.training._rows import (
    Index,
    RowSource,
    TensorRows,
    row_source,
    spread_index,
)
from skgen.training._step import Batch

# Numbers of a table that is shuffled as a whole: a copy that stays in the cache takes
# less time than to gather many small mini-batches.
_SHUFFLED_AT_ONCE = 2**20
# Mini-batches whose indices are made at a time: cheaper than one by one, and few
# enough to need little memory.
_BATCHES_A_SPLIT = 1024


class WeightedDataset(Dataset):
    """Data with conditions and sample weights, as the net takes them.

    Parameters
    ----------
    X : Tensor, ndarray or CSR matrix of shape (n_samples, n_features)
        Data.
    y : Tensor of shape (n_samples, n_conditions) or None
        What the model is conditioned on, if anything.
    weight : Tensor of shape (n_samples,) or None
        Sample weights. They are divided by their mean.
    """

    def __init__(self, X: Any, y: Tensor | None = None, weight: Tensor | None = None):
        super().__init__(X, y)
        self.weight = None if weight is None else weight / weight.mean()


class DeviceBatches:
    """Iterate over mini-batches as tensors on one device.

    It takes the place of the data loader of skorch. The rows of a mini-batch are
    gathered together from the whole table (see `RowSource`), and a `Subset` is
    followed to the table from which it selects, without a copy.

    Parameters
    ----------
    dataset : Dataset
        A `skorch.dataset.Dataset` or `WeightedDataset`, or a `Subset` of one.
    batch_size : int
        Number of rows of a mini-batch; the last one is shorter where they do not
        divide.
    device : torch.device
        Device of the mini-batches.
    generator : torch.Generator or None
        If given, rows are shuffled at the start of each pass.
    join_single_row : bool
        Whether a last mini-batch of one row joins the one before: batch norm needs two
        rows in training.
    processes : Processes or None
        If given, each of them gets its part of each mini-batch, of `batch_size` rows
        for all together, and two rows at least.

    Attributes
    ----------
    buffer : callable or None
        If set, ``buffer(n_rows)`` returns memory on the device in which rows are
        gathered where that saves a copy, or None for that of the iterator. A
        mini-batch is then overwritten by one of the next, or of the next pass.
    """

    buffer: Callable[[int], Tensor | None] | None = None

    def __init__(
        self,
        dataset: AnyDataset,
        batch_size: int,
        *,
        device: torch.device,
        generator: torch.Generator | None = None,
        join_single_row: bool = False,
        processes: Processes | None = None,
    ):
        indices = None
        while isinstance(dataset, Subset):
            outer = torch.as_tensor(np.asarray(dataset.indices), dtype=torch.int64)
            indices = outer if indices is None else outer[indices]
            dataset = dataset.dataset
        self.rows = row_source(dataset.X)  # type: ignore[attr-defined]
        self.y = _on(device, getattr(dataset, "y", None))
        self.weight = _on(device, getattr(dataset, "weight", None))
        self.indices = indices
        self.batch_size = batch_size = int(batch_size)
        self.device = device
        self.generator = generator
        self.n_rows = self.rows.shape[0] if indices is None else len(indices)
        self.processes = processes
        least = 1 + join_single_row
        if processes is not None:
            least *= processes.n
            _check_rows_of_all(self.n_rows, batch_size, least)
        rest = self.n_rows % batch_size
        joins = 0 < rest < least and self.n_rows > batch_size
        self._n_joined = rest if joins else 0
        self._own_buffer: Tensor | None = None
        self._copy: tuple[Tensor, list[Batch]] | None = None

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size) - bool(self._n_joined)

    def __iter__(self) -> Iterator[Batch]:
        # New for each pass: two passes at a time share no memory.
        rows = self.rows.to(self.device)
        if self.are_made_together:
            return iter(self._shuffled(rows))
        if rows.rows_a_block is not None:
            return self._from_pools()
        return self._gathered(rows)

    @property
    def are_made_together(self) -> bool:
        """Whether all mini-batches of a pass are made at its start, and kept."""
        return (
            isinstance(self.rows.to(self.device), TensorRows)
            and self.y is None
            and self.weight is None
            and self.processes is None
            and self.generator is not None
            and 0 < self.n_rows * self.rows.shape[1] <= _SHUFFLED_AT_ONCE
        )

    def _gathered(self, rows: RowSource) -> Iterator[Batch]:
        """Iterate over mini-batches that are gathered one by one."""
        direct, y, weight = isinstance(rows, TensorRows), self.y, self.weight
        for index in map(self._own_part, self._indices()):
            out = None
            if direct and self.buffer is not None and isinstance(index, Tensor):
                out = self._buffer_for(index.shape[0])
            x = rows.gather(index, out=out)
            if y is None and weight is None:
                yield Batch(x)
            else:
                yield Batch(x, _at(y, index), _at(weight, index))

    def _from_pools(self) -> Iterator[Batch]:
        """Iterate over mini-batches of a table that is read by blocks."""
        if not self.n_rows:
            return
        last = len(self) - 1
        sizes = chain(
            repeat(self.batch_size, last), [self.n_rows - last * self.batch_size]
        )
        batches = pooled_batches(
            self.rows,
            sizes,
            indices=self.indices,
            device=self.device,
            generator=self.generator,
            buffer=None if self.buffer is None else self._buffer_for,
        )
        for index, x in batches:
            index, x = self._own_part(index), self._own_part(x)
            yield Batch(x, _at(self.y, index), _at(self.weight, index))

    def _own_part(self, rows: Any) -> Any:
        """Return what is this process's of the rows of a mini-batch."""
        if self.processes is None:
            return rows
        return rows[self.processes.share(len(rows))]

    def _shuffled(self, rows: RowSource) -> list[Batch]:
        """Return all mini-batches of a small table, parts of one shuffled copy."""
        order: Any = self._order()
        if self.buffer is None:
            return list(map(Batch, self._split(rows.gather(order))))
        if self._copy is None:
            shape = len(order), rows.shape[1]
            table = torch.empty(shape, dtype=rows.dtype, device=self.device)
            self._copy = table, list(map(Batch, self._split(table)))
        table, batches = self._copy
        rows.gather(order, out=table)
        return batches

    def _split(self, rows: Tensor) -> Iterator[Tensor]:
        """Split rows into mini-batches."""
        last = (len(self) - 1) * self.batch_size  # where the last mini-batch begins
        if last:
            yield from rows[:last].split(self.batch_size)
        yield rows[last:]

    def _indices(self) -> Iterator[Index]:
        """Indices of the rows of each mini-batch."""
        if not self.n_rows:
            return
        order = self._order()
        last = (len(self) - 1) * self.batch_size  # where the last mini-batch begins
        if order is None:
            for start in range(0, last, self.batch_size):
                yield slice(start, start + self.batch_size)
            yield slice(last, self.n_rows)
            return
        if last:
            for part in order[:last].split(self.batch_size * _BATCHES_A_SPLIT):
                yield from part.split(self.batch_size)
        yield order[last:]

    def _order(self) -> Tensor | None:
        """Indices of all rows of a pass; None means as they come."""
        order = self.indices
        if self.generator is not None:
            device = self.generator.device
            order = torch.randperm(self.n_rows, generator=self.generator, device=device)
            if self.indices is not None:
                order = self.indices.to(device)[order]
        return None if order is None else order.to(self.rows.device)

    def _buffer_for(self, n_rows: int) -> Tensor:
        """Return the memory in which the next rows are gathered."""
        assert self.buffer is not None
        buffer = self.buffer(n_rows)
        if buffer is None:
            if self._own_buffer is None:
                n_rows_at_most = min(self.batch_size + self._n_joined, self.n_rows)
                shape = n_rows_at_most, self.rows.shape[1]
                self._own_buffer = torch.empty(
                    shape, dtype=self.rows.dtype, device=self.device
                )
            buffer = self._own_buffer[:n_rows]
        return buffer


def _check_rows_of_all(n_rows: int, batch_size: int, least: int) -> None:
    if min(n_rows, batch_size) < least:
        raise ValueError(
            f"Got batch_size={batch_size} for {n_rows} rows, but several processes "
            f"expect at least {least} rows in a mini-batch. Raise batch_size, or start "
            "fewer processes."
        )


def table_of(dataset: Any) -> Any:
    """Return the dataset from which subsets of subsets select."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset


def some_rows(dataset: Any, n_rows: int, device: torch.device) -> Batch:
    """Return up to `n_rows` rows, spread evenly over a dataset, always the same."""
    spread = spread_index(len(dataset), n_rows)
    subset = Subset(dataset, spread.tolist())
    return next(iter(DeviceBatches(subset, len(spread), device=device)))


def _on(device: torch.device, values: Any) -> Tensor | None:
    """Move conditions or weights to a device: they are small beside the rows."""
    return None if values is None else torch.as_tensor(values).to(device)


def _at(values: Tensor | None, index: Index) -> Tensor | None:
    if values is None:
        return None
    return values[index if isinstance(index, slice) else index.to(values.device)]
