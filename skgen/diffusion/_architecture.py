"""DiffusionArchitecture: the network of a diffusion model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from skgen.base._validation import check_unchanged
from skgen.diffusion._image_network import GivenNetwork, TimeConv, reset_time_conv
from skgen.diffusion._network import TimeMLP, reset_time_mlp
from skgen.nn._networks import check_network, with_memory
from skgen.nn._own_networks import check_image_shape, check_layer_sizes, make_network

# What hidden_layer_sizes="auto" means: widths for up to so many features and for more,
# and the channels of convolutions.
_FEW_FEATURES, _NARROW, _WIDE, _N_LAYERS = 16, 128, 256, 4
_CHANNELS, _LEAST_SIDE = (32, 64, 64), 4


@dataclass(frozen=True)
class DiffusionArchitecture:
    """The network of a diffusion model, as its parameters describe it.

    A fitted estimator keeps the architecture that it was fitted with, also if its
    parameters are changed afterwards. See `skgen.DiffusionModel` for the attributes.

    Attributes
    ----------
    n_conditions : int
        Further inputs of the network, the conditions of a conditional model.
    """

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    image_shape: tuple[int, int, int] | None
    network: Any
    t_min: float
    n_conditions: int = 0

    @classmethod
    def of(cls, estimator: Any) -> "DiffusionArchitecture":
        """Read and check the parameters of an estimator."""
        n_features, image_shape = estimator.n_features_in_, None
        if estimator.architecture == "conv":
            image_shape = check_image_shape(estimator.image_shape, n_features)
        return cls(
            n_features,
            _sizes_of(estimator.hidden_layer_sizes, n_features, image_shape),
            estimator.activation,
            image_shape,
            estimator.network,
            float(estimator.t_min),
            estimator._n_conditions,
        )

    @property
    def by_features(self) -> bool:
        """Whether the network sees features, in their order, and not directions."""
        return self.image_shape is not None or self.network is not None

    def check_same(self, fitted: "DiffusionArchitecture") -> None:
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
            The network, float64.
        """
        network = self.build(generator=generator)
        if isinstance(network, TimeMLP):
            reset_time_mlp(network, generator)
        elif isinstance(network, TimeConv):
            reset_time_conv(network, generator)
        else:
            check_network(
                network.network,  # type: ignore[arg-type]
                "network",
                self._n_inputs,
                self.n_features,
                widths=(
                    "n_features + 1 columns, noisy data and time"
                    + (f", and {self.n_conditions} of y," * bool(self.n_conditions))
                    + " to n_features"
                ),
            )
        return network

    def build(
        self, dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> nn.Module:
        """Make the network, whose parameters are still to be set.

        Parameters
        ----------
        dropout : float
            Probability with which a hidden unit is dropped in training.
        generator : torch.Generator or None
            Source of randomness of a class of a user that draws its parameters; None
            means that what it draws does not matter.

        Returns
        -------
        network : nn.Module
            The network, float64.
        """
        if self.network is not None:
            made = make_network(
                self.network, self._n_inputs, self.n_features, generator
            )
            return GivenNetwork(made).double()
        given: Any = self.hidden_layer_sizes, self.activation
        options: Any = {
            "n_conditions": self.n_conditions,
            "dropout": dropout,
            "device": "meta",
        }
        if self.image_shape is None:
            return with_memory(TimeMLP(self.n_features, *given, **options))
        return with_memory(TimeConv(self.image_shape, *given, **options))

    @property
    def _n_inputs(self) -> int:
        return self.n_features + 1 + self.n_conditions


def _sizes_of(
    sizes: Any, n_features: int, image_shape: tuple[int, int, int] | None
) -> tuple[int, ...]:
    if isinstance(sizes, str):  # "auto"
        if image_shape is None:
            return (_NARROW if n_features <= _FEW_FEATURES else _WIDE,) * _N_LAYERS
        side = min(image_shape[1:])
        n_levels = sum(side >= _LEAST_SIDE * 2**k for k in range(len(_CHANNELS)))
        return _CHANNELS[: max(n_levels, 1)]
    return check_layer_sizes(
        sizes,
        "one a hidden layer, or with architecture='conv' one or more channels",
        least=int(image_shape is not None),
    )
