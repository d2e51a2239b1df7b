"""An energy-based model: a base density, and a network that corrects it."""

from typing import Any

import torch
from torch import Tensor, nn

from skgen.energy._mixture import GaussianMixtureDensity


class EnergyNet(nn.Module):
    r"""The density :math:`p(x) = q_0(x)\, e^{-f(x)} / Z` and its energy.

    .. math:: E(x) = -\log q_0(x) + f(x), \qquad
              Z = \int e^{-E(x)}\, dx = \left\langle e^{-f(x)} \right\rangle_{q_0}.

    The base :math:`q_0` is normalised, so that Z is 1 where f is 0, and finite for each
    f that falls no faster than linearly, as networks of the usual layers do.

    Parameters
    ----------
    network : nn.Module
        The network f, which maps (batch, n_features) to (batch, 1).
    base : GaussianMixtureDensity
        The base.
    log_normalizer : float
        What training takes for log Z, c: it is learnt together with f.
    """

    def __init__(
        self,
        network: nn.Module,
        base: GaussianMixtureDensity,
        log_normalizer: float = 0.0,
    ):
        super().__init__()
        self.network = network
        self.base = base
        self.log_normalizer = nn.Parameter(
            torch.tensor(log_normalizer, dtype=torch.float64)
        )

    def correction(self, x: Tensor) -> Tensor:
        """Compute f(x) in nats, (batch,)."""
        return self.network(x)[:, 0]

    def energy(self, x: Tensor) -> Tensor:
        """Compute E(x) in nats, (batch,)."""
        return self.correction(x) - self.base.log_prob(x)

    def forward(self, x: Tensor, y: Any = None) -> Tensor:  # noqa: ARG002
        """Compute E(x) in nats, (batch,)."""
        return self.energy(x)
