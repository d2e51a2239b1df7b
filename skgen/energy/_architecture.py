"""EnergyArchitecture: the network of an energy model."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import nn

from skgen.base._validation import check_unchanged
from skgen.nn._networks import (
    check_network,
    conv_encoder,
    mlp,
    reset_parameters,
    with_memory,
)
from skgen.nn._own_networks import check_image_shape, check_layer_sizes, make_network

# What hidden_layer_sizes="auto" means: up to so many features, for more, and after the
# convolutions.
_FEW_FEATURES, _NARROW, _WIDE, _ON_TOP = 16, (128, 128), (256, 256), (128,)
# Biases of the first layer are drawn between plus and minus this.
_FIRST_BIAS = 2.0


@dataclass(frozen=True)
class EnergyArchitecture:
    """The network of an energy model, as its parameters describe it.

    A fitted estimator keeps the architecture that it was fitted with, also if its
    parameters are changed afterwards. See `skgen.EnergyModel` for the attributes.
    """

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    image_shape: tuple[int, int, int] | None
    network: Any

    @classmethod
    def of(cls, estimator: Any) -> "EnergyArchitecture":
        """Read and check the parameters of an estimator."""
        n_features, image_shape = estimator.n_features_in_, None
        if estimator.architecture == "conv":
            image_shape = check_image_shape(estimator.image_shape, n_features)
        sizes = estimator.hidden_layer_sizes
        if isinstance(sizes, str):  # "auto"
            dense = _NARROW if n_features <= _FEW_FEATURES else _WIDE
            sizes = dense if image_shape is None else _ON_TOP
        sizes = check_layer_sizes(sizes, "one a hidden layer")
        return cls(
            n_features, sizes, estimator.activation, image_shape, estimator.network
        )

    def check_same(self, fitted: "EnergyArchitecture") -> None:
        """Raise an error where a fit cannot go on from another architecture."""
        check_unchanged(self, fitted)

    def initial_network(self, generator: torch.Generator) -> nn.Module:
        """Make the network with the parameters that training starts from.

        Parameters
        ----------
        generator : torch.Generator
            Source of randomness, also of what the network of a user draws.

        Returns
        -------
        network : nn.Module
            The network, float64; that of the package is 0 everywhere.
        """
        network = self.build(generator)
        if self.network is not None:
            widths = "n_features columns to one energy"
            check_network(network, "network", self.n_features, 1, widths=widths)
        else:
            _reset(network, generator)  # type: ignore[arg-type]
        return network

    def build(self, generator: torch.Generator | None = None) -> nn.Module:
        """Make the network, whose parameters are still to be set.

        Parameters
        ----------
        generator : torch.Generator or None
            Source of randomness of a class of a user that draws its parameters; None
            means that what it draws does not matter.

        Returns
        -------
        network : nn.Module
            The network, float64.
        """
        if self.network is not None:
            return make_network(self.network, self.n_features, 1, generator).double()
        sizes = (*self.hidden_layer_sizes, 1)
        options: Any = {"device": "meta"}
        if self.image_shape is None:
            made = mlp((self.n_features, *sizes), self.activation, **options)
        else:
            made = conv_encoder(self.image_shape, sizes, self.activation, **options)
        return with_memory(made)


@torch.no_grad()
def _reset(network: nn.Sequential, generator: torch.Generator) -> None:
    """Draw weights, so that f is 0 and its first layer has kinks across the data."""
    reset_parameters(network, generator)
    first, last = network[0], network[-1]
    if isinstance(first, nn.Linear):
        scale = 2 / sqrt(first.in_features)
        first.weight.normal_(0, scale, generator=generator)
        first.bias.uniform_(-_FIRST_BIAS, _FIRST_BIAS, generator=generator)
    last.weight.zero_()  # type: ignore[operator]
    last.bias.zero_()  # type: ignore[operator]
