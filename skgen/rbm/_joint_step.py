"""The training step of a Bernoulli RBM with all parameters in one matrix."""

from collections.abc import Callable, Iterable
from functools import partial
from operator import is_
from typing import Any

import torch
from torch import Tensor

from skgen.nn._cuda_graphs import STEPS_BEFORE, recorded, records_on
from skgen.rbm._gradient_ascent import SMALLEST_VELOCITY, InPlaceSGD
from skgen.rbm._joint_space import JointSpace, Plan, aligned_ones, joined
from skgen.rbm._model import RBM, BernoulliRBM
from skgen.sampling import RandomBits
from skgen.training._step import Batch


class JointStep:
    r"""Contrastive divergence and stochastic gradient ascent in a few products.

    It does what `ContrastiveDivergence` does with binary units, in fewer operations,
    whose number is the cost of a step of a small model. All parameters form one matrix,
    and states get a column of ones:

    .. math:: A = \begin{pmatrix} W & c \\ b^\top & \cdot \end{pmatrix}, \quad
              \tilde v = (v, 1), \quad \tilde h = (h, 1),

    so that the inputs of the hidden units are :math:`A \tilde v` without its last row,
    and those of the visible units :math:`A^\top \tilde h` without its last column; the
    corner of A is not read. The gradient of all parameters is one product. The centered
    gradient is the same product of other factors,

    .. math:: \nabla_A = \sum_r w_r\, \bar h_r \bar v_r^\top, \quad
              \bar v = \left(v - \mu,\ 1 - (v - \mu) \cdot \mu\right), \quad
              \bar h = \left(h - \lambda,\ 1 - (h - \lambda) \cdot \lambda\right),

    with the weights :math:`w_r` of rows, whose sum is 0 over both phases. Expanded,
    these are the formulas of `ContrastiveDivergence`. The running mean :math:`\lambda`
    is one more column of A, as it moves along another sum of the same factors,
    :math:`\sum_r (h_r - \lambda)` over the data.

    All tensors of a step stay where they are, so that a step is a list of operations
    without arguments, which is made once an epoch.

    The parameters of the model, the chains, :math:`\lambda` and the velocities of the
    optimizer move into memory of this object, and go on to be what they were.

    Parameters
    ----------
    model : BernoulliRBM
        The model.
    sgd : InPlaceSGD
        Steps its parameters.
    chains : Tensor of shape (n_chains, n_hidden) or None
        Hidden states of the persistent chains; None means that chains start at the
        data. Their memory is replaced.
    offsets : tuple of (Tensor, Tensor) or None
        Offsets :math:`\mu` and :math:`\lambda` of the centered gradient, of which the
        second is updated in place; None means the plain gradient.
    n_steps : int
        Gibbs steps a mini-batch.
    offset_rate : float
        Weight of the newest mini-batch in :math:`\lambda`.
    """

    def __init__(
        self,
        model: BernoulliRBM,
        sgd: InPlaceSGD,
        chains: Tensor | None,
        offsets: tuple[Tensor, Tensor] | None,
        *,
        n_steps: int,
        offset_rate: float,
    ):
        self.model = model
        self.sgd = sgd
        self.n_steps = n_steps
        self.chains = chains
        self.offsets = offsets
        self.offset_rate = offset_rate
        parameters = model.weight, model.hidden_bias, model.visible_bias
        n_hidden, n_visible = model.weight.shape
        shape = n_hidden + 1, n_visible + 1 + (offsets is not None)
        self._all = joined(*parameters, shape)
        self._velocity: Tensor | None = None
        if sgd.velocities:
            weight, hidden, visible = sgd.velocities[:3]
            self._velocity = joined(weight, hidden, visible, shape)
        self._weight = self._all[:n_hidden, :n_visible]
        self._of_hidden = self._all[:n_hidden, : n_visible + 1]
        self._to_hidden = self._of_hidden.T
        self._to_visible = self._all[:, :n_visible]
        # The chains, each with a 1.
        self._states: Any = None
        if chains is not None:
            self._states = aligned_ones(chains, len(chains), n_hidden + 1)
            self._states[:, :n_hidden] = chains
            chains.data = self._states[:, :n_hidden]
        moved = [*parameters, *sgd.velocities, *([] if chains is None else [chains])]
        if offsets is not None:
            lam, column = offsets[1], self._all[:n_hidden, -1]
            column.copy_(lam)
            lam.data = column
            moved.append(lam)
        self._places = [(tensor, tensor.data_ptr()) for tensor in moved]
        self._spaces: dict[int, JointSpace] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Give no copy: that of an objective makes one for its own model."""

    def __reduce__(self) -> Any:
        """Give no copy to a pickle, likewise."""
        return type(None), ()

    def space(self, n_rows: int) -> JointSpace:
        """Return the tensors for mini-batches of one size.

        Those of two sizes are kept: the full mini-batch and the last one of an epoch.

        Parameters
        ----------
        n_rows : int
            Number of rows of the mini-batch.

        Returns
        -------
        space : JointSpace
            The tensors.
        """
        space = self._spaces.get(n_rows)
        if space is None:
            largest = max(self._spaces, default=None)
            self._spaces = {k: s for k, s in self._spaces.items() if k == largest}
            space = self._spaces[n_rows] = self._new_space(n_rows)
        return space

    def _new_space(self, n_rows: int) -> JointSpace:
        return JointSpace(self._all, n_rows, self._states, self.offsets)

    def run(self, batches: Iterable[Batch], bits: RandomBits, step: Any) -> int:
        """Take a step for each of several mini-batches of bits without weights.

        Parameters
        ----------
        batches : iterable of Batch
            The mini-batches.
        bits : RandomBits
            Source of randomness.
        step : TrainingStep
            Is given the last of them as its `batch`.

        Returns
        -------
        n_steps : int
            Number of steps.
        """
        records = records_on(bits.generator.device)
        if not isinstance(batches, list) or records:
            return self._run(batches, bits, step, records=records)
        # All tensors that are kept are made before: those made in inference mode may
        # not be changed outside of it. Operations take less time there.
        for batch in batches[:1] + batches[-1:]:
            self._plan(self.space(batch.x.size(0)), bits)
        with torch.inference_mode():
            return self._run(batches, bits, step)

    def _run(
        self,
        batches: Iterable[Batch],
        bits: RandomBits,
        step: Any,
        *,
        records: bool = False,
    ) -> int:
        n_steps = n_rows = 0
        operations: Plan = []
        for batch in batches:
            x = batch.x
            if x.size(0) != n_rows:
                n_rows = x.size(0)
                space = self.space(n_rows)
                operations = self._plan(space, bits)
                data, copy = space.data, space.data.copy_
            if x is not data:
                copy(x)
            if records and n_steps >= STEPS_BEFORE and len(operations) > 1:
                operations = self._launched(space, bits, operations)
            for operate in operations:
                operate()
            n_steps += 1
        if n_steps:
            step.batch = batch
        return n_steps

    def _plan(self, space: JointSpace, bits: RandomBits) -> Plan:
        """Return the operations of a step, given the data in `space`."""
        self._prepare(space, bits)
        return [*space.phases, *space.ascent]

    def _launched(self, space: JointSpace, bits: RandomBits, plan: Plan) -> Plan:
        """Return one operation that carries out those of a plan, if a GPU has it."""
        numbers = {k: v for k, v in self.sgd.group.items() if k != "params"}
        recorded_of = numbers, self.sgd.scale, bits
        if space.graph is None or space.graph[0] != recorded_of:

            def operate() -> None:
                for operation in plan:
                    operation()

            space.graph = recorded_of, recorded(operate, bits.generator)
        launch = space.graph[1]
        return plan if launch is None else [launch]

    def sample_phases(self, space: JointSpace, bits: RandomBits) -> None:
        """Run the chains from where they are; the data is in `space` already."""
        self._prepare(space, bits)
        for operate in space.phases:
            operate()

    def ascend(self, space: JointSpace, bits: RandomBits) -> None:
        """Draw the next hidden states, and step along the gradient."""
        self._prepare(space, bits)
        for operate in space.ascent:
            operate()

    def _prepare(self, space: JointSpace, bits: RandomBits) -> None:
        """Make the plans of a space where they are not made, and weigh its rows."""
        made_for = bits, self._decays
        if space.made_for != made_for:
            space.phases = self._plan_phases(space, bits)
            space.ascent = self._plan_ascent(space, bits)
            space.made_for = made_for
        # The version of the offsets counts changes in place.
        scaled_by = self.sgd.scale, self.offsets and self.offsets[0]._version
        if space.scaled_by != scaled_by:
            rate = self.offset_rate if self._velocity is None else 0.0
            space.rescale(self.sgd.scale, rate)
            space.scaled_by = scaled_by

    def _plan_phases(self, space: Any, bits: RandomBits) -> Plan:
        mm, to_hidden, to_visible = torch.mm, self._to_hidden, self._to_visible
        positive, negative = space.positive, space.negative
        plan: Plan = []
        if self.chains is None:
            plan += [
                partial(mm, space.data_and_1, to_hidden, out=positive),
                positive.sigmoid_,
                bits.drawing(positive, space.h),
            ]
        for step in range(self.n_steps):
            if step:
                plan += [
                    partial(mm, space.ends_and_1, to_hidden, out=negative),
                    negative.sigmoid_,
                    bits.drawing(negative, space.h),
                ]
            plan.append(partial(mm, space.h_and_1, to_visible, out=space.visible_mean))
            plan += self._plan_visible(space, bits)
        states, mean = space.right, space.hidden_mean  # of data and chains together
        if self.chains is None:
            states, mean = space.ends_and_1, negative
        return [*plan, partial(mm, states, to_hidden, out=mean), mean.sigmoid_]

    def _plan_visible(self, space: Any, bits: RandomBits) -> Plan:
        """Plan to draw the visible states of the chains, given their total inputs."""
        mean = space.visible_mean
        return [mean.sigmoid_, bits.drawing(mean, space.ends)]

    def _plan_ascent(self, space: Any, bits: RandomBits) -> Plan:
        plan: Plan = []
        if self.chains is not None:
            plan.append(bits.drawing(space.negative, space.h))
        mean, weights, left = space.hidden_mean, space.row_weights, space.left
        if self.offsets is None:
            plan.append(partial(torch.mul, mean, weights, out=space.left_means))
            return [*plan, self._plan_move(space, left.T, space.right)]
        (mu, lam), addmv, right = self.offsets, torch.addmv, space.centered_right
        visible, hidden, out = space.right_means, space.left_means, space.right_rest
        weighted = space.weighted_mu, space.states, weights
        read = lam
        if space.hidden_offset is not None:
            read = space.hidden_offset
            plan.append(partial(read.copy_, lam))
        plan += [
            partial(torch.addcmul, *weighted, out=visible),
            partial(addmv, space.weights, visible, mu, alpha=-1, out=out),
            partial(torch.sub, mean, read, out=hidden),
            partial(addmv, space.ones, hidden, read, alpha=-1, out=space.left_rest),
            self._plan_move(space, left.T, right),
        ]
        if self._velocity is not None:  # a running mean has none
            means, rate = (space.positive.T, space.equal), self.offset_rate
            plan.append(partial(lam.addmv_, *means, beta=1 - rate, alpha=rate))
        return plan

    def _plan_move(self, space: Any, left: Tensor, right: Tensor) -> Callable[[], Any]:
        """Plan to step along the gradient ``left @ right``."""
        if self._velocity is None and not self._decays:
            return partial(self._all.addmm_, left, right)
        return partial(self._move, left, right)

    def _move(self, left: Tensor, right: Tensor) -> None:
        velocity = self._decayed()
        if velocity is None:
            self._all.addmm_(left, right)
            return
        velocity.addmm_(left, right)
        self._all.add_(velocity, alpha=-self.sgd.group["lr"])

    @property
    def _decays(self) -> bool:
        """Whether the weights decay."""
        return bool(self.sgd.group["weight_decay"])

    def _decayed(self) -> Tensor | None:
        """Let weights and velocities decay; return the latter, if there are any."""
        group, velocity = self.sgd.group, self._velocity
        decay = group["weight_decay"]
        if velocity is None:
            if decay:
                self._weight.mul_(1 - group["lr"] * decay)
            return None
        smallest = velocity.new_full((), SMALLEST_VELOCITY)
        torch.add(smallest, velocity, alpha=group["momentum"], out=velocity)
        if decay:
            self.sgd.velocities[0].add_(self._weight, alpha=decay)
        return velocity

    def goes_on(self, sgd: InPlaceSGD) -> bool:
        """Whether it can step by another `sgd`, of the same velocities; take it."""
        same = len(sgd.velocities) == len(self.sgd.velocities) and all(
            map(is_, sgd.velocities, self.sgd.velocities)
        )
        if same:
            self.sgd = sgd
        return same

    def holds(self, model: RBM, chains: Tensor | None) -> bool:
        """Whether model, chains and velocities are in the memory of this object."""
        return (
            model is self.model
            and chains is self.chains
            and all(tensor.data_ptr() == where for tensor, where in self._places)
        )

    @property
    def holds_parameters(self) -> bool:
        """Whether the parameters are: a callback may have given them other memory."""
        (weight, at), (hidden, hidden_at), (visible, visible_at) = self._places[:3]
        return (
            weight.data_ptr() == at
            and hidden.data_ptr() == hidden_at
            and visible.data_ptr() == visible_at
        )


def may_step_jointly(objective: Any, model: Any, kind: type[RBM]) -> bool:
    """Whether a `JointStep` of models of one kind does what an objective asks for."""
    # It does not where factors are rounded; a subclass may do anything else.
    return (
        type(model) is kind
        and objective.steps_jointly
        and objective.factor_dtype is None
    )
