"""Mini-batches of a table that is read by blocks, shuffled as far as memory allows."""

from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from torch import Tensor

from skgen.training._read_ahead import read_ahead
from skgen.training._rows import Index, RowSource, TensorRows

# Bytes of the blocks that are in memory at a time, and are shuffled together. As the
# next ones are read meanwhile, it is twice as many.
_POOL_BYTES = 2**27

Pool = tuple[Tensor, Tensor]  # indices of rows, int64, and the rows


def pooled_batches(
    rows: RowSource,
    sizes: Iterator[int],
    *,
    indices: Tensor | None,
    device: torch.device,
    generator: torch.Generator | None,
    buffer: Callable[[int], Tensor] | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over mini-batches of a table that is read by blocks.

    Blocks are taken in a random order. Those that fit into memory together make a pool,
    whose rows are shuffled, and the next pool is read meanwhile. Each row comes once in
    a pass.

    Parameters
    ----------
    rows : RowSource of shape (n_rows, n_features)
        The table.
    sizes : iterator of int
        Number of rows of each mini-batch.
    indices : Tensor of shape (n,), dtype=int64, or None
        Which rows, in ascending order; None means all.
    device : torch.device
        Device of the mini-batches.
    generator : torch.Generator or None
        Source of the order; None means that rows come in ascending order.
    buffer : callable or None
        ``buffer(n)`` returns memory on the device that n rows may be gathered in.

    Yields
    ------
    index : Tensor of shape (n,), dtype=int64
        Which rows, on the CPU.
    x : Tensor of shape (n, n_features)
        The rows.
    """
    pools = read_ahead(_pools(rows, indices, _block_order(rows, generator)))
    index, order, source, position = _of_none(rows, device)
    try:
        for size in sizes:
            parts = []
            while size:
                if position == len(order):
                    index, table = next(pools)
                    order, position = _row_order(len(index), generator), 0
                    index = index[order]
                    source = TensorRows(table).to(device)
                rows_of_part = slice(position, position + size)
                part = order[rows_of_part]
                out = None if buffer is None or len(part) < size else buffer(size)
                parts.append((index[rows_of_part], source.gather(part, out=out)))
                position, size = position + len(part), size - len(part)
            if len(parts) == 1:
                yield parts[0]
            else:
                yield torch.cat([i for i, _ in parts]), torch.cat([x for _, x in parts])
    finally:
        pools.close()


def _block_order(rows: RowSource, generator: torch.Generator | None) -> Tensor:
    assert rows.rows_a_block is not None
    return _row_order(-(-len(rows) // rows.rows_a_block), generator)


def _row_order(n: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.arange(n)
    return torch.randperm(n, generator=generator, device=generator.device).cpu()


def _pools(rows: RowSource, indices: Tensor | None, order: Tensor) -> Iterator[Pool]:
    """Read the blocks in an order, as many at a time as make a pool.

    Each is in the memory of the one before the last, which is used up by then.
    """
    n_rows = rows.rows_a_block
    assert n_rows is not None
    bytes_a_block = n_rows * rows.shape[1] * rows.dtype.itemsize
    tables = cycle([_Table(), _Table()])
    for numbers in order.split(max(1, _POOL_BYTES // bytes_a_block)):
        starts = numbers.sort().values * n_rows
        stops = (starts + n_rows).clamp(max=len(rows))
        if indices is not None:
            starts = torch.searchsorted(indices, starts)
            stops = torch.searchsorted(indices, stops)
        bounds = list(zip(starts.tolist(), stops.tolist(), strict=True))
        index = torch.cat([torch.arange(*both) for both in bounds])
        table = next(tables).of(len(index), rows)
        end = 0
        for start, stop in bounds:
            if start < stop:
                part: Index = slice(start, stop)
                if indices is not None:
                    part = indices[part]
                begin, end = end, end + stop - start
                table[begin:end] = rows.gather(part)
        if len(index):
            yield index if indices is None else indices[index], table


class _Table:
    """Memory for some rows at a time."""

    _memory: Tensor | None = None

    def of(self, n_rows: int, rows: RowSource) -> Tensor:
        """Return memory for so many rows of a source, which had others before."""
        if self._memory is None or len(self._memory) < n_rows:
            self._memory = None  # before there is more
            shape = n_rows, rows.shape[1]
            self._memory = torch.empty(shape, dtype=rows.dtype, device=rows.device)
        return self._memory[:n_rows]


def _of_none(
    rows: RowSource, device: torch.device
) -> tuple[Tensor, Tensor, RowSource, int]:
    """The pool before the first."""
    none = torch.empty(0, dtype=torch.int64)
    table = torch.empty((0, rows.shape[1]), dtype=rows.dtype)
    return none, none, TensorRows(table).to(device), 0
