"""Visible units of real values with Gaussian noise."""

from math import log, pi

import torch
from torch import Tensor

from skgen.rbm._units import Units
from skgen.sampling import RandomBits


class GaussianUnits(Units):
    r"""Real units with Gaussian noise.

    Their potential is :math:`U(v) = \sum_i (v_i - c_i)^2 / 2 \sigma_i^2`, and they
    enter interactions as :math:`s(v) = v / \sigma^2`. With the total inputs
    :math:`x = c + W^\top h`,

    .. math:: p(v \mid x) = \mathcal{N}(x, \sigma^2), \quad
              \log \int e^{-U(v) + (x - c) s(v)}\, dv
              = \frac{1}{2} \log 2 \pi \sigma^2 + \frac{x^2 - c^2}{2 \sigma^2}.

    Parameters
    ----------
    bias : Tensor of shape (n_units,)
        Centers :math:`c`.
    variance : Tensor of shape (n_units,)
        Variances :math:`\sigma^2` of the noise.
    """

    def __init__(self, bias: Tensor, variance: Tensor):
        super().__init__(bias)
        self.variance = variance

    def energy(self, states: Tensor) -> Tensor:
        """Compute the potential of states (n, n_units), in nats, shape (n,)."""
        return ((states - self.bias).square() / (2 * self.variance)).sum(1)

    def energy_difference(self, other: Units, states: Tensor) -> Tensor:
        """Compute U of these units minus U of others at the same states, (n,)."""
        assert isinstance(other, GaussianUnits)
        if other.variance is not self.variance:
            return self.energy(states) - other.energy(states)
        # Without the difference of large squares, so that small steps add up.
        step = (other.bias - self.bias) / self.variance
        return ((states - (other.bias + self.bias) / 2) * step).sum(1)

    def log_partition(self, inputs: Tensor) -> Tensor:
        """Compute the log of the integral over each unit, in nats, (n, n_units)."""
        log_norm = 0.5 * (log(2 * pi) + self.variance.log())
        # The difference of squares.
        product = (inputs - self.bias) * (inputs + self.bias)
        return log_norm + product / (2 * self.variance)

    def mean_(self, inputs: Tensor) -> Tensor:
        """Return total inputs, which are the means, as they are."""
        return inputs

    def sample(
        self,
        mean: Tensor,
        *,
        generator: torch.Generator | RandomBits,
        out: Tensor | None = None,
    ) -> Tensor:
        """Add noise to conditional means; see `Units.sample`."""
        if isinstance(generator, RandomBits):
            generator = generator.generator
        noise = torch.randn(
            mean.shape, generator=generator, dtype=mean.dtype, device=mean.device
        )
        return torch.addcmul(mean, noise, self.variance.sqrt(), out=out)

    def interpolate(self, other: Units, t: float) -> "GaussianUnits":
        """Return the units at t on the straight line to others, in their energies."""
        # Precisions lie on a straight line, and so do centers times precisions: up to a
        # constant in the energy.
        assert isinstance(other, GaussianUnits)
        if other.variance is self.variance:
            return self.with_bias(torch.lerp(self.bias, other.bias, t))
        ends = self.variance.reciprocal(), other.variance.reciprocal()
        variance = torch.lerp(*ends, t).reciprocal()
        linear = torch.lerp(self.bias * ends[0], other.bias * ends[1], t)
        return GaussianUnits(variance * linear, variance)

    def with_bias(self, bias: Tensor) -> "GaussianUnits":
        """Return units that differ from these by their centers only."""
        return GaussianUnits(bias, self.variance)

    def scaled(self, beta: float) -> "GaussianUnits":
        """Return the units whose potential is `beta` times this one; not with 0."""
        return GaussianUnits(self.bias, self.variance / beta)

    def coupled(self, states: Tensor) -> Tensor:
        """Return s(v), which is v over the variance."""
        return states / self.variance

    def bias_of_mean(self, mean: Tensor) -> Tensor:
        """Return the bias of units with a mean that have no other input: the mean."""
        return mean

    def bias_given_input(self, mean: Tensor, inputs: Tensor) -> Tensor:
        """Return the bias with which units of given mean inputs have a mean."""
        return mean - inputs
