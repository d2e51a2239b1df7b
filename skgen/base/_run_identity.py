"""What the result of a fit depends on, as text that can be compared."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from skgen.training._rows import row_source
from skgen.training._user_callbacks import kind_of, unnamed_callback

# Numbers of a block of data.
_BLOCK_SIZE = 2**22
# Parameters on which the result does not depend, or which stand for themselves.
_LEFT_OUT = {"callbacks", "verbose", "device"}
# Digits of a checksum that are shown.
_N_DIGITS = 16


def identity_of_fit(
    estimator: Any,
    X: Any,
    y: Any,
    weight: Any,
    *,
    device: torch.device,
    state: Mapping[str, Any],
) -> dict[str, str]:
    """Describe what the result of a fit depends on.

    Parameters
    ----------
    estimator : BaseGenerator
        The estimator, with its parameters.
    X : array or matrix of shape (n_samples, n_features)
        Valid data.
    y, weight : ndarray or None
        Valid conditions and weights of the rows, if there are any.
    device : torch.device
        Where the fit trains.
    state : dict
        The state that the fit starts from; empty if it starts anew.

    Returns
    -------
    run : dict of str to str
        A description of each parameter, and checksums of the data and of the state.
    """
    parameters = estimator.get_params(deep=False)
    callbacks = map(unnamed_callback, parameters["callbacks"] or ())
    return {
        "estimator": type(estimator).__name__,
        **{k: describe(v) for k, v in parameters.items() if k not in _LEFT_OUT},
        "type of device": device.type,
        "callbacks": describe([kind_of(c).__name__ for c in callbacks]),
        "X": _of_data(X),
        "y": describe(y),
        "sample_weight": describe(weight),
        "fitted state": describe(dict(state)),
    }


def describe(value: Any, *, _within: tuple[Any, ...] = ()) -> str:
    """Describe a value by a short text, which differs where the value does.

    Arrays, networks and the code of functions are described by checksums. Of objects
    of other classes, only the class is.

    Parameters
    ----------
    value : object
        The value.
    _within : tuple
        Functions of whose description this one is a part.

    Returns
    -------
    text : str
        The text.
    """
    part = partial(describe, _within=_within)
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return repr(value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, Tensor):
        return part(_numbers(value))
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype} {_checksum([value])}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(part, value))}]"
    if isinstance(value, Mapping):
        items = (f"{name}: {part(each)}" for name, each in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, nn.Module):
        numbers = map(_numbers, (*value.parameters(), *value.buffers()))
        return f"{type(value).__qualname__} {_checksum([*numbers, repr(value)])}"
    if isinstance(value, partial):
        return part(["partial", value.func, value.args, value.keywords])
    if isinstance(value, MethodType):
        return part([value.__func__, value.__self__])
    if isinstance(value, FunctionType):
        name = f"{value.__module__}.{value.__qualname__}"
        if value in _within:
            return name
        return f"{name} {_checksum(_code(value, (*_within, value)))}"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return f"a {type(value).__qualname__}"


def _code(function: FunctionType, within: tuple[Any, ...]) -> list[str]:
    """Return what a function does, as text: its code, defaults and closed variables.

    What it looks up elsewhere when it is called is in it by name only.
    """
    cells = function.__closure__ or ()
    closed = [cell.cell_contents for cell in cells if cell != CellType()]
    values = [function.__defaults__, function.__kwdefaults__, *closed]
    return [*_operations(function.__code__), describe(values, _within=within)]


def _operations(code: CodeType) -> list[str]:
    """Return the operations of a piece of code, those of functions within included."""
    names = *code.co_names, *code.co_varnames, *code.co_freevars
    return [code.co_code.hex(), *names, *map(_constant, code.co_consts)]


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return str(_operations(value))
    if isinstance(value, tuple):
        return str([*map(_constant, value)])
    if isinstance(value, frozenset):  # in another order in each process
        return str(sorted(map(_constant, value)))
    return repr(value)


def _numbers(x: Tensor) -> np.ndarray:
    """Return the numbers of a tensor; NumPy has no bfloat16."""
    return x.detach().cpu().double().numpy()


def _of_data(X: Any) -> str:
    parts: Iterable[np.ndarray]
    if sp.issparse(X):
        parts = [X.data, X.indices, X.indptr]
    else:
        rows = row_source(X)
        n_rows = max(1, _BLOCK_SIZE // max(1, rows.shape[1]))
        parts = (block.cpu().numpy() for block in rows.blocks(n_rows))
    return f"{type(X).__name__} {tuple(X.shape)} {_checksum(parts)}"


def _checksum(parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        elif part.dtype.hasobject:
            digest.update(repr(part.tolist()).encode())
        else:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:_N_DIGITS]
