"""The training step of an RBM of real visible units, with few operations."""

from typing import Any

import torch
from torch import Tensor, nn

from skgen.rbm._gaussian_model import GaussianBernoulliRBM
from skgen.rbm._gradient_ascent import SMALLEST_VELOCITY, InPlaceSGD
from skgen.rbm._joint_step import JointStep, _ones
from skgen.sampling import RandomBits


class GaussianJointStep(JointStep):
    r"""`JointStep` of real visible units.

    Its steps are along the moments, so that weights and biases move as those of binary
    units do. The inputs of the hidden units come from weights that are divided by the
    variances, and the log variances z follow the gradient

    .. math:: \nabla_z = \frac{1}{\sigma^2} \sum_r w_r \left( \frac{v_r^2}{2} - v_r\,
              (c + W^\top \lambda) \right) - \frac{1}{\sigma^2} \sum_j W_j \nabla_{W_j}

    with the weights :math:`w_r` of rows.

    Parameters
    ----------
    model : GaussianBernoulliRBM
        The model.
    sgd : InPlaceSGD
        Steps its parameters.
    variance_rate : float
        Rate of the log variances, as a share of that of the other parameters.
    limits : tuple of (Tensor or None, Tensor or None)
        The least and the largest log variances that are learned.
    **kwargs : dict
        The other parameters of `JointStep`.
    """

    def __init__(
        self,
        model: GaussianBernoulliRBM,
        sgd: InPlaceSGD,
        *,
        variance_rate: float,
        limits: tuple[Tensor | None, Tensor | None],
        **kwargs: Any,
    ):
        super().__init__(model, sgd, **kwargs)  # type: ignore[arg-type]
        self._variance_rate, self._limits = variance_rate, limits
        self._log_variance = model.log_variance.detach()
        self._learns = isinstance(model.log_variance, nn.Parameter)
        self._places.append((model.log_variance, model.log_variance.data_ptr()))
        n_hidden, n_visible = model.weight.shape
        self._natural = _ones(self._all, n_hidden, n_visible + 1)
        self._natural_weight = self._natural[:, :n_visible]
        self._to_hidden = self._natural.T
        self._hidden_bias = self._all[:n_hidden, -1]
        self._visible_bias = self._all[-1, :n_visible]
        self._gradient = _ones(self._all, *self._all.shape)
        self._weight_gradient = self._gradient[:n_hidden, :n_visible]
        self._precision, self._std = torch.empty_like(self._visible_bias).repeat(2, 1)
        self._scratch: dict[tuple[int, ...], Tensor] = {}

    def sample_phases(self, space: Any, bits: RandomBits) -> None:
        """Run the chains from where they are; the data is in `space` already."""
        # Of the variances and weights as they are now.
        log_variance = self._log_variance.expand_as(self._precision)
        torch.exp(log_variance / 2, out=self._std)
        torch.exp(-log_variance, out=self._precision)
        torch.mul(self._weight, self._precision, out=self._natural_weight)
        self._natural[:, -1] = self._hidden_bias
        super().sample_phases(space, bits)

    def _sample_visible(self, space: Any, bits: RandomBits) -> None:
        mean = space.visible_mean
        noise = self._scratch_like(mean).normal_(generator=bits.generator)
        torch.addcmul(mean, noise, self._std, out=space.ends)

    def _move(self, space: Any, left: Tensor, right: Tensor) -> None:
        if not self._learns:
            super()._move(space, left, right)
            return
        torch.mm(left, right, out=self._gradient)
        by_z = self._gradient_of_log_variance(space)
        group, velocity = self.sgd.group, self._velocity
        rate, decay = group["lr"], group["weight_decay"]
        if velocity is None:
            if decay:
                self._weight.mul_(1 - rate * decay)
            self._all.add_(self._gradient)
            self._log_variance.add_(by_z)
        else:
            momentum = group["momentum"]
            smallest = velocity.new_full((), SMALLEST_VELOCITY)
            torch.add(smallest, velocity, alpha=momentum, out=velocity)
            if decay:
                self.sgd.velocities[0].add_(self._weight, alpha=decay)
            velocity.add_(self._gradient)
            self._all.add_(velocity, alpha=-rate)
            of_z = self.sgd.velocities[-1].mul_(momentum).add_(by_z)
            self._log_variance.add_(of_z, alpha=-rate)
        if self._limits[0] is not None:
            self._log_variance.clamp_(*self._limits)

    def _gradient_of_log_variance(self, space: Any) -> Tensor:
        """Return the gradient of z, times the scale of the step and the rate of z."""
        v, row_weights, center = (
            space.states,
            space.row_weights[:, 0],
            self._visible_bias,
        )
        if self.offsets is not None:
            center = torch.addmv(center, self._weight.T, self.offsets[1])
        squares = torch.mul(v, v, out=self._scratch_like(v))
        by_z = torch.mv(squares.T, row_weights).mul_(0.5)
        by_z.addcmul_(center, torch.mv(v.T, row_weights), value=-1)
        by_z -= torch.linalg.vecdot(self._weight, self._weight_gradient, dim=0)
        by_z.mul_(self._precision).mul_(self._variance_rate)
        if len(self._log_variance) < len(by_z):  # one variance for all units
            return by_z.mean(0, keepdim=True)
        return by_z

    def _scratch_like(self, x: Tensor) -> Tensor:
        """Return memory of a shape, which is used again in the next step."""
        scratch = self._scratch.get(x.shape)
        if scratch is None:
            scratch = x.new_empty(x.shape)
            if len(self._scratch) >= 8:  # of mini-batches of other sizes
                self._scratch.clear()
            self._scratch[x.shape] = scratch
        return scratch
