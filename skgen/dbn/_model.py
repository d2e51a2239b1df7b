"""The deep belief network as a torch module."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skgen.rbm import RBM, Units


class DeepBeliefNet(nn.Module):
    r"""Deep belief network: a restricted Boltzmann machine over directed layers.

    With L hidden layers and :math:`h^0 = v`,

    .. math:: p(v, h^1, \dots, h^L) = p(v \mid h^1)\, p(h^1 \mid h^2) \cdots
              p(h^{L-2} \mid h^{L-1})\; p(h^{L-1}, h^L)

    (Hinton, Osindero & Teh, 2006). The last factor is the law of a machine; each of
    the others is the conditional distribution of the visible units of a machine given
    its hidden ones,

    .. math:: p(h^{k-1} \mid h^k) \propto
              e^{-U_k(h^{k-1}) + h^k \cdot W_k\, s(h^{k-1})},

    with U and s of `skgen.rbm.Units`. The posterior of the hidden layers below the top
    is approximated from the bottom to the top by

    .. math:: q(h^k \mid h^{k-1}) = \prod_j \mathrm{Bernoulli}\left(h^k_j;\
              \sigma(R_k\, s(h^{k-1}) + r_k)_j\right),

    with :math:`R_k = W_k` and the hidden biases :math:`r_k` of the machine, or with
    parameters of its own.

    Parameters
    ----------
    layers : sequence of RBM
        The machines, the lowest first. The hidden units of each are the visible ones
        of the next, and binary.
    recognition : sequence of nn.Linear
        Inputs of the hidden units below the top in q, one for each machine but the
        last; an empty one means those of the machines.
    """

    def __init__(self, layers: Sequence[RBM], recognition: Sequence[nn.Linear] = ()):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.recognition = nn.ModuleList(recognition)

    @property
    def top(self) -> RBM:
        """The machine of the two highest layers."""
        layer: Any = self.layers[-1]
        return layer

    @property
    def directed(self) -> list[RBM]:
        """The machines below the top, of which the downward law is used."""
        layers: Any = list(self.layers)
        return layers[:-1]

    def forward(self, v: Tensor) -> Tensor:
        """Compute features of `v`, shape (n, n_top); see `up`."""
        return self.up(v)

    def inputs(self, k: int, below: Tensor) -> Tensor:
        """Total inputs in q of hidden layer k, given the states below it, new."""
        layer: Any = self.layers[k]
        if k >= len(self.recognition):
            return layer.hidden_inputs(below)
        return self.recognition[k](layer.visible.coupled(below))

    def up(self, v: Tensor) -> Tensor:
        """Mean-field features: each layer given the means of the one below it.

        Parameters
        ----------
        v : Tensor of shape (n, n_visible)
            Visible states.

        Returns
        -------
        mean : Tensor of shape (n, n_top)
            Probabilities of the units of the highest layer.
        """
        for k in range(len(self.layers)):
            v = torch.sigmoid(self.inputs(k, v))
        return v

    def down(self, h: Tensor) -> Tensor:
        """Compute means of the visible units, each layer given those of the one above.

        Parameters
        ----------
        h : Tensor of shape (n, n_top)
            States or probabilities of the highest layer.

        Returns
        -------
        mean : Tensor of shape (n, n_visible)
            Means.
        """
        for layer in reversed([*self.directed, self.top]):
            h = layer.visible_mean(h)
        return h

    def sample_down(self, h: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw visible states given the visible states of the top machine.

        Parameters
        ----------
        h : Tensor of shape (n, n_below_top)
            States of the layer below the highest one.
        generator : torch.Generator
            Source of randomness, on the device of `h`.

        Returns
        -------
        v : Tensor of shape (n, n_visible)
            Visible states.
        """
        for layer in reversed(self.directed):
            h = layer.visible.sample(layer.visible_mean(h), generator=generator)
        return h


def downward_inputs(layer: RBM, h: Tensor) -> Tensor:
    """Total inputs of the visible units of a machine given its hidden ones."""
    visible: Units = layer.visible
    return F.linear(h, layer.weight.T, visible.bias)


def linear_of(machine: RBM) -> nn.Linear:
    """Make the inputs of the hidden units of a machine a module, with its memory."""
    n_hidden, n_visible = machine.weight.shape
    like = {"dtype": machine.weight.dtype, "device": machine.weight.device}
    linear = nn.utils.skip_init(nn.Linear, n_visible, n_hidden, **like)
    linear.weight.data, linear.bias.data = machine.weight.data, machine.hidden.bias.data
    return linear
