"""Rounded factors: which dtype multiplies them, and that it makes no difference."""

from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skgen.nn._rounding import matmul_dtype, rounded_products
from skgen.nn._seeding import DrawFrom

CPU, GPU = torch.device("cpu"), torch.device("cuda")
# Half the distance of two neighbours among the numbers with 8 bits, at 1.
EPS = 2.0**-8


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), torch.float32),
        (("avx512_f", "avx512_fp16", "amx_tile"), torch.float32),
        (("avx512_f", "avx512_bf16"), torch.bfloat16),
        (("amx_bf16",), torch.bfloat16),
        (("neon", "bf16"), torch.bfloat16),
    ],
)
def test_a_cpu_multiplies_bfloat16_only_where_it_has_instructions(
    processor, names, expected
):
    processor(*names)
    assert matmul_dtype(torch.bfloat16, CPU) == expected


def test_a_gpu_and_other_dtypes_are_multiplied_as_they_are(processor):
    processor()
    assert matmul_dtype(torch.bfloat16, GPU) == torch.bfloat16
    assert matmul_dtype(torch.float16, CPU) == torch.float16
    assert matmul_dtype(torch.float32, CPU) == torch.float32


def test_a_torch_that_cannot_tell_multiplies_as_it_is_told(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert matmul_dtype(torch.bfloat16, CPU) == torch.bfloat16


def by_hand(x):
    """The nearest numbers of 8 bits, ties to even: what bfloat16 is."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.round(np.ldexp(mantissa, 8)), exponent - 8)


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: a @ b,
        lambda a, b: a.mm(b),
        lambda a, b: torch.matmul(a, other=b),
        lambda a, b: F.linear(a, b.T),
        lambda a, b: torch.einsum("ij,jk->ik", a, b),
        lambda a, b: F.conv1d(a[None].mT, b.T[..., None])[0].T,
    ],
    ids=["@", "method", "keyword", "linear", "einsum", "conv"],
)
def test_factors_and_products_are_rounded_to_nearest(processor, product):
    processor()
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(6, 6, generator=generator) for _ in "ab")
    with rounded_products(torch.bfloat16, CPU):
        got = product(a, b)
        total = (a + b).numpy()
        double = product(a.double(), b.double())
    expected = by_hand(by_hand(a) @ by_hand(b))
    assert got.dtype == torch.float32
    # Sums in float32 may end on the other side of the middle of two numbers.
    np.testing.assert_allclose(got, expected, rtol=EPS)
    assert (got.numpy() == expected).mean() > 0.9
    # Nothing else is rounded: no sum, no double, and no product that comes after.
    np.testing.assert_array_equal(total, a.numpy() + b.numpy())
    np.testing.assert_allclose(double, a.double() @ b.double(), rtol=1e-12)
    np.testing.assert_allclose(product(a, b), a.numpy() @ b.numpy(), rtol=1e-5)


def gradients(network, round_products=nullcontext):
    """Of a loss that is not linear in the output, and of the input as well."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(300, 20, generator=generator, requires_grad=True)
    network.zero_grad()
    with round_products():
        loss = network(x).float().square().sum(1)
    loss.mean().backward()
    return [x.grad, *(p.grad.clone() for p in network.parameters())]


to_bfloat16 = partial(rounded_products, torch.bfloat16, CPU)


def test_the_same_gradients_with_and_without_instructions(processor):
    """But for the order of sums; those in float32 are farther."""
    with DrawFrom(torch.Generator().manual_seed(0)):
        network = nn.Sequential(nn.Linear(20, 64), nn.SiLU(), nn.Linear(64, 8))
    processor("avx512_bf16")
    native = gradients(network, to_bfloat16)
    processor()
    rounded = gradients(network, to_bfloat16)
    for got, expected, plain in zip(rounded, native, gradients(network), strict=True):
        norm = expected.norm()
        assert (got - expected).norm() < 5e-4 * norm
        assert (plain - expected).norm() > 2e-3 * norm


def test_convolutions_are_rounded(processor):
    """By up to some thousandths; torch's own bfloat16 convolutions may lose more."""
    processor()
    with DrawFrom(torch.Generator().manual_seed(0)):
        layers = nn.Conv2d(1, 8, 3), nn.SiLU(), nn.ConvTranspose2d(8, 1, 3)
    network = nn.Sequential(nn.Unflatten(1, (1, 4, 5)), *layers, nn.Flatten())
    rounded = gradients(network, to_bfloat16)
    for got, plain in zip(rounded, gradients(network), strict=True):
        assert 3e-4 < (got - plain).norm() / plain.norm() < 1e-2


@pytest.mark.parametrize("instructions", ["avx512_bf16", "none"])
def test_rounded_weights_are_not_kept_in_an_autocast_of_the_caller(
    processor, instructions
):
    """Torch keeps them until the outermost context ends: many steps long."""
    processor(instructions)
    layer, x = nn.Linear(3, 2, bias=False), torch.ones(1, 3)
    outputs = []
    with torch.autocast("cpu", torch.bfloat16):
        for weight in (1.0, 2.0):
            nn.init.constant_(layer.weight, weight)
            with to_bfloat16():
                outputs.append(layer(x).tolist())
    assert outputs == [[[3.0, 3.0]], [[6.0, 6.0]]]
