"""Both directions of a deep belief network, without branches on data."""

from torch import Tensor, nn

from skgen.dbn._model import DeepBeliefNet
from skgen.rbm._export import VisibleMeans


class UpwardMeans(nn.Module):
    """Means of the highest layer given data, each layer given that below it.

    Parameters
    ----------
    network : DeepBeliefNet
        The network.
    """

    def __init__(self, network: DeepBeliefNet):
        super().__init__()
        self.network = network

    def forward(self, v: Tensor) -> Tensor:
        """Compute the means, (batch, n_top), of v, (batch, n_visible)."""
        return self.network.up(v)


def downward_means(network: DeepBeliefNet) -> nn.Sequential:
    """Return the means of data given the highest layer, of a network."""
    machines = reversed([*network.directed, network.top])
    return nn.Sequential(*map(VisibleMeans, machines))
