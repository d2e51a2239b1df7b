"""Models for inference that share the memory of the arrays of an estimator."""

from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch

from skgen.rbm._model import RBM
from skgen.rbm._state import PARAMETERS


class _Reused(NamedTuple):
    """A model and what it was made of."""

    model: RBM
    arrays: list[Any]
    dtype: torch.dtype
    device: torch.device


# An attribute of the estimator would be compared, copied and saved with it.
_of_estimators: WeakKeyDictionary[Any, _Reused] = WeakKeyDictionary()


def reused_model(
    estimator: Any,
    dtype: torch.dtype,
    device: torch.device,
    make: Callable[[torch.dtype, torch.device], Any],
) -> Any:
    """Return the model that was made for the last call, if it is still the same.

    To make a model takes as long as a product with a single row. It is used again
    where its tensors share the memory of all arrays of parameters, and no array has
    been replaced: what is assigned to entries of an array is then in the model, too.

    Parameters
    ----------
    estimator : BaseRBM
        The fitted estimator.
    dtype : torch.dtype
        Dtype of the parameters of the model.
    device : torch.device
        Their device.
    make : callable
        Makes a model of the arrays, given dtype and device.

    Returns
    -------
    model : RBM
        The model, which is not to be changed.
    """
    arrays = [getattr(estimator, name) for name in PARAMETERS]
    last = _of_estimators.get(estimator)
    if (
        last is not None
        and all(map(is_, arrays, last.arrays))
        and (dtype, device) == (last.dtype, last.device)
    ):
        return last.model
    model = make(dtype, device)
    if all(map(_share_memory, model.parameters(), arrays)):
        _of_estimators[estimator] = _Reused(model, arrays, dtype, device)
    return model


def _share_memory(tensor: torch.Tensor, array: Any) -> bool:
    # A tensor of another dtype is a copy.
    return (
        isinstance(array, np.ndarray)
        and tensor.device.type == "cpu"
        and tensor.data_ptr() == array.ctypes.data
    )
