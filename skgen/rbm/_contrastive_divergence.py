"""Contrastive divergence: training of an RBM by its likelihood gradient."""

from collections.abc import Iterable
from contextlib import nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from skgen.nn import BernoulliObservation
from skgen.rbm._checkpointed import CheckpointedObjective
from skgen.rbm._gradient_ascent import InPlaceSGD, in_place_sgd
from skgen.rbm._joint_step import JointStep, may_step_jointly
from skgen.rbm._model import RBM, BernoulliRBM
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.rbm._training_loss import STEPS_AN_ESTIMATE, TrainingLoss, watched_units
from skgen.rbm._trajectory import Trajectory
from skgen.rbm._workspace import ComputeParameters, Workspace, add_product_
from skgen.sampling import RandomBits
from skgen.training._objective import Processes
from skgen.training._step import Batch, TrainingStep

# Weight of the newest mini-batch in the running means that centre the gradient.
_OFFSET_RATE = 0.01
# Training steps for which random numbers are drawn at a time, about.
_STEPS_A_DRAW, _LEAST_DRAW = 32, 2**14
# Visible units whose conditionals are watched in training. Beyond this number, further
# rows say more of the mean than further units do.
_MOST_WATCHED = 64


class ContrastiveDivergence(CheckpointedObjective):
    r"""Contrastive divergence, plain (CD) or with persistent chains (PCD).

    The gradient of the mean log-likelihood is a difference of two averages, the
    positive phase over data and the negative phase over the model,

    .. math:: \partial_W = \langle h v^\top \rangle_\text{data}
              - \langle h v^\top \rangle_\text{model}, \quad
              \partial_b = \langle v \rangle_\text{data}
              - \langle v \rangle_\text{model}, \quad
              \partial_c = \langle h \rangle_\text{data}
              - \langle h \rangle_\text{model}.

    This is the gradient of binary visible units; a subclass adds what others have
    besides. The negative phase is estimated from Markov chains, `n_steps` of block
    Gibbs sampling a mini-batch, which start at the data (CD; Hinton, 2002) or where
    they stopped the last time (PCD; Tieleman, 2008). In both phases h is replaced by
    its mean given v, in the negative one given the final v. Each phase is averaged
    over its own rows.

    The centered gradient (Melchior, Fischer & Wiskott, 2016) is the gradient of the
    same likelihood in coordinates in which offsets :math:`\mu, \lambda`, the means
    of v and h over the data, are subtracted from the units, written in the original
    coordinates:

    .. math:: \nabla_W = \partial_W - \lambda\, \partial_b^\top
              - \partial_c\, \mu^\top, \quad
              \nabla_b = \partial_b - \nabla_W^\top \lambda, \quad
              \nabla_c = \partial_c - \nabla_W \mu.

    Parameters
    ----------
    chains : Tensor of shape (n_chains, n_hidden) or None
        Hidden states of the persistent chains; None means CD.
    visible_offset : Tensor of shape (n_visible,) or None
        Offset :math:`\mu` of v; None means the plain gradient.
    hidden_offset : Tensor of shape (n_hidden,) or None
        Offset :math:`\lambda`; None means the plain gradient.
    n_steps : int
        Gibbs steps a mini-batch.
    sampled : bool
        Whether a value in (0, 1) is the probability of a bit, which is drawn each
        time. Otherwise the value itself is used in the formulas.
    trajectory : Trajectory or None
        What keeps models along the training, if anything; it needs persistent chains.
    factor_dtype : torch.dtype or None
        To what the factors of matrix products are rounded, such as
        ``torch.bfloat16``; sums and everything else keep the dtype of the parameters.
        None means not at all.
    """

    differentiates = False
    n_steps_a_record = STEPS_AN_ESTIMATE
    # Whether a step of binary units may be a `JointStep`.
    steps_jointly = True

    chains: Tensor | None
    visible_offset: Tensor | None
    hidden_offset: Tensor | None

    def __init__(
        self,
        chains: Tensor | None,
        visible_offset: Tensor | None,
        hidden_offset: Tensor | None,
        *,
        n_steps: int = 1,
        sampled: bool = False,
        trajectory: Trajectory | None = None,
        factor_dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.n_steps = n_steps
        self.observation = BernoulliObservation(sampled=sampled)
        self._is_sampled = sampled
        self.trajectory = trajectory
        self.factor_dtype = factor_dtype
        self.register_buffer("chains", chains)
        self.register_buffer("visible_offset", visible_offset)
        self.register_buffer("hidden_offset", hidden_offset)
        self._bits: Any = None
        self._step: TrainingStep | None = None
        self._sgd: InPlaceSGD | None = None
        self._joint: JointStep | None = None
        self._loss: TrainingLoss | None = None
        self._workspaces: dict[tuple[int, int, tuple[int, ...]], Workspace] = {}
        self._resumed = {}

    def batch_buffer(self, model: RBM, n_rows: int) -> Tensor | None:
        """Return where the data of the positive phase are, (n_rows, n_visible)."""
        if self._step is None:  # how it is stepped is not known yet
            return None
        joint = self._joint
        if joint is not None and joint.model is model and joint.holds_parameters:
            return joint.space(n_rows).data
        return self._workspace_of(model, n_rows).data

    def training_step(self, model: RBM, batch: Batch, step: TrainingStep) -> None:
        """Step along the estimated gradient; only the weights decay.

        Where the optimizer is plain stochastic gradient descent, no parameter is frozen
        and no callback reads the gradients, the parameters are moved in place. The
        caller switches recording for autograd off, as the net does where an objective
        does not differentiate.

        Where the step records, it is an estimate of minus the log pseudo-likelihood,
        before the step (`TrainingLoss`).

        Parameters
        ----------
        model : RBM
            The model that is trained, changed in place.
        batch : Batch
            The mini-batch.
        step : TrainingStep
            Gives the source of randomness and the optimizer.
        """
        new_epoch = step is not self._step
        if new_epoch:
            self._begin_epoch(model, batch, step)
        elif step.callbacks_between:
            self._follow_callbacks(model, batch, step)
        joint = self._joint
        if joint is not None:
            self._step_jointly(joint, batch, step, new_epoch)
            return
        space = self._sample_phases(model, batch.x, self._bits)
        self._record_loss(model, space, batch, step, new_epoch)
        if self._sgd is None:
            self._fill_gradients_(model, space, batch)
            step.apply_gradients()
            return
        offsets = self.visible_offset, self.hidden_offset
        gradient = self._take_gradient(space, batch, self._sgd.scale, offsets)
        self._sgd.step(*gradient, factor_dtype=self.factor_dtype)

    def training_steps(
        self, model: RBM, batches: Iterable[Batch], step: TrainingStep
    ) -> None:
        """Take a step for each of several mini-batches; see `Objective`."""
        if step is not self._step or step.records:
            batches = iter(batches)
            super().training_steps(model, islice(batches, 1), step)
        if not self._run_alone(batches, step):
            super().training_steps(model, batches, step)

    def _run_alone(self, batches: Iterable[Batch], step: TrainingStep) -> bool:
        """Take steps that are a `JointStep` and nothing else; whether they are."""
        joint, loss = self._joint, self._loss
        has_more = self.trajectory is not None or self._is_sampled
        if joint is None or loss is None or step.callbacks_between or has_more:
            return False
        loss.n_steps += joint.run(batches, self._bits, step)
        return True

    def running_means(self, model: Any) -> list[Tensor]:
        """Offset of the hidden units, which follows their means."""
        return [] if self.hidden_offset is None else [self.hidden_offset]

    def divide(self, processes: Processes) -> None:
        """Keep a part of the persistent chains."""
        if self.trajectory is not None:
            raise ValueError(
                "Got keep_trajectory=True, but models along a training are kept by one "
                "process alone. Set keep_trajectory=False, and call "
                "log_partition_function('ais') after the fit."
            )
        if self.chains is not None:
            self.chains = processes.own_part(self.chains, -2, parameter="batch_size")

    def unite(self, processes: Processes) -> None:
        """Get all of the persistent chains back."""
        if self.chains is not None:
            self.chains = processes.gathered(self.chains, -2)

    def conclude_(self, model: RBM) -> None:
        """Give the model what a training ends with: by default what it has."""

    def _begin_epoch(self, model: RBM, batch: Batch, step: TrainingStep) -> None:
        self._step, self._sgd = step, in_place_sgd(model, step)
        self._bits = self._bits_of(step.generator, model, batch.x)
        joint = self._joint
        if self._sgd is None or batch.weight is not None:
            self._joint = None
        elif not (
            joint and joint.holds(model, self.chains) and joint.goes_on(self._sgd)
        ):
            self._joint = self._joint_step(model, self._sgd)

    def _joint_step(self, model: Any, sgd: InPlaceSGD) -> JointStep | None:
        """Return what steps a model in few operations, if it can be stepped so."""
        if not may_step_jointly(self, model, BernoulliRBM):
            return None
        return JointStep(model, sgd, **self._arguments_of_joint_step())

    def _arguments_of_joint_step(self) -> dict[str, Any]:
        mu, lam = self.visible_offset, self.hidden_offset
        return {
            "chains": self.chains,
            "offsets": None if mu is None or lam is None else (mu, lam),
            "n_steps": self.n_steps,
            "offset_rate": _OFFSET_RATE,
        }

    def _follow_callbacks(self, model: RBM, batch: Batch, step: TrainingStep) -> None:
        """Step otherwise where a callback has replaced or frozen parameters."""
        if self._joint is not None and not self._joint.holds_parameters:
            self._begin_epoch(model, batch, step)
        elif self._sgd is not None and self._sgd.is_frozen:
            self._sgd = self._joint = None

    def _step_jointly(
        self, joint: JointStep, batch: Batch, step: TrainingStep, new_epoch: bool
    ) -> None:
        """Take a step by `JointStep`."""
        x, bits = batch.x, self._bits
        space = joint.space(x.shape[0])
        # No tensor that is kept and changed is made now but those of a trajectory.
        alone = self.trajectory is None and x.device.type == "cpu"
        with torch.inference_mode() if alone else nullcontext():
            if self._is_sampled:
                x = self.observation.observe(x, generator=bits)
            if x is not space.data:
                space.data.copy_(x)
            joint.sample_phases(space, bits)
            if self.trajectory is not None:
                follow = self.trajectory.follow
                follow(joint.model, space.ends, generator=bits.generator)
            self._record_loss(joint.model, space, batch, step, new_epoch)
            joint.ascend(space, bits)

    @torch.no_grad()
    def fill_gradients_(
        self, model: RBM, batch: Batch, *, generator: torch.Generator
    ) -> None:
        """Set ``.grad`` of the parameters to minus the estimated gradient.

        Those that are frozen get none, and the others the one at their fixed values.

        Parameters
        ----------
        model : RBM
            The model.
        batch : Batch
            The mini-batch.
        generator : torch.Generator
            Source of randomness.
        """
        space = self._sample_phases(
            model, batch.x, self._bits_of(generator, model, batch.x)
        )
        self._fill_gradients_(model, space, batch)

    @torch.no_grad()
    def evaluate(self, model: Any, batch: Batch) -> Tensor:
        """Negative log pseudo-likelihood; of more than 64 units, an estimate."""
        v = self.observation.observe(batch.x, generator=None)
        units = watched_units(v, _MOST_WATCHED)
        return -pseudo_log_likelihood(model, v, units=units)

    def _bits_of(self, generator: torch.Generator, model: RBM, x: Tensor) -> RandomBits:
        """Return the source of random bits, made with the first mini-batch x."""
        if self._bits is None or self._bits.generator is not generator:
            n_rows = max(len(x), 0 if self.chains is None else self.chains.shape[-2])
            most = _STEPS_A_DRAW * n_rows * sum(model.weight.shape)
            self._bits = RandomBits(
                generator,
                most=max(most, _LEAST_DRAW),
                state=self._resumed.pop("bits", None),
            )
        return self._bits

    def _sample_phases(self, model: RBM, x: Tensor, bits: RandomBits) -> Workspace:
        """Run the chains; the states of both phases are in the workspace."""
        space = self._observe(model, x, bits)
        self._run_phases(space, model, bits)
        return space

    def _record_loss(
        self,
        model: RBM,
        space: Any,
        batch: Batch,
        step: TrainingStep,
        new_epoch: bool,
    ) -> None:
        """Record an estimate of minus the log pseudo-likelihood, if one is due."""
        training_loss = self._count_step(TrainingLoss, space.data)
        if not (step.records and training_loss.is_due(new_epoch=new_epoch)):
            return
        if not isinstance(model, BernoulliRBM):
            return
        n_rows, loss = training_loss.mean(
            model.weight.detach(),
            model.visible_bias.detach(),
            space.data,
            space.positive,
            batch.weight,
        )
        step.record(n_rows, loss=loss)

    def _count_step(self, kind: type[TrainingLoss], v: Tensor) -> Any:
        """Count a step in the estimate of the loss, which is made if there is none."""
        if self._loss is None:
            self._loss = kind(v)
            self._loss.state = self._resumed.pop("loss", None) or {}
        self._loss.n_steps += 1
        return self._loss

    def _fill_gradients_(self, model: RBM, space: Workspace, batch: Batch) -> None:
        weight, *biases = model.parameters()
        offsets = self._offsets_beside_frozen([weight, *biases[:2]])
        left, right, of_biases = self._take_gradient(space, batch, -1.0, offsets)
        weight.grad = None
        if weight.requires_grad:
            weight.grad = torch.zeros_like(weight)
            add_product_(weight.grad, left, right, self.factor_dtype)
        for bias, gradient in zip(biases, of_biases, strict=True):
            bias.grad = gradient if bias.requires_grad else None

    def _offsets_beside_frozen(
        self, parameters: list[nn.Parameter]
    ) -> tuple[Tensor | None, Tensor | None]:
        r"""Return the offsets of the gradient, given which parameters are frozen.

        A step of W in centred coordinates moves the biases, by :math:`-\lambda` and
        :math:`-\mu` times it. One that is frozen does not follow, and neither do any
        where W is frozen: its offset is then 0. With any other one the gradient would
        vanish where the likelihood of the free parameters is not the largest.
        """
        mu, lam = self.visible_offset, self.hidden_offset
        weight, hidden_bias, visible_bias = (p.requires_grad for p in parameters)
        if mu is None or lam is None or not weight:
            return None, None
        return (
            mu if hidden_bias else torch.zeros_like(mu),
            lam if visible_bias else torch.zeros_like(lam),
        )

    def _take_gradient(
        self,
        space: Workspace,
        batch: Batch,
        scale: float,
        offsets: tuple[Tensor | None, Tensor | None],
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Estimate the gradient as `_gradient` does; then the hidden offset moves."""
        lam, positive, weight = self.hidden_offset, space.positive, batch.weight
        if lam is None:
            return self._gradient(space, batch, scale, offsets)
        mean = positive.mean(0) if weight is None else weight @ positive / len(weight)
        gradient = self._gradient(space, batch, scale, offsets)
        lam.lerp_(mean, _OFFSET_RATE)
        return gradient

    def _gradient(
        self,
        space: Workspace,
        batch: Batch,
        scale: float,
        offsets: tuple[Tensor | None, Tensor | None],
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Estimate the gradient of the likelihood, times `scale`.

        That of the weights is ``left.T @ right``, so that it need not be formed, or
        `left` where `right` is None; the others are those of the hidden and of the
        visible biases. The means in the workspace are overwritten.
        """
        row_weights, column = space.scaled_weights(scale)
        if batch.weight is not None:
            row_weights = self._weighted(row_weights, batch.weight)
            column = row_weights[:, None]
        mu, lam = offsets
        hidden, right, visible = space.hidden_mean, space.right, space.states
        hidden.mul_(column)
        dc, db = hidden.sum(0), torch.mv(visible.T, row_weights)
        if mu is None or lam is None:
            return hidden, visible, [dc, db]
        # Two more rows of the same product subtract the offsets.
        left = space.left
        left[-2], left[-1] = dc, lam
        torch.neg(mu, out=right[-2])
        torch.neg(db, out=right[-1])
        return left, right, [dc - (right @ mu) @ left, db - (left @ lam) @ right]

    def _weighted(self, row_weights: Tensor, weight: Tensor) -> Tensor:
        """Multiply by sample weights, also chains where each starts at a row."""
        row_weights = row_weights.clone()
        n = weight.shape[0]
        row_weights[:n] *= weight
        if self.chains is None:
            row_weights[n:] *= weight
        return row_weights

    def _observe(self, model: RBM, x: Tensor, bits: RandomBits) -> Workspace:
        """Return the workspace for a mini-batch, with its data in place."""
        space = self._workspace_of(model, x.shape[0])
        observed = self.observation.observe(x, generator=bits)
        if observed is not space.data:
            space.data.copy_(observed)
        return space

    def _workspace_of(self, model: RBM, n_rows: int) -> Workspace:
        """Return the tensors for a mini-batch of n rows; those of two sizes are kept.

        These are the full mini-batch and the last one of an epoch.
        """
        chains, of_model = self.chains, tuple(p.data_ptr() for p in model.parameters())
        key = n_rows, n_rows if chains is None else chains.shape[-2], of_model
        space = self._workspaces.get(key)
        if space is None:
            same_model = (k for k in self._workspaces if k[2] == of_model)
            largest = max(same_model, default=None)
            self._workspaces = {
                k: s for k, s in self._workspaces.items() if k == largest
            }
            space = Workspace(self._compute_parameters(model), *key[:2])
            self._workspaces[key] = space
        return space

    def _compute_parameters(self, model: RBM) -> ComputeParameters:
        """Return the parameters as the products of a step take them."""
        return ComputeParameters(model, self.factor_dtype)

    def _run_phases(self, space: Workspace, model: RBM, bits: RandomBits) -> None:
        """Run the chains, and compute the means of h of both phases."""
        parameters, h = space.parameters, self.chains
        parameters.update_()
        if h is None:
            parameters.hidden_mean(space.data, out=space.positive)
            h = parameters.hidden.sample(space.positive, generator=bits)
            space.run_chains_(h, self.n_steps, bits)
            parameters.hidden_mean(space.chain_ends, out=space.negative)
            return
        space.run_chains_(h, self.n_steps, bits)
        if self.trajectory is not None:
            self.trajectory.follow(model, space.chain_ends, generator=bits.generator)
        # Data and chains share one product with W.
        parameters.hidden_mean(space.states, out=space.hidden_mean)
        parameters.hidden.sample(space.negative, generator=bits, out=h)
