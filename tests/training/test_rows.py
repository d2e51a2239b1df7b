import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.utils import check_array

from skgen.training._rows import ArrayRows, is_read_by_blocks

TABLE = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def mapped(tmp_path):
    np.save(tmp_path / "X.npy", TABLE)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "form", [np.asarray, check_array, lambda X: X[::2], lambda X: X]
)
def test_a_mapped_file_is_read_by_blocks(tmp_path, form):
    """Also as the array that validation makes of it, which has the same memory."""
    assert is_read_by_blocks(form(mapped(tmp_path)))


def test_a_sparse_matrix_is_read_by_blocks():
    assert is_read_by_blocks(sp.csr_array(TABLE))


def test_an_array_in_memory_is_not(tmp_path):
    for array in (TABLE, TABLE[::2], TABLE.T, np.array(mapped(tmp_path))):
        assert not is_read_by_blocks(array)


@pytest.mark.parametrize("n_columns", [1, 3, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_columns_read_some_rows_at_a_time(n_columns, dtype):
    """Those of a table that follows from a wider one would hold all of that."""
    X = np.random.RandomState(0).uniform(size=(10_000, n_columns)).astype(dtype)
    read = []

    class Spy(ArrayRows):
        def gather(self, index, *, out=None):
            rows = super().gather(index, out=out)
            read.append(len(rows))
            return rows

    rows = Spy(X)
    expected = X.sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(rows.column_sums(), expected, rtol=1e-6)
    assert sum(read) == len(X)
    assert max(read) <= (2048 if dtype == np.float32 else 4096)
    rows.weight = np.arange(len(X)) / len(X)
    np.testing.assert_allclose(rows.column_sums(), rows.weight @ X, rtol=1e-6)
