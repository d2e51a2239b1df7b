"""Products with bits that are few, as sums of rows."""

import numpy as np
import pytest
import torch

from skgen.nn import _sparse_products as module
from skgen.nn._sparse_products import multiply

sums_of_rows = module._sums_of_rows


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    """The processor whose rates count, whichever this is; the result does not care."""

    def is_(capability, engines):
        monkeypatch.setattr(
            torch.backends.cpu, "get_cpu_capability", lambda: capability
        )
        quantized = type(torch.backends.quantized)
        monkeypatch.setattr(quantized, "supported_engines", engines)

    is_("AVX2", ["fbgemm"])
    return is_


def bits(n, k, share=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, k, generator=generator) < share).float()


def table(k, m, seed=1):
    return torch.randn(k, m, generator=torch.Generator().manual_seed(seed))


def expected(x, t):
    return x.double().numpy() @ t.double().numpy()


SHAPES = [(3000, 50, 300), (600, 784, 256), (512, 1500, 200), (1500, 1100, 400)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("strided", ["rows", "columns"])
def test_sums_of_rows_are_products(shape, strided):
    n, k, m = shape
    x, t = bits(n, k), table(k, m)
    x[1], x[-1] = 0, 0  # nothing to add up, in the middle and at the end
    if strided == "columns":
        x = x.T.contiguous().T
    product = sums_of_rows(x, t)
    np.testing.assert_allclose(product, expected(x, t), atol=1e-4)
    assert torch.equal(multiply(x, t), product)


def test_tables_of_any_strides():
    x, t = bits(2000, 100), table(300, 100).T
    np.testing.assert_allclose(sums_of_rows(x, t), expected(x, t), atol=1e-4)


def test_blocks_with_many_ones_are_multiplied(monkeypatch):
    """But for the first, which decides whether the others are looked at."""
    monkeypatch.setattr(module, "_BITS_TOGETHER", 100 * 64)
    x, t = bits(64 * 20, 100), table(100, 300)
    x[300:500] = 1.0
    calls, mm = [], torch.mm
    monkeypatch.setattr(
        torch, "mm", lambda *args, **kw: calls.append(len(args[0])) or mm(*args, **kw)
    )
    np.testing.assert_allclose(sums_of_rows(x, t), expected(x, t), atol=1e-3)
    assert calls == [64] * 4
    assert sums_of_rows(x.flip(0)[800:], t) is None


def not_a_bit(value):
    x = bits(600, 784)
    x[x.nonzero()[0, 0], x.nonzero()[0, 1]] = value
    return x


@pytest.mark.parametrize(
    ("x", "t"),
    [
        (bits(600, 784, share=0.5), table(784, 256)),
        (bits(600, 784) * 0.5, table(784, 256)),
        (bits(600, 784).double(), table(784, 256).double()),
        (bits(500, 784), table(784, 256)),
        (bits(600, 10), table(10, 256)),
        (bits(600, 784), table(784, 256).requires_grad_()),
        (bits(600, 784).to("meta"), table(784, 256).to("meta")),
        (bits(0, 784), table(784, 256)),
    ],
    ids=[
        *("many", "halves", "double", "few rows", "little work", "autograd"),
        *("elsewhere", "no rows"),
    ],
)
def test_where_a_dense_product_is_as_fast_or_the_only_way(x, t):
    assert sums_of_rows(x, t) is None
    assert multiply(x, t).shape == (len(x), t.shape[1])


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, float("nan"), float("inf")])
def test_one_value_that_is_no_bit(value):
    """Rows beside it are not touched by a NaN."""
    x, t = not_a_bit(value), table(784, 256)
    np.testing.assert_allclose(multiply(x, t), expected(x, t), atol=1e-3)


def test_a_processor_without_kernels_for_sums(cpu):
    x, t = bits(600, 784), table(784, 256)
    assert sums_of_rows(x, t) is not None
    cpu("DEFAULT", ["qnnpack"])
    assert sums_of_rows(x, t) is None


def test_avx512_asks_for_fewer_ones(cpu):
    few, more = (bits(600, 784, share) for share in (0.05, 0.15))
    t = table(784, 600)
    for capability, expected in [("AVX2", [True, True]), ("AVX512", [True, False])]:
        cpu(capability, ["x86", "fbgemm"])
        found = [sums_of_rows(x, t) is not None for x in (few, more)]
        assert found == expected


def test_what_is_recorded_by_autograd_keeps_its_gradient():
    x, t = bits(600, 784), table(784, 256).requires_grad_()
    multiply(x, t).sum().backward()
    np.testing.assert_allclose(t.grad, x.sum(0)[:, None].expand(784, 256), rtol=1e-5)
    with torch.no_grad():
        assert sums_of_rows(x, t) is not None


def test_tables_of_few_columns_are_multiplied_densely(cpu):
    """To look for the ones takes as long as the product, for 199 columns or fewer."""
    x = bits(3000, 784)
    assert sums_of_rows(x, table(784, 199)) is None
    assert sums_of_rows(x, table(784, 200)) is not None
    cpu("AVX512", ["fbgemm"])
    assert sums_of_rows(x, table(784, 511)) is None
    assert sums_of_rows(x, table(784, 512)) is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_single_row_of_any_strides(dtype, cpu):
    """A large table, of which numpy multiplies; products in extended precision."""
    x, table = torch.randn(300, 2, dtype=dtype).T, torch.randn(200, 300, dtype=dtype).T
    exact = x[:1].numpy().astype(np.longdouble) @ table.numpy().astype(np.longdouble)
    product = multiply(x[:1], table)
    assert product.dtype == dtype
    assert product.shape == (1, 200)
    tol = {"rtol": 0, "atol": 400 * float(torch.finfo(dtype).eps)}
    np.testing.assert_allclose(product.numpy(), exact.astype(float), **tol)
    table.requires_grad_()
    multiply(x[:1], table).sum().backward()
    torch.testing.assert_close(table.grad, x[:1].T.expand(300, 200))


@pytest.mark.parametrize("n_others", [0, 1, 60, 61, 300])
@pytest.mark.parametrize("contiguous", [True, False])
def test_a_single_row_of_which_zeros_are_left_out(n_others, contiguous):
    """Up to a fifth of the entries, and of values besides 0 and 1, too."""
    x = torch.zeros(1, 300, dtype=torch.float64)
    x[0, torch.randperm(300)[:n_others]] = torch.randn(n_others).double()
    table = torch.randn(300, 200, dtype=torch.float64)
    if not contiguous:
        table = table.T.contiguous().T
    expected = (x.numpy()[0][:, None] * table.numpy()).sum(0, keepdims=True)
    np.testing.assert_allclose(multiply(x, table).numpy(), expected, atol=1e-12)
