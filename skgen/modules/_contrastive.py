"""Contrastive divergence: the likelihood gradient of a Bernoulli RBM."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from skgen.modules._objective import Objective
from skgen.modules._observation import BernoulliObservation
from skgen.modules._pseudo_likelihood import pseudo_log_likelihood
from skgen.modules._rbm import BernoulliRBM
from skgen.modules._trajectory import Trajectory
from skgen.sampling import bernoulli, gibbs

# Weight of the newest mini-batch in the running means that centre the gradient.
_OFFSET_RATE = 0.01


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
    ):
        super().__init__()
        self.trajectory = trajectory
        self.n_steps = n_steps
        self.observation = BernoulliObservation(sampled=sampled)
        self.register_buffer("chains", chains)
        self.register_buffer("visible_offset", visible_offset)
        self.register_buffer("hidden_offset", hidden_offset)

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
        left, right, db, dc = self._ascent(model, x, generator)
        model.weight.grad = -(left.T @ right)
        model.visible_bias.grad = -db
        model.hidden_bias.grad = -dc

    def descend_(
        self,
        model: BernoulliRBM,
        x: Tensor,
        *,
        learning_rate: float,
        weight_decay: float,
        generator: torch.Generator,
    ) -> None:
        """Step along the estimated gradient; only the couplings decay."""
        left, right, db, dc = self._ascent(model, x, generator)
        decay = 1 - learning_rate * weight_decay
        model.weight.addmm_(left.T, right, beta=decay, alpha=learning_rate)
        model.visible_bias.add_(db, alpha=learning_rate)
        model.hidden_bias.add_(dc, alpha=learning_rate)

    @torch.no_grad()
    def evaluate(self, model: BernoulliRBM, x: Tensor) -> Tensor:
        """Negative log pseudo-likelihood, exact."""
        return -pseudo_log_likelihood(
            model, self.observation.observe(x, generator=None)
        )

    def _ascent(
        self, model: BernoulliRBM, v: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradient of the likelihood: of W as two factors, of b and of c.

        The gradient of W is ``left.T @ right``, so that it need not be formed.
        """
        v = self.observation.observe(v, generator=generator)
        states, probability = self._phases(model, v, generator)
        n, mu, lam = v.shape[0], self.visible_offset, self.hidden_offset
        if lam is not None:
            lam.lerp_(probability[:n].mean(0), _OFFSET_RATE)
        weights = _phase_weights(n, states.shape[0] - n, v.dtype, v.device)
        left = probability.mul_(weights)
        db, dc = torch.mv(states.T, weights[:, 0]), left.sum(0)
        if mu is None or lam is None:
            return left, states, db, dc
        # Two more rows of the same product take the offsets off.
        left = torch.cat([left, dc[None], lam[None]])
        right = torch.cat([states, -mu[None], -db[None]])
        return left, right, db - (left @ lam) @ right, dc - (right @ mu) @ left

    def _phases(
        self, model: BernoulliRBM, v: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Visible states, data above the ends of chains, and their P(h = 1 | v)."""
        if self.chains is not None:
            v_neg = self._run(model, self.chains, generator)
            if self.trajectory is not None:
                self.trajectory.follow(model, v_neg, generator=generator)
            states = torch.cat([v, v_neg])
            # Data and chains share one product with W.
            probability = model.hidden_probability(states)
            self.chains.copy_(bernoulli(probability[v.shape[0] :], generator=generator))
            return states, probability
        positive = model.hidden_probability(v)
        v_neg = self._run(model, bernoulli(positive, generator=generator), generator)
        negative = model.hidden_probability(v_neg)
        return torch.cat([v, v_neg]), torch.cat([positive, negative])

    def _run(
        self, model: BernoulliRBM, h: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Gibbs chains from hidden states, `n_steps` visible draws long."""
        v = bernoulli(model.visible_probability(h), generator=generator)
        return gibbs(model, v, self.n_steps - 1, generator=generator)


@lru_cache(maxsize=8)
def _phase_weights(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Column of 1/n for n rows of data, -1/m for m chains: each phase is a mean."""
    weights = [1 / n] * n + [-1 / m] * m
    return torch.tensor(weights, dtype=dtype, device=device)[:, None]
