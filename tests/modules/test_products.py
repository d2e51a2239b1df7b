"""Rounded factors: which dtype multiplies them, and that it makes no difference."""

import numpy as np
import pytest
import torch

from skgen.modules._products import Machine, add_product_, carrier
from skgen.modules._rbm import BernoulliRBM

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def processor(monkeypatch):
    """A stand-in for the processor: has the instructions that it is told to have."""

    def has(*names):
        found = {"architecture": "other", **dict.fromkeys(names, True)}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)

    return has


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
    assert carrier(torch.bfloat16, CPU) == expected


def test_a_gpu_and_other_dtypes_are_multiplied_as_they_are(processor):
    processor()
    assert carrier(torch.bfloat16, GPU) == torch.bfloat16
    assert carrier(torch.float16, CPU) == torch.float16
    assert carrier(torch.float32, CPU) == torch.float32


def test_a_torch_that_cannot_tell_multiplies_as_it_is_told(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert carrier(torch.bfloat16, CPU) == torch.bfloat16


def multiplied(products):
    """What a step of training multiplies, of grey values and of bits."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(60, 40, generator=generator)
    model = BernoulliRBM(weight, torch.zeros(60), torch.zeros(40))
    machine = Machine(model, products)
    model.weight.data.mul_(0.3)
    machine.update_()
    v = torch.rand(50, 40, generator=generator)
    h = (torch.rand(50, 60, generator=generator) < 0.3).float()
    return (
        machine.hidden_probability(v, out=torch.empty(50, 60)),
        machine.visible_probability(h, out=torch.empty(50, 40)),
        add_product_(torch.zeros(60, 40), h - 0.1, v, products),
    )


def test_rounded_factors_give_the_same_in_float32(processor):
    """But for the last bit of bfloat16, where a sum is halfway between two numbers."""
    processor("avx512_bf16")
    native = multiplied(torch.bfloat16)
    processor()
    for a, b, plain in zip(
        native, multiplied(torch.bfloat16), multiplied(None), strict=True
    ):
        assert (a == b).float().mean() > 0.99
        np.testing.assert_allclose(a, b, rtol=2.0**-7, atol=2.0**-9)
        np.testing.assert_allclose(b, plain, rtol=2.0**-5, atol=2.0**-5)
        # The wrong twin: factors that are not rounded.
        assert (b == plain).float().mean() < 0.1
