"""GANArchitecture: the two networks of a GAN."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import nn

from skgen.base._validation import check_unchanged
from skgen.nn import conv_decoder, conv_encoder, mlp
from skgen.nn._networks import check_network, with_memory
from skgen.nn._own_networks import check_image_shape, check_layer_sizes, make_network

# What hidden_layer_sizes="auto" means: widths for up to so many features and for more.
_FEW_FEATURES, _NARROW, _WIDE, _N_LAYERS = 16, 128, 256, 3
# And with convolutions, the layers between them and the noise, or the critic's number.
_BESIDE_CONVOLUTIONS = (256,)
# What n_components="auto" means: as many as features, within these bounds.
_LEAST_COMPONENTS, _MOST_COMPONENTS = 2, 32
# Biases of the first layer are drawn between plus and minus this.
_FIRST_BIAS = 2.0
PLAYERS = ("generator", "critic")


@dataclass(frozen=True)
class GANArchitecture:
    """The networks of a GAN, as its parameters describe them.

    A fitted estimator keeps the architecture that it was fitted with, also if its
    parameters are changed afterwards. See `skgen.GAN` for the attributes.
    """

    n_features: int
    n_components: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    image_shape: tuple[int, int, int] | None
    generator: Any
    critic: Any

    @classmethod
    def of(cls, estimator: Any) -> "GANArchitecture":
        """Read and check the parameters of an estimator."""
        n_features, image_shape = estimator.n_features_in_, None
        if estimator.architecture == "conv":
            image_shape = check_image_shape(estimator.image_shape, n_features)
        n_components = estimator.n_components
        if n_components == "auto":
            n_components = min(max(n_features, _LEAST_COMPONENTS), _MOST_COMPONENTS)
        return cls(
            n_features,
            int(n_components),
            _sizes_of(estimator.hidden_layer_sizes, n_features, image_shape),
            estimator.activation,
            image_shape,
            estimator.generator,
            estimator.critic,
        )

    @property
    def widths(self) -> dict[str, tuple[int, int]]:
        """Return the widths of input and output of each network, by name."""
        return {
            "generator": (self.n_components, self.n_features),
            "critic": (self.n_features, 1),
        }

    def check_same(self, fitted: "GANArchitecture") -> None:
        """Raise an error where a fit cannot go on from another architecture."""
        check_unchanged(self, fitted)

    def initial_networks(self, generator: torch.Generator) -> nn.ModuleDict:
        """Make both networks with the parameters that training starts from.

        Parameters
        ----------
        generator : torch.Generator
            Source of randomness, also of what the networks of a user draw.

        Returns
        -------
        networks : nn.ModuleDict
            Modules "generator" and "critic", float64.
        """
        networks = self.build(generator)
        for name in PLAYERS:
            network = networks[name]
            if getattr(self, name) is None:
                reset_with_kinks(network, generator)
            else:
                expected = "a generator n_components to n_features, a critic n_features"
                check_network(
                    network, name, *self.widths[name], widths=f"{expected} to 1"
                )
        return networks

    def build(self, generator: torch.Generator | None = None) -> nn.ModuleDict:
        """Make both networks, whose parameters are still to be set.

        Parameters
        ----------
        generator : torch.Generator or None
            Source of randomness of the classes of a user that draw their parameters;
            None means that what they draw does not matter.

        Returns
        -------
        networks : nn.ModuleDict
            Modules "generator" and "critic", float64.
        """
        networks = {}
        for name in PLAYERS:
            given = getattr(self, name)
            if given is None:
                networks[name] = with_memory(self._built_in(name))
            else:
                networks[name] = make_network(given, *self.widths[name], generator)
        return nn.ModuleDict(networks).double()

    def _built_in(self, name: str) -> nn.Module:
        n_in, n_out = self.widths[name]
        sizes, shape = self.hidden_layer_sizes, self.image_shape
        options: Any = {"device": "meta"}
        if shape is None:
            return mlp((n_in, *sizes, n_out), self.activation, **options)
        if name == "critic":
            return conv_encoder(shape, (*sizes, n_out), self.activation, **options)
        sizes = (n_in, *reversed(sizes))
        return conv_decoder(shape, sizes, self.activation, **options)


def _sizes_of(
    sizes: Any, n_features: int, image_shape: tuple[int, int, int] | None
) -> tuple[int, ...]:
    if isinstance(sizes, str):  # "auto"
        if image_shape is not None:
            return _BESIDE_CONVOLUTIONS
        return (_NARROW if n_features <= _FEW_FEATURES else _WIDE,) * _N_LAYERS
    return check_layer_sizes(
        sizes, "one a hidden layer; an empty tuple for linear networks"
    )


@torch.no_grad()
def reset_with_kinks(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the parameters that training starts from.

    Weights keep the size of what passes through (He et al., 2015). In a network that
    begins with a fully connected layer, the units of that have kinks at different
    places of standardised rows, or of noise: without biases, a network of few inputs
    takes thousands of steps to tell apart what lies in the same direction.

    Parameters
    ----------
    network : nn.Module
        The network, changed in place.
    generator : torch.Generator
        Source of randomness.
    """
    kinds = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    for k, layer in enumerate(layers):
        first = k == 0 and isinstance(layer, nn.Linear) and len(layers) > 1
        gain = 2.0 if first else sqrt(2.0) if layer is not layers[-1] else 1.0
        layer.weight.normal_(0, gain / sqrt(_fan_in(layer)), generator=generator)
        assert layer.bias is not None
        if first:
            layer.bias.uniform_(-_FIRST_BIAS, _FIRST_BIAS, generator=generator)
        else:
            layer.bias.zero_()


def _fan_in(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Number of inputs that an output of a layer is made of."""
    if isinstance(layer, nn.ConvTranspose2d):  # each input goes to several outputs
        n_in, _, height, width = layer.weight.shape
        return n_in * height * width / (layer.stride[0] * layer.stride[1])
    return layer.weight[0].numel()
