"""Markov chains of energy models, and of the models between them and their base."""

from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from skgen.energy._mixture import GaussianMixtureDensity
from skgen.energy._model import EnergyNet
from skgen.sampling import Point, point_at
from skgen.sampling._langevin import accept, hmc_proposal, tuned

# A rotation of states and momenta by more goes back again.
LARGEST_STEP = pi / 2
# Every so many steps a chain may jump to a new draw of the base.
JUMP_EVERY = 5


class Progress(NamedTuple):
    """How chains went.

    Attributes
    ----------
    point : Point
        States, with f and its gradient.
    rate : float
        Mean acceptance probability of the steps.
    jump_rate : float
        The same of the jumps; NaN if there were none.
    step_size : float
        The step size, as it was tuned.
    corrections : Tensor of shape (n_steps, n_chains)
        f after each step.
    """

    point: Point
    rate: float
    jump_rate: float
    step_size: float
    corrections: Tensor


def start(model: EnergyNet, x: Tensor) -> Point:
    """Compute f and its gradient where chains start."""
    return point_at(model.correction, x)


def move(
    model: EnergyNet,
    base: GaussianMixtureDensity,
    here: Point,
    beta: float | Tensor,
    step_size: float,
    *,
    generator: torch.Generator,
) -> tuple[Point, Tensor]:
    r"""Take one adjusted step of chains of :math:`q_0(x)\, e^{-\beta f(x)}`.

    The component k of a point is drawn given the point, which is a Gibbs step of the
    joint law of both. In the units of the component, :math:`z = L_k^{-1} (x - \mu_k)`,
    the law is a standard normal one times :math:`e^{-\beta f}`, of which `hmc_step`
    follows the Gaussian exactly: the step need not be small where the components are
    narrow, nor where f is 0. Such a step is reversible.

    Parameters
    ----------
    model : EnergyNet
        The model.
    base : GaussianMixtureDensity
        Its base, or that given what is known of rows.
    here : Point
        States, with f and its gradient.
    beta : float or Tensor of shape (n_chains,)
        The factor of f, for all chains or for each.
    step_size : float
        Angle of the rotation, at most a right one.
    generator : torch.Generator
        Source of randomness, on the device of the states.

    Returns
    -------
    point : Point
        The new states.
    rate : Tensor of shape (n_chains,)
        Acceptance probabilities.
    """
    k = base.draw_component(here.x, generator=generator)
    seen: list[Point] = []

    def white(point: Point) -> Point:
        """Express a point by the units of its component."""
        gradient = base.pull(point.gradient, k)
        return _times(beta, Point(base.whiten(point.x, k), point.energy, gradient))

    def at(z: Tensor) -> Point:
        """Compute f where the proposal ends."""
        x = base.color(z, k)
        seen.append(start(model, x))
        gradient = base.pull(seen[-1].gradient, k)
        return _times(beta, Point(z, seen[-1].energy, gradient))

    _, rate = hmc_proposal(
        at, white(here), step_size, generator=generator, gaussian=True
    )
    return accept(here, seen[-1], rate, generator=generator), rate


def jump(
    model: EnergyNet,
    base: GaussianMixtureDensity,
    here: Point,
    beta: float | Tensor,
    *,
    generator: torch.Generator,
) -> tuple[Point, Tensor]:
    """Propose a new draw of the base to each chain, as `move` does a step."""
    there = start(model, base.sample(len(here.x), generator=generator))
    change = beta * (here.energy - there.energy)
    rate = change.nan_to_num(nan=-torch.inf, posinf=torch.inf).clamp(max=0).exp()
    return accept(here, there, rate, generator=generator), rate


def run(
    model: EnergyNet,
    base: GaussianMixtureDensity,
    here: Point,
    n_steps: int,
    *,
    step_size: float,
    generator: torch.Generator,
    tunes: bool = False,
    beta: float = 1.0,
    jumps: bool = True,
) -> Progress:
    """Run chains of the model, or with beta of one between it and its base.

    Parameters
    ----------
    model : EnergyNet
        The model.
    base : GaussianMixtureDensity
        Its base, or that given what is known of rows.
    here : Point
        Where the chains start.
    n_steps : int
        Number of steps, of which every fifth is a jump.
    step_size : float
        As in `move`.
    generator : torch.Generator
        Source of randomness, on the device of the states.
    tunes : bool
        Whether the step size follows the acceptance rate.
    beta : float
        The factor of f.
    jumps : bool
        Whether there are jumps.

    Returns
    -------
    progress : Progress
        How it went.
    """
    along, rates, jump_rates = [here.energy[None][:0]], [], []
    for n in range(n_steps):
        if jumps and n % JUMP_EVERY == JUMP_EVERY - 1:
            here, rate = jump(model, base, here, beta, generator=generator)
            jump_rates.append(rate)
        else:
            here, rate = move(model, base, here, beta, step_size, generator=generator)
            rates.append(rate)
            if tunes:
                step_size = tuned(step_size, rate, len(rates), largest=LARGEST_STEP)
        along.append(here.energy[None])
    return Progress(here, _mean(rates), _mean(jump_rates), step_size, torch.cat(along))


def _times(beta: float | Tensor, point: Point) -> Point:
    """Multiply f and its gradient by a factor."""
    of_rows = beta[:, None] if isinstance(beta, Tensor) else beta
    return Point(point.x, beta * point.energy, of_rows * point.gradient)


def _mean(rates: list[Tensor]) -> float:
    return torch.cat(rates).mean().item() if rates else float("nan")
