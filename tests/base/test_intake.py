import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch

from skgen.base._intake import float32_of_polars, taken_in

TABLE = np.random.default_rng(0).normal(size=(4, 3))


class OfTheArrayAPI:
    """An array of another library, on some device: what the intake knows of one."""

    def __init__(self, x, device=1):
        self.x, self._device = x, device

    def __dlpack_device__(self):
        return self._device, 0

    def __dlpack__(self, **kwargs):
        return self.x.__dlpack__()


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.tolist(),
        sp.csr_array(TABLE),
        pd.DataFrame(TABLE),
        pl.DataFrame(TABLE),
        [],
        None,
        0.5,
        "text",
        [["a", "b"]],
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_scikit_learn_reads_passes_as_it_is(data):
    assert taken_in(data) is data


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_a_tensor_is_not_copied(dtype):
    for tensor in (
        torch.tensor(TABLE, dtype=dtype),
        torch.tensor(TABLE, dtype=dtype).T,
        torch.tensor(TABLE, dtype=dtype)[::2],
        torch.tensor(TABLE, dtype=dtype, requires_grad=True),
    ):
        array = taken_in(tensor)
        assert array.dtype == str(dtype).removeprefix("torch.")
        assert np.shares_memory(array, tensor.detach().numpy())
        np.testing.assert_array_equal(array, tensor.detach().numpy())


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_a_tensor_of_whole_numbers(dtype):
    array = taken_in(torch.tensor([[0, 1], [1, 1]], dtype=dtype))
    assert array.dtype == str(dtype).removeprefix("torch.")
    np.testing.assert_array_equal(array, [[0, 1], [1, 1]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_a_dtype_that_numpy_lacks_becomes_float32(dtype):
    tensor = torch.tensor(TABLE).to(dtype)
    array = taken_in(tensor)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, tensor.float().numpy())


def test_a_negative_view():
    tensor = torch.tensor(TABLE + 1j * TABLE).conj().imag
    assert tensor.is_neg()
    np.testing.assert_array_equal(taken_in(tensor), -TABLE)


def test_a_list_of_tensors():
    rows = [torch.tensor(row, requires_grad=True) for row in TABLE]
    np.testing.assert_array_equal(taken_in(rows), TABLE)
    np.testing.assert_array_equal(taken_in(tuple(rows)), TABLE)


def test_an_array_of_the_array_api(monkeypatch):
    array = taken_in(OfTheArrayAPI(TABLE))
    assert np.shares_memory(array, TABLE)
    # On another device it is torch that knows how to read it: here there is none.
    monkeypatch.setattr(torch, "from_dlpack", lambda array: torch.tensor(array.x) + 1)
    array = taken_in(OfTheArrayAPI(TABLE, device=2))
    np.testing.assert_array_equal(array, TABLE + 1)


def test_float32_of_polars():
    frame = pl.DataFrame(TABLE.astype(np.float32))
    array = float32_of_polars(frame)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, TABLE.astype(np.float32))
    mixed = frame.with_columns(pl.lit(1.0).alias("one"))
    for other in (mixed, pl.DataFrame(TABLE), pd.DataFrame(TABLE), TABLE):
        assert float32_of_polars(other) is None


def of_module(module, name):
    """An object of a class of a library that need not be there."""
    return type(name, (), {"__module__": module})()


LAZY = [
    (pl.DataFrame(TABLE).lazy(), r"LazyFrame from polars.*X\.collect\(\)"),
    (of_module("dask.array.core", "Array"), r"Array from dask.*X\.compute\(\)"),
    (of_module("dask_expr._collection", "DataFrame"), r"dask_expr.*X\.compute\(\)"),
    (of_module("zarr.core.array", "Array"), r"Array from zarr.*X\[:\]"),
]


@pytest.mark.parametrize(("data", "match"), LAZY, ids=lambda value: str(value)[:20])
def test_numbers_that_are_not_in_memory(data, match):
    with pytest.raises(TypeError, match=match):
        taken_in(data)

    class Descendant(type(data)):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match="Descendant"):
        taken_in(Descendant())


def test_dask_and_zarr():
    """Those libraries themselves, where they are installed."""
    array = pytest.importorskip("dask.array").from_array(TABLE)
    with pytest.raises(TypeError, match=r"X\.compute\(\)"):
        taken_in(array)
    frame = pytest.importorskip("dask.dataframe").from_pandas(pd.DataFrame(TABLE))
    with pytest.raises(TypeError, match=r"X\.compute\(\)"):
        taken_in(frame)
    with pytest.raises(TypeError, match=r"X\[:\]"):
        taken_in(pytest.importorskip("zarr").array(TABLE))


def test_an_array_of_array_api_strict():
    strict = pytest.importorskip("array_api_strict")
    np.testing.assert_array_equal(taken_in(strict.asarray(TABLE)), TABLE)


def quietly(make):
    """What torch warns of, as it is still being worked on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


# Forms that would be misread, and what the error says to call.
MISREAD = {
    "masked": (
        lambda: np.ma.masked_array(TABLE, TABLE > 0),
        r"mask would be ignored.*filled\(np\.nan\)",
    ),
    "coo": (
        lambda: torch.tensor(TABLE).to_sparse(),
        r"sparse_coo.*X\.to_dense\(\).*scipy",
    ),
    "csr": (
        lambda: torch.tensor(TABLE).to_sparse_csr(),
        r"sparse_csr.*X\.to_dense\(\)",
    ),
    "meta": (lambda: torch.empty(2, 3, device="meta"), "'meta'.*on the CPU"),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8),
        r"quantized.*X\.dequantize\(\)",
    ),
    "nested": (
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        r"nested.*X\.to_padded_tensor",
    ),
    "dataset": (
        lambda: torch.utils.data.TensorDataset(torch.tensor(TABLE)),
        "TensorDataset.*array behind it.*partial_fit",
    ),
    "loader": (
        lambda: torch.utils.data.DataLoader(torch.tensor(TABLE)),
        "DataLoader.*array behind it.*partial_fit",
    ),
}


@pytest.mark.parametrize("name", MISREAD)
def test_what_would_be_misread(name):
    make, match = MISREAD[name]
    data = quietly(make)
    with pytest.raises(TypeError, match=match):
        taken_in(data)
    with pytest.raises(TypeError, match="Got y"):
        taken_in(data, name="y")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (np.zeros((5, 2, 3)), r"Got X of shape \(5, 2, 3\), which has 3 dimensions"),
        (torch.zeros(5, 1, 2, 3), r"shape \(5, 1, 2, 3\)"),
        ([np.zeros((2, 3))] * 5, "lists in lists, which has 3"),
        ([[[1, 2]]], "lists in lists, which has 3"),
        ([torch.zeros(2, 3)] * 5, r"shape \(5, 2, 3\)"),
    ],
    ids=["numpy", "torch", "list of arrays", "lists", "list of tensors"],
)
def test_more_than_two_dimensions(data, match):
    with pytest.raises(ValueError, match=match + r".*reshape\(n_samples, -1\)"):
        taken_in(data)


def test_a_sparse_array_of_three_dimensions():
    try:
        data = sp.coo_array(np.ones((2, 2, 2)))
    except ValueError:
        pytest.skip("before scipy 1.15 there are none")
    with pytest.raises(ValueError, match=r"shape \(2, 2, 2\).*reshape"):
        taken_in(data)
