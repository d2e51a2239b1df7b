import numpy as np
import pytest
import scipy.sparse as sp
import torch

from skgen.training import _row_order
from skgen.training._row_order import canonical_order, numbers_of_rows
from skgen.training._rows import row_source


def table(kind, dtype, n=300, d=11):
    """Continuous, with few levels, of bits, or mostly of equal rows; in any case with
    two rows that are the same."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(n, d))
    if kind == "levels":
        X = np.round(X, 1)
    elif kind == "bits":
        X = (X > 0.5) * 1.0
    elif kind == "repeated":
        X = X[rng.randint(0, 5, n)]
    X[7] = X[70]
    return X.astype(dtype)


KINDS = pytest.mark.parametrize("kind", ["continuous", "levels", "bits", "repeated"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def shuffled(X):
    return X[np.random.RandomState(1).permutation(len(X))]


@KINDS
@DTYPES
def test_it_is_an_order_of_contents(kind, dtype):
    X = table(kind, dtype)
    order = canonical_order(X)
    assert sorted(order) == list(range(len(X)))
    other = shuffled(X)
    np.testing.assert_array_equal(X[order], other[canonical_order(other)])
    repeated = np.concatenate([X, X[:100]])
    ordered = repeated[canonical_order(repeated)]
    kept = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    assert kept.sum() == len(np.unique(X, axis=0))  # equal rows stand together


@KINDS
@DTYPES
@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_of_sparse_rows_it_is_that_of_dense_ones(kind, dtype, container):
    X = table(kind, dtype)
    X[X < 0] = 0
    given, expected = container(X), X[canonical_order(X)]
    np.testing.assert_array_equal(expected, X[canonical_order(given)])
    # Each entry in two halves.
    halves = container(
        (given.data.repeat(2) / 2, given.indices.repeat(2), 2 * given.indptr)
    )
    np.testing.assert_array_equal(expected, X[canonical_order(halves)])
    y = np.arange(len(X), dtype=dtype)[:, None] % 7
    np.testing.assert_array_equal(canonical_order(X, y), canonical_order(given, y))


@KINDS
@DTYPES
def test_it_does_not_depend_on_units(kind, dtype):
    """Exactly for powers of two; rounding may exchange rows that are nearly equal."""
    X = table(kind, dtype)
    order = canonical_order(X)
    rng = np.random.RandomState(2)
    scaled = X * 2.0 ** rng.randint(-30, 30, 11)
    np.testing.assert_array_equal(X[order], X[canonical_order(scaled.astype(dtype))])
    other = X.astype(np.float64) * 10.0 ** rng.uniform(-6, 6, 11) + 100
    np.testing.assert_array_equal(X[order], X[canonical_order(other)])
    # A Unix time keeps the digits that single precision has.
    late = X.astype(np.float64) + 1.6e9
    np.testing.assert_array_equal(X[order], X[canonical_order(late)])


def test_minus_zero_is_zero():
    X = table("bits", np.float32)
    minus = np.where(X == 0, np.float32(-0.0), X)
    np.testing.assert_array_equal(X[canonical_order(X)], X[canonical_order(minus)])


@pytest.mark.parametrize("size", [1e-320, 1e30, 1e300, np.finfo(float).max])
def test_numbers_of_any_size(size):
    X = table("continuous", np.float64) / 5
    X[:, 3] *= size
    X[:, 4] = size
    X[5, 6] = size  # one that makes all others of its column as good as equal
    other = shuffled(X)
    np.testing.assert_array_equal(X[canonical_order(X)], other[canonical_order(other)])


def test_rows_with_equal_sums_are_ordered_by_a_hash(monkeypatch):
    """As if the sum were the same for all rows."""
    monkeypatch.setattr(
        _row_order, "_projection", lambda rows, integers: np.zeros(len(rows))
    )
    for dtype in (np.float32, np.float64):
        for kind in ("continuous", "bits"):
            X = table(kind, dtype)
            other = shuffled(X)
            ordered = X[canonical_order(X)]
            np.testing.assert_array_equal(ordered, other[canonical_order(other)])
            np.testing.assert_array_equal(ordered, X[canonical_order(sp.csr_array(X))])


def test_hashes_of_bits_differ():
    """Numbers whose lower bits are all zero: products with them keep those."""
    i = np.arange(2**16)
    X = (i[:, None] >> np.arange(16) & 1).astype(np.float64)
    for dtype in (np.float32, np.float64):
        hashes = _row_order._added_up(_row_order._hashes, [row_source(X.astype(dtype))])
        assert len(np.unique(hashes)) == len(X)


def test_conditions_and_weights_are_contents():
    X, n = np.zeros((50, 2)), 50
    y, weight = np.arange(50.0)[:, None], np.arange(1.0, 51.0)
    assert list(canonical_order(X, y)) != list(canonical_order(X, -y))
    for more in ({"y": y}, {"weight": weight}):
        order = canonical_order(X, **more)
        back = {name: values[::-1] for name, values in more.items()}
        np.testing.assert_array_equal(order, n - 1 - canonical_order(X, **back))


def test_blocks_do_not_show(monkeypatch):
    X = table("continuous", np.float32)
    whole = canonical_order(X)
    monkeypatch.setattr(_row_order, "_BLOCK_SIZE", 100)
    np.testing.assert_array_equal(whole, canonical_order(X))
    np.testing.assert_array_equal(whole, canonical_order(torch.from_numpy(X)))


@pytest.mark.parametrize("n", [1, 2])
def test_few_rows(n):
    assert sorted(canonical_order(np.ones((n, 3)))) == list(range(n))


@KINDS
@DTYPES
def test_equal_rows_have_one_number(kind, dtype):
    X = table(kind, dtype)
    numbers = numbers_of_rows(X)
    _, first, which = np.unique(X, axis=0, return_index=True, return_inverse=True)
    # Of the first appearance of each row, its place among those of all.
    expected = np.argsort(np.argsort(first))[which.ravel()]
    np.testing.assert_array_equal(numbers, expected)
