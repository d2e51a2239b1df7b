"""The restricted Boltzmann machine of real visible units as a torch module."""

from math import sqrt

import torch
from torch import Tensor, nn

from skgen.rbm._gaussian_units import GaussianUnits
from skgen.rbm._model import RBM
from skgen.rbm._units import BernoulliUnits

# Bias of the hidden units at the start, standard deviation of the weights at most, and
# of the inputs of hidden units over independent standardised features at most.
_SPARSE, _STD, _SPREAD = -3.0, 0.05, 0.5


class GaussianBernoulliRBM(RBM):
    r"""Restricted Boltzmann machine of real visible and binary hidden units.

    .. math:: E(v, h) = \sum_i \frac{(v_i - c_i)^2}{2 \sigma_i^2}
              - \sum_j h_j \Big( b_j + \sum_i W_{ji} \frac{v_i}{\sigma_i^2} \Big), \quad
              F(v) = \sum_i \frac{(v_i - c_i)^2}{2 \sigma_i^2} - \sum_j \log
              \Big( 1 + e^{b_j + \sum_i W_{ji} v_i / \sigma_i^2} \Big)

    (Welling, Rosen-Zvi & Hinton, 2004; Cho, Ilin & Raiko, 2011). Given h, the visible
    units are normal, :math:`\mathcal{N}(c + W^\top h, \operatorname{diag} \sigma^2)`:
    p(v) is a mixture of :math:`2^m` Gaussians with a common diagonal covariance.

    Parameters
    ----------
    weight : Tensor of shape (n_hidden, n_visible)
        Weights :math:`W`.
    hidden_bias : Tensor of shape (n_hidden,)
        Biases :math:`b` of the hidden units.
    visible_bias : Tensor of shape (n_visible,)
        Centers :math:`c` of the visible units.
    log_variance : Tensor of shape (n_visible,) or (1,)
        :math:`\log \sigma^2`, of each visible unit or one for all.
    learns_variance : bool
        Whether the variances are learned. They are no parameter otherwise.
    """

    log_variance: Tensor

    def __init__(
        self,
        weight: Tensor,
        hidden_bias: Tensor,
        visible_bias: Tensor,
        log_variance: Tensor,
        *,
        learns_variance: bool = True,
    ):
        super().__init__(weight)
        self.hidden_bias = nn.Parameter(hidden_bias)
        self.visible_bias = nn.Parameter(visible_bias)
        if learns_variance:
            self.log_variance = nn.Parameter(log_variance)
        else:
            self.register_buffer("log_variance", log_variance)

    @property
    def variance(self) -> Tensor:
        """The variances of the noise, shape (n_visible,)."""
        return self.log_variance.exp().expand_as(self.visible_bias)

    @property
    def visible(self) -> GaussianUnits:  # type: ignore[override]
        """The visible units."""
        return GaussianUnits(self.visible_bias, self.variance)

    @property
    def hidden(self) -> BernoulliUnits:  # type: ignore[override]
        """The hidden units."""
        return BernoulliUnits(self.hidden_bias)

    def interpolate(self, other: "GaussianBernoulliRBM", t: float) -> RBM:
        """Return the model with the energy :math:`(1 - t) E + t E'`, a new one.

        Up to a constant in the energy, precisions lie on a straight line, and so do
        centers and weights times precisions.

        Parameters
        ----------
        other : GaussianBernoulliRBM
            The model at t = 1, of the same sizes.
        t : float
            Where on the straight line between the two.

        Returns
        -------
        model : GaussianBernoulliRBM
            The model.
        """
        with torch.no_grad():
            visible = self.visible.interpolate(other.visible, t)
            start, end = (m.weight / m.variance for m in (self, other))
            return GaussianBernoulliRBM(
                torch.lerp(start, end, t) * visible.variance,
                torch.lerp(self.hidden_bias, other.hidden_bias, t),
                visible.bias,
                visible.variance.log(),
            )


def initial_gaussian_parameters(
    log_variance: Tensor, shape: tuple[int, int], *, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""Draw the parameters that training starts from, for standardised data.

    .. math:: W_{ji} \sim \mathcal{N}(0, s^2), \quad s = \min\left(0.05,
              \frac{0.5}{\sqrt{n}}\right), \quad b = -3, \quad c = -\sigma(b)\, W

    for n visible units. Given the mean of h, the mean of v is 0. Few hidden units are
    on at first: with :math:`b = 0`, the likelihood of held-out digits ends several nats
    lower. With larger weights or :math:`b = 0`, a hidden unit of a small machine may
    take a feature of two values for itself, whose noise then falls until the chains no
    longer change its value.

    Parameters
    ----------
    log_variance : Tensor of shape (n_visible,) or (1,), float64
        Log variances of the noise.
    shape : tuple of (int, int)
        Numbers of hidden and of visible units.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    weight : Tensor of shape (n_hidden, n_visible), float64
        Weights.
    hidden_bias : Tensor of shape (n_hidden,)
        Biases of the hidden units.
    visible_bias : Tensor of shape (n_visible,)
        Centers of the visible units.
    log_variance : Tensor of shape (n_visible,) or (1,)
        Log variances.
    """
    weight = torch.randn(shape, generator=generator, dtype=torch.float32).double()
    weight *= min(_STD, _SPREAD / sqrt(shape[1]))
    hidden_bias = torch.full(shape[:1], _SPARSE, dtype=torch.float64)
    visible_bias = -(torch.sigmoid(hidden_bias) @ weight)
    return weight, hidden_bias, visible_bias, log_variance
