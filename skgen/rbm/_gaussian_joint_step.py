"""The training step of an RBM of real visible units, with few operations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skgen.rbm._gaussian_model import GaussianBernoulliRBM
from skgen.rbm._gradient_ascent import InPlaceSGD
from skgen.rbm._joint_space import Plan, aligned_ones
from skgen.rbm._joint_step import JointStep
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
        self._rate, self._limits = variance_rate, limits
        n_hidden, n_visible = model.weight.shape
        self._learns = isinstance(model.log_variance, nn.Parameter)
        self._is_shared = len(model.log_variance) < n_visible
        # Log variances, and a 0 for the column of biases; their halves and negatives,
        # of which the exponentials are standard deviations and precisions.
        self._log_variances = self._all.new_zeros(n_visible + 1)
        self._all_of_z = self._log_variances[:n_visible]
        self._all_of_z.copy_(model.log_variance.detach())
        if not self._is_shared:
            model.log_variance.data = self._all_of_z
        self._log_variance = model.log_variance.detach()
        self._places.append((model.log_variance, model.log_variance.data_ptr()))
        self._factors = self._all.new_tensor([[0.5], [-1.0]])
        self._scales = self._all.new_empty(2, n_visible + 1)
        self._std, self._precision = self._scales[:, :n_visible]
        self._precisions = self._scales[1]
        # W over the variances, with the biases of the hidden units.
        self._natural = aligned_ones(self._all, n_hidden, n_visible + 1)
        self._to_hidden = self._natural.T
        self._visible_bias = self._all[-1, :n_visible]
        self._gradient = aligned_ones(self._all, *self._all.shape)
        self._weight_gradient = self._gradient[:n_hidden, :n_visible]
        self._weight_transposed = self._weight.T

    @property
    def holds_parameters(self) -> bool:
        """Whether the parameters are in the memory of this object."""
        log_variance, at = self._places[-1]
        return super().holds_parameters and log_variance.data_ptr() == at

    def _plan_phases(self, space: Any, bits: RandomBits) -> Plan:
        # Of the variances and weights as they are then.
        scaled, natural = self._scales, self._natural
        plan: Plan = [
            partial(torch.mul, self._factors, self._log_variances, out=scaled),
            scaled.exp_,
            partial(torch.mul, self._of_hidden, self._precisions, out=natural),
        ]
        if self._is_shared:
            plan.insert(0, partial(self._all_of_z.copy_, self._log_variance))
        return plan + super()._plan_phases(space, bits)

    def _plan_visible(self, space: Any, bits: RandomBits) -> Plan:
        mean, noise = space.visible_mean, space.noise
        return [
            partial(noise.normal_, generator=bits.generator),
            partial(torch.addcmul, mean, noise, self._std, out=space.ends),
        ]

    def _plan_move(self, space: Any, left: Tensor, right: Tensor) -> Callable[[], Any]:
        if not self._learns:
            return super()._plan_move(space, left, right)
        return partial(self._move_all, space, left, right)

    def _move_all(self, space: Any, left: Tensor, right: Tensor) -> None:
        """Step along the gradient ``left @ right``, and that of the log variances."""
        torch.mm(left, right, out=self._gradient)
        by_z = self._gradient_of_log_variance(space)
        velocity, group = self._decayed(), self.sgd.group
        if velocity is None:
            self._all.add_(self._gradient)
            self._log_variance.add_(by_z)
        else:
            velocity.add_(self._gradient)
            self._all.add_(velocity, alpha=-group["lr"])
            of_z = self.sgd.velocities[-1].mul_(group["momentum"]).add_(by_z)
            self._log_variance.add_(of_z, alpha=-group["lr"])
        if self._limits[0] is not None:
            self._log_variance.clamp_(*self._limits)

    def _gradient_of_log_variance(self, space: Any) -> Tensor:
        """Return the gradient of z, times the scale of the step and the rate of z."""
        row_weights, rate, center = space.weights, self._rate, self._visible_bias
        if self.offsets is not None:
            center = torch.addmv(center, self._weight_transposed, self.offsets[1])
        torch.mul(space.states, space.states, out=space.squares)
        by_z = torch.linalg.vecdot(self._weight, self._weight_gradient, dim=0)
        by_z.addmv_(space.squares_transposed, row_weights, beta=-rate, alpha=rate / 2)
        moment = torch.mv(space.states_transposed, row_weights)
        by_z.addcmul_(center, moment, value=-rate).mul_(self._precision)
        return by_z.mean(0, keepdim=True) if self._is_shared else by_z

    def _new_space(self, n_rows: int) -> Any:
        space: Any = super()._new_space(n_rows)
        space.noise = torch.empty_like(space.visible_mean)
        space.squares = torch.empty_like(space.states)
        space.squares_transposed, space.states_transposed = (
            space.squares.T,
            space.states.T,
        )
        return space
