"""Contrastive divergence: the likelihood gradient of a Bernoulli RBM."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skgen.nn._observation import BernoulliObservation
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.rbm._trajectory import Trajectory
from skgen.rbm._workspace import Phases, add_product_
from skgen.sampling import RandomBits
from skgen.training._objective import Objective

# Weight of the newest mini-batch in the running means that centre the gradient.
_OFFSET_RATE = 0.01
# Visible units whose conditionals are watched in training. Beyond, other rows tell
# more of the mean than other units do.
_MOST_WATCHED = 64
# Velocities that fade would end among the denormal numbers, which take a CPU a hundred
# times as long. Beside any weight, this one is nothing.
_LEAST_VELOCITY = 1e-30


class ContrastiveDivergence(Objective):
    r"""Contrastive divergence, plain (CD) or with persistent chains (PCD).

    The gradient of the mean log-likelihood is a difference of two averages, the
    positive phase over data and the negative phase over the model,

    .. math:: \partial_W = \langle h v^\top \rangle_\text{data}
              - \langle h v^\top \rangle_\text{model}, \quad
              \partial_b = \langle v \rangle_\text{data}
              - \langle v \rangle_\text{model}, \quad
              \partial_c = \langle h \rangle_\text{data}
              - \langle h \rangle_\text{model}.

    The negative phase is estimated from Markov chains, `n_steps` of block Gibbs
    sampling a mini-batch, which start at the data (CD; Hinton, 2002) or where
    they stopped the last time (PCD; Tieleman, 2008). In both phases h stands as
    :math:`P(h = 1 \mid v)`, the negative one given the final v. Each phase is
    averaged over its own rows.

    The centered gradient (Melchior, Fischer & Wiskott, 2016) is that of the
    same likelihood in coordinates where the offsets :math:`\mu, \lambda`, the
    means of v and h over data, are taken off the units, written in the plain
    coordinates again:

    .. math:: \nabla_W = \partial_W - \lambda\, \partial_b^\top
              - \partial_c\, \mu^\top, \quad
              \nabla_b = \partial_b - \nabla_W^\top \lambda, \quad
              \nabla_c = \partial_c - \nabla_W \mu.

    Parameters
    ----------
    chains : Tensor of shape (n_chains, n_hidden) or None
        Hidden states of the persistent chains; None means CD.
    visible_offset : Tensor of shape (n_visible,) or None
        Offset :math:`\mu`; None means the plain gradient.
    hidden_offset : Tensor of shape (n_hidden,) or None
        Offset :math:`\lambda`; None means the plain gradient.
    n_steps : int
        Gibbs steps a mini-batch.
    sampled : bool
        Whether a value in (0, 1) is the probability of a bit, drawn anew each time.
        Otherwise it stands in the formulas as it is.
    trajectory : Trajectory or None
        What keeps machines along the training, if any; needs persistent chains.
    products : torch.dtype or None
        Dtype of the factors of matrix products, such as ``torch.bfloat16``; sums
        and all else keep the dtype of the parameters. None means that one, too.
    """

    descends = True

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
        products: torch.dtype | None = None,
    ):
        super().__init__()
        self.products = products
        self._bits: RandomBits | None = None
        self._room: Phases | None = None
        self._kept: dict[tuple[int, int, int], Phases] = {}
        self.trajectory = trajectory
        self.n_steps = n_steps
        self.observation = BernoulliObservation(sampled=sampled)
        self.register_buffer("chains", chains)
        self.register_buffer("visible_offset", visible_offset)
        self.register_buffer("hidden_offset", hidden_offset)

    def room(self, model: BernoulliRBM, n: int) -> Tensor:
        """Where the data of the positive phase stand, shape (n, n_visible)."""
        self._room = self._phases_of(model, n)
        return self._room.data

    @property
    def capturable(self) -> bool:
        """Whether the step is the same each time: a trajectory counts its steps."""
        return self.trajectory is None

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> "ContrastiveDivergence":
        # Machines that were kept move with the device; they are no submodules,
        # whose parameters an optimizer would find.
        if self.trajectory is not None:
            for rung in self.trajectory.rungs:
                rung._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    @torch.no_grad()
    def forward(
        self, model: BernoulliRBM, x: Tensor, *, generator: torch.Generator
    ) -> None:
        """Fill ``.grad`` with minus the estimated likelihood gradient."""
        left, right, db, dc = self._ascent(model, x, -1.0, generator)
        gradient = torch.zeros_like(model.weight)
        model.weight.grad = add_product_(gradient, left, right, self.products)
        model.visible_bias.grad = db
        model.hidden_bias.grad = dc

    def descend_(
        self,
        model: BernoulliRBM,
        x: Tensor,
        *,
        learning_rate: float | Tensor,
        weight_decay: float,
        momentum: float,
        velocity: Sequence[Tensor] | None,
        generator: torch.Generator,
    ) -> None:
        """Step along the estimated gradient; only the couplings decay."""
        scale = learning_rate if velocity is None else -1.0
        left, right, db, dc = self._ascent(model, x, scale, generator)
        weight = model.weight
        if velocity is None:
            if weight_decay:
                weight.mul_(1 - learning_rate * weight_decay)
            add_product_(weight, left, right, self.products)
            model.hidden_bias.add_(dc)
            model.visible_bias.add_(db)
            return
        of_weight, of_hidden, of_visible = velocity
        least = of_weight.new_full((), _LEAST_VELOCITY)
        torch.add(least, of_weight, alpha=momentum, out=of_weight)
        if weight_decay:
            of_weight.add_(weight, alpha=weight_decay)
        add_product_(of_weight, left, right, self.products)
        of_hidden.mul_(momentum).add_(dc)
        of_visible.mul_(momentum).add_(db)
        for parameter, moved in zip(model.parameters(), velocity, strict=True):
            if isinstance(learning_rate, Tensor):
                parameter.addcmul_(moved, learning_rate, value=-1)
            else:
                parameter.add_(moved, alpha=-learning_rate)

    @torch.no_grad()
    def evaluate(self, model: BernoulliRBM, x: Tensor) -> Tensor:
        """Negative log pseudo-likelihood; of more than 64 units, an estimate."""
        v, n = self.observation.observe(x, generator=None), x.shape[1]
        units = None
        if n > _MOST_WATCHED:
            units = torch.arange(_MOST_WATCHED, device=x.device) * n // _MOST_WATCHED
        return -pseudo_log_likelihood(model, v, units=units)

    def _ascent(
        self,
        model: BernoulliRBM,
        v: Tensor,
        scale: float | Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradient of the likelihood, scaled: of W as two factors, of b and of c.

        The gradient of W is ``left.T @ right``, so that it need not be formed.
        """
        bits = self._bits
        if bits is None or bits.generator is not generator:
            bits = self._bits = RandomBits(generator)
        phases = self._room
        if phases is None or v is not phases.data:
            phases = self._phases_of(model, v.shape[0])
        observed = self.observation.observe(v, generator=bits)
        if observed is not phases.data:
            phases.data.copy_(observed)
        self._fill_(phases, model, bits)
        mu, lam = self.visible_offset, self.hidden_offset
        if lam is not None:
            lam.lerp_(phases.positive.mean(0), _OFFSET_RATE)
        probability, states = phases.probability, phases.states
        weights, column = phases.scaled_weights(scale)
        probability.mul_(column)
        db, dc = torch.mv(phases.states_transposed, weights), probability.sum(0)
        if mu is None or lam is None:
            return probability, states, db, dc
        # Two more rows of the same product take the offsets off.
        left, right = phases.left, phases.right
        left[-2], left[-1] = dc, lam
        torch.neg(mu, out=right[-2])
        torch.neg(db, out=right[-1])
        return left, right, db - (left @ lam) @ right, dc - (right @ mu) @ left

    def _phases_of(self, model: BernoulliRBM, n: int) -> Phases:
        """Memory for a mini-batch of n rows: of two sizes it is kept.

        These are the full mini-batch, whose memory a CUDA graph may hold, and the
        last one of an epoch.
        """
        chains, weight = self.chains, model.weight.data_ptr()
        key = n, n if chains is None else chains.shape[-2], weight
        phases = self._kept.get(key)
        if phases is None:
            largest = max((k for k in self._kept if k[2] == weight), default=None)
            self._kept = {k: p for k, p in self._kept.items() if k == largest}
            phases = Phases(model, *key[:2], products=self.products)
            self._kept[key] = phases
        return phases

    def _fill_(self, phases: Phases, model: BernoulliRBM, bits: RandomBits) -> None:
        """Run the chains from the data in `phases`, and fill the rest of it."""
        machine, h = phases.machine, self.chains
        machine.update_()
        if h is None:
            machine.hidden_probability(phases.data, out=phases.positive)
            h = bits.bernoulli(phases.positive)
            phases.run_(h, self.n_steps, bits)
            machine.hidden_probability(phases.ends, out=phases.negative)
            return
        phases.run_(h, self.n_steps, bits)
        if self.trajectory is not None:
            self.trajectory.follow(model, phases.ends, generator=bits.generator)
        # Data and chains share one product with W.
        machine.hidden_probability(phases.states, out=phases.probability)
        bits.bernoulli(phases.negative, out=h)
