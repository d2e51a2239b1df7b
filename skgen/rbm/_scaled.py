"""Machines between two: tempered ones, and points on a straight line."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.rbm._model import BernoulliRBM


class ScaledRBM:
    r"""A Bernoulli RBM with the couplings of another, times a factor.

    .. math:: E(v, h) = -b^\top v - c^\top h - \beta\, h^\top W v

    It holds no copy of the weights. At :math:`\beta = 0` all units are independent.

    Parameters
    ----------
    model : BernoulliRBM
        The machine whose couplings :math:`W` are scaled.
    beta : float
        The factor, an inverse temperature of the couplings.
    visible_bias : Tensor of shape (n_visible,)
        Fields :math:`b` on the visible units.
    hidden_bias : Tensor of shape (n_hidden,)
        Fields :math:`c` on the hidden units.
    """

    def __init__(
        self,
        model: BernoulliRBM,
        beta: float,
        visible_bias: Tensor,
        hidden_bias: Tensor,
    ):
        self.model = model
        self.beta = beta
        self.visible_bias = visible_bias
        self.hidden_bias = hidden_bias

    def hidden_logits(self, v: Tensor) -> Tensor:
        """Compute the hidden fields, shape (batch, n_hidden)."""
        return torch.addmm(self.hidden_bias, v, self.model.weight.T, alpha=self.beta)

    def hidden_probability(self, v: Tensor) -> Tensor:
        """P(h = 1 | v), shape (batch, n_hidden)."""
        return torch.sigmoid_(self.hidden_logits(v))

    def visible_probability(self, h: Tensor) -> Tensor:
        """P(v = 1 | h), shape (batch, n_visible)."""
        weight = self.model.weight
        return torch.sigmoid_(
            torch.addmm(self.visible_bias, h, weight, alpha=self.beta)
        )

    def free_energy(self, v: Tensor) -> Tensor:
        """Free energy of `v`, shape (batch,), nats."""
        softplus = -F.logsigmoid(-self.hidden_logits(v))
        return -(v @ self.visible_bias) - softplus.sum(1)

    def toward(self, other: "ScaledRBM", t: float) -> "ScaledRBM":
        """Make the machine at `t` on the straight line to one of the same couplings."""
        return ScaledRBM(
            self.model,
            self.beta + t * (other.beta - self.beta),
            torch.lerp(self.visible_bias, other.visible_bias, t),
            torch.lerp(self.hidden_bias, other.hidden_bias, t),
        )


class TemperedRBM(ScaledRBM):
    r"""A Bernoulli RBM at an inverse temperature between 0 and 1.

    Energies are interpolated between those of independent bits and those of the
    machine,

    .. math:: E_\beta(v, h) = -\left((1 - \beta)\, b_0 + \beta b\right)^\top v
              - \beta\, c^\top h - \beta\, h^\top W v

    (Salakhutdinov & Murray, 2008). At :math:`\beta = 0` visible units are
    independent with means :math:`\sigma(b_0)`, and hidden ones are fair coins.

    Parameters
    ----------
    model : BernoulliRBM
        The machine, :math:`\beta = 1`.
    base_bias : Tensor of shape (n_visible,)
        Fields :math:`b_0` on the visible units at :math:`\beta = 0`.
    beta : float
        Inverse temperature.
    """

    def __init__(self, model: BernoulliRBM, base_bias: Tensor, beta: float):
        visible_bias = torch.lerp(base_bias, model.visible_bias, beta)
        super().__init__(model, beta, visible_bias, beta * model.hidden_bias)


def log_partition_of_bits(bits: ScaledRBM) -> Tensor:
    r"""Compute log Z of a machine whose couplings are scaled to nothing.

    .. math:: \log Z = \sum_i \log(1 + e^{b_i}) + \sum_j \log(1 + e^{c_j})

    Parameters
    ----------
    bits : ScaledRBM
        The machine, at :math:`\beta = 0`.

    Returns
    -------
    log_z : Tensor of shape (), float64
        Log partition function in nats.
    """
    both = torch.cat([bits.visible_bias, bits.hidden_bias]).double()
    return -F.logsigmoid(-both).sum()


def between(start: BernoulliRBM, end: BernoulliRBM, t: float) -> BernoulliRBM:
    """Make the machine at `t` on the straight line between two.

    Energies are interpolated: :math:`E_t = (1 - t) E_0 + t E_1`.

    Parameters
    ----------
    start, end : BernoulliRBM
        The machines at t = 0 and at t = 1, of the same sizes.
    t : float
        Where on the line.

    Returns
    -------
    machine : BernoulliRBM
        A new machine.
    """
    return BernoulliRBM(
        *(
            torch.lerp(a.detach(), b.detach(), t)
            for a, b in zip(start.parameters(), end.parameters(), strict=True)
        )
    )
