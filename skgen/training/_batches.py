"""Mini-batches that are sliced from the data where it lies."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from skorch.utils import data_from_dataset
from torch import Tensor
from torch.utils.data import Dataset, Subset


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


def some_rows(dataset: Dataset, n_rows: int) -> Subset:
    """Take up to `n_rows` rows, spread evenly over a dataset, the same each time."""
    n_all = len(dataset)  # type: ignore[arg-type]
    spread = np.linspace(0, n_all, min(n_rows, n_all), endpoint=False, dtype=int)
    return Subset(dataset, spread.tolist())


class DeviceBatches:
    """Iterate over mini-batches as tensors on one device.

    It stands where skorch expects a data loader. Rows are taken a batch at a
    time from the whole array (no row is fetched alone), and a `Subset` is
    followed to the array that it selects from, without a copy. The rows of a
    sparse matrix are made dense here, and only here.

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
    """

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
        self.X = X.to(device) if isinstance(X, Tensor) else X
        self.indices = indices
        self.batch_size = batch_size
        self.device = device
        self.generator = generator
        self.n_rows = self.X.shape[0] if indices is None else len(indices)

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, None]]:
        order = self._order()
        for start in range(0, self.n_rows, self.batch_size):
            rows = slice(start, start + self.batch_size)
            if order is None:
                yield self._take(rows), None
            elif isinstance(self.X, Tensor):
                yield self.X.index_select(0, order[rows]), None
            else:
                yield self._take(order[rows].numpy()), None

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
        return order.to(self.device if isinstance(self.X, Tensor) else "cpu")

    def _take(self, rows: slice | np.ndarray) -> Tensor:
        batch: Any = self.X[rows]
        if isinstance(batch, Tensor):
            return batch
        return to_tensor(batch.toarray() if sp.issparse(batch) else batch, self.device)
