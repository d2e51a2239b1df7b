"""Dtypes of training: of parameters, and of the factors of matrix products."""

import threading
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


# For a setting of the whole process: what it was, and how many contexts need another.
_lock = threading.Lock()
_before = "highest"
_n_contexts = 0


@contextmanager
def matmul_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Set how torch multiplies float32 matrices within a context.

    With "tf32" a CUDA device rounds factors to 10 bits of mantissa; nothing else
    changes. This is a setting of torch for all threads: it lasts as long as any of them
    is in such a context, and the last one restores it.

    Parameters
    ----------
    precision : str
        A key of `PRECISIONS`.
    device : torch.device
        Where they are multiplied.
    """
    global _before, _n_contexts
    if precision != "tf32" or device.type != "cuda":
        yield
        return
    with _lock:
        if not _n_contexts:
            _before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("high")
        _n_contexts += 1
    try:
        yield
    finally:
        with _lock:
            _n_contexts -= 1
            if not _n_contexts:
                torch.set_float32_matmul_precision(_before)
