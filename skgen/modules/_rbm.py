"""The restricted Boltzmann machine with binary units."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BernoulliRBM(nn.Module):
    r"""Restricted Boltzmann machine of binary visible and hidden units.

    The joint distribution is :math:`p(v, h) = e^{-E(v, h)} / Z` with the energy

    .. math:: E(v, h) = -b^\top v - c^\top h - h^\top W v

    (Smolensky, 1986; Hinton, 2002). Given one layer, the units of the other are
    independent. Energies are in nats.

    Parameters
    ----------
    weight : Tensor of shape (n_hidden, n_visible)
        Couplings :math:`W`.
    hidden_bias : Tensor of shape (n_hidden,)
        Fields :math:`c` on the hidden units.
    visible_bias : Tensor of shape (n_visible,)
        Fields :math:`b` on the visible units.
    """

    def __init__(self, weight: Tensor, hidden_bias: Tensor, visible_bias: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.hidden_bias = nn.Parameter(hidden_bias)
        self.visible_bias = nn.Parameter(visible_bias)

    def forward(self, v: Tensor) -> Tensor:
        """P(h = 1 | v), the features of `v`, shape (batch, n_hidden)."""
        return self.hidden_probability(v)

    def hidden_logits(self, v: Tensor) -> Tensor:
        """Compute the hidden fields, :math:`W v + c`, shape (batch, n_hidden)."""
        return F.linear(v, self.weight, self.hidden_bias)

    def hidden_probability(self, v: Tensor) -> Tensor:
        r"""P(h = 1 | v) :math:`= \sigma(W v + c)`, shape (batch, n_hidden)."""
        return torch.sigmoid_(self.hidden_logits(v))

    def visible_probability(self, h: Tensor) -> Tensor:
        r"""P(v = 1 | h) :math:`= \sigma(W^\top h + b)`, shape (batch, n_visible)."""
        return torch.sigmoid_(torch.addmm(self.visible_bias, h, self.weight))

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        r"""Energy of joint states, :math:`E(v, h)`, shape (batch,), nats."""
        return -(v @ self.visible_bias) - (h * self.hidden_logits(v)).sum(1)

    def free_energy(self, v: Tensor) -> Tensor:
        r"""Compute the free energy, of which :math:`p(v) = e^{-F(v)} / Z`.

        .. math:: F(v) = -\log \sum_h e^{-E(v, h)}
                       = -b^\top v - \sum_j \log(1 + e^{(W v + c)_j})

        Parameters
        ----------
        v : Tensor of shape (batch, n_visible)
            Visible states.

        Returns
        -------
        free_energy : Tensor of shape (batch,)
            Free energy in nats.
        """
        # logsigmoid is exact everywhere; softplus is cut at 20, an error of 2e-9.
        softplus = -F.logsigmoid(-self.hidden_logits(v))
        return -(v @ self.visible_bias) - softplus.sum(1)
