"""Architecture: the networks of a VAE."""

import copy
from dataclasses import dataclass
from math import prod
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from skgen.nn import Standardize, Unstandardize, conv_decoder, conv_encoder, mlp
from skgen.nn._networks import check_network, reset_parameters, shrink_log_variances

# Location and scale of features; None is a scale of 1.
Scaling = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Architecture:
    """The networks of a variational autoencoder, as its parameters describe them.

    A fitted estimator keeps the architecture that it was fitted with, also if its
    parameters are changed afterwards. See `skgen.GaussianVAE` for the attributes.
    """

    n_features: int
    n_components: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    image_shape: tuple[int, int, int] | None
    encoder: Any
    decoder: Any
    scaled: bool

    @classmethod
    def of(cls, estimator: Any) -> "Architecture":
        """Read and check the parameters of an estimator."""
        n_features, image_shape = estimator.n_features_in_, None
        if estimator.architecture == "conv":
            image_shape = _check_image_shape(estimator.image_shape, n_features)
        return cls(
            n_features,
            int(estimator.n_components),
            _check_sizes(estimator.hidden_layer_sizes),
            estimator.activation,
            image_shape,
            estimator.encoder,
            estimator.decoder,
            estimator._scaled,
        )

    def check_same(self, fitted: "Architecture") -> None:
        """Raise an error where a fit cannot go on from another architecture."""
        for name, value in vars(self).items():
            before = getattr(fitted, name)
            if value != before:
                raise ValueError(
                    f"Got {name}={value!r}, but the fit goes on with networks of "
                    f"{name}={before!r}. Set it back, or fit with warm_start=False."
                )

    def initial_networks(
        self, input_scaling: Scaling, output_scaling: Scaling
    ) -> nn.ModuleDict:
        """Make encoder and decoder with the parameters that training starts from.

        Their parameters are drawn from the global generator of torch.

        Parameters
        ----------
        input_scaling : tuple of (Tensor, Tensor or None)
            Location, shape (n_features,), and scale, shape (), by which the encoder
            standardises the data.
        output_scaling : tuple of (Tensor, Tensor or None)
            Likewise, of the output of the decoder.

        Returns
        -------
        networks : nn.ModuleDict
            Modules "encoder" and "decoder", float64.
        """
        networks: Any = self.build()
        encoder, decoder = networks["encoder"], networks["decoder"]
        if self.encoder is None:
            reset_parameters(encoder)
            shrink_log_variances(encoder)
            encoder[0].set_(*input_scaling)
        if self.decoder is None:
            reset_parameters(decoder)
            decoder[-1].set_(*output_scaling)
        check_network(encoder, "encoder", self.n_features, 2 * self.n_components)
        check_network(decoder, "decoder", self.n_components, self.n_features)
        return networks

    def build(self) -> nn.ModuleDict:
        """Make encoder and decoder, float64, whose parameters are still to be set."""
        # The parameters of the built-in networks are uninitialised memory, as it would
        # take time to draw numbers that are replaced.
        encoder, decoder = self.encoder, self.decoder
        encoder = self._built_in_encoder if encoder is None else encoder
        decoder = self._built_in_decoder if decoder is None else decoder
        encoder = _make(encoder, self.n_features, 2 * self.n_components)
        decoder = _make(decoder, self.n_components, self.n_features)
        return nn.ModuleDict({"encoder": encoder, "decoder": decoder}).double()

    def _built_in_encoder(self, n_in: int, n_out: int) -> nn.Module:
        sizes = (*self.hidden_layer_sizes, n_out)
        with torch.device("meta"):
            if self.image_shape is None:
                network = mlp((n_in, *sizes), self.activation)
            else:
                network = conv_encoder(self.image_shape, sizes, self.activation)
            network.insert(0, Standardize(n_in, scaled=self.scaled))
        return network.double().to_empty(device="cpu")

    def _built_in_decoder(self, n_in: int, n_out: int) -> nn.Module:
        sizes = (n_in, *reversed(self.hidden_layer_sizes))
        with torch.device("meta"):
            if self.image_shape is None:
                network = mlp((*sizes, n_out), self.activation)
            else:
                network = conv_decoder(self.image_shape, sizes, self.activation)
            network.append(Unstandardize(n_out, scaled=self.scaled))
        return network.double().to_empty(device="cpu")


def _make(network: Any, n_in: int, n_out: int) -> nn.Module:
    """Make a network from a class or a function, or copy an instance."""
    if isinstance(network, nn.Module):
        return copy.deepcopy(network).cpu()
    return network(n_in, n_out)


def _check_sizes(sizes: Any) -> tuple[int, ...]:
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not all(_is_positive(size) for size in sizes):
        raise ValueError(
            f"Got hidden_layer_sizes={sizes!r}, but expected integers of at least 1, "
            "one a hidden layer; an empty tuple for a linear model."
        )
    return tuple(int(size) for size in sizes)


def _check_image_shape(image_shape: Any, n_features: int) -> tuple[int, int, int]:
    shape = () if image_shape is None else tuple(image_shape)
    shape = (1, *shape) if len(shape) == 2 else shape
    positive = all(_is_positive(side) for side in shape)
    if len(shape) != 3 or not positive or prod(shape) != n_features:
        raise ValueError(
            f"Got image_shape={image_shape!r} with architecture='conv' and X of "
            f"{n_features} features, but expected (height, width) or (channels, "
            f"height, width) whose product is {n_features}. Pass image_shape, or use "
            "architecture='mlp'."
        )
    channels, height, width = (int(side) for side in shape)
    return channels, height, width


def _is_positive(number: Any) -> bool:
    return isinstance(number, Integral) and int(number) > 0
