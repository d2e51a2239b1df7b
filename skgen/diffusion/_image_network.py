"""Networks of a diffusion model that see features: of images, and those of a user."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from skgen.diffusion._network import N_TIMES, beside, kept, reset_time
from skgen.nn import ACTIVATIONS


class TimeConv(nn.Module):
    """Convolutions at several resolutions, told of time and conditions.

    Each resolution has half as many rows and columns of pixels as the one before. On
    the way down and on the way up each has a block of two 3 x 3 convolutions, which are
    added to their input, and what comes up is added to what went down (Ronneberger,
    Fischer & Brox, 2015, "U-Net"; Ho et al., 2020).

    Parameters
    ----------
    image_shape : tuple of (int, int, int)
        Channels, height and width.
    sizes : sequence of int
        Channels at each resolution, at least one.
    activation : str
        A key of `skgen.nn.ACTIVATIONS`.
    n_conditions : int
        Number of conditions.
    dropout : float
        Probability with which a unit is dropped in training.
    device : str or None
        Where the parameters are, as in `skgen.nn.mlp`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        sizes: Sequence[int],
        activation: str,
        *,
        n_conditions: int = 0,
        dropout: float = 0.0,
        device: str | None = None,
    ):
        super().__init__()
        self.image_shape = image_shape
        self.dropout = dropout
        self.activation = ACTIVATIONS[activation]()
        options = (N_TIMES + n_conditions, self.activation, device)
        pairs = list(pairwise(sizes))
        conv = partial(nn.Conv2d, kernel_size=3, padding=1, device=device)
        self.first = conv(image_shape[0], sizes[0])
        self.down = nn.ModuleList(Block(size, *options) for size in sizes)
        self.shrink = nn.ModuleList(
            conv(n_in, n_out, stride=2) for n_in, n_out in pairs
        )
        self.grow = nn.ModuleList(conv(n_out, n_in) for n_in, n_out in pairs)
        self.up = nn.ModuleList(Block(size, *options) for size in sizes[:-1])
        self.last = conv(sizes[0], image_shape[0])

    def forward(
        self,
        y: Tensor,
        phase: Tensor,
        condition: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Map y, (batch, n_features), at phases, as `TimeMLP.forward`."""
        e = beside(phase, condition)
        h = self.first(y.reshape(-1, *self.image_shape))
        passed: list[Tensor] = []
        for k, block in enumerate(self.down):
            if k:
                passed.append(h)
                h = self.shrink[k - 1](h)
            h = self._dropped(block(h, e), generator)
        for k in reversed(range(len(passed))):
            h = nn.functional.interpolate(h, size=passed[k].shape[2:])
            h = passed[k] + self.grow[k](h)
            h = self._dropped(self.up[k](h, e), generator)
        return self.last(self.activation(h)).flatten(1)

    def _dropped(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None or not self.dropout:
            return h
        return h * kept(h.shape, self.dropout, generator).to(h.dtype)


class Block(nn.Module):
    """Two convolutions that are added to their input.

    Parameters
    ----------
    size : int
        Channels.
    n_beside : int
        Numbers by which it is told of time and conditions.
    activation : nn.Module
        The activation.
    device : str or None
        Where the parameters are.
    """

    def __init__(
        self,
        size: int,
        n_beside: int,
        activation: nn.Module,
        device: str | None = None,
    ):
        super().__init__()
        conv = partial(nn.Conv2d, kernel_size=3, padding=1, device=device)
        self.one, self.two = conv(size, size), conv(size, size)
        self.time = nn.Linear(n_beside, size, bias=False, device=device)
        self.activation = activation

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Map images, (batch, size, height, width), given (batch, n_beside)."""
        new = self.one(self.activation(h)) + self.time(e)[:, :, None, None]
        return h + self.two(self.activation(new))


@torch.no_grad()
def reset_time_conv(network: TimeConv, generator: torch.Generator) -> None:
    """Draw the parameters that training starts from; the output starts at 0.

    Parameters
    ----------
    network : TimeConv
        The network, changed in place.
    generator : torch.Generator
        Source of randomness.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            n_in = module.weight[0].numel()
            module.weight.normal_(0, 1 / sqrt(n_in), generator=generator)
            module.bias.zero_()  # type: ignore[union-attr]
        if isinstance(module, Block):
            reset_time(module.time.weight, generator)
            module.two.weight *= 0.1
    network.last.weight.zero_()


class GivenNetwork(nn.Module):
    """The network of a user, which takes points, phases and conditions as columns.

    Parameters
    ----------
    network : nn.Module
        Maps (batch, n_features + 1 + n_conditions) to (batch, n_features).
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(
        self,
        y: Tensor,
        phase: Tensor,
        condition: Tensor | None = None,
        generator: Any = None,  # noqa: ARG002
    ) -> Tensor:
        """Map y, (batch, n_features), at phases, as `TimeMLP.forward`."""
        columns = [y, phase.expand(y.shape[0])[:, None]]
        return self.network(
            torch.cat(columns if condition is None else [*columns, condition], 1)
        )
