"""The partition function of an RBM by annealed importance sampling, both ways."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.likelihood._estimate import LogPartition
from skgen.nn._threads import side_by_side
from skgen.rbm._annealing_path import moment_matched_paths
from skgen.rbm._model import RBM
from skgen.rbm._scaled import ScaledRBM, log_partition_of_independent_units
from skgen.rbm._units import Units, draw_independent
from skgen.sampling import build_ladder, tempering

# Steps of replica exchange before the reverse direction starts, and Gibbs steps of each
# fit of the path: as a share of the temperatures, and at least so many.
_TEMPERING_SHARE, _LEAST_TEMPERING = 0.1, 100
_PATH_SHARE, _LEAST_PATH_STEPS = 0.05, 1000


def annealed_log_weights(
    models: Iterable[ScaledRBM], v: Tensor, *, generator: torch.Generator
) -> Tensor:
    r"""Log weights of annealed importance sampling along a sequence of models.

    .. math:: \log w = \sum_k \left[ F_k(v_k) - F_{k+1}(v_k) \right], \qquad
              \langle w \rangle = Z_K / Z_0,

    where :math:`v_0` is drawn from the first model and :math:`v_{k+1}` is one Gibbs
    step of model k + 1 from :math:`v_k` (Neal, 2001; Salakhutdinov & Murray, 2008).

    Parameters
    ----------
    models : iterable of ScaledRBM
        Models with the same weights, each times a factor; up or down.
    v : Tensor of shape (n_chains, n_visible)
        Independent draws from the first of them.
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    log_weight : Tensor of shape (n_chains,)
        Log weights in nats, summed in float64.
    """
    total = torch.zeros(len(v), dtype=torch.float64, device=v.device)
    for here, after in pairwise(models):
        interaction = F.linear(here.visible.coupled(v), here.model.weight)
        before = torch.add(here.hidden.bias, interaction, alpha=here.beta)
        inputs = torch.add(after.hidden.bias, interaction, alpha=after.beta)
        change = after.hidden.log_partition(inputs) - here.hidden.log_partition(before)
        total += change.sum(1, dtype=torch.float64)
        total += here.visible.energy_difference(after.visible, v)
        mean = after.hidden.mean_(inputs)
        h = after.hidden.sample(mean, generator=generator)
        v = after.visible.sample(after.visible_mean(h), generator=generator)
    return total


def log_partition_annealed(
    model: RBM,
    base: Units,
    *,
    n_chains: int,
    n_temperatures: int,
    generator: torch.Generator,
    chains: Tensor | None = None,
    n_path_steps: int | None = None,
) -> LogPartition:
    r"""Estimate log Z by annealed importance sampling in both directions.

    Forward, from independent units up to the model, the log of the mean weight is on
    average below :math:`\log Z`, by an amount that its own standard error does not
    show. Reverse, from draws of the model down to independent units, it is above
    (Burda, Grosse & Salakhutdinov, 2015). The estimate is Bennett's acceptance ratio of
    both, and the two together are the bracket, whose upper end is a mean over small
    groups of reverse chains (`LogPartition.bracket`). The path scales the
    weights and keeps the means of the units (`moment_matched_paths`). The model is
    sampled by replica exchange along it; the temperatures of annealing are spaced as
    the replicas are, whose neighbours have equal overlaps.

    Parameters
    ----------
    model : RBM
        The model.
    base : Units
        Visible units of whose biases annealing starts: best with the means of the data.
        Real units have the variance of those of the model all along.
    n_chains : int
        Number of chains in each direction, at least 2.
    n_temperatures : int
        Number of steps in each direction.
    generator : torch.Generator
        Source of randomness, on the device of the model.
    chains : Tensor of shape (n, n_visible) or None
        States near the modes of the model, such as persistent chains: half of
        the chains of replica exchange start at the model from them, so that
        modes which are hard to reach from independent units take part.
    n_path_steps : int or None
        Gibbs steps of each of the five fits of the path; None means a twentieth of
        `n_temperatures`, and at least 1000.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    """
    base = model.visible.with_bias(base.bias)
    forward, v = draw_independent(base, 2 * n_chains, generator=generator).split(
        n_chains
    )
    if chains is not None and not len(chains):
        chains = None
    if n_path_steps is None:
        n_path_steps = path_steps(n_temperatures)
    paths = moment_matched_paths(
        model,
        base,
        v if chains is None else chains,
        n_steps=n_path_steps,
        generator=generator,
    )
    models, states = build_ladder(paths, v, generator=generator)
    if chains is not None:
        rows = torch.arange(n_chains // 2, device=v.device) % len(chains)
        states[-1, : len(rows)] = chains[rows]
    states = tempering(
        models, states, tempering_steps(n_temperatures), generator=generator
    )
    another = _another(generator)

    def reverse(stopped: threading.Event) -> Tensor:
        """Anneal from the model down."""
        steps = _spread(models[::-1], n_temperatures, stopped)
        return annealed_log_weights(steps, states[-1], generator=another)

    up, minus_down = side_by_side(
        lambda: annealed_log_weights(
            _spread(models, n_temperatures), forward, generator=generator
        ),
        reverse,
    )
    down = -minus_down
    log_z0 = log_partition_of_independent_units(models[0])
    return LogPartition.bracket(
        log_z0, up[None, None], down[None, None], method="ais", conservative=True
    )


def path_steps(n_temperatures: int) -> int:
    """Return the number of Gibbs steps of each fit of the path."""
    return max(_LEAST_PATH_STEPS, int(_PATH_SHARE * n_temperatures))


def tempering_steps(n_temperatures: int) -> int:
    """Return the number of steps of replica exchange before the reverse direction."""
    return max(_LEAST_TEMPERING, int(_TEMPERING_SHARE * n_temperatures))


def _another(generator: torch.Generator) -> torch.Generator:
    """Return a generator with a seed from one, on the same device."""
    device = generator.device
    seed = torch.randint(2**62, (), generator=generator, device=device).item()
    return torch.Generator(device=device).manual_seed(int(seed))


def _spread(
    ladder: Sequence[ScaledRBM], n_steps: int, stopped: threading.Event | None = None
) -> Iterator[ScaledRBM]:
    """Give `n_steps` + 1 models, equally many between neighbours on a ladder."""
    n_gaps = len(ladder) - 1
    for k in range(n_steps + 1):
        if stopped is not None and stopped.is_set():
            return
        at = k * n_gaps / n_steps
        below = min(int(at), n_gaps - 1)
        yield ladder[below].interpolate(ladder[below + 1], at - below)
