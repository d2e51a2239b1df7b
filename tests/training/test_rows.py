import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.utils import check_array

from skgen.training._rows import is_read_by_blocks

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
