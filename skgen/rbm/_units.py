"""The units of one layer of a restricted Boltzmann machine."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.sampling import RandomBits, bernoulli

# Means of bits are kept this far from 0 and 1 where a bias follows from them.
_MARGIN = 1e-6


class Units(ABC):
    r"""A layer of independent units: what it adds to the energy, and its law.

    The energy of a restricted Boltzmann machine is

    .. math:: E(v, h) = U(v) + U'(h) - h^\top W\, s(v)

    with one potential U for each layer, and s(v), which is v itself for binary units.
    Given the states of the other layer, the units are independent. Their law depends
    on the total input x of each unit, its bias included: :math:`x = W s(v) + c` for
    the hidden layer, :math:`x = W^\top h + b` for the visible one.

    An object of this class owns no parameters: it holds those of a model, or others
    in their place, and is made where it is needed.

    Parameters
    ----------
    bias : Tensor of shape (n_units,)
        What is added to the input of each unit.
    """

    def __init__(self, bias: Tensor):
        self.bias = bias

    @abstractmethod
    def energy(self, states: Tensor) -> Tensor:
        """Compute the potential U of states (n, n_units), in nats, shape (n,)."""

    @abstractmethod
    def energy_difference(self, other: "Units", states: Tensor) -> Tensor:
        """Compute U of these units minus U of others at the same states, (n,)."""

    @abstractmethod
    def log_partition(self, inputs: Tensor) -> Tensor:
        r"""Compute the log of the sum over the states of each unit, in nats.

        The sum, or integral, is over the Boltzmann factors of the potential of the unit
        and of its interaction with the other layer, as a function of the total input x.
        For a binary unit it is :math:`\log(1 + e^x)`.

        Parameters
        ----------
        inputs : Tensor of shape (n, n_units)
            Total inputs.

        Returns
        -------
        log_partition : Tensor of shape (n, n_units)
            One term for each unit: their sum is minus its share of a free energy.
        """

    @abstractmethod
    def mean_(self, inputs: Tensor) -> Tensor:
        """Replace total inputs by the means of the units given them, in place."""

    @abstractmethod
    def sample(
        self,
        mean: Tensor,
        *,
        generator: torch.Generator | RandomBits,
        out: Tensor | None = None,
    ) -> Tensor:
        """Draw states of the units, given their conditional means.

        Parameters
        ----------
        mean : Tensor of shape (n, n_units)
            What `mean_` gives.
        generator : torch.Generator or RandomBits
            Source of randomness.
        out : Tensor of shape (n, n_units) or None
            Where the states go, which may be `mean` itself; None means a new tensor.

        Returns
        -------
        states : Tensor of shape (n, n_units)
            States.
        """

    @abstractmethod
    def interpolate(self, other: "Units", t: float) -> "Units":
        """Return the units at t on the straight line to others, in their energies."""

    @abstractmethod
    def with_bias(self, bias: Tensor) -> "Units":
        """Return units that differ from these by their bias only."""

    @abstractmethod
    def scaled(self, beta: float) -> "Units":
        """Return the units whose potential is `beta` times this one."""

    def coupled(self, states: Tensor) -> Tensor:
        """Return s(v), in which the states enter the interaction; by default v."""
        return states

    @abstractmethod
    def bias_of_mean(self, mean: Tensor) -> Tensor:
        """Return the bias of units that have some mean without any other input."""

    def bias_given_input(self, mean: Tensor, inputs: Tensor) -> Tensor | None:
        """Return the bias with which units have a mean, given that of their inputs.

        Parameters
        ----------
        mean : Tensor of shape (n_units,)
            Mean of each unit.
        inputs : Tensor of shape (n_units,)
            Mean of its input from the other layer.

        Returns
        -------
        bias : Tensor of shape (n_units,) or None
            The bias; None where the mean of the inputs does not determine it.
        """
        return None


class BernoulliUnits(Units):
    r"""Binary units, with the potential :math:`U(u) = -b^\top u`.

    .. math:: P(u = 1 \mid x) = \sigma(x), \quad
              \log \sum_{u} e^{x u} = \log(1 + e^x)
    """

    def energy(self, states: Tensor) -> Tensor:
        """Compute the potential -b.u of states (n, n_units), in nats, shape (n,)."""
        return -(states @ self.bias)

    def energy_difference(self, other: Units, states: Tensor) -> Tensor:
        """Compute U of these units minus U of others at the same states, (n,)."""
        # The difference of close numbers is exact, so that small steps add up.
        return states @ (other.bias - self.bias)

    def log_partition(self, inputs: Tensor) -> Tensor:
        """Compute log(1 + exp(x)) of each unit, in nats, shape (n, n_units)."""
        # logsigmoid is exact everywhere; softplus is cut at 20, an error of 2e-9.
        return -F.logsigmoid(-inputs)

    def mean_(self, inputs: Tensor) -> Tensor:
        """Replace total inputs by the probabilities of 1, in place."""
        return inputs.sigmoid_()

    def sample(
        self,
        mean: Tensor,
        *,
        generator: torch.Generator | RandomBits,
        out: Tensor | None = None,
    ) -> Tensor:
        """Draw bits, given the probabilities of 1; see `Units.sample`."""
        if isinstance(generator, RandomBits):
            return generator.bernoulli(mean, out=out)
        return bernoulli(mean, generator=generator, out=out)

    def interpolate(self, other: Units, t: float) -> "BernoulliUnits":
        """Return the units at t on the straight line to others, in their energies."""
        return BernoulliUnits(torch.lerp(self.bias, other.bias, t))

    def with_bias(self, bias: Tensor) -> "BernoulliUnits":
        """Return units that differ from these by their bias only."""
        return BernoulliUnits(bias)

    def scaled(self, beta: float) -> "BernoulliUnits":
        """Return the units whose potential is `beta` times this one."""
        return BernoulliUnits(beta * self.bias)

    def bias_of_mean(self, mean: Tensor) -> Tensor:
        """Return the logit of the mean, which is kept away from 0 and 1."""
        return torch.logit(mean, eps=_MARGIN)


def draw_independent(units: Units, n: int, *, generator: torch.Generator) -> Tensor:
    """Draw n states of units that have no input but their biases, (n, n_units)."""
    mean = units.mean_(units.bias.repeat(n, 1))
    return units.sample(mean, generator=generator)
