"""The way down through a deep belief network, without branches on data."""

from torch import nn

from skgen.dbn._model import DeepBeliefNet
from skgen.rbm._export import VisibleMeans


def downward_means(network: DeepBeliefNet) -> nn.Sequential:
    """Return the means of data given the highest layer, of a network."""
    machines = reversed([*network.directed, network.top])
    return nn.Sequential(*map(VisibleMeans, machines))
