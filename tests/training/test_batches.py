import numpy as np
import pytest
import scipy.sparse as sp
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

from skgen.training import DeviceBatches, to_tensor

CPU = torch.device("cpu")
X = np.arange(21.0).reshape(7, 3)
KINDS = {"tensor": torch.tensor, "array": np.array, "sparse": sp.csr_array}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def dataset(request):
    return Dataset(request.param(X))


def rows(batches):
    return [batch.numpy() for batch, y in batches if y is None]


def test_all_rows_in_order(dataset):
    batches = DeviceBatches(dataset, 3, device=CPU)
    assert len(batches) == 3
    assert [len(b) for b in rows(batches)] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(rows(batches)), X)


def test_shuffled_anew_each_pass(dataset, generator):
    batches = DeviceBatches(dataset, 3, device=CPU, generator=generator)
    passes = [np.concatenate(rows(batches)) for _ in range(2)]
    assert not np.array_equal(*passes)
    for once in passes:
        np.testing.assert_array_equal(np.sort(once, axis=0), X)


@pytest.mark.parametrize("shuffle", [False, True])
def test_follows_subsets(dataset, shuffle, generator):
    inner = Subset(dataset, [6, 0, 2, 4])
    batches = DeviceBatches(
        Subset(inner, np.array([3, 1, 0])),
        2,
        device=CPU,
        generator=generator if shuffle else None,
    )
    got, expected = np.concatenate(rows(batches)), X[[4, 0, 6]]
    if shuffle:
        got, expected = np.sort(got, axis=0), np.sort(expected, axis=0)
    np.testing.assert_array_equal(got, expected)


def test_sparse_matrix_is_never_dense_as_a_whole(monkeypatch):
    seen = []
    toarray = sp.csr_array.toarray
    monkeypatch.setattr(
        sp.csr_array, "toarray", lambda a: (seen.append(a.shape[0]), toarray(a))[1]
    )
    list(DeviceBatches(Dataset(sp.csr_array(X)), 3, device=CPU))
    assert seen == [3, 3, 1]


def test_to_tensor_shares_memory():
    x = X.copy()
    assert to_tensor(x, CPU).data_ptr() == x.ctypes.data


def test_to_tensor_takes_read_only_memory_without_a_copy():
    x = X.copy()
    x.flags.writeable = False
    assert to_tensor(x, CPU).data_ptr() == x.ctypes.data
    assert not x.flags.writeable


def test_to_tensor_takes_any_strides():
    np.testing.assert_array_equal(to_tensor(X[::-1, ::2], CPU).numpy(), X[::-1, ::2])
