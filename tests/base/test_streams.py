import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
)

from skgen import BernoulliRBMGPU, ConditionalGaussianVAE, GaussianVAE
from skgen.base import _blocks, _streams
from skgen.base._streams import as_stream
from skgen.impute import GenerativeImputer
from skgen.training import _block_rows, _pools
from skgen.training._block_rows import BlockRows

TABLE = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
BITS = (TABLE > 0).astype(np.float32)


class Slices:
    """A user's own table, of which slices of rows are all that can be had."""

    def __init__(self, table, **attributes):
        self.table, self.shape, self.dtype = table, table.shape, table.dtype
        vars(self).update(attributes)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self.table[rows]


class Items(Dataset):
    """A map-style dataset of images and labels."""

    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def __getitem__(self, i):
        return torch.from_numpy(self.table[i].reshape(1, 2, 2)), i % 3


class Endless(IterableDataset):
    def __iter__(self):
        yield from TABLE


@pytest.fixture
def many_blocks(monkeypatch):
    """Every table that is not an array is read by blocks of 16 rows."""
    monkeypatch.setattr(_streams, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(_block_rows, "_BLOCK_BYTES", 16 * 4 * 4)
    monkeypatch.setattr(_pools, "_POOL_BYTES", 64 * 4 * 4)


def forms(table):
    yield "slices", Slices(table)
    yield "sparse slices", Slices(sp.csr_array(table))
    yield "tensors", Slices(torch.from_numpy(table), dtype=np.dtype(np.float32))
    yield "lazy", Slices(table, chunks=((50,) * 4, (4,)))
    yield "chunks", Slices(table, chunks=(30, 2))
    yield "dataset", Items(table)
    yield "tensor dataset", TensorDataset(torch.from_numpy(table))
    yield "subset", Subset(Items(np.repeat(table, 2, axis=0)), range(0, 400, 2))
    yield "loader", DataLoader(Items(table), batch_size=7, shuffle=True)


def test_a_table_of_one_block_is_an_array():
    for name, data in forms(TABLE):
        read = as_stream(data)
        assert isinstance(read, np.ndarray), name
        np.testing.assert_array_equal(read, TABLE, err_msg=name)


@pytest.mark.usefixtures("many_blocks")
def test_each_form_has_the_rows_of_the_table():
    for name, data in forms(TABLE):
        rows = as_stream(data)
        assert isinstance(rows, BlockRows), name
        np.testing.assert_array_equal(rows.whole(), TABLE, err_msg=name)
        assert as_stream(rows) is rows


@pytest.mark.parametrize("kind", ["zarr", "h5py", "dask"])
@pytest.mark.usefixtures("many_blocks")
def test_libraries_that_hold_tables(kind, tmp_path):
    """Those libraries themselves, where they are installed."""
    library = pytest.importorskip("dask.array" if kind == "dask" else kind)
    if kind == "zarr":
        data = library.array(TABLE, chunks=(30, 4))
    elif kind == "h5py":
        file = library.File(tmp_path / "table.h5", "w")
        data = file.create_dataset("table", data=TABLE, chunks=(30, 4))
    else:
        data = library.from_array(TABLE, chunks=(30, 4))
    rows = as_stream(data)
    assert rows.rows_a_block == 30
    np.testing.assert_array_equal(rows.whole(), TABLE)
    model = BernoulliRBMGPU(n_components=3, n_iter=1, binarize="threshold")
    assert np.isfinite(model.fit(data).score(data))
    if kind == "dask":
        with pytest.raises(ValueError, match=r"compute_chunk_sizes\(\)"):
            model.fit(data[data[:, 0] > 0])


def test_the_bits_of_an_array_where_it_fits_into_memory():
    models = [
        GaussianVAE(n_components=2, n_iter=3, random_state=0).fit(data)
        for data in (TABLE, Slices(TABLE), Items(TABLE))
    ]
    scores = [model.score_samples(TABLE) for model in models]
    for score in scores[1:]:
        np.testing.assert_array_equal(score, scores[0])


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_fits_and_scores(early_stopping):
    model = BernoulliRBMGPU(
        n_components=3, n_iter=5, early_stopping=early_stopping, random_state=0
    ).fit(Slices(BITS))
    np.testing.assert_array_equal(
        model.score_samples(Slices(BITS)), model.score_samples(BITS)
    )
    np.testing.assert_array_equal(model.transform(Slices(BITS)), model.transform(BITS))
    assert model.gibbs(Slices(BITS)).shape == BITS.shape
    again = BernoulliRBMGPU(
        n_components=3, n_iter=5, early_stopping=early_stopping, random_state=0
    ).fit(Slices(BITS))
    np.testing.assert_array_equal(again.components_, model.components_)


@pytest.mark.usefixtures("many_blocks")
def test_mini_batches_and_weights():
    model = BernoulliRBMGPU(n_components=3, random_state=0)
    for _ in range(3):
        model.partial_fit(Slices(BITS))
    assert np.isfinite(model.score(Slices(BITS)))
    weight = np.arange(200.0) % 3
    model = BernoulliRBMGPU(n_components=3, n_iter=2, random_state=0)
    model.fit(Slices(BITS), sample_weight=weight)
    np.testing.assert_allclose(
        model.mean_, np.average(BITS, axis=0, weights=weight), rtol=1e-6
    )
    np.testing.assert_allclose(
        model.score(Slices(BITS), sample_weight=weight),
        model.score(BITS, sample_weight=weight),
    )


@pytest.mark.usefixtures("many_blocks")
def test_conditions():
    y = np.arange(200) % 2
    model = ConditionalGaussianVAE(n_components=1, n_iter=2, random_state=0)
    model.fit(Slices(TABLE), y)
    np.testing.assert_allclose(
        model.score_samples(Slices(TABLE), y), model.score_samples(TABLE, y)
    )


@pytest.mark.usefixtures("many_blocks")
def test_results_are_written_into_out(monkeypatch):
    """They come in several blocks of 30 rows."""
    monkeypatch.setattr(_blocks, "_BLOCK_SIZE", 30 * 4)
    model = GaussianVAE(n_components=2, n_iter=1, random_state=0).fit(TABLE)
    out = np.empty((200, 2), np.float32)
    assert model.transform(Slices(TABLE), out=out) is out
    np.testing.assert_array_equal(out, model.transform(TABLE))
    for bad in (np.empty((200, 3)), np.empty((199, 2)), []):
        with pytest.raises(
            ValueError, match=r"expected an array-like of shape \(200, 2"
        ):
            model.transform(TABLE, out=bad)
    with pytest.raises(TypeError, match=r"dtype int64, .* numpy.float32\)"):
        model.transform(TABLE, out=np.empty((200, 2), int))
    half = np.empty((200, 2), np.float16)
    np.testing.assert_allclose(model.transform(TABLE, out=half), out, atol=0.01)


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("cls", [BernoulliRBMGPU, GaussianVAE])
def test_nan_in_a_block_leaves_the_estimator_as_it_was(cls):
    broken = BITS.copy()
    broken[150, 2] = np.nan
    model = cls(n_iter=1, n_components=2, random_state=0).fit(BITS)
    before = model.score_samples(BITS)
    for call in (model.fit, model.partial_fit, model.score_samples, model.transform):
        with pytest.raises(ValueError, match=r"rows 150 of those from 144 to 159"):
            call(Slices(broken))
    np.testing.assert_array_equal(model.score_samples(BITS), before)


@pytest.mark.usefixtures("many_blocks")
def test_values_that_are_no_bits_are_warned_of():
    model = BernoulliRBMGPU(n_components=2, n_iter=1)
    with pytest.warns(UserWarning, match=r"binary units expect \[0, 1\]"):
        model.fit(Slices(TABLE))


@pytest.mark.usefixtures("many_blocks")
def test_a_file_in_a_dtype_that_models_do_not_use(tmp_path):
    np.save(tmp_path / "bits.npy", BITS.astype(np.uint8))
    mapped = np.load(tmp_path / "bits.npy", mmap_mode="r")
    model = BernoulliRBMGPU(n_components=2, n_iter=2, random_state=0)
    expected = model.fit(Slices(BITS)).components_
    np.testing.assert_array_equal(model.fit(mapped).components_, expected)
    np.testing.assert_array_equal(
        model.transform(mapped), model.transform(BITS.astype(float))
    )


def fitted_to(kind, X):
    """Fit a small model, and return its score: exact for the machine."""
    if kind == "machine":
        model = BernoulliRBMGPU(
            8,
            n_iter=20,
            batch_size=20,
            learning_rate=0.2,
            learning_rate_schedule="linear",
            random_state=0,
        ).fit(X)
        return lambda table: model.log_likelihood(table).mean()
    return GaussianVAE(3, n_iter=20, random_state=0).fit(X).score


@pytest.mark.parametrize("kind", ["machine", "autoencoder"])
def test_sorted_rows_are_learned_as_well_as_in_memory(kind, monkeypatch):
    """94 blocks, of which eight are in memory at a time.

    For three seeds, fits to blocks differ by 0.016 nats at most from fits in memory;
    where the order of blocks and rows is not drawn, by 0.03 at least.
    """
    rng = np.random.default_rng(0)
    n, d = 3000, 12
    if kind == "machine":
        X = rng.random((4, d))[rng.integers(4, size=n)] < 0.5
        X = (X ^ (rng.random((n, d)) < 0.1)).astype(np.float32)
    else:
        X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, d))
        X = (X + 0.5 * rng.normal(size=(n, d))).astype(np.float32)
    X = X[np.lexsort(X.T)]
    expected = fitted_to(kind, X)(X)
    monkeypatch.setattr(_streams, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(_block_rows, "_BLOCK_BYTES", 32 * d * 4)
    monkeypatch.setattr(_pools, "_POOL_BYTES", 8 * 32 * d * 4)
    assert fitted_to(kind, Slices(X))(X) == pytest.approx(expected, abs=0.015)
    monkeypatch.setattr(_pools, "_row_order", lambda n, generator: torch.arange(n))
    assert fitted_to(kind, Slices(X))(X) < expected - 0.02


REFUSED = {
    "iterable": (lambda: Endless(), TypeError, "Endless.*partial_fit on one batch"),
    "empty": (lambda: Items(TABLE[:0]), ValueError, "without a row"),
    "text": (lambda: Slices(np.array([["a"]])), TypeError, "real numbers"),
    "complex": (lambda: Slices(TABLE * 1j), TypeError, "dtype complex64.*real numbers"),
    "unknown size": (
        lambda: Slices(TABLE, shape=(np.nan, 4)),
        ValueError,
        r"compute_chunk_sizes\(\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read(name):
    make, error, match = REFUSED[name]
    with pytest.raises(error, match=match):
        BernoulliRBMGPU().fit(make())


@pytest.mark.usefixtures("many_blocks")
def test_another_number_of_features():
    model = BernoulliRBMGPU(n_components=2, n_iter=1).fit(Slices(BITS))
    with pytest.raises(ValueError, match=r"3 features.*4 features"):
        model.score_samples(Slices(BITS[:, :3]))


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("cls", [BernoulliRBMGPU, GaussianVAE])
def test_what_needs_an_array_says_so(cls):
    model = cls(n_components=2, n_iter=1).fit(BITS)
    for data in (Items(BITS), Slices(BITS)):
        with pytest.raises(TypeError, match=r"read by blocks.*X\[start:stop\]"):
            model.impute(data)
    with pytest.raises(TypeError, match=r"read by blocks.*X\[start:stop\]"):
        GenerativeImputer().fit(Slices(BITS))
