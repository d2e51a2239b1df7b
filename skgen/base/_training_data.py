"""What a fit is trained on: which rows, how often, in which order, with what weight."""

from typing import Any

import numpy as np
import torch
from sklearn.utils import _safe_indexing, check_consistent_length
from sklearn.utils.validation import _check_sample_weight
from skorch.dataset import Dataset, ValidSplit
from torch.utils.data import Subset

from skgen.base._intake import taken_in
from skgen.training import GenerativeNet, RowSource
from skgen.training._batches import WeightedDataset
from skgen.training._block_rows import BlockRows
from skgen.training._row_order import canonical_order
from skgen.training._rows import row_source

# Sample weights that are integers are numbers of repetitions, up to so many rows for
# each row, or so many rows in total: with more an epoch would take too long.
_MOST_REPETITIONS = 10
_FEW_ROWS = 10_000


class TrainingData:
    """The rows of one fit.

    Sample weights that are integers say how often a row is repeated; others multiply
    its loss. No row is copied for that.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Data.
    y : ndarray of shape (n_samples, n_conditions) or None
        What the model is conditioned on, if anything.
    weight : ndarray of shape (n_samples,) or None
        Sample weights, positive.
    ordered : bool
        Whether rows are taken in their canonical order, and not as they come. Those
        that are read by blocks always are as they come.

    Attributes
    ----------
    is_stored_in_blocks : bool
        Whether rows are read from storage a block at a time.
    """

    def __init__(
        self, X: Any, y: np.ndarray | None, weight: np.ndarray | None, *, ordered: bool
    ):
        self.X, self.y = X, y
        repetitions = as_repetitions(weight)
        self.weight = None
        if weight is not None and repetitions is None:
            self.weight = weight / weight.max()  # their sum is finite
        self.is_stored_in_blocks = row_source(X).rows_a_block is not None
        # Another order would read each block many times.
        ordered = ordered and not self.is_stored_in_blocks
        self.index = canonical_order(X, y, self.weight) if ordered else None
        if repetitions is not None and (repetitions != 1).any():
            index = np.arange(len(repetitions)) if self.index is None else self.index
            self.index = index.repeat(repetitions[index])

    def __len__(self) -> int:
        return self.X.shape[0] if self.index is None else len(self.index)

    def select(self, indices: Any = None) -> tuple[RowSource, np.ndarray | None]:
        """Return some rows, or all, with their weights; and what belongs to them.

        Parameters
        ----------
        indices : array-like of shape (n,) or None
            Which rows, in the order of this object; None means all.

        Returns
        -------
        rows : RowSource of shape (n, n_features)
            The rows.
        y : ndarray of shape (n, n_conditions) or None
            Their conditions.
        """
        rows, index = row_source(self.X), self.index
        if index is None and (indices is not None or self.weight is not None):
            index = np.arange(len(self))
        if index is None:
            return rows, self.y
        if indices is not None:
            index = index[np.asarray(indices)]
        weight = None
        if self.weight is not None:
            weight = self.weight[index]
            weight = weight / weight.mean()
        return rows.select(index, weight), None if self.y is None else self.y[index]

    def dataset(self, net: GenerativeNet) -> Any:
        """Wrap all rows for a net, with the data on its device if it fits there."""
        dataset = weighted_dataset(net, self.X, self.y, self.weight)
        index: Any = self.index
        return dataset if index is None else Subset(dataset, index)


class AscendingSplit(ValidSplit):
    """Hold rows out as skorch does, with both parts in ascending order of rows."""

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Subset, Subset]:
        """Split a dataset."""
        train, valid = super().__call__(*args, **kwargs)
        for part in (train, valid):
            part.indices = np.sort(part.indices)
        return train, valid


def weighted_dataset(
    net: GenerativeNet, X: Any, y: Any, weight: np.ndarray | None
) -> Dataset:
    """Wrap rows for a net, with weights of theirs if there are any."""
    dataset = net.get_dataset(X, y)
    if weight is None:
        return dataset
    dtype = next(net.module_.parameters()).dtype
    # Divided first: weights may be beyond the range of float32.
    divided = torch.from_numpy(weight / weight.mean()).to(dtype)
    return WeightedDataset(dataset.X, dataset.y, divided)


def without_weightless(
    X: Any, y: Any, sample_weight: Any
) -> tuple[Any, Any, np.ndarray | None]:
    """Take data in, validate sample weights, and drop rows whose weight is zero.

    It comes before anything that looks at the data: such rows are as good as absent.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data, not validated yet.
    y : array-like of shape (n_samples, ...) or None
        What belongs to the rows.
    sample_weight : array-like of shape (n_samples,), float or None
        Sample weights; None means that all rows count alike.

    Returns
    -------
    X : {array-like, sparse matrix}
        Rows with a weight, by `taken_in`: no copy if these are all.
    y : array-like or None
        Likewise.
    weight : ndarray or None
        Their weights, float64; None where equal weights say nothing.
    """
    X, y = taken_in(X, streams=True), taken_in(y, name="y")
    if sample_weight is None:
        return X, y, None
    sample_weight = taken_in(sample_weight, name="sample_weight")
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not weight.any():  # scikit-learn 1.8 does not see it
        raise ValueError(
            "Got sample_weight that is zero for all rows, but expected at least one "
            "non-zero number."
        )
    if (weight == 0).any():
        check_consistent_length(X, y)
        kept = np.flatnonzero(weight)
        if hasattr(X, "tocsr"):
            X = X.tocsr()
        X = X.at(kept) if isinstance(X, BlockRows) else _safe_indexing(X, kept)
        weight = weight[kept]
        y = None if y is None else _safe_indexing(y, kept)
    if (weight == weight[0]).all() and as_repetitions(weight) is None:
        weight = None  # all rows count alike
    return X, y, weight


def weighted_mean(values: np.ndarray, weight: np.ndarray | None) -> float:
    """Average values of rows in double precision."""
    if weight is not None:
        weight = weight / weight.max()  # their sum is finite
    return float(np.average(values.astype(np.float64, copy=False), weights=weight))


def as_repetitions(weight: np.ndarray | None) -> np.ndarray | None:
    """Return how often each row is repeated, int64; None where weights do not say."""
    if weight is None or (weight % 1).any():
        return None
    most = max(_MOST_REPETITIONS * len(weight), _FEW_ROWS)
    if weight.max() > most or weight.sum() > most:
        return None
    return weight.astype(np.int64)
