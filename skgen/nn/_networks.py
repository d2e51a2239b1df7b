"""Networks: fully connected and convolutional, with fixed scalings."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skgen.nn._seeding import DrawFrom

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    # It follows a layer whose output no gradient needs: one pass, no new memory.
    "relu": partial(nn.ReLU, inplace=True),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}
# Channels of the two convolutions, as in the Keras example.
_CHANNELS = (32, 64)


class _Units(nn.Module):
    """Location and scale of features: buffers, which are set before training.

    Parameters
    ----------
    n_features : int
        Number of features.
    scaled : bool
        Whether there is a scale; otherwise it is 1 and takes no time.
    """

    location: Tensor
    scale: Tensor | None

    def __init__(self, n_features: int, *, scaled: bool = True):
        super().__init__()
        self.register_buffer("location", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(()) if scaled else None)

    def set_(self, location: Tensor, scale: Tensor | None = None) -> None:
        """Set the location, shape (n_features,), and the scale, shape (), if any."""
        self.location.copy_(location)
        if scale is not None:
            assert self.scale is not None
            self.scale.copy_(scale)


class Standardize(_Units):
    r"""Fixed map :math:`x \mapsto (x - a) / s`, in front of an encoder.

    The scale s is one for all features: their variances keep their ratios. Made
    with the number of features, it is the identity until `set_` is called.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map x, shape (batch, n_features)."""
        # In this order constant features become exactly 0.
        x = x - self.location
        return x if self.scale is None else x.div_(self.scale)


class Unstandardize(_Units):
    r"""Fixed map :math:`x \mapsto a + s x`, behind a decoder: undoes `Standardize`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x, shape (batch, n_features)."""
        if self.scale is None:
            return self.location + x
        return torch.addcmul(self.location, x, self.scale)


def mlp(
    sizes: Sequence[int], activation: str, *, device: str | None = None
) -> nn.Sequential:
    """Fully connected layers with an activation between any two.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, of each hidden layer and of the output.
    activation : str
        A key of `ACTIVATIONS`.
    device : str or None
        Where the parameters are. On "meta" they have no values, and no random number
        is drawn.

    Returns
    -------
    network : nn.Sequential
        Maps shape (batch, sizes[0]) to (batch, sizes[-1]).
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out, device=device), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class WithShortcut(nn.Module):
    r"""A linear map beside a network, :math:`x \mapsto A x + b + g(x)`.

    Parameters
    ----------
    network : nn.Sequential
        The network g, which begins and ends in a linear layer.
    """

    def __init__(self, network: nn.Sequential):
        super().__init__()
        first: Any = network[0]
        last: Any = network[-1]
        self.network = network
        self.shortcut = nn.Linear(
            first.in_features, last.out_features, device=first.weight.device
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x, shape (batch, n_in), to shape (batch, n_out)."""
        return self.shortcut(x) + self.network(x)


class BesideImages(nn.Module):
    """A network of images, beside which other numbers are handed on as they are.

    Parameters
    ----------
    network : nn.Module
        Maps shape (batch, n_features) to (batch, n_out).
    n_features : int
        Number of features of an image.
    """

    def __init__(self, network: nn.Module, n_features: int):
        super().__init__()
        self.network = network
        self.n_features = n_features

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_features + n_beside) to (batch, n_out + n_beside)."""
        images, beside = x[:, : self.n_features], x[:, self.n_features :]
        return torch.cat([self.network(images), beside], 1)


class InPrecision(nn.Module):
    """A network that computes in another precision than that of its input.

    Parameters
    ----------
    network : nn.Module
        The network; it is converted.
    dtype : torch.dtype
        Dtype in which it computes. The output has that of the input.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.network = network.to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor, *more: Tensor | None) -> Tensor:
        """Map x, shape (batch, n_in), and what else it takes, to (batch, n_out)."""
        rest = (each if each is None else each.to(self.dtype) for each in more)
        return self.network(x.to(self.dtype), *rest).to(x.dtype)


def in_least_precision(
    network: nn.Module, asked: torch.dtype, trained: np.dtype
) -> InPrecision:
    """Let convolutions compute in no more precision than they were trained in.

    In double precision convolutions take ten times as long as in single on a CPU.

    Parameters
    ----------
    network : nn.Module
        The network; it is converted.
    asked : torch.dtype
        Dtype in which the model is evaluated.
    trained : numpy.dtype
        Dtype in which the network was trained.

    Returns
    -------
    network : InPrecision
        The network in the smaller dtype of both.
    """
    own = getattr(torch, str(trained))
    return InPrecision(network, min(asked, own, key=lambda dtype: dtype.itemsize))


def conv_encoder(
    image_shape: tuple[int, int, int],
    sizes: Sequence[int],
    activation: str,
    *,
    n_beside: int = 0,
    device: str | None = None,
) -> nn.Sequential:
    """Two strided convolutions and fully connected layers on top.

    The network of the Keras example "Variational AutoEncoder" (Chollet, 2020):
    3 x 3 kernels, 32 and 64 channels, each halving the image.

    Parameters
    ----------
    image_shape : tuple of (int, int, int)
        Channels, height and width.
    sizes : sequence of int
        Widths of the hidden layers after the convolutions and of the output.
    activation : str
        A key of `ACTIVATIONS`.
    n_beside : int
        Number of further inputs, after those of the image, which the first fully
        connected layer takes beside the output of the convolutions.
    device : str or None
        Where the parameters are, as in `mlp`.

    Returns
    -------
    network : nn.Sequential
        Maps shape (batch, channels * height * width + n_beside) to (batch, sizes[-1]).
    """
    layers: list[nn.Module] = [nn.Unflatten(1, image_shape)]
    for n_in, n_out in pairwise((image_shape[0], *_CHANNELS)):
        convolution = nn.Conv2d(n_in, n_out, 3, 2, 1, device=device)
        layers += [convolution, ACTIVATIONS[activation]()]
    flat = _CHANNELS[-1] * prod(_sides(image_shape)[-1])
    dense = mlp((flat + n_beside, *sizes), activation, device=device)
    layers.append(nn.Flatten())
    if n_beside:
        layers = [BesideImages(nn.Sequential(*layers), prod(image_shape))]
    return nn.Sequential(*layers, *dense)


def conv_decoder(
    image_shape: tuple[int, int, int],
    sizes: Sequence[int],
    activation: str,
    *,
    device: str | None = None,
) -> nn.Sequential:
    """The transpose of `conv_encoder`, to images of any size.

    Parameters
    ----------
    image_shape : tuple of (int, int, int)
        Channels, height and width.
    sizes : sequence of int
        Widths of the input and of the hidden layers before the convolutions.
    activation : str
        A key of `ACTIVATIONS`.
    device : str or None
        Where the parameters are, as in `mlp`.

    Returns
    -------
    network : nn.Sequential
        Maps shape (batch, sizes[0]) to (batch, channels * height * width).
    """
    act = ACTIVATIONS[activation]
    full, half, quarter = _sides(image_shape)
    narrow, wide = _CHANNELS
    return nn.Sequential(
        *mlp((*sizes, wide * prod(quarter)), activation, device=device),
        act(),
        nn.Unflatten(1, (wide, *quarter)),
        _double(wide, wide, half, device),
        act(),
        _double(wide, narrow, full, device),
        act(),
        nn.Conv2d(narrow, image_shape[0], 3, padding=1, device=device),
        nn.Flatten(),
    )


def _double(
    n_in: int, n_out: int, to: tuple[int, int], device: str | None
) -> nn.ConvTranspose2d:
    """Double an image; an odd side to get loses its last line."""
    padding = (1 - to[0] % 2, 1 - to[1] % 2)
    return nn.ConvTranspose2d(
        n_in, n_out, 3, 2, 1, output_padding=padding, device=device
    )


def _sides(image_shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Height and width of the image, after one convolution and after two."""
    sides = [image_shape[1:]]
    for _ in _CHANNELS:
        height, width = sides[-1]
        sides.append(((height + 1) // 2, (width + 1) // 2))
    return sides


def with_memory(network: nn.Module) -> nn.Module:
    """Give parameters on the device "meta" memory, uninitialised, in float64.

    `nn.Module.to_empty` does so, too, but imports sympy, which takes half a second.

    Parameters
    ----------
    network : nn.Module
        The network, changed in place.

    Returns
    -------
    network : nn.Module
        The same network.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                memory = torch.empty(parameter.shape, dtype=torch.float64, device="cpu")
                setattr(module, name, nn.Parameter(memory))
    return network.double()


@torch.no_grad()
def reset_parameters(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights as Glorot & Bengio (2010), and set biases to 0.

    Parameters
    ----------
    network : nn.Module
        The network, changed in place.
    generator : torch.Generator
        Source of randomness, on the device of the network.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            # Half the time of double precision, whose digits a start has no use for.
            weight = torch.empty_like(module.weight, dtype=torch.float32)
            nn.init.xavier_normal_(weight, generator=generator)
            module.weight.copy_(weight)
            module.bias.zero_()  # type: ignore[union-attr]


@torch.no_grad()
def shrink_log_variances(encoder: nn.Sequential) -> None:
    """Shrink the weights that give log-variances, in the last layer, to a hundredth.

    With biases of 0, each posterior then starts with a variance near 1, that of
    its prior.

    Parameters
    ----------
    encoder : nn.Sequential
        A network that ends in means and, after them, log-variances; changed in
        place.
    """
    weight: Tensor = encoder[-1].weight  # type: ignore[assignment]
    weight[len(weight) // 2 :] *= 0.01


def check_network(
    network: nn.Module,
    name: str,
    n_in: int,
    n_out: int,
    *,
    widths: str = (
        "an encoder n_features to 2 * n_components (means, then log-variances), a "
        "decoder n_components to n_features"
    ),
) -> None:
    """Raise an error where a network does not map (batch, n_in) to (batch, n_out).

    Parameters
    ----------
    network : nn.Module
        The network, on the CPU, in float64.
    name : str
        What the error calls it.
    n_in, n_out : int
        Widths that are expected.
    widths : str
        What these are, as the error says.

    Raises
    ------
    ValueError
        If the output has another shape, or the network fails.
    """
    training = network.training
    expected = (
        f"but expected it to map shape (n_samples, {n_in}) to (n_samples, {n_out}): "
        f"{widths}."
    )
    try:
        # It may draw in spite of not being trained.
        with torch.no_grad(), DrawFrom(torch.Generator()):
            out = network.eval()(torch.zeros(2, n_in, dtype=torch.float64))
    except RuntimeError as error:
        raise ValueError(
            f"Got {name}={type(network).__name__}, which fails for an input of shape "
            f"(2, {n_in}) ({error}), {expected}"
        ) from error
    finally:
        network.train(training)
    shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if shape != (2, n_out):
        raise ValueError(
            f"Got {name}={type(network).__name__}, whose output for an input of shape "
            f"(2, {n_in}) is {shape}, {expected}"
        )
