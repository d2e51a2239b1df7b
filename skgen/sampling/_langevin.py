"""Langevin and Hamiltonian Monte Carlo of any differentiable energy."""

from collections.abc import Callable
from functools import partial
from math import cos, exp, log, sin, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

Energy = Callable[[Tensor], Tensor]

# Acceptance rates at which chains in many dimensions move fastest: of one leapfrog step
# (Roberts & Rosenthal, 1998) and of several (Beskos et al., 2013).
MALA_RATE, HMC_RATE = 0.574, 0.651
# How fast the log of a step size follows the acceptance rate, and how that slows down.
_GAIN, _SLOWING = 2.0, 0.6


class Point(NamedTuple):
    """States of chains, with what a step needs of the energy there.

    Attributes
    ----------
    x : Tensor of shape (n_chains, n)
        States.
    energy : Tensor of shape (n_chains,)
        Energies in nats.
    gradient : Tensor of shape (n_chains, n)
        Gradients of the energy.
    """

    x: Tensor
    energy: Tensor
    gradient: Tensor


PointAt = Callable[[Tensor], Point]


class Chains(NamedTuple):
    """What chains have ended with, and how they went.

    Attributes
    ----------
    x : Tensor of shape (n_chains, n)
        Final states.
    energies : Tensor of shape (n_steps, n_chains)
        Energies after each step, from which `split_r_hat` and
        `integrated_autocorrelation_time` tell whether the chains have mixed.
    acceptance_rate : float
        Mean acceptance probability after the warm-up; NaN without steps.
    step_size : float
        The step size, as it was tuned.
    """

    x: Tensor
    energies: Tensor
    acceptance_rate: float
    step_size: float


def point_at(energy: Energy, x: Tensor) -> Point:
    """Compute energies and their gradients by autograd.

    Parameters
    ----------
    energy : callable
        ``energy(x)`` gives energies in nats, of shape (n_chains,).
    x : Tensor of shape (n_chains, n)
        States.

    Returns
    -------
    point : Point
        States, energies and gradients, detached.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        e = energy(x)
        (gradient,) = torch.autograd.grad(e.sum(), x)
    return Point(x.detach(), e.detach(), gradient)


def langevin(
    energy: Energy,
    x: Tensor,
    n_steps: int,
    *,
    step_size: float,
    generator: torch.Generator,
    temperature: float = 1.0,
) -> Tensor:
    r"""Run unadjusted Langevin dynamics.

    .. math:: x \leftarrow x - \epsilon \nabla E(x) + \sqrt{2 \epsilon T}\, \xi,
              \qquad \xi \sim \mathcal{N}(0, I).

    For small :math:`\epsilon` its law is near :math:`e^{-E(x) / T}`; no step is ever
    refused, so that a finite one leaves an error. For :math:`E = p x^2 / 2` the
    variance is :math:`T / (p (1 - \epsilon p / 2))`, and there is none for
    :math:`\epsilon \ge 2 / p`. A noise of another size than :math:`\sqrt{2 \epsilon}`
    is another temperature: what is sampled then is not :math:`e^{-E}`.

    Parameters
    ----------
    energy : callable
        ``energy(x)`` gives the energy in nats of states of shape (n_chains, n), of
        shape (n_chains,); autograd differentiates it.
    x : Tensor of shape (n_chains, n)
        Initial states. They are not changed.
    n_steps : int
        Number of steps.
    step_size : float
        The step :math:`\epsilon`.
    generator : torch.Generator
        Source of randomness, on the device of `x`.
    temperature : float
        The temperature T.

    Returns
    -------
    x : Tensor of shape (n_chains, n)
        Final states.
    """
    for _ in range(n_steps):
        here = point_at(energy, x)
        noise = _normal_like(here.x, generator)
        x = here.x - step_size * here.gradient
        x = x + sqrt(2 * step_size * temperature) * noise
    return x


def mala(
    energy: Energy,
    x: Tensor,
    n_steps: int,
    *,
    step_size: float,
    generator: torch.Generator,
    n_warmup: int = 0,
    target_rate: float = MALA_RATE,
) -> Chains:
    r"""Run the Metropolis-adjusted Langevin algorithm (MALA).

    A step of Langevin dynamics, :math:`x' = x - \epsilon \nabla E(x) + \sqrt{2
    \epsilon}\, \xi`, is a proposal that is accepted with probability

    .. math:: \min\left(1,\; e^{E(x) - E(x')} \frac{q(x \mid x')}{q(x' \mid x)}\right),
              \qquad q(x' \mid x) = \mathcal{N}(x' ; x - \epsilon \nabla E(x), 2
              \epsilon I)

    (Besag, 1994; Roberts & Tweedie, 1996), so that :math:`e^{-E}` is sampled exactly
    whatever the step size. It is `hmc` with one step of :math:`\sqrt{2 \epsilon}`.

    Parameters
    ----------
    energy : callable
        ``energy(x)`` gives the energy in nats of states of shape (n_chains, n), of
        shape (n_chains,); autograd differentiates it.
    x : Tensor of shape (n_chains, n)
        Initial states. They are not changed.
    n_steps : int
        Number of steps after the warm-up.
    step_size : float
        The step :math:`\epsilon`, or where its tuning begins.
    generator : torch.Generator
        Source of randomness, on the device of `x`.
    n_warmup : int
        Number of steps before, in which the step size is tuned until the mean
        acceptance probability is `target_rate`. It is fixed after them.
    target_rate : float
        Acceptance rate that is aimed at.

    Returns
    -------
    chains : Chains
        Final states, energies along the chains, acceptance rate and step size.
    """
    chains = hmc(
        energy,
        x,
        n_steps,
        step_size=sqrt(2 * step_size),
        n_leapfrog=1,
        generator=generator,
        n_warmup=n_warmup,
        target_rate=target_rate,
    )
    return chains._replace(step_size=chains.step_size**2 / 2)


def hmc(
    energy: Energy,
    x: Tensor,
    n_steps: int,
    *,
    step_size: float,
    generator: torch.Generator,
    n_leapfrog: int = 10,
    n_warmup: int = 0,
    target_rate: float = HMC_RATE,
) -> Chains:
    r"""Run Hamiltonian Monte Carlo (HMC).

    Momenta p are drawn from :math:`\mathcal{N}(0, I)`, the motion in the potential
    E is followed by leapfrog steps, and its end is accepted with probability

    .. math:: \min\left(1,\; e^{H(x, p) - H(x', p')}\right), \qquad
              H(x, p) = E(x) + \tfrac{1}{2} \lVert p \rVert^2

    (Duane, Kennedy, Pendleton & Roweth, 1987; Neal, 2011). Leapfrog is reversible and
    keeps volumes, so that :math:`e^{-E}` is sampled exactly.

    Parameters
    ----------
    energy : callable
        ``energy(x)`` gives the energy in nats of states of shape (n_chains, n), of
        shape (n_chains,); autograd differentiates it.
    x : Tensor of shape (n_chains, n)
        Initial states. They are not changed.
    n_steps : int
        Number of proposals to each chain after the warm-up.
    step_size : float
        Step of leapfrog, or where its tuning begins.
    generator : torch.Generator
        Source of randomness, on the device of `x`.
    n_leapfrog : int
        Number of leapfrog steps of a proposal, each with one gradient.
    n_warmup : int
        Number of proposals before, in which the step size is tuned until the mean
        acceptance probability is `target_rate`. It is fixed after them.
    target_rate : float
        Acceptance rate that is aimed at.

    Returns
    -------
    chains : Chains
        Final states, energies along the chains, acceptance rate and step size.
    """
    at = partial(point_at, energy)
    here, energies, rates = at(x), [], []
    for k in range(n_warmup + n_steps):
        here, rate = hmc_step(
            at, here, step_size, generator=generator, n_leapfrog=n_leapfrog
        )
        if k < n_warmup:
            step_size = tuned(step_size, rate, k, target_rate=target_rate)
        else:
            energies.append(here.energy)
            rates.append(rate)
    along = torch.stack(energies) if energies else here.energy.new_empty(0, len(x))
    mean = torch.cat(rates).mean().item() if rates else float("nan")
    return Chains(here.x, along, mean, step_size)


def hmc_step(
    at: PointAt,
    here: Point,
    step_size: float,
    *,
    generator: torch.Generator,
    n_leapfrog: int = 1,
    gaussian: bool = False,
) -> tuple[Point, Tensor]:
    """Take one step of Hamiltonian Monte Carlo, as `hmc_proposal` proposes it.

    Parameters
    ----------
    at, here, step_size, generator, n_leapfrog, gaussian : object
        As in `hmc_proposal`.

    Returns
    -------
    point : Point
        The new states.
    rate : Tensor of shape (n_chains,)
        Acceptance probabilities.
    """
    there, rate = hmc_proposal(
        at,
        here,
        step_size,
        generator=generator,
        n_leapfrog=n_leapfrog,
        gaussian=gaussian,
    )
    return accept(here, there, rate, generator=generator), rate


def hmc_proposal(
    at: PointAt,
    here: Point,
    step_size: float,
    *,
    generator: torch.Generator,
    n_leapfrog: int = 1,
    gaussian: bool = False,
) -> tuple[Point, Tensor]:
    r"""Propose a step of Hamiltonian Monte Carlo, and say how likely it is accepted.

    Parameters
    ----------
    at : callable
        ``at(x)`` gives the `Point` of states.
    here : Point
        The states.
    step_size : float
        Step of leapfrog.
    generator : torch.Generator
        Source of randomness, on the device of the states.
    n_leapfrog : int
        Number of leapfrog steps.
    gaussian : bool
        Whether :math:`\mathcal{N}(0, I)\, e^{-E}` is sampled instead of
        :math:`e^{-E}`. The motion of the Gaussian is followed exactly, as a rotation of
        states and momenta by the step, at most :math:`\pi / 2`: with E = 0 all
        proposals are accepted and the largest step is an independent draw, in any
        number of dimensions (Beskos, Pinski, Sanz-Serna & Stuart, 2011).

    Returns
    -------
    point : Point
        The proposed states.
    rate : Tensor of shape (n_chains,)
        Acceptance probabilities.
    """
    p = _normal_like(here.x, generator)
    there, q = here, p
    c, s = cos(step_size), sin(step_size)
    for _ in range(n_leapfrog):
        q = q - step_size / 2 * there.gradient
        if gaussian:
            x, q = c * there.x + s * q, c * q - s * there.x
        else:
            x = there.x + step_size * q
        there = at(x)
        q = q - step_size / 2 * there.gradient
    change = here.energy - there.energy + (p.square() - q.square()).sum(1) / 2
    if gaussian:
        change = change + (here.x.square() - there.x.square()).sum(1) / 2
    rate = change.nan_to_num(nan=-torch.inf, posinf=torch.inf).clamp(max=0).exp()
    return there, rate


def accept(
    here: Point, there: Point, rate: Tensor, *, generator: torch.Generator
) -> Point:
    """Move each chain with its probability, shape (n_chains,)."""
    u = torch.rand(
        rate.shape, generator=generator, dtype=rate.dtype, device=rate.device
    )
    moves = u < rate
    return Point(
        torch.where(moves[:, None], there.x, here.x),
        torch.where(moves, there.energy, here.energy),
        torch.where(moves[:, None], there.gradient, here.gradient),
    )


def tuned(
    step_size: float,
    rate: Tensor,
    n_before: int,
    *,
    target_rate: float = MALA_RATE,
    largest: float = torch.inf,
) -> float:
    r"""Move a step size towards an acceptance rate, by ever smaller amounts.

    .. math:: \log \epsilon \leftarrow \log \epsilon + 2 (n + 1)^{-0.6} (\bar\alpha -
              \alpha^*)

    (Robbins & Monro, 1951; Andrieu & Thoms, 2008).

    Parameters
    ----------
    step_size : float
        The step size.
    rate : Tensor
        Acceptance probabilities of the last step.
    n_before : int
        Number of times n that it has been moved before.
    target_rate : float
        The rate that is aimed at.
    largest : float
        The largest step size.

    Returns
    -------
    step_size : float
        The new step size.
    """
    gain = _GAIN * (n_before + 1) ** -_SLOWING
    return min(largest, exp(log(step_size) + gain * (rate.mean().item() - target_rate)))


def _normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
