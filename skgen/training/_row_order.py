"""An order of the rows of a table that depends on their contents alone."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skgen.training._rows import RowSource, SparseRows, row_source

# Numbers that are worked on at a time: they stay in the cache.
_BLOCK_SIZE = 2**17
# Odd constants of splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom
# number generators", OOPSLA 2014).
_STEP, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def canonical_order(
    X: Any, y: np.ndarray | None = None, weight: np.ndarray | None = None
) -> np.ndarray:
    r"""Order rows by their contents, so that a fit does not depend on how they came.

    Rows are sorted by :math:`\sum_j r_j (x_j - \min_j) / (\max_j - \min_j)`, with the
    extremes of each column and fixed random factors :math:`r_j`. Equal rows stand
    together. The order is the same if columns are in other units, and rounding only
    exchanges rows whose sums are as good as equal. Where sums are equal, a hash of the
    contents decides.

    Parameters
    ----------
    X : ndarray, CSR matrix or RowSource of shape (n_samples, n_features)
        Data.
    y : ndarray of shape (n_samples, n_conditions) or None
        What belongs to the rows and is a part of their contents, if anything.
    weight : ndarray of shape (n_samples,) or None
        Likewise.

    Returns
    -------
    order : ndarray of shape (n_samples,), dtype=int64
        Indices of the rows.
    """
    parts = [row_source(X)]
    parts += [row_source(more) for more in (y, _column(weight)) if more is not None]
    key = _added_up(_projection, parts)
    order = np.argsort(key)
    key = key[order]
    same = key[1:] == key[:-1]
    if same.any():
        tied = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
        rows = order[tied]
        hashes = _added_up(_hashes, [part.select(rows) for part in parts])
        order[tied] = rows[np.lexsort((hashes, key[tied]))]
    return order


def numbers_of_rows(X: Any) -> np.ndarray:
    """Number the rows of a table so that equal ones have the same number.

    Parameters
    ----------
    X : ndarray, CSR matrix or RowSource of shape (n_samples, n_features)
        Data.

    Returns
    -------
    numbers : ndarray of shape (n_samples,), dtype=int64
        Numbers from 0 on, in the order in which rows first appear.
    """
    hashes = _added_up(_hashes, [row_source(X)])
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[which]


def _column(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else values[:, None]


def _added_up(function: Any, parts: list[RowSource]) -> np.ndarray:
    """Add up what a function gives for parts of the rows, each with its own factors."""
    first, total = 0, None
    for rows in parts:
        values = function(rows, _random_integers(first, 2 * rows.shape[1]))
        total = values if total is None else total + values
        first += 2 * rows.shape[1]
    assert total is not None
    return total


def _projection(rows: RowSource, integers: np.ndarray) -> np.ndarray:
    """Project each row, each column divided by its range, float64, (n_samples,)."""
    low, high = _extremes(rows)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        factors = (0.5 + integers[: len(low)] * 2.0**-64) / (high / 2 - low / 2)
    factors[~np.isfinite(factors)] = 0  # of a constant column
    if isinstance(rows, SparseRows):
        return rows.X @ (factors / 2)  # up to a constant, which does not matter
    # Halves do not overflow. Summed up row by row: BLAS rounds differently at different
    # places of a block.
    start = torch.from_numpy(-low / 2).to(rows.dtype)
    absent = -0.5 - integers[len(low) :] * 2.0**-64
    parts = []
    for block in _blocks(rows):
        x = start.add(block.cpu(), alpha=0.5).double().numpy()
        sums = np.einsum("ij,j->i", x, factors)
        if np.isnan(sums).any():
            # What is missing stands below the smallest value.
            sums = np.where(np.isnan(x), absent, x * factors).sum(axis=1)
        parts.append(sums)
    return np.concatenate(parts)


def _extremes(rows: RowSource) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest number of each column, float64."""
    if isinstance(rows, SparseRows):
        bounds = (rows.X.min(axis=0), rows.X.max(axis=0))
        low, high = (b.toarray() if sp.issparse(b) else b for b in bounds)
        return low.ravel().astype(np.float64), high.ravel().astype(np.float64)
    low, high = np.full((2, rows.shape[1]), [[np.inf], [-np.inf]])
    for block in _blocks(rows):
        x = block.cpu()
        # Twice as fast as numpy's, which pass over NaN.
        least, largest = x.amin(0).numpy(), x.amax(0).numpy()
        if np.isnan(least).any():
            known = x.numpy()
            least, largest = (f.reduce(known, axis=0) for f in (np.fmin, np.fmax))
        low, high = np.fmin(low, least), np.fmax(high, largest)
    return low, high


def _hashes(rows: RowSource, integers: np.ndarray) -> np.ndarray:
    r"""Hash each row, int64, shape (n_samples,).

    It is :math:`\sum_j r_j w_j` modulo :math:`2^{64}` with the bits :math:`w_j` of the
    numbers of a row, 32 at a time, and odd factors :math:`r_j`.
    """
    factors = (integers | np.uint64(1)).view(np.int64)
    parts = []
    for block in _blocks(rows):
        words = _words(block.cpu()).numpy()
        parts.append(np.einsum("ij,j->i", words, factors[: words.shape[1]]))
    return np.concatenate(parts)


def _words(x: Tensor) -> Tensor:
    """The bits of floating-point numbers, 32 at a time, the lower ones mixed."""
    # There is one zero: -0.0 + 0.0 = 0.0; and one NaN.
    words = (x + 0.0).masked_fill_(x.isnan(), torch.nan).view(torch.int32)
    # The lower bits of round numbers are all 0, and would stay so in products.
    return words ^ (words >> 16)


def _blocks(rows: RowSource) -> Any:
    return rows.blocks(max(1, _BLOCK_SIZE // rows.shape[1]))


def _random_integers(first: int, n: int) -> np.ndarray:
    """Pseudo-random numbers, those of splitmix64 from `first` on, uint64."""
    z = np.arange(first + 1, first + n + 1, dtype=np.uint64) * np.uint64(_STEP)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    return z ^ (z >> np.uint64(31))
