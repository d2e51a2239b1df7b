"""Both directions of the probability flow, without branches on data."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from skgen.diffusion._flow import follow, instants
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._process import Instant


class Flow(nn.Module):
    """The flow from standardised rows to noise, or back, in a fixed number of steps.

    Parameters
    ----------
    model : DiffusionNet
        The model.
    n_steps : int
        Number of steps.
    to_data : bool
        Whether it goes from noise to rows.
    """

    def __init__(self, model: DiffusionNet, n_steps: int, *, to_data: bool):
        super().__init__()
        self.model = model
        self.to_data = to_data
        like = next(model.parameters())
        # What the process is at each time is found once: not by tables in a graph.
        grid = instants(model.process, n_steps, like=like)
        for name, parts in zip(Instant._fields, zip(*grid, strict=True), strict=True):
            self.register_buffer(f"_{name}", torch.stack(parts))

    def forward(self, x: Tensor, *y: Tensor) -> Tensor:
        """Follow the flow, (batch, n_features); y is encoded, (batch, width)."""
        model = self.model.given(*y) if y else self.model
        buffers = [getattr(self, f"_{name}") for name in Instant._fields]
        grid = [Instant(*parts) for parts in zip(*buffers, strict=True)]
        if not self.to_data:
            return follow(model, grid[0].cos * model.whiten(x), pairwise(grid))
        y_start = follow(model, x, pairwise(grid[::-1]))
        return model.unwhiten(y_start / grid[0].cos)
