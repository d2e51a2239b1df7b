"""Torch modules in a form whose pickle depends on their values alone."""

import copy
import pickle
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class PortableTensor:
    """The values of a tensor as an array, and what else makes up a tensor.

    Parameters
    ----------
    tensor : Tensor
        The tensor.
    """

    def __init__(self, tensor: Tensor):
        self.dtype = tensor.dtype
        self.shape = tuple(tensor.shape)
        self.requires_grad = tensor.requires_grad
        self.is_parameter = isinstance(tensor, nn.Parameter)
        values = tensor.detach().cpu()
        try:
            array = values.numpy()
        except TypeError:  # bfloat16 and others that numpy lacks
            array = values.flatten().view(torch.uint8).numpy()
        # The order in memory does not count.
        self.array = np.array(array, order="C")

    def restored(self) -> Tensor:
        """Make the tensor, on the CPU."""
        values = torch.from_numpy(self.array.copy())  # it may be a view of a file
        if values.dtype != self.dtype:
            values = values.view(self.dtype).reshape(self.shape)
        if self.is_parameter:
            return nn.Parameter(values, requires_grad=self.requires_grad)
        return values.requires_grad_(self.requires_grad)


class PortableModules:
    """Modules, or what makes them, with arrays in place of all tensors.

    The pickle of a tensor holds its address in memory, so that `joblib.hash` tells
    equal modules apart and a cache never finds one. This one depends on values alone.
    What modules share, such as tied parameters, they share when they are restored.

    Parameters
    ----------
    modules : dict of str to object
        Modules, classes or functions by name.

    Attributes
    ----------
    tensors : list of PortableTensor
        All tensors; if there are none, the pickle of `modules` is portable as it is.
    """

    def __init__(self, modules: dict[str, Any]):
        finder = _TensorFinder(_Nowhere())
        finder.dump(modules)
        portable: dict[int, Any] = {
            key: PortableTensor(tensor) for key, tensor in finder.tensors.items()
        }
        self.tensors = list(portable.values())
        self.modules = copy.deepcopy(modules, portable)

    def restored(self) -> dict[str, Any]:
        """Make the modules, with memory of their own, on the CPU."""
        memo: dict[int, Any] = {id(each): each.restored() for each in self.tensors}
        return copy.deepcopy(self.modules, memo)


class _Nowhere:
    def write(self, data: Any) -> None:
        """Drop what is written."""


class _TensorFinder(pickle.Pickler):
    """Finds the dense tensors in an object, by their `id`."""

    def __init__(self, file: _Nowhere):
        super().__init__(file)
        self.tensors: dict[int, Tensor] = {}

    def persistent_id(self, obj: Any) -> str | None:
        """Keep a tensor; pass by what is pickled by its name, which it may not have."""
        if isinstance(obj, type | FunctionType):
            return "name"
        if isinstance(obj, Tensor) and _is_dense(obj):
            self.tensors[id(obj)] = obj
            return "tensor"
        return None


def _is_dense(tensor: Tensor) -> bool:
    """Whether a tensor is nothing but an array of numbers."""
    return (
        tensor.layout == torch.strided
        and not nn.parameter.is_lazy(tensor)
        and not tensor.is_quantized
    )
