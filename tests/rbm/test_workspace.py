"""Rounded factors in a step of training of an RBM, whatever multiplies them."""

import numpy as np
import torch

from skgen.rbm._model import BernoulliRBM
from skgen.rbm._workspace import ComputeParameters, add_product_


def multiplied(factor_dtype):
    """What a step of training multiplies, of grey values and of bits."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(60, 40, generator=generator)
    model = BernoulliRBM(weight, torch.zeros(60), torch.zeros(40))
    parameters = ComputeParameters(model, factor_dtype)
    model.weight.data.mul_(0.3)
    parameters.update_()
    v = torch.rand(50, 40, generator=generator)
    h = (torch.rand(50, 60, generator=generator) < 0.3).float()
    return (
        parameters.hidden_mean(v, out=torch.empty(50, 60)),
        parameters.visible_mean(h, out=torch.empty(50, 40)),
        add_product_(torch.zeros(60, 40), h - 0.1, v, factor_dtype),
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
