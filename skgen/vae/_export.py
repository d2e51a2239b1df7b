"""Both directions of a variational autoencoder, without branches on data."""

import torch
from torch import Tensor, nn

from skgen.nn import Observation


class PosteriorMean(nn.Module):
    """Mean of q(z | x), or of q(z | x, y).

    Parameters
    ----------
    network : nn.Module
        The encoder.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *y: Tensor) -> Tensor:
        """Compute the means, (batch, n_latents); y is encoded, (batch, width)."""
        return self.network(torch.cat([x, *y], 1)).chunk(2, dim=1)[0]


class ConditionalMean(nn.Module):
    """Mean of p(x | z), or of p(x | z, y): not the logit of it.

    Parameters
    ----------
    network : nn.Module
        The decoder.
    observation : Observation
        The distribution of x given the output of the decoder.
    """

    def __init__(self, network: nn.Module, observation: Observation):
        super().__init__()
        self.network, self.observation = network, observation

    def forward(self, z: Tensor, *y: Tensor) -> Tensor:
        """Compute the means, (batch, n_features); y is encoded, (batch, width)."""
        return self.observation.mean(self.network(torch.cat([z, *y], 1)))
