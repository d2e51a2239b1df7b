"""Networks, sizes of layers and shapes of images that a user gives."""

import copy
from math import prod
from numbers import Integral
from typing import Any

import torch
from torch import nn

from skgen.nn._seeding import DrawFrom


def make_network(
    network: Any, n_in: int, n_out: int, generator: torch.Generator | None
) -> nn.Module:
    """Make a network from a class or a function, or copy an instance.

    Parameters
    ----------
    network : nn.Module or callable
        An instance, or what makes one of the numbers of inputs and outputs.
    n_in, n_out : int
        Numbers of inputs and outputs.
    generator : torch.Generator or None
        Source of randomness of initial weights; None means that they do not matter.

    Returns
    -------
    network : nn.Module
        The network, on the CPU.
    """
    if isinstance(network, nn.Module):
        return copy.deepcopy(network).cpu()
    with DrawFrom(generator or torch.Generator().manual_seed(0)):
        return network(n_in, n_out)


def check_image_shape(image_shape: Any, n_features: int) -> tuple[int, int, int]:
    """Return channels, height and width of images of so many features.

    Parameters
    ----------
    image_shape : sequence of int or None
        What a user passes: (height, width), or with the number of channels before.
    n_features : int
        Number of features of an image.

    Returns
    -------
    image_shape : tuple of (int, int, int)
        Channels, height and width.

    Raises
    ------
    ValueError
        If it is no such shape.
    """
    shape = () if image_shape is None else tuple(image_shape)
    shape = (1, *shape) if len(shape) == 2 else shape
    positive = all(map(_is_positive, shape))
    if len(shape) != 3 or not positive or prod(shape) != n_features:
        raise ValueError(
            f"Got image_shape={image_shape!r} with architecture='conv' and X of "
            f"{n_features} features, but expected (height, width) or (channels, "
            f"height, width) whose product is {n_features}. Pass image_shape, or use "
            "architecture='mlp'."
        )
    channels, height, width = (int(side) for side in shape)
    return channels, height, width


def check_layer_sizes(sizes: Any, expected: str, *, least: int = 0) -> tuple[int, ...]:
    """Return the sizes of layers that a user passes as hidden_layer_sizes.

    Parameters
    ----------
    sizes : int or iterable of int
        What a user passes.
    expected : str
        What the error says of sizes that are expected.
    least : int
        The least number of layers.

    Returns
    -------
    sizes : tuple of int
        The sizes.

    Raises
    ------
    ValueError
        If they are too few, or not all of them are integers of at least 1.
    """
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if len(sizes) < least or not all(map(_is_positive, sizes)):
        raise ValueError(
            f"Got hidden_layer_sizes={sizes!r}, but expected integers of at least 1, "
            f"{expected}."
        )
    return tuple(int(size) for size in sizes)


def _is_positive(number: Any) -> bool:
    """Whether something is an integer of at least 1."""
    return isinstance(number, Integral) and int(number) > 0
