"""Architecture: the networks of a VAE."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from skgen.base._validation import check_unchanged
from skgen.nn import Standardize, Unstandardize, conv_decoder, conv_encoder, mlp
from skgen.nn._networks import (
    WithShortcut,
    check_network,
    reset_parameters,
    shrink_log_variances,
    with_memory,
)
from skgen.nn._own_networks import check_image_shape, check_layer_sizes, make_network


@dataclass(frozen=True)
class Architecture:
    """The networks of a variational autoencoder, as its parameters describe them.

    A fitted estimator keeps the architecture that it was fitted with, also if its
    parameters are changed afterwards. See `skgen.GaussianVAE` for the attributes.

    Attributes
    ----------
    scaled : bool or None
        Whether the built-in encoder begins with a fixed map x - a (False), and the
        decoder ends with one that adds a location; or with a map that scales, too
        (True, in estimators that were fitted by version 0.1); or with none.
    shortcut : bool
        Whether a linear map lies beside the hidden layers.
    n_conditions : int
        Number of further inputs of both networks, the conditions of a conditional
        model, which follow the features and the latents.
    """

    n_features: int
    n_components: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    image_shape: tuple[int, int, int] | None
    encoder: Any
    decoder: Any
    scaled: bool | None
    shortcut: bool = False
    n_conditions: int = 0

    @classmethod
    def of(cls, estimator: Any) -> "Architecture":
        """Read and check the parameters of an estimator."""
        n_features, image_shape = estimator.n_features_in_, None
        if estimator.architecture == "conv":
            image_shape = check_image_shape(estimator.image_shape, n_features)
        sizes = check_layer_sizes(
            estimator.hidden_layer_sizes,
            "one a hidden layer; an empty tuple for a linear model",
        )
        built_in = estimator.encoder is None and estimator.decoder is None
        return cls(
            n_features,
            int(estimator.n_components),
            sizes,
            estimator.activation,
            image_shape,
            estimator.encoder,
            estimator.decoder,
            estimator._scaled,
            # Without hidden layers the networks are linear already.
            estimator.architecture == "shortcut" and built_in and bool(sizes),
            estimator._n_conditions,
        )

    @property
    def is_linear(self) -> bool:
        """Whether both networks are built in and have no hidden layers."""
        own = self.encoder is not None or self.decoder is not None
        return not (own or self.hidden_layer_sizes or self.image_shape)

    @property
    def _encoder_widths(self) -> tuple[int, int]:
        return self.n_features + self.n_conditions, 2 * self.n_components

    @property
    def _decoder_widths(self) -> tuple[int, int]:
        return self.n_components + self.n_conditions, self.n_features

    def check_same(self, fitted: "Architecture") -> None:
        """Raise an error where a fit cannot go on from another architecture."""
        check_unchanged(self, fitted, what="networks of ", but={"scaled"})

    def initial_networks(self, generator: torch.Generator) -> nn.ModuleDict:
        """Make encoder and decoder with the parameters that training starts from.

        Parameters
        ----------
        generator : torch.Generator
            Source of randomness, also of what the networks of a user draw.

        Returns
        -------
        networks : nn.ModuleDict
            Modules "encoder" and "decoder", float64.
        """
        networks: Any = self.build(generator)
        encoder, decoder = networks["encoder"], networks["decoder"]
        if self.encoder is None:
            reset_parameters(encoder, generator)
            shrink_log_variances(encoder.network if self.shortcut else encoder)
        else:
            check_network(encoder, "encoder", *self._encoder_widths)
        if self.decoder is None:
            reset_parameters(decoder, generator)
        else:
            check_network(decoder, "decoder", *self._decoder_widths)
        return networks

    def build(self, generator: torch.Generator | None = None) -> nn.ModuleDict:
        """Make encoder and decoder, whose parameters are still to be set.

        Parameters
        ----------
        generator : torch.Generator or None
            Source of randomness of the classes of a user that draw their parameters;
            None means that what they draw does not matter.

        Returns
        -------
        networks : nn.ModuleDict
            Modules "encoder" and "decoder", float64.
        """
        # The parameters of the built-in networks are uninitialised memory, as it would
        # take time to draw numbers that are replaced.
        if self.encoder is None:
            encoder = self._built_in_encoder(*self._encoder_widths)
        else:
            encoder = make_network(self.encoder, *self._encoder_widths, generator)
        if self.decoder is None:
            decoder = self._built_in_decoder(*self._decoder_widths)
        else:
            decoder = make_network(self.decoder, *self._decoder_widths, generator)
        return nn.ModuleDict({"encoder": encoder, "decoder": decoder}).double()

    def _built_in_encoder(self, n_in: int, n_out: int) -> nn.Module:
        sizes = (*self.hidden_layer_sizes, n_out)
        network: Any
        if self.image_shape is None:
            network = mlp((n_in, *sizes), self.activation, device="meta")
        else:
            network = conv_encoder(
                self.image_shape,
                sizes,
                self.activation,
                n_beside=self.n_conditions,
                device="meta",
            )
        if self.scaled is not None:
            network.insert(0, Standardize(n_in, scaled=self.scaled))
        if self.shortcut:
            network = WithShortcut(network)
        return with_memory(network)

    def _built_in_decoder(self, n_in: int, n_out: int) -> nn.Module:
        sizes = (n_in, *reversed(self.hidden_layer_sizes))
        network: Any
        if self.image_shape is None:
            network = mlp((*sizes, n_out), self.activation, device="meta")
        else:
            network = conv_decoder(
                self.image_shape, sizes, self.activation, device="meta"
            )
        if self.scaled is not None:
            network.append(Unstandardize(n_out, scaled=self.scaled))
        if self.shortcut:
            network = WithShortcut(network)
        return with_memory(network)
