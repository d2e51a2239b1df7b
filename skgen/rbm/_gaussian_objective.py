"""Training of an RBM of real visible units by its likelihood gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from skgen.nn._rounding import rounded
from skgen.rbm._average import ParameterAverage
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._gaussian_joint_step import GaussianJointStep
from skgen.rbm._gaussian_model import GaussianBernoulliRBM
from skgen.rbm._gaussian_pseudo_likelihood import (
    conditionals_of_pairs,
    gaussian_pseudo_log_likelihood,
    standardised,
)
from skgen.rbm._gaussian_units import GaussianUnits
from skgen.rbm._gradient_ascent import InPlaceSGD
from skgen.rbm._joint_step import JointStep, may_step_jointly
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._training_loss import TrainingLoss, watched_units
from skgen.rbm._workspace import ComputeParameters, Workspace, add_product_
from skgen.training._step import Batch, TrainingStep

# Learning rate of log variances, as a share of that of the other parameters: with the
# same one they fall before the weights have found what the units have in common.
_VARIANCE_RATE = 0.3
# Visible units whose conditionals are watched where rows are held out.
_MOST_WATCHED = 16
# Conditionals of an estimate of the loss in training: so many for each number of each
# mini-batch since the last one, and at least so many.
_CONDITIONALS_A_NUMBER, _LEAST_CONDITIONALS = 1e-5, 32
# Training steps from one estimate to the next, at least.
_LEAST_STEPS = 128


class NaturalParameters(ComputeParameters):
    r"""Parameters of an RBM of real visible units for its two conditionals.

    The inputs of the hidden units are :math:`b + (W / \sigma^2)\, v`: the weights are
    divided once in a training step, not the states of each row.

    Parameters
    ----------
    model : GaussianBernoulliRBM
        The model, with which parameters are shared.
    factor_dtype : torch.dtype or None
        As in `ComputeParameters`.
    """

    def __init__(self, model: GaussianBernoulliRBM, factor_dtype: torch.dtype | None):
        super().__init__(model, factor_dtype)
        self._log_variance = model.log_variance.detach()
        self.learns_variance = isinstance(model.log_variance, nn.Parameter)
        self.shares_variance = len(self._log_variance) < len(self.visible_bias)
        self.precision = torch.empty_like(self.visible_bias)
        # W over variances, exact and as a factor; and the gradient of W.
        self._natural, self._gradient = torch.empty_like(self.exact).repeat(2, 1, 1)
        self._to_hidden = self._natural
        if factor_dtype is not None:
            self._to_hidden = torch.empty_like(self.weight)
        self.transposed = self._to_hidden.T
        self.update_()

    def update_(self) -> None:
        """Follow the weights and variances as they are now."""
        super().update_()
        variance = torch.exp(self._log_variance).expand_as(self.precision)
        torch.reciprocal(variance, out=self.precision)
        torch.mul(self.exact, self.precision, out=self._natural)
        if self.factor_dtype is not None:
            self._to_hidden.copy_(rounded(self._natural, self.factor_dtype))
        self.visible = GaussianUnits(self.visible_bias, variance)

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Return ``left.T @ right``, in memory that is used again."""
        if self.factor_dtype is None:
            return torch.mm(left.T, right, out=self._gradient)
        return add_product_(self._gradient.zero_(), left, right, self.factor_dtype)


class _GaussianTraining(nn.Module):
    r"""What the training of real visible units adds to that of binary ones.

    With the moments of `ContrastiveDivergence`, differences of averages over data and
    model, the gradient of the mean log-likelihood is

    .. math:: \partial_W = \frac{\langle h v^\top \rangle}{\sigma^2}, \quad
              \partial_c = \frac{\langle v \rangle}{\sigma^2}, \quad
              \partial_b = \langle h \rangle, \quad
              \frac{\partial}{\partial \log \sigma^2} = \frac{1}{\sigma^2}
              \left\langle \frac{v^2}{2} - v\, (c + W^\top h) \right\rangle.

    The steps are along :math:`\sigma^2 \partial_W`, :math:`\sigma^2 \partial_c` and
    :math:`\partial_b`, which are the moments themselves, as for binary units: a unit of
    little noise does not move faster than others. Variances follow at a fraction of
    that rate; one for all units by the mean of their gradients. The visible offset of
    the centered gradient is that of v, in coordinates in which v has the mean 0 over
    the data, or close to it.
    """

    _loss: Any
    least_log_variance: Tensor | None
    largest_log_variance: Tensor | None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for name in ("least_log_variance", "largest_log_variance"):
            self.register_buffer(name, None, persistent=False)
        self.average = ParameterAverage()

    def training_step(self: Any, model: Any, batch: Batch, step: TrainingStep) -> None:
        """Take a step of `ContrastiveDivergence`, and follow the epochs."""
        if step is not self._step:
            self.average.begin_epoch(model, self.n_epochs)
        parent: Any = super()
        parent.training_step(model, batch, step)

    def conclude_(self, model: Any) -> None:
        """Give the model the mean of its parameters over the end of the training."""
        self.average.conclude_(model)

    def _compute_parameters(self: Any, model: Any) -> ComputeParameters:
        return NaturalParameters(model, self.factor_dtype)

    def _gradient(
        self: Any,
        space: Workspace,
        batch: Batch,
        scale: float,
        offsets: tuple[Tensor | None, Tensor | None],
    ) -> tuple[Tensor, None, list[Tensor]]:
        """Estimate the direction of a step, times `scale`.

        That of the weights is formed, as the one of the variances follows from it.
        """
        parent: Any = super()
        left, right, biases = parent._gradient(space, batch, scale, offsets)
        parameters: Any = space.parameters
        by_weight = parameters.product(left, right)
        if not parameters.learns_variance:
            return by_weight, None, biases
        row_weights, _ = space.scaled_weights(scale)
        if batch.weight is not None:
            row_weights = self._weighted(row_weights, batch.weight)
        v, center, lam = space.states, parameters.visible_bias, offsets[1]
        if lam is not None:  # of h - lam
            center = torch.addmv(center, parameters.exact.T, lam)
        by_z = torch.mv(v.square().T, row_weights) / 2
        by_z -= center * torch.mv(v.T, row_weights)
        by_z -= torch.linalg.vecdot(parameters.exact, by_weight, dim=0)
        by_z *= parameters.precision * _VARIANCE_RATE
        if parameters.shares_variance:
            by_z = by_z.mean(0, keepdim=True)
        return by_weight, None, [*biases, by_z]

    def _joint_step(self: Any, model: Any, sgd: InPlaceSGD) -> JointStep | None:
        if not may_step_jointly(self, model, GaussianBernoulliRBM):
            return None
        return GaussianJointStep(
            model,
            sgd,
            variance_rate=_VARIANCE_RATE,
            limits=(self.least_log_variance, self.largest_log_variance),
            **self._arguments_of_joint_step(),
        )

    @torch.no_grad()
    def evaluate(self, model: Any, batch: Batch) -> Tensor:
        """Negative log pseudo-likelihood; of more than 16 units, an estimate."""
        units = watched_units(batch.x, _MOST_WATCHED)
        return -gaussian_pseudo_log_likelihood(model, batch.x, units=units)

    def progress(self: Any) -> dict[str, Any]:
        """Return what the next step depends on; see `Objective`."""
        parent: Any = super()
        return {**parent.progress(), "average": self.average.state}

    def resume(self: Any, progress: dict[str, Any]) -> None:
        """Go on from what `progress` returned; see `Objective`."""
        parent: Any = super()
        parent.resume(progress)
        self.average.state = progress["average"]

    def set_limits(self, least: Tensor, largest: Tensor) -> None:
        """Set the limits of learned log variances, of the shape of these."""
        self.least_log_variance, self.largest_log_variance = least, largest

    def after_step(self: Any, model: Any) -> None:
        """Keep learned variances within their limits."""
        if self.least_log_variance is not None and self._joint is None:
            model.log_variance.detach().clamp_(
                self.least_log_variance, self.largest_log_variance
            )

    def _record_loss(
        self: Any,
        model: Any,
        space: Any,
        batch: Batch,
        step: TrainingStep,
        new_epoch: bool,
    ) -> None:
        training_loss = self._count_step(GaussianTrainingLoss, space.data)
        if step.records and training_loss.is_due(new_epoch=new_epoch):
            n_rows, loss = training_loss.mean_of(model, space.data, batch.weight)
            step.record(n_rows, loss=loss)
        elif new_epoch:
            n_rows, loss = training_loss.last
            step.record(n_rows, loss=loss)


class GaussianContrastiveDivergence(_GaussianTraining, ContrastiveDivergence):
    """`ContrastiveDivergence` of real visible units."""


class GaussianParallelTempering(_GaussianTraining, ParallelTempering):
    """`ParallelTempering` of real visible units."""


class GaussianTrainingLoss(TrainingLoss):
    """Estimate minus the log pseudo-likelihood by a few units of a few rows.

    As `TrainingLoss`, by the conditional densities of real units. One estimate stands
    for the epochs of 128 steps, where these are shorter: it takes as long as some
    steps.

    Attributes
    ----------
    last : tuple of (float or Tensor, Tensor)
        The last estimate, as `mean_of` gave it.
    """

    last: tuple[float | Tensor, Tensor] | None = None

    def is_due(self, *, new_epoch: bool) -> bool:
        """Return whether to make an estimate now."""
        enough = self.last is None or self.n_steps >= _LEAST_STEPS
        return super().is_due(new_epoch=new_epoch and enough)

    def mean_of(
        self, model: Any, v: Tensor, row_weights: Tensor | None
    ) -> tuple[float | Tensor, Tensor]:
        """Estimate the mean loss of a mini-batch, from some of its rows.

        Parameters
        ----------
        model : GaussianBernoulliRBM
            The model.
        v : Tensor of shape (n_rows, n_visible)
            Visible states, in random order.
        row_weights : Tensor of shape (n_rows,) or None
            With what weights the rows count; None means equally.

        Returns
        -------
        n_rows : float or Tensor of shape ()
            Number of the rows that it is the mean of, or the sum of their weights.
        loss : Tensor of shape ()
            Estimate in nats.
        """
        n_rows, every = self._size(v.shape[0], v.shape[1], len(model.hidden_bias))
        units = slice(self._next_start(every), None, every)
        v = v[:n_rows]
        std, z, slopes = standardised(model, v, units)
        a = model.hidden_inputs(v).double()
        losses = (std.log() - conditionals_of_pairs(a, slopes, z)).to(v.dtype)
        self.last = self._average(losses, every, row_weights)
        return self.last

    def _flips(self) -> tuple[float, int]:
        return _CONDITIONALS_A_NUMBER, _LEAST_CONDITIONALS
