"""Matrix products with rounded factors, in the dtype that is fastest for them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Names in torch of the instructions of CPUs that multiply bfloat16.
_BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
# Functions and methods of torch whose factors `torch.autocast` rounds on a CPU.
_PRODUCTS = {
    *("linear", "bilinear", "matmul", "mm", "bmm", "mv", "addmm", "baddbmm", "addbmm"),
    *("conv1d", "conv2d", "conv3d"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("einsum", "scaled_dot_product_attention"),
}


def matmul_dtype(factor_dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Dtype in which rounded factors are multiplied.

    Without instructions for it, torch multiplies bfloat16 several times slower than
    float32, and hundreds of times slower on a CPU without AVX-512. A product of two
    bfloat16 numbers is exact in float32, in which their sums are formed either way,
    so that only the order of sums may differ.

    Parameters
    ----------
    factor_dtype : torch.dtype
        What the factors are rounded to.
    device : torch.device
        Where they are multiplied.

    Returns
    -------
    dtype : torch.dtype
        `factor_dtype` or float32.
    """
    asks = getattr(torch.cpu, "get_capabilities", None)  # older torch cannot tell
    if factor_dtype != torch.bfloat16 or device.type != "cpu" or asks is None:
        return factor_dtype
    has = asks()
    return factor_dtype if any(has.get(name) for name in _BFLOAT16) else torch.float32


def rounded(x: Tensor, factor_dtype: torch.dtype) -> Tensor:
    """Round to `factor_dtype`, in the dtype in which it is multiplied."""
    return x.to(factor_dtype).to(matmul_dtype(factor_dtype, x.device))


def rounded_products(
    factor_dtype: torch.dtype, device: torch.device
) -> AbstractContextManager:
    """Return a context in which torch rounds factors and results of matrix products.

    This is `torch.autocast`; where the CPU has no instructions for the dtype, it is a
    context that computes the same numbers in float32. The products of the backward
    pass of what was evaluated in it are rounded, too.

    Parameters
    ----------
    factor_dtype : torch.dtype
        What factors and products are rounded to.
    device : torch.device
        Where they are multiplied.

    Returns
    -------
    context : context manager
        To enter around the forward pass.
    """
    if matmul_dtype(factor_dtype, device) == factor_dtype:
        # In an autocast of the caller, rounded weights that are kept outlast a step.
        return torch.autocast(device.type, factor_dtype, cache_enabled=False)
    return _RoundedProducts(factor_dtype)


class _RoundedProducts(TorchFunctionMode):
    """Round float32 tensors that go into a product and come out of one."""

    def __init__(self, factor_dtype: torch.dtype):
        super().__init__()
        self.factor_dtype = factor_dtype

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in _PRODUCTS:
            return func(*args, **kwargs)
        kwargs = {name: self._rounded(value) for name, value in kwargs.items()}
        return self._rounded(func(*map(self._rounded, args), **kwargs))

    def _rounded(self, x: Any) -> Any:
        if isinstance(x, Tensor) and x.dtype == torch.float32:
            # Autograd rounds gradients on the way back through both.
            return x.to(self.factor_dtype).to(x.dtype)
        return x
