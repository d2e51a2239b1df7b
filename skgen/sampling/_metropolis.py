"""Metropolis-Hastings sampling of any energy."""

from collections.abc import Callable

import torch
from torch import Tensor

Energy = Callable[[Tensor], Tensor]
Proposal = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor | float]]


def flip_one_bit(v: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
    """Propose to flip one random bit of each state, which is symmetric.

    Parameters
    ----------
    v : Tensor of shape (n_chains, n)
        States, zeros and ones.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    proposed : Tensor of shape (n_chains, n)
        Proposed states.
    log_ratio : float
        0, the log of the ratio of proposal probabilities, backward to forward.
    """
    shape = (len(v), 1)
    unit = torch.randint(v.shape[1], shape, generator=generator, device=v.device)
    return v.scatter(1, unit, 1 - v.gather(1, unit)), 0.0


def metropolis_hastings(
    energy: Energy,
    v: Tensor,
    n_steps: int,
    *,
    generator: torch.Generator,
    propose: Proposal = flip_one_bit,
) -> Tensor:
    r"""Run Metropolis-Hastings chains of :math:`p(v) \propto e^{-E(v)}`.

    A proposed state :math:`v' \sim q(v' \mid v)` is accepted with probability

    .. math:: \min\left(1,\; e^{E(v) - E(v')}
              \frac{q(v \mid v')}{q(v' \mid v)}\right)

    (Metropolis et al., 1953; Hastings, 1970), and otherwise the chain stays where
    it is. That is detailed balance, and leaves p invariant.

    Parameters
    ----------
    energy : callable
        ``energy(v)`` gives the energy in nats of states of shape (n_chains, ...), of
        shape (n_chains,). It may be the free energy of a model with hidden units.
    v : Tensor of shape (n_chains, ...)
        Initial states of the chains. It is not changed.
    n_steps : int
        Number of proposals to each chain; 0 returns `v`.
    generator : torch.Generator
        Source of randomness, on the device of `v`.
    propose : callable
        ``propose(v, generator)`` gives proposed states and
        :math:`\log q(v \mid v') - \log q(v' \mid v)`, shape (n_chains,) or 0 for a
        symmetric proposal. By default one random bit is flipped.

    Returns
    -------
    v : Tensor of shape (n_chains, ...)
        Final states of the chains.
    """
    here = energy(v)
    for _ in range(n_steps):
        proposed, log_ratio = propose(v, generator)
        there = energy(proposed)
        u = torch.rand(
            here.shape, generator=generator, dtype=here.dtype, device=here.device
        )
        accept = u < (here - there + log_ratio).exp()
        here = torch.where(accept, there, here)
        v = torch.where(accept.view(-1, *[1] * (v.ndim - 1)), proposed, v)
    return v
