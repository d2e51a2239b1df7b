"""Tensors as arrays, for files of what a training goes on from."""

from typing import Any

import torch
from torch import Tensor

from skgen.base._tree import Decoder, Encoder


class TensorEncoder(Encoder):
    """An `Encoder` that knows tensors, and no functions or networks."""

    def encode(self, value: Any, name: str) -> Any:
        """Encode a value; see `Encoder`."""
        if isinstance(value, Tensor):
            value = value.detach().cpu()
            kind = str(value.dtype).removeprefix("torch.")
            if value.dtype == torch.bfloat16:  # which numpy does not have
                value = value.view(torch.int16)
            return {"tensor": super().encode(value.numpy(), name), "kind": kind}
        if callable(value):
            raise TypeError(f"Got {name}, which is a function or a network.")
        return super().encode(value, name)


class TensorDecoder(Decoder):
    """A `Decoder` of what a `TensorEncoder` made."""

    def decode(self, node: Any) -> Any:
        """Decode a node; see `Decoder`."""
        if isinstance(node, dict) and "tensor" in node:
            tensor = torch.from_numpy(self.decode(node["tensor"]))
            return tensor.view(getattr(torch, node["kind"]))
        return super().decode(node)
