"""Replica exchange: chains at a ladder of models that swap their states."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from skgen.sampling._gibbs import gibbs

# The share of its range that a step along a line to the next rung covers at least.
_LEAST_STEP = 2.0**-9


class EnergyModel(Protocol):
    """What replica exchange needs of a model: an energy of states."""

    def free_energy(self, v: Tensor) -> Tensor:
        """Compute F(v) in nats, of which p(v) is proportional to exp(-F), (n,)."""


# A kernel moves chains of a model: kernel(model, v, n_steps, generator=...).
Kernel = Callable[..., Tensor]


class Exchange(NamedTuple):
    r"""Work of moving states between neighbours on a ladder.

    Attributes
    ----------
    up : Tensor of shape (..., n_chains)
        :math:`F_{r+1}(v_r) - F_r(v_r)`, before a swap.
    down : Tensor of shape (..., n_chains)
        :math:`F_{r+1}(v_{r+1}) - F_r(v_{r+1})`, before a swap.
    """

    up: Tensor
    down: Tensor

    @property
    def acceptance(self) -> Tensor:
        """Probability of each swap, shape (..., n_chains)."""
        return (self.down - self.up).exp().clamp(max=1)


def differences(
    lower: EnergyModel, upper: EnergyModel, v_lower: Tensor, v_upper: Tensor
) -> Exchange:
    """Compare free energies of two rungs, at the states of both.

    Parameters
    ----------
    lower, upper : EnergyModel
        Neighbours on a ladder.
    v_lower, v_upper : Tensor of shape (n_chains, n_visible)
        States of each.

    Returns
    -------
    exchange : Exchange
        The differences, of shape (n_chains,).
    """
    v = torch.cat([v_lower, v_upper])
    difference = upper.free_energy(v) - lower.free_energy(v)
    return Exchange(*difference.split([len(v_lower), len(v_upper)]))


def exchange_(
    models: Sequence[EnergyModel], v: Tensor, first: int, *, generator: torch.Generator
) -> Exchange:
    r"""Swap states of neighbours on a ladder, in place.

    States x of rung r and y of rung r + 1 are swapped with probability

    .. math:: \min\left(1,\; e^{F_r(x) + F_{r+1}(y) - F_r(y) - F_{r+1}(x)}\right),

    which leaves the joint distribution of all rungs invariant (Swendsen & Wang,
    1986; Geyer, 1991). F is the free energy of each rung's own model: hidden units
    are summed out at the rung's own parameters, and so the swap is exact and
    accepted more often than one of joint states (v, h).

    Parameters
    ----------
    models : sequence of EnergyModel
        The ladder.
    v : Tensor of shape (n_rungs, n_chains, n_visible)
        States, changed in place.
    first : {0, 1}
        Rung of the first pair; pairs are (first, first + 1), (first + 2, ...), ...
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    exchange : Exchange
        Differences of free energies; `n_pairs` may be 0.
    """
    pairs = range(first, len(models) - 1, 2)
    up, down = v.new_empty(2, len(pairs), v.shape[1])
    for k, r in enumerate(pairs):
        up[k], down[k] = differences(models[r], models[r + 1], v[r], v[r + 1])
    exchange = Exchange(up, down)
    u = torch.rand(up.shape, generator=generator, dtype=up.dtype, device=up.device)
    swap = u < exchange.acceptance
    for k, r in enumerate(pairs):
        v[r : r + 2] = torch.where(swap[k, :, None], v[r : r + 2].flip(0), v[r : r + 2])
    return exchange


def tempering(
    models: Sequence[Any],
    v: Tensor,
    n_steps: int,
    *,
    generator: torch.Generator,
    kernel: Kernel = gibbs,
) -> Tensor:
    """Run chains at every rung of a ladder of models, with exchange of states.

    A step moves each rung by one step of `kernel` and then swaps states of
    neighbours, of even and of odd pairs in turn. The ladder goes from a model that
    mixes fast to the one that samples are wanted of: a ladder of temperatures, or
    the trajectory of a training (Béreux et al., 2024).

    Parameters
    ----------
    models : sequence of EnergyModel
        The ladder.
    v : Tensor of shape (n_rungs, n_chains, n_visible)
        Where the chains start. It is not changed.
    n_steps : int
        Number of steps; 0 returns `v`.
    generator : torch.Generator
        Source of randomness, on the device of `v`.
    kernel : callable
        ``kernel(model, v, 1, generator=generator)`` moves chains of one model and
        leaves its distribution invariant.

    Returns
    -------
    v : Tensor of shape (n_rungs, n_chains, n_visible)
        Where the chains end. Chains of different columns are independent.
    """
    v = v.clone()
    for step in range(n_steps):
        move_(models, v, generator=generator, kernel=kernel)
        exchange_(models, v, step % 2, generator=generator)
    return v


def move_(
    models: Sequence[Any],
    v: Tensor,
    *,
    generator: torch.Generator,
    kernel: Kernel = gibbs,
) -> None:
    """Move the chains of every rung by one step of a kernel, in place."""
    for model, chains in zip(models, v, strict=True):
        chains.copy_(kernel(model, chains, 1, generator=generator))


def climb(
    lines: Sequence[Callable[[float], Any]],
    v: Tensor,
    *,
    generator: torch.Generator,
    overlap: float = 0.3,
    n_steps: int = 5,
    kernel: Kernel = gibbs,
) -> tuple[list[Any], Tensor]:
    r"""Build a ladder of models, and chains at each rung, from the bottom up.

    A population of chains goes along lines of models. Each rung is set as far
    from the last as the weights :math:`w = e^{F_r(v) - F_{r+1}(v)}` of the
    population allow: their effective share :math:`(\sum w)^2 / (n \sum w^2)` shall
    be `overlap`. The population is then resampled by those weights and moved (a
    sequential Monte Carlo sampler, Del Moral, Doucet & Jasra, 2006, with adaptive
    steps), so that the chains are spread over the modes by their mass as far as
    the population saw them.

    Parameters
    ----------
    lines : sequence of callables
        ``line(t)`` gives the model at t in [0, 1]; each line begins where the last
        one ends.
    v : Tensor of shape (n_chains, n_visible)
        Independent draws from ``lines[0](0.0)``.
    generator : torch.Generator
        Source of randomness, on the device of `v`.
    overlap : float
        Effective share of the population at each step, in (0, 1).
    n_steps : int
        Steps of `kernel` at each rung.
    kernel : callable
        As in `tempering`.

    Returns
    -------
    models : list
        The ladder, from ``lines[0](0.0)`` to ``lines[-1](1.0)``.
    v : Tensor of shape (n_rungs, n_chains, n_visible)
        Chains of each rung.
    """
    models, states = [lines[0](0.0)], [v]
    for line in lines:
        t = 0.0
        while t < 1:
            here = models[-1].free_energy(v)
            t = _next_rung(line, t, here, v, overlap)
            models.append(line(t))
            v = v[_resample(here - models[-1].free_energy(v), generator)]
            v = kernel(models[-1], v, n_steps, generator=generator)
            states.append(v)
    return models, torch.stack(states)


def _reaches(model: Any, here: Tensor, v: Tensor, overlap: float) -> bool:
    size = effective_sample_size(here - model.free_energy(v))
    return size >= overlap * len(v)


def _next_rung(line: Any, t: float, here: Tensor, v: Tensor, overlap: float) -> float:
    """Go along a line as far as the overlap allows."""
    if t + _LEAST_STEP >= 1 or _reaches(line(1.0), here, v, overlap):
        return 1.0
    near, far = t + _LEAST_STEP, 1.0
    while far - near > 0.05 * (near - t):
        middle = (near + far) / 2
        if _reaches(line(middle), here, v, overlap):
            near = middle
        else:
            far = middle
    return near


def effective_sample_size(log_weight: Tensor) -> float:
    r"""Compute :math:`(\sum w)^2 / \sum w^2` of weights, from logs of shape (n,)."""
    x = log_weight.double()
    return (2 * x.logsumexp(0) - (2 * x).logsumexp(0)).exp().item()


def _resample(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """Indices drawn by weight, each as often as its weight to within one."""
    n = len(log_weight)
    u = torch.rand(
        (), generator=generator, dtype=torch.float64, device=generator.device
    )
    points = (torch.arange(n, device=u.device) + u) / n
    heights = log_weight.double().softmax(0).cumsum(0)
    return torch.searchsorted(heights, points).clamp(max=n - 1)
