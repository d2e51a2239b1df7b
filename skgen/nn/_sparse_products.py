"""Matrix products with bits, few of which are 1, as sums of rows."""

from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Share of ones up to which sums of rows are used, and the least number of columns of
# the other factor. The first pair was measured without AVX-512; with it, dense products
# are twice as fast.
_MOST_ONES, _LEAST_COLUMNS = 0.2, 200
_MOST_ONES_AVX512, _LEAST_COLUMNS_AVX512 = 0.1, 512
# Below this number of multiplications, or of rows, as the table is copied, a dense
# product takes less time than to search for the ones.
_LEAST_WORK, _LEAST_ROWS = 2**23, 512
# Entries of a matrix from which on a product of one row is numpy's, and the share of
# entries other than 0 up to which that of the others is left out.
_LEAST_TABLE, _MOST_OF_A_ROW = 2**14, 0.2
# Entries of bits, and columns of a table, that stay in the cache of a core.
_BITS_TOGETHER, _COLUMNS_TOGETHER = 2**19, 256


def multiply(x: Tensor, table: Tensor) -> Tensor:
    """Compute ``x @ table``, in less time where `x` are bits and few of them are 1.

    A dense product multiplies by every entry. For black and white images, bags of
    words or the hidden units of an RBM it takes less time to find the ones and to add
    the corresponding rows of `table`. A single row takes less by numpy. The result is
    the same up to rounding. Which method is used depends on the factors and the
    processor only, so that it is the same each time.

    Parameters
    ----------
    x : Tensor of shape (n, k)
        The left factor, of any strides.
    table : Tensor of shape (k, m)
        The right factor.

    Returns
    -------
    product : Tensor of shape (n, m)
        The product.
    """
    if _is_single_row(x, table):
        return torch.from_numpy(_row_times(x.detach().numpy(), table.detach().numpy()))
    product = _sums_of_rows(x, table)
    return torch.mm(x, table) if product is None else product


def _is_single_row(x: Tensor, table: Tensor) -> bool:
    """Whether numpy multiplies in half of the time of torch: vectors and matrices."""
    return (
        x.size(0) == 1
        and x.device.type == table.device.type == "cpu"
        and x.dtype == table.dtype
        and x.dtype in (torch.float32, torch.float64)
        and table.numel() >= _LEAST_TABLE
        and not _is_recorded(x, table)
    )


def _row_times(x: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Multiply one row, of which zeros are left out where that reads less memory."""
    if table.flags.c_contiguous:
        where = np.flatnonzero(x)
        if len(where) <= _MOST_OF_A_ROW * len(table):
            return x[:, where] @ table.take(where, axis=0)
    return x @ table


def _is_recorded(x: Tensor, table: Tensor) -> bool:
    return torch.is_grad_enabled() and (x.requires_grad or table.requires_grad)


def _sums_of_rows(x: Tensor, table: Tensor) -> Tensor | None:
    """Multiply by sums of rows; None where a dense product is to be used instead.

    That is where `x` has many ones, or values besides 0 and 1, or is not float32 on a
    CPU, where there is too little work, or where autograd records.
    """
    most = _most_ones(x, table)
    if not most:
        return None
    blocks = x.split(max(1, _BITS_TOGETHER // x.shape[1]))
    masks = (_few_ones(block, most) for block in blocks)
    first = next(masks)
    if first is None:  # the first block stands for the others
        return None
    product = table.new_empty(len(x), table.shape[1])
    tables = [t.contiguous() for t in table.split(_COLUMNS_TOGETHER, dim=1)]
    parts = product.split(len(blocks[0]))
    for block, mask, into in zip(blocks, chain([first], masks), parts, strict=True):
        if mask is None:
            torch.mm(block, table, out=into)
        else:
            _sum_rows(mask, tables, into)
    return product


def _sum_rows(mask: np.ndarray, tables: list[Tensor], out: Tensor) -> None:
    """Fill each row of `out` by the sum of the rows of `tables` where `mask` is set.

    `tables` are the columns of one, some at a time.
    """
    n_rows, n = mask.shape
    where = torch.from_numpy(np.flatnonzero(mask))
    begins = torch.searchsorted(where, torch.arange(n_rows) * n)
    where.remainder_(n)
    parts = out.split(_COLUMNS_TOGETHER, dim=1)
    for table, part in zip(tables, parts, strict=True):
        part.copy_(F.embedding_bag(where, table, begins, mode="sum"))


def _most_ones(x: Tensor, table: Tensor) -> float:
    """Share of ones up to which sums of rows are faster; 0 means never."""
    n_columns = table.shape[1]
    if (
        len(x) < _LEAST_ROWS
        or x.numel() * n_columns < _LEAST_WORK
        or {x.device.type, table.device.type} != {"cpu"}
        or {x.dtype, table.dtype} != {torch.float32}
        or _is_recorded(x, table)
        # Whose kernels sum the rows.
        or "fbgemm" not in torch.backends.quantized.supported_engines
    ):
        return 0.0
    most, least_columns = _MOST_ONES, _LEAST_COLUMNS
    if torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        most, least_columns = _MOST_ONES_AVX512, _LEAST_COLUMNS_AVX512
    return most if n_columns >= least_columns else 0.0


def _few_ones(x: Tensor, most: float) -> np.ndarray | None:
    """Where x is 1, if it is 0 elsewhere and the share of ones is `most` or less."""
    values = x.detach().numpy()
    mask = values != 0
    n_ones = np.count_nonzero(mask)
    if n_ones > most * mask.size or n_ones != np.count_nonzero(values == 1):
        return None
    return mask
