"""Types of parameters, as scikit-learn documents them."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

RandomState = int | np.random.RandomState | None
Device = str | torch.device
Precision = Literal["float32", "float64", "bfloat16", "tf32"]
Schedule = Literal["constant", "linear", "one_cycle"]
AutoSchedule = Literal["constant", "linear", "one_cycle", "auto"]
# Of skorch: callbacks, or pairs of a name and a callback.
Callbacks = list[Any] | tuple[Any, ...] | None
Binarize = Literal["none", "threshold", "sample"]
Algorithm = Literal["pcd", "cd", "pt"]
NoiseVariance = float | Literal["learned", "per_feature"]
LayerSizes = int | Sequence[int]
# A class of networks, something else that makes one, or a network.
Network = type[nn.Module] | nn.Module | Callable[..., nn.Module] | None
Activation = Literal[
    "identity", "logistic", "tanh", "relu", "elu", "silu", "gelu", "softplus"
]
