"""The parameters of a torch module as arrays of numpy, by the names of torch."""

from typing import TypeVar

import numpy as np
import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def to_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Copy the parameters and buffers of a module into arrays."""
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in module.state_dict().items()
    }


def load_arrays(module: Module, arrays: dict[str, np.ndarray]) -> Module:
    """Copy arrays into the parameters and buffers of a module, and return it."""
    state = {
        # One that is a view of a file cannot be the memory of a tensor.
        name: torch.from_numpy(array if array.flags.writeable else array.copy())
        for name, array in arrays.items()
    }
    module.load_state_dict(state)
    return module
