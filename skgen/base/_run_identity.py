"""What the result of a fit depends on, as text that can be compared."""

import hashlib
from collections.abc import Iterable, Mapping
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


def describe(value: Any) -> str:
    """Describe a value by a short text, which differs where the value does.

    Arrays and networks are described by checksums. Of objects of other classes, only
    the class is.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    text : str
        The text.
    """
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return repr(value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, Tensor):
        return describe(_numbers(value))
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype} {_checksum([value])}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(describe, value))}]"
    if isinstance(value, Mapping):
        items = (f"{name}: {describe(each)}" for name, each in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, nn.Module):
        weights = map(_numbers, value.parameters())
        return f"{type(value).__qualname__} {_checksum([*weights, repr(value)])}"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return f"a {type(value).__qualname__}"


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
