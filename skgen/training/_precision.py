"""Dtypes of training: of parameters, and of the factors of matrix products."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Precision(NamedTuple):
    """Dtypes that a value of the parameter `precision` stands for.

    Attributes
    ----------
    parameters : str
        Dtype of parameters, sums and losses.
    factors : torch.dtype or None
        To what the factors of matrix products are rounded; None means not at all.
    """

    parameters: str
    factors: torch.dtype | None = None


PRECISIONS: dict[str, Precision] = {
    "float32": Precision("float32"),
    "float64": Precision("float64"),
    "bfloat16": Precision("float32", torch.bfloat16),
    # The GPU rounds by itself: see `matmul_precision`.
    "tf32": Precision("float32"),
}


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Set how torch multiplies float32 matrices within a context.

    This is a setting of torch for all threads, which is restored at the end. With
    "tf32" a CUDA device rounds factors to 10 bits of mantissa; nothing else changes.

    Parameters
    ----------
    precision : str
        A key of `PRECISIONS`.
    """
    if precision != "tf32":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
