"""Replica exchange: chains of several models that swap their states."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from skgen.sampling._gibbs import gibbs

# The least distance between neighbours on a ladder, as a share of a path.
_SMALLEST_STEP = 2.0**-9


class EnergyModel(Protocol):
    """What replica exchange needs of a model: an energy of states."""

    def free_energy(self, v: Tensor) -> Tensor:
        """Compute F(v) in nats, of which p(v) is proportional to exp(-F), (n,)."""


# A kernel moves chains of a model: kernel(model, v, n_steps, generator=...).
Kernel = Callable[..., Tensor]
# A path of models: path(t) is the model at t in [0, 1].
Path = Callable[[float], Any]


class FreeEnergyDifferences(NamedTuple):
    r"""Differences of free energies between neighbours on a ladder of models.

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


def free_energy_differences(
    lower: EnergyModel, upper: EnergyModel, v_lower: Tensor, v_upper: Tensor
) -> FreeEnergyDifferences:
    """Compare the free energies of two models, at the states of both.

    Parameters
    ----------
    lower, upper : EnergyModel
        Neighbours on a ladder.
    v_lower, v_upper : Tensor of shape (n_chains, n_visible)
        States of each.

    Returns
    -------
    differences : FreeEnergyDifferences
        The differences, of shape (n_chains,).
    """
    v = torch.cat([v_lower, v_upper])
    difference = upper.free_energy(v) - lower.free_energy(v)
    return FreeEnergyDifferences(*difference.split([len(v_lower), len(v_upper)]))


def swap_neighbours_(
    models: Sequence[EnergyModel], v: Tensor, first: int, *, generator: torch.Generator
) -> FreeEnergyDifferences:
    r"""Swap states of neighbours on a ladder of models, in place.

    States x of model r and y of model r + 1 are swapped with probability

    .. math:: \min\left(1,\; e^{F_r(x) + F_{r+1}(y) - F_r(y) - F_{r+1}(x)}\right),

    which leaves the joint distribution of all replicas invariant (Swendsen & Wang,
    1986; Geyer, 1991). F is the free energy of each model: hidden units are summed out
    with its own parameters, so that the swap is exact and accepted more often than one
    of joint states (v, h).

    Parameters
    ----------
    models : sequence of EnergyModel
        The ladder.
    v : Tensor of shape (n_replicas, n_chains, n_visible)
        States, changed in place.
    first : {0, 1}
        Index of the first pair; pairs are (first, first + 1), (first + 2, ...), ...
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    differences : FreeEnergyDifferences
        Differences of free energies, (n_pairs, n_chains); `n_pairs` may be 0.
    """
    pairs = range(first, len(models) - 1, 2)
    up, down = v.new_empty(2, len(pairs), v.shape[1])
    for k, r in enumerate(pairs):
        up[k], down[k] = free_energy_differences(
            models[r], models[r + 1], v[r], v[r + 1]
        )
    differences = FreeEnergyDifferences(up, down)
    u = torch.rand(up.shape, generator=generator, dtype=up.dtype, device=up.device)
    swap = u < differences.acceptance
    for k, r in enumerate(pairs):
        v[r : r + 2] = torch.where(swap[k, :, None], v[r : r + 2].flip(0), v[r : r + 2])
    return differences


def tempering(
    models: Sequence[Any],
    v: Tensor,
    n_steps: int,
    *,
    generator: torch.Generator,
    kernel: Kernel = gibbs,
) -> Tensor:
    """Run chains at every model of a ladder, with exchange of states.

    A step moves each replica by one step of `kernel` and then swaps states of
    neighbours, of even and of odd pairs in turn. The ladder goes from a model that
    mixes fast to the one that is to be sampled: a ladder of temperatures, or the
    trajectory of a training (Béreux et al., 2025).

    Parameters
    ----------
    models : sequence of EnergyModel
        The ladder.
    v : Tensor of shape (n_replicas, n_chains, n_visible)
        Initial states of the chains. It is not changed.
    n_steps : int
        Number of steps; 0 returns `v`.
    generator : torch.Generator
        Source of randomness, on the device of `v`.
    kernel : callable
        ``kernel(model, v, 1, generator=generator)`` moves chains of one model and
        leaves its distribution invariant.

    Returns
    -------
    v : Tensor of shape (n_replicas, n_chains, n_visible)
        Final states of the chains. Chains of different columns are independent.
    """
    v = v.clone()
    for step in range(n_steps):
        move_replicas_(models, v, generator=generator, kernel=kernel)
        swap_neighbours_(models, v, step % 2, generator=generator)
    return v


def move_replicas_(
    models: Sequence[Any],
    v: Tensor,
    *,
    generator: torch.Generator,
    kernel: Kernel = gibbs,
) -> None:
    """Move the chains of every replica by one step of a kernel, in place."""
    for model, chains in zip(models, v, strict=True):
        chains.copy_(kernel(model, chains, 1, generator=generator))


def build_ladder(
    paths: Sequence[Path],
    v: Tensor,
    *,
    generator: torch.Generator,
    overlap: float = 0.3,
    n_steps: int = 5,
    kernel: Kernel = gibbs,
) -> tuple[list[Any], Tensor]:
    r"""Choose models along paths for replica exchange, and draw states of each.

    This is a sequential Monte Carlo sampler with adaptive steps (Del Moral, Doucet &
    Jasra, 2006). A population of chains goes along the paths. Each model is as far
    from the last as the weights :math:`w = e^{F_r(v) - F_{r+1}(v)}` of the population
    allow: their effective share :math:`(\sum w)^2 / (n \sum w^2)` shall be `overlap`.
    The population is then resampled by these weights and moved, so that the chains are
    spread over the modes by their mass as far as the population has found them.

    Parameters
    ----------
    paths : sequence of callables
        ``path(t)`` gives the model at t in [0, 1]; each path begins where the last
        one ends.
    v : Tensor of shape (n_chains, n_visible)
        Independent draws from ``paths[0](0.0)``.
    generator : torch.Generator
        Source of randomness, on the device of `v`.
    overlap : float
        Effective share of the population at each step, in (0, 1).
    n_steps : int
        Steps of `kernel` at each model.
    kernel : callable
        As in `tempering`.

    Returns
    -------
    models : list
        The ladder, from ``paths[0](0.0)`` to ``paths[-1](1.0)``.
    v : Tensor of shape (n_replicas, n_chains, n_visible)
        Chains of each model.
    """
    models, states = [paths[0](0.0)], [v]
    for path in paths:
        t = 0.0
        while t < 1:
            free_energy = models[-1].free_energy(v)
            t = _next_position(path, t, free_energy, v, overlap)
            models.append(path(t))
            v = v[_resample(free_energy - models[-1].free_energy(v), generator)]
            v = kernel(models[-1], v, n_steps, generator=generator)
            states.append(v)
    return models, torch.stack(states)


def _overlaps(model: Any, free_energy: Tensor, v: Tensor, overlap: float) -> bool:
    """Whether the weights of a population for a model have the effective share."""
    size = effective_sample_size(free_energy - model.free_energy(v))
    return size >= overlap * len(v)


def _next_position(
    path: Path, t: float, free_energy: Tensor, v: Tensor, overlap: float
) -> float:
    """Go along a path as far as the overlap allows, by bisection."""
    if t + _SMALLEST_STEP >= 1 or _overlaps(path(1.0), free_energy, v, overlap):
        return 1.0
    near, far = t + _SMALLEST_STEP, 1.0
    while far - near > 0.05 * (near - t):
        middle = (near + far) / 2
        if _overlaps(path(middle), free_energy, v, overlap):
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
