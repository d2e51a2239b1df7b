"""Fine-tuning of all layers of a deep belief network together, by their bound."""

from typing import Any

import torch
from torch import Tensor

from skgen.dbn._bound import log_ratios, variational_terms
from skgen.dbn._model import DeepBeliefNet
from skgen.nn import Observation
from skgen.rbm import pseudo_log_likelihood
from skgen.rbm._training_loss import watched_units
from skgen.sampling import bernoulli, bernoulli_of_rows
from skgen.training._objective import Objective, Processes
from skgen.training._step import Batch, TrainingStep

# Visible units of the top machine whose conditionals are watched in training.
_MOST_WATCHED = 64
# The least probability of a bit that is divided by.
_LEAST = 1e-12


class FineTuning(Objective):
    r"""Ascent of the variational bound of a deep belief network, in all parameters.

    The gradient of the bound is that of `variational_terms`, and that of
    :math:`-\log Z` of the top machine, which its persistent chains estimate
    (Tieleman, 2008):

    .. math:: \nabla \left\langle \log p(v \mid h^1) + \dots - F(h^{L-1}) - \log q
              \right\rangle_q + \left\langle \nabla F \right\rangle_\text{model}

    Through bits that are drawn, gradients are those of `differentiable_bits`.

    Parameters
    ----------
    chains : Tensor of shape (n_chains, n_top)
        States of the hidden units of the top machine.
    observation : Observation
        What is observed of the data.
    n_steps : int
        Gibbs steps of the chains for each mini-batch.
    """

    chains: Tensor

    def __init__(self, chains: Tensor, observation: Observation, *, n_steps: int = 1):
        super().__init__()
        self.observation = observation
        self.n_steps = n_steps
        self.register_buffer("chains", chains)

    def training_step(
        self, model: DeepBeliefNet, batch: Batch, step: TrainingStep
    ) -> None:
        """Step along the estimated gradient of the bound."""
        weight = batch.weight
        with step.rounding():
            losses = self.loss(model, batch, generator=step.generator)
            states = self._run_chains(model, step.generator)
            of_model = model.top.free_energy(states).mean()
            if weight is not None:
                losses, of_model = losses * weight, of_model * weight.mean()
        step.minimize(losses.mean() - of_model)
        if step.records:
            watched = self.evaluate(model, batch)
            if weight is None:
                step.record(len(watched), loss=watched.mean())
            else:
                total = weight.sum()
                step.record(total, loss=watched @ weight / total)

    def loss(
        self, model: DeepBeliefNet, batch: Batch, *, generator: torch.Generator
    ) -> Tensor:
        """Compute minus the bound of each row but for log Z, from one draw."""

        def draw(_: int, p: Tensor) -> Tensor:
            """Draw bits that gradients pass through."""
            return differentiable_bits(bernoulli(p.detach(), generator=generator), p)

        v = self.observation.observe(batch.x, generator=generator)
        return -variational_terms(model, v, draw)

    def divide(self, processes: Processes) -> None:
        """Keep a part of the chains."""
        self.chains = processes.own_part(self.chains, 0, parameter="batch_size")

    def unite(self, processes: Processes) -> None:
        """Get all of the chains back."""
        self.chains = processes.gathered(self.chains, 0)

    @torch.no_grad()
    def evaluate(self, model: DeepBeliefNet, batch: Batch) -> Tensor:
        """Compute minus the bound, with a pseudo-likelihood for that of the top.

        Parameters
        ----------
        model : DeepBeliefNet
            The model.
        batch : Batch
            Data.

        Returns
        -------
        loss : Tensor of shape (batch,)
            Loss of each row in nats, without randomness. Where the top machine has more
            than 64 visible units, the pseudo-likelihood is an estimate.
        """

        def draw(_: int, p: Tensor) -> Tensor:
            """Draw bits that are a function of the probabilities."""
            return bernoulli_of_rows(p)

        v = self.observation.observe(batch.x, generator=None)
        log_ratio, h = log_ratios(model, v, draw)
        units = watched_units(h, _MOST_WATCHED)
        top: Any = model.top
        return -log_ratio - pseudo_log_likelihood(top, h, units=units)

    @torch.no_grad()
    def _run_chains(self, model: DeepBeliefNet, generator: torch.Generator) -> Tensor:
        """Run the chains, and return the states of the visible units of the top."""
        top, h = model.top, self.chains
        dtype = h.dtype  # that of products may be another
        for _ in range(self.n_steps):
            mean = top.visible_mean(h)
            states = top.visible.sample(mean, generator=generator, out=mean)
            mean = top.hidden_mean(states)
            h = top.hidden.sample(mean, generator=generator, out=mean)
        self.chains = h.to(dtype)
        return states


def differentiable_bits(bits: Tensor, p: Tensor) -> Tensor:
    r"""Make bits that were drawn pass on an estimate of the gradient with respect to p.

    The derivative of the mean of a function f of a bit is a difference,
    :math:`\partial \langle f \rangle / \partial p = f(1) - f(0)`, which the trapezoidal
    rule gives from the slopes at both ends, :math:`(f'(0) + f'(1)) / 2`. The slope at
    the bit that is drawn, divided by twice its probability, has this mean (Liu, Dong,
    Liu, Yu & Gao, 2023). That is exact for functions quadratic in each bit, where the
    straight-through estimator (Bengio, Léonard & Courville, 2013) is for linear ones.
    The division adds little noise, as the derivative of p with respect to its logit is
    :math:`p (1 - p)`.

    Parameters
    ----------
    bits : Tensor
        Zeros and ones, drawn with probabilities p.
    p : Tensor
        Probabilities, of the same shape.

    Returns
    -------
    bits : Tensor
        The bits, as functions of p.
    """
    fixed = p.detach()
    of_bit = torch.where(bits > 0, fixed, 1 - fixed).clamp_(min=_LEAST)
    return bits + (p - fixed) / (2 * of_bit)
