"""Machines between two: tempered ones, and points on a straight line."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.modules._rbm import BernoulliRBM


class TemperedRBM:
    r"""A Bernoulli RBM at an inverse temperature between 0 and 1.

    Energies are interpolated between those of independent bits and those of the
    machine,

    .. math:: E_\beta(v, h) = -\left((1 - \beta)\, b_0 + \beta b\right)^\top v
              - \beta\, c^\top h - \beta\, h^\top W v

    (Salakhutdinov & Murray, 2008). At :math:`\beta = 0` visible units are
    independent with means :math:`\sigma(b_0)`, hidden ones are fair coins, and
    :math:`\log Z_0 = \sum_i \log(1 + e^{b_{0i}}) + m \log 2` for m hidden units. It
    holds no copy of the weights, and follows a machine that is trained.

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
        self.model = model
        self.base_bias = base_bias
        self.beta = beta

    @property
    def visible_bias(self) -> Tensor:
        """Interpolated fields on the visible units, shape (n_visible,)."""
        return torch.lerp(self.base_bias, self.model.visible_bias, self.beta)

    def hidden_logits(self, v: Tensor) -> Tensor:
        """Compute the hidden fields, shape (batch, n_hidden)."""
        return self.model.hidden_logits(v).mul_(self.beta)

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
        """Free energy of `v` at this temperature, shape (batch,), nats."""
        softplus = -F.logsigmoid(-self.hidden_logits(v))
        return -(v @ self.visible_bias) - softplus.sum(1)


def log_partition_of_bits(base_bias: Tensor, n_hidden: int) -> Tensor:
    r"""Compute log Z at :math:`\beta = 0`, in float64, shape ()."""
    visible = -F.logsigmoid(-base_bias.double()).sum()
    return visible + n_hidden * torch.log(visible.new_tensor(2.0))


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
