"""Both directions of a restricted Boltzmann machine, without branches on data."""

from torch import Tensor, nn
from torch.nn import functional as F

from skgen.rbm._model import RBM


class HiddenMeans(nn.Module):
    """Means of the hidden units given visible ones.

    Parameters
    ----------
    machine : RBM
        The machine.
    """

    def __init__(self, machine: RBM):
        super().__init__()
        self.machine = machine

    def forward(self, v: Tensor) -> Tensor:
        """Compute the means, (batch, n_hidden), of v, (batch, n_visible)."""
        return self.machine.hidden.mean_(self.machine.hidden_inputs(v))


class VisibleMeans(nn.Module):
    """Means of the visible units given hidden ones.

    Parameters
    ----------
    machine : RBM
        The machine.
    """

    def __init__(self, machine: RBM):
        super().__init__()
        self.machine = machine

    def forward(self, h: Tensor) -> Tensor:
        """Compute the means, (batch, n_visible), of h, (batch, n_hidden)."""
        visible = self.machine.visible
        return visible.mean_(F.linear(h, self.machine.weight.T, visible.bias))
