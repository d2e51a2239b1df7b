import numpy as np
import pytest
import scipy.sparse as sp
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

from skgen.training import Batch, RowSource, _batches, _rows
from skgen.training._batches import DeviceBatches, WeightedDataset, some_rows
from skgen.training._rows import PinnedBuffer, fits, row_source, to_tensor

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
X = np.arange(21.0).reshape(7, 3)
KINDS = {"tensor": torch.tensor, "array": np.array, "sparse": sp.csr_array}


@pytest.fixture(autouse=True, params=["shuffled at once", "gathered"])
def size_of_small_tables(request, monkeypatch):
    if request.param == "gathered":
        monkeypatch.setattr(_batches, "_SHUFFLED_AT_ONCE", 0)


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def dataset(request):
    return Dataset(request.param(X))


def rows(batches):
    return [batch.x.numpy() for batch in batches if batch.y is batch.weight is None]


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


@pytest.mark.parametrize("theirs", [None, torch.empty(3, 3, dtype=torch.float64)])
def test_batches_are_gathered_in_memory_that_is_kept(theirs, monkeypatch):
    """That of whoever sets `buffer`, or that of the iterator.

    A small table is shuffled at once, which gives the same mini-batches.
    """

    def batches():
        generator = torch.Generator().manual_seed(0)
        dataset = Dataset(torch.tensor(X))
        return DeviceBatches(dataset, 3, device=CPU, generator=generator)

    expected = np.concatenate(rows(batches()))
    monkeypatch.setattr(_batches, "_SHUFFLED_AT_ONCE", 0)
    gathered = batches()
    gathered.buffer = lambda n: None if theirs is None else theirs[:n]
    seen = [(x.data_ptr(), x.clone()) for x, *_ in gathered]
    np.testing.assert_array_equal(torch.cat([x for _, x in seen]), expected)
    assert len({where for where, _ in seen}) == 1
    assert theirs is None or seen[0][0] == theirs.data_ptr()


@pytest.mark.parametrize("indices", [None, [6, 0, 2, 4]])
def test_a_small_table_is_shuffled_in_memory_that_is_kept(indices):
    """The same mini-batches in each pass as without a buffer."""

    def passes(buffer):
        dataset = Dataset(torch.tensor(X))
        batches = DeviceBatches(
            dataset if indices is None else Subset(dataset, indices),
            3,
            device=CPU,
            generator=torch.Generator().manual_seed(0),
        )
        batches.buffer = buffer
        return [[(x.data_ptr(), x.clone()) for x, *_ in batches] for _ in range(3)]

    kept, anew = passes(lambda n: None), passes(None)
    for one, other in zip(kept, anew, strict=True):
        for (_, x), (_, y) in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)
    if _batches._SHUFFLED_AT_ONCE:
        assert [where for where, _ in kept[0]] == [where for where, _ in kept[2]]


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


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [
        (7, 3, [3, 4]),
        (7, 2, [2, 2, 3]),
        (7, 6, [7]),
        (7, 7, [7]),
        (7, 9, [7]),
        (7, 4, [4, 3]),
        (7, 1, [1] * 7),
        (1, 3, [1]),
        (1, 1, [1]),
        (2, 1, [1, 1]),
    ],
)
def test_a_single_row_joins_the_mini_batch_before(
    dataset, n_rows, batch_size, sizes, shuffle, generator, monkeypatch
):
    monkeypatch.setattr(_batches, "_BATCHES_A_SPLIT", 1)
    batches = DeviceBatches(
        Subset(dataset, np.arange(n_rows)),
        batch_size,
        device=CPU,
        generator=generator if shuffle else None,
        join_single_row=True,
    )
    batches.buffer = lambda n: None
    got = [x.copy() for x in rows(batches)]
    assert [len(x) for x in got] == sizes
    assert len(batches) == len(sizes)
    batches.buffer = None
    np.testing.assert_array_equal(
        np.sort(np.concatenate(rows(batches)), axis=0), X[:n_rows]
    )


def test_sparse_matrix_is_never_dense_as_a_whole(monkeypatch):
    seen = []
    toarray = sp.csr_array.toarray
    monkeypatch.setattr(
        sp.csr_array, "toarray", lambda a: (seen.append(a.shape[0]), toarray(a))[1]
    )
    list(DeviceBatches(Dataset(sp.csr_array(X)), 3, device=CPU))
    assert seen == [3, 3, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_no_rows_no_batches(kind, shuffle, generator):
    dataset = Dataset(KINDS[kind](X[:0]))
    shuffled = {"generator": generator} if shuffle else {}
    batches = DeviceBatches(dataset, 3, device=CPU, **shuffled)
    assert len(batches) == len(list(batches)) == 0


@pytest.mark.parametrize("shuffle", [False, True])
def test_more_batches_than_are_split_at_a_time(shuffle, generator, monkeypatch):
    monkeypatch.setattr(_batches, "_BATCHES_A_SPLIT", 2)
    dataset = Dataset(torch.tensor(X))
    shuffled = {"generator": generator} if shuffle else {}
    got = rows(DeviceBatches(dataset, 1, device=CPU, **shuffled))
    assert len(got) == len(X)
    got = np.concatenate(got)
    np.testing.assert_array_equal(got[got[:, 0].argsort()], X)
    assert np.array_equal(got, X) != shuffle


def test_nothing_is_copied_on_the_cpu():
    x = torch.tensor(X)
    batches = DeviceBatches(Dataset(x), 3, device=CPU)
    first = next(iter(batches)).x
    assert batches.rows.X is x
    assert first.data_ptr() == x.data_ptr()


class SlowCopies:
    """As PinnedBuffer, with copies that only happen when somebody waits for them."""

    made: list["SlowCopies"]

    def __init__(self, shape, dtype, device):
        assert device == CUDA
        self.rows = torch.full(shape, torch.nan, dtype=dtype)
        self.pending = []
        self.n_sent = 0
        self.made.append(self)

    def wait(self):
        for batch in self.pending:
            batch.copy_(self.rows[: len(batch)])
        self.pending.clear()

    def send(self, n_rows):
        self.pending.append(torch.full_like(self.rows[:n_rows], torch.nan))
        self.n_sent += 1
        return self.pending[-1]


@pytest.fixture
def buffers(monkeypatch):
    SlowCopies.made = []
    monkeypatch.setattr(_rows, "PinnedBuffer", SlowCopies)
    return SlowCopies.made


def streamed(batches, buffers):
    """All rows, when the copies have ended."""
    got = [batch.x for batch in batches]
    for buffer in buffers:
        buffer.wait()
    return torch.cat(got).numpy()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 10])
def test_streams_rows_in_order(buffers, batch_size):
    batches = DeviceBatches(Dataset(torch.tensor(X)), batch_size, device=CUDA)
    assert batches.rows.device == CPU
    np.testing.assert_array_equal(streamed(batches, buffers), X)
    # Two buffers take turns; a single batch needs but one.
    n_batches = len(batches)
    assert [b.n_sent for b in buffers] == {
        1: [1],
        2: [1, 1],
        3: [2, 1],
        4: [2, 2],
        7: [4, 3],
    }[n_batches]
    assert {len(b.rows) for b in buffers} == {min(batch_size, 7)}


@pytest.mark.parametrize("subset", [False, True])
def test_streams_the_rows_that_it_would_give_on_the_cpu(buffers, subset):
    dataset = Dataset(torch.tensor(X))
    if subset:
        dataset = Subset(dataset, [5, 3, 0, 1, 6])
    passes = {}
    for device in (CPU, CUDA):
        generator = torch.Generator().manual_seed(0)
        batches = DeviceBatches(dataset, 2, device=device, generator=generator)
        passes[device] = [streamed(batches, buffers) for _ in range(2)]
    np.testing.assert_array_equal(passes[CUDA], passes[CPU])


def test_prepares_the_next_batch_while_the_last_is_not_there_yet(buffers):
    batches = iter(DeviceBatches(Dataset(torch.tensor(X)), 2, device=CUDA))
    first, second = next(batches).x, next(batches).x
    assert first.isnan().all()
    next(batches)
    np.testing.assert_array_equal(first, X[:2])
    assert second.isnan().all()


def test_passes_at_once_share_no_buffer(buffers):
    batches = DeviceBatches(Dataset(torch.tensor(X)), 3, device=CUDA)
    for one, other in zip(batches, batches, strict=True):
        for buffer in buffers:
            buffer.wait()
        np.testing.assert_array_equal(one.x, other.x)
    assert len(buffers) == 4


def test_data_fit_if_they_leave_room(monkeypatch):
    assert fits(10**18, CPU)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert fits(960, CUDA)
    assert not fits(961, CUDA)


@pytest.mark.cuda
@pytest.mark.parametrize("shuffle", [False, True])
def test_streams_to_a_gpu(shuffle):
    x = torch.arange(4_000_000.0).reshape(-1, 1000)
    found = {}
    for place in (CPU, CUDA):
        generator = torch.Generator("cuda").manual_seed(0) if shuffle else None
        batches = DeviceBatches(
            Dataset(x.to(place)), 512, device=CUDA, generator=generator
        )
        found[place] = [batch.x for batch in batches]
        assert batches.rows.device.type == place.type
    assert all(batch.is_cuda for batch in found[CPU])
    assert torch.equal(torch.cat(found[CPU]), torch.cat(found[CUDA]))


@pytest.mark.cuda
def test_a_copy_does_not_wait_for_the_gpu():
    buffer = PinnedBuffer((1000, 1000), torch.float32, CUDA)
    assert buffer.rows.is_pinned()
    buffer.wait()
    buffer.rows.fill_(1.0)
    torch.cuda._sleep(200_000_000)
    batch = buffer.send(1000)
    assert not buffer._sent.query()
    buffer.wait()
    assert buffer._sent.query()
    assert batch.eq(1.0).all()


@pytest.mark.cuda
def test_a_gpu_that_is_not_full_has_room():
    assert fits(2**20, CUDA)
    assert not fits(torch.cuda.mem_get_info()[1], CUDA)


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


# Conditions and weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_conditions_and_weights_go_with_their_rows(kind, shuffle, generator):
    y, weight = torch.tensor(10 * X[:, :1]), torch.tensor(X[:, 0] + 1)
    dataset = Subset(WeightedDataset(KINDS[kind](X), y, weight), [6, 0, 2, 4])
    shuffled = {"generator": generator} if shuffle else {}
    seen = list(DeviceBatches(dataset, 3, device=CPU, **shuffled))
    assert all(isinstance(batch, Batch) for batch in seen)
    x, y, weight = (torch.cat(parts) for parts in zip(*seen, strict=True))
    torch.testing.assert_close(y, 10 * x[:, :1], rtol=0, atol=0)
    # Divided by their mean over the data, 10.
    torch.testing.assert_close(weight, (x[:, 0] + 1) / 10)
    expected = X[[6, 0, 2, 4]]
    if shuffle:
        x, expected = x.sort(dim=0).values, np.sort(expected, axis=0)
    np.testing.assert_array_equal(x, expected)


def test_some_rows_have_their_conditions():
    dataset = Dataset(torch.tensor(X), torch.arange(7))
    few = some_rows(dataset, 3, CPU)
    np.testing.assert_array_equal(few.x, X[[0, 2, 4]])
    assert few.y.tolist() == [0, 2, 4]
    np.testing.assert_array_equal(some_rows(dataset, 99, CPU).x, X)


# Sources of rows


class Squares(RowSource):
    """A kind of storage of its own: rows that are computed when they are gathered."""

    def __init__(self, n):
        self.shape, self.dtype = (n, 2), torch.float64

    def gather(self, index, *, out=None):
        i = torch.arange(self.shape[0])[index].double()
        return torch.stack([i, i**2], dim=1)


SOURCES = {
    **{kind: (make(X), X) for kind, make in KINDS.items()},
    "memmap": (X, X),  # replaced by a file below
    "own": (Squares(7), np.stack([np.arange(7.0), np.arange(7.0) ** 2], 1)),
}


@pytest.fixture(params=SOURCES)
def source(request, tmp_path):
    table, expected = SOURCES[request.param]
    if request.param == "memmap":
        np.save(tmp_path / "X.npy", X)
        table = np.load(tmp_path / "X.npy", mmap_mode="r")
    return row_source(table), expected


def test_a_source_gathers_rows_and_iterates_over_blocks(source):
    rows, expected = source
    assert rows.shape == expected.shape
    assert rows.dtype == torch.float64
    index = torch.tensor([5, 0, 5])
    np.testing.assert_array_equal(rows.gather(index), expected[index])
    np.testing.assert_array_equal(rows.gather(slice(2, 4)), expected[2:4])
    blocks = list(rows.blocks(3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    np.testing.assert_array_equal(torch.cat(blocks), expected)


def test_selected_rows_of_any_source(source):
    rows, expected = source
    some = rows.select([4, 1, 6]).select([2, 0])
    np.testing.assert_array_equal(torch.cat(list(some.blocks(1))), expected[[6, 4]])
    np.testing.assert_array_equal(some.gather(torch.tensor([1])), expected[[4]])


def test_any_source_is_trained_on(source, generator):
    rows, expected = source
    batches = DeviceBatches(Dataset(rows), 2, device=CPU, generator=generator)
    got = torch.cat([batch.x for batch in batches])
    np.testing.assert_array_equal(got[got[:, 0].argsort()], expected)
