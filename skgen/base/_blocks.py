"""Functions of rows, a block of them at a time, with less where memory is short."""

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skgen.training._rows import SelectedRows, row_source

# Numbers of a block of data that inference moves to the device at a time.
_BLOCK_SIZE = 2**23
# The same where a block is a copy of the data, in another order.
_COPIED_BLOCK_SIZE = 2**20
# What the allocator of the CPU says; that of a GPU has an exception of its own.
_CPU_ALLOCATOR = "DefaultCPUAllocator"


def apply_in_blocks(
    function: Callable[..., Tensor],
    model: Any,
    X: Any,
    *more: np.ndarray | None,
    device: torch.device,
    out: Any = None,
) -> np.ndarray:
    """Apply ``function(model, x, *more)`` to a block of rows at a time.

    Where the memory of the device does not suffice for a block, it is halved, down to
    single rows.

    Parameters
    ----------
    function : callable
        Gives a tensor with as many rows as x.
    model : Module
        The model, on the device.
    X : array, matrix or RowSource of shape (n_samples, n_features)
        Valid data.
    *more : ndarray of n_samples rows, or None
        Conditions, weights and the like; None is handed on as such.
    device : torch.device
        Where blocks are moved to.
    out : array-like of n_samples rows or None
        Where values are written, block by block; None means a new array.

    Returns
    -------
    values : ndarray of n_samples rows
        The values; or `out`.

    Raises
    ------
    MemoryError
        If the memory does not suffice for a single row.
    ValueError, TypeError
        If `out` has another shape, or a dtype that cannot hold the values.
    """
    rows = row_source(X)
    copied = isinstance(rows, SelectedRows)
    size = _COPIED_BLOCK_SIZE if copied else _BLOCK_SIZE
    n_rows = max(1, size // rows.shape[1])
    others = (
        repeat(None) if values is None else row_source(values).blocks(n_rows)
        for values in more
    )
    parts: list[np.ndarray] = []
    n_done = 0
    for block in zip(rows.blocks(n_rows), *others, strict=False):
        values = _values(function, model, block, device)
        if out is None:
            parts += values
            continue
        for part in values:
            if not n_done:
                _check_out(out, (len(rows), *part.shape[1:]), part.dtype)
            out[n_done : n_done + len(part)] = part
            n_done += len(part)
    if out is not None:
        return out
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _values(
    function: Callable[..., Tensor], model: Any, block: Any, device: torch.device
) -> list[np.ndarray]:
    """Return the values of a block, in one part or in several."""
    try:
        on_device = (part if part is None else part.to(device) for part in block)
        return [function(model, *on_device).cpu().numpy()]
    except RuntimeError as error:
        n_rows = len(block[0])
        if not is_out_of_memory(error):
            raise
        if n_rows <= 1:
            raise MemoryError(
                f"The memory of device {str(device)!r} does not suffice for one row: "
                f"{_first_line(error)}. Set device='cpu', or fit a smaller model."
            ) from error
    # Here the tensors that the exception held on to are free.
    _release(device)
    halves = slice(0, n_rows // 2), slice(n_rows // 2, n_rows)
    return [
        part
        for half in halves
        for part in _values(
            function, model, [p if p is None else p[half] for p in block], device
        )
    ]


def _check_out(out: Any, expected: tuple[int, ...], dtype: np.dtype) -> None:
    shape = getattr(out, "shape", None)
    if shape is None or tuple(shape) != expected:
        raise ValueError(
            f"Got out of type {type(out).__name__} and shape {shape}, but expected an "
            f"array-like of shape {expected} that takes slices of rows. Pass for "
            f"example numpy.empty({expected})."
        )
    own = getattr(out, "dtype", dtype)
    if not np.can_cast(dtype, own, "same_kind"):
        raise TypeError(
            f"Got out of dtype {own}, but expected floating-point numbers: results of "
            f"dtype {dtype} would be cut off. Pass for example "
            f"numpy.empty({expected}, numpy.{dtype})."
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch says that memory does not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or _CPU_ALLOCATOR in str(error)


def no_memory_to_train(estimator: Any, error: BaseException) -> MemoryError:
    """Return the error of a fit for which the memory does not suffice."""
    parameters = estimator.get_params(deep=False)
    names = ["batch_size", "n_components", "hidden_layer_sizes"]
    given = [f"{name}={parameters[name]!r}" for name in names if name in parameters]
    return MemoryError(
        f"The memory of the device does not suffice to train {type(estimator).__name__}"
        f": {_first_line(error)}. Lower one of {', '.join(given)}, or set "
        "precision='bfloat16' or device='cpu'. The estimator is as it was."
    )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _release(device: torch.device) -> None:
    """Give memory back that torch keeps for later: it may lie in small pieces."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
