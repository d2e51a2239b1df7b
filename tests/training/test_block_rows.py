import threading

import numpy as np
import pytest
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

from skgen.training import _block_rows, _pools
from skgen.training._batches import DeviceBatches
from skgen.training._block_rows import BlockRows
from skgen.training._read_ahead import read_ahead

N, D = 103, 3
TABLE = np.arange(N * D, dtype=np.float32).reshape(N, D)
CPU = torch.device("cpu")


class Reads:
    """A table that notes which slices are read of it."""

    def __init__(self, table=TABLE):
        self.table, self.slices = table, []

    def __call__(self, start, stop):
        self.slices.append((start, stop))
        return self.table[start:stop]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 10 rows, and pools of 3 blocks."""
    monkeypatch.setattr(_block_rows, "_BLOCK_BYTES", 10 * D * 4)
    monkeypatch.setattr(_pools, "_POOL_BYTES", 30 * D * 4)


def rows_of(read=None, **options):
    return BlockRows(read or Reads(), (N, D), np.float32, **options)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(3, 8),
        slice(5, 27),
        slice(95, 200),
        torch.tensor([0, 1, 2]),
        torch.tensor([100, 3, 50, 3, 102, 51]),
        torch.arange(N - 1, -1, -1),
        torch.tensor([], dtype=torch.int64),
    ],
    ids=str,
)
def test_rows_are_those_of_the_table(index):
    read = Reads()
    rows = rows_of(read)
    assert rows.rows_a_block == 10
    expected = TABLE[index if isinstance(index, slice) else index.numpy()]
    np.testing.assert_array_equal(rows.gather(index), expected)
    assert read.slices == sorted(set(read.slices))  # each block once, in order
    out = torch.empty(expected.shape)
    np.testing.assert_array_equal(rows.gather(index, out=out), expected)


@pytest.mark.usefixtures("small_blocks")
def test_each_block_is_read_once_in_a_pass():
    for n_rows in (1, 4, 10, 17, 200):
        read = Reads()
        blocks = list(rows_of(read).blocks(n_rows))
        assert {len(b) for b in blocks[:-1]} <= {n_rows}
        np.testing.assert_array_equal(torch.cat(blocks), TABLE)
        assert read.slices == [(i, min(i + 10, N)) for i in range(0, N, 10)]


@pytest.mark.usefixtures("small_blocks")
def test_a_block_is_a_whole_number_of_chunks():
    assert rows_of(chunk=4).rows_a_block == 12
    assert rows_of(chunk=25).rows_a_block == 25


@pytest.mark.usefixtures("small_blocks")
def test_selected_rows():
    indices = np.array([2, 3, 3, 40, 41, 99, 102])
    rows = rows_of()
    np.testing.assert_array_equal(rows.at(indices).whole(), TABLE[indices])
    selected = rows.select(indices)
    assert selected.rows_a_block == 10
    np.testing.assert_array_equal(torch.cat(list(selected.blocks(2))), TABLE[indices])
    np.testing.assert_array_equal(
        selected.column_sums(), TABLE[indices].sum(axis=0, dtype=np.float64)
    )


@pytest.mark.usefixtures("small_blocks")
def test_what_is_done_to_a_block():
    rows = rows_of().changed(lambda x: x + 1).converted(np.float64)
    assert rows.dtype == torch.float64
    np.testing.assert_array_equal(rows.whole(), TABLE + 1)
    assert rows.whole().dtype == np.float64


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_the_rows_that_are_not_finite_are_named(value):
    table = TABLE.astype(np.float64)
    table[[37, 34], 1] = value
    rows = rows_of(Reads(table))
    rows.gather(slice(0, 30))
    with pytest.raises(ValueError, match=r"rows 34, 37 of those from 30 to 39"):
        rows.gather(slice(30, 40))


@pytest.mark.usefixtures("small_blocks")
def test_sums_that_overflow_are_no_fault():
    table = np.full((N, D), 3e38)
    np.testing.assert_array_equal(rows_of(Reads(table)).whole(), table.astype("f4"))


def test_a_block_of_another_shape():
    with pytest.raises(
        ValueError, match=r"shape \(102, 3\).*expected shape \(103, 3\)"
    ):
        rows_of(lambda start, stop: TABLE[1:stop]).whole()


def batches_of(indices=None, read=None, *, seed=0, batch_size=7, y=None, **options):
    dataset = Dataset(rows_of(read), y)
    if indices is not None:
        dataset = Subset(dataset, indices)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return DeviceBatches(
        dataset, batch_size, device=CPU, generator=generator, **options
    )


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "indices", [None, np.arange(1, N, 2), np.repeat([5, 6, 60, 61], 10)]
)
def test_a_pass_has_each_row_once(indices):
    batches = batches_of(indices)
    for _ in range(2):
        parts = [batch.x.clone() for batch in batches]
        assert [len(x) for x in parts[:-1]] == [7] * (len(batches) - 1)
        seen = torch.cat(parts).numpy()
        expected = TABLE if indices is None else TABLE[indices]
        assert not np.array_equal(seen, expected)
        np.testing.assert_array_equal(seen[seen[:, 0].argsort()], expected)


@pytest.mark.usefixtures("small_blocks")
def test_conditions_stay_with_their_rows():
    y = torch.from_numpy(TABLE[:, :1] * 2)
    for batch in batches_of(y=y):
        np.testing.assert_array_equal(batch.y[:, 0], 2 * batch.x[:, 0])


@pytest.mark.usefixtures("small_blocks")
def test_without_a_generator_rows_come_in_order():
    x = torch.cat([batch.x for batch in batches_of(seed=None)])
    np.testing.assert_array_equal(x, TABLE)


@pytest.mark.usefixtures("small_blocks")
def test_a_last_row_joins_the_mini_batch_before():
    sizes = [len(b.x) for b in batches_of(batch_size=17, join_single_row=True)]
    assert sizes == [17] * 5 + [18]
    sizes = [len(b.x) for b in batches_of(batch_size=17)]
    assert sizes == [17] * 6 + [1]


@pytest.mark.usefixtures("small_blocks")
def test_memory_of_the_objective_is_used():
    memory = torch.empty(7, D)
    batches = batches_of()
    batches.buffer = lambda n: memory[:n]
    n_there = 0
    for batch in batches:
        n_there += batch.x.data_ptr() == memory.data_ptr()
    assert n_there > len(batches) / 2


@pytest.mark.usefixtures("small_blocks")
def test_an_order_of_its_own_for_each_pass_and_seed():
    batches = batches_of()
    orders = [torch.cat([b.x[:, 0].clone() for b in batches]) for _ in range(2)]
    assert not torch.equal(*orders)
    again = torch.cat([b.x[:, 0].clone() for b in batches_of()])
    assert torch.equal(again, orders[0])
    other = torch.cat([b.x[:, 0].clone() for b in batches_of(seed=1)])
    assert not torch.equal(other, orders[0])


@pytest.mark.usefixtures("small_blocks")
def test_rows_of_a_pool_are_mixed():
    """Row i of the first pool comes from each of its blocks about equally often."""
    counts = np.zeros((30, N // 10 + 1))
    for seed in range(300):
        first = next(iter(batches_of(batch_size=30, seed=seed))).x
        number = (first[:, 0].numpy() / D // 10).astype(int)
        counts[np.arange(30), number] += 1
    # 300 draws of 1 in about 10: 29 on average, with a standard deviation of 5.
    assert counts[:, :10].min() > 5
    assert counts[:, :10].max() < 60


@pytest.mark.usefixtures("small_blocks")
def test_a_pass_that_is_left_early_ends_its_thread():
    before = threading.active_count()
    for _ in batches_of():
        assert threading.active_count() == before + 1
        break
    for _ in batches_of():
        pass
    assert threading.active_count() == before


def test_an_error_of_reading_comes_where_the_item_would():
    def items():
        yield 1
        yield 2
        raise OSError("the disk is gone")

    made = read_ahead(items())
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(made)


def test_at_most_one_item_is_made_ahead():
    made = []

    def items():
        for i in range(5):
            made.append(i)
            yield i

    for item in read_ahead(items()):
        assert len(made) <= item + 2
