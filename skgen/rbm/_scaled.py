"""Restricted Boltzmann machines whose weights are scaled down."""

import torch
from torch import Tensor

from skgen.rbm._model import RBM
from skgen.rbm._units import Units


class ScaledRBM:
    r"""A restricted Boltzmann machine with the weights of another, times a factor.

    .. math:: E(v, h) = U(v) + U'(h) - \beta\, h^\top W\, s(v)

    It holds no copy of the weights. At :math:`\beta = 0` all units are independent.

    Parameters
    ----------
    model : RBM
        The model whose weights :math:`W` are scaled.
    beta : float
        The factor, an inverse temperature of the interaction.
    visible : Units
        The visible units.
    hidden : Units
        The hidden units.
    """

    def __init__(self, model: RBM, beta: float, visible: Units, hidden: Units):
        self.model = model
        self.beta = beta
        self.visible = visible
        self.hidden = hidden

    def hidden_inputs(self, v: Tensor) -> Tensor:
        """Total inputs of the hidden units given v, shape (n, n_hidden)."""
        coupled, weight = self.visible.coupled(v), self.model.weight.T
        return torch.addmm(self.hidden.bias, coupled, weight, alpha=self.beta)

    def hidden_mean(self, v: Tensor) -> Tensor:
        """Mean of h given v, shape (n, n_hidden), a new tensor."""
        return self.hidden.mean_(self.hidden_inputs(v))

    def visible_mean(self, h: Tensor) -> Tensor:
        """Mean of v given h, shape (n, n_visible), a new tensor."""
        bias, weight = self.visible.bias, self.model.weight
        return self.visible.mean_(torch.addmm(bias, h, weight, alpha=self.beta))

    def free_energy(self, v: Tensor) -> Tensor:
        """Free energy of `v`, shape (n,), nats."""
        log_partition = self.hidden.log_partition(self.hidden_inputs(v))
        return self.visible.energy(v) - log_partition.sum(1)

    def interpolate(self, other: "ScaledRBM", t: float) -> "ScaledRBM":
        """Return the model with the energy (1 - t) E + t E', of the same weights."""
        return ScaledRBM(
            self.model,
            self.beta + t * (other.beta - self.beta),
            self.visible.interpolate(other.visible, t),
            self.hidden.interpolate(other.hidden, t),
        )


class TemperedRBM(ScaledRBM):
    r"""A restricted Boltzmann machine at an inverse temperature between 0 and 1.

    Energies are interpolated between those of independent units and those of the
    model. For binary units with biases b and c,

    .. math:: E_\beta(v, h) = -\left((1 - \beta)\, b_0 + \beta b\right)^\top v
              - \beta\, c^\top h - \beta\, h^\top W v

    (Salakhutdinov & Murray, 2008). At :math:`\beta = 0` visible units are
    independent with means :math:`\sigma(b_0)`, and hidden ones are 1 with
    probability 0.5.

    Parameters
    ----------
    model : RBM
        The model, :math:`\beta = 1`.
    base : Units
        The visible units at :math:`\beta = 0`, with biases :math:`b_0`.
    beta : float
        Inverse temperature.
    """

    def __init__(self, model: RBM, base: Units, beta: float):
        visible = base.interpolate(model.visible, beta)
        super().__init__(model, beta, visible, model.hidden.scaled(beta))


def log_partition_of_independent_units(model: ScaledRBM) -> float:
    r"""Compute log Z of a model whose weights are scaled to zero.

    .. math:: \log Z = \sum_i \log(1 + e^{b_i}) + \sum_j \log(1 + e^{c_j})

    for binary units.

    Parameters
    ----------
    model : ScaledRBM
        The model, at :math:`\beta = 0`.

    Returns
    -------
    log_z : float
        Log partition function in nats.
    """
    layers = model.visible, model.hidden
    terms = [units.log_partition(units.bias.double()) for units in layers]
    return torch.cat(terms).sum().item()
