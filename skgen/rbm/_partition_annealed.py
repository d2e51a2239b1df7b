"""Partition functions by annealing, forward and reverse."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.likelihood._estimate import LogPartition
from skgen.rbm._annealing_path import balanced_lines
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._scaled import ScaledRBM, log_partition_of_bits
from skgen.sampling import bernoulli, climb, tempering

# Steps of replica exchange before the reverse direction starts, and of each fit of
# the ladder, as a share of the temperatures, and at least so many.
_TEMPERING_SHARE, _LEAST_TEMPERING = 0.1, 100
_BALANCING_SHARE, _LEAST_BALANCING = 0.05, 1000


def annealed_log_weights(
    models: Iterable[ScaledRBM], v: Tensor, *, generator: torch.Generator
) -> Tensor:
    r"""Log weights of annealed importance sampling along machines.

    .. math:: \log w = \sum_k \left[ F_k(v_k) - F_{k+1}(v_k) \right], \qquad
              \langle w \rangle = Z_K / Z_0,

    where :math:`v_0` is drawn from the first machine and :math:`v_{k+1}` is one Gibbs
    step of machine k + 1 from :math:`v_k` (Neal, 2001; Salakhutdinov & Murray, 2008).

    Parameters
    ----------
    models : iterable of ScaledRBM
        Machines with the same couplings, each times a factor; up or down.
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
        field = F.linear(v, here.model.weight)
        before = torch.add(here.hidden_bias, field, alpha=here.beta)
        x = torch.add(after.hidden_bias, field, alpha=after.beta)
        # softplus(x) = -logsigmoid(-x), which is exact for large x too.
        change = F.logsigmoid(-before) - F.logsigmoid(-x)
        total += change.sum(1, dtype=torch.float64)
        # The difference of close numbers is exact, so that biases add up.
        total += v @ (after.visible_bias - here.visible_bias)
        h = bernoulli(torch.sigmoid_(x), generator=generator)
        v = bernoulli(after.visible_probability(h), generator=generator)
    return total


def log_partition_annealed(
    model: BernoulliRBM,
    base_bias: Tensor,
    *,
    n_chains: int,
    n_temperatures: int,
    generator: torch.Generator,
    chains: Tensor | None = None,
    n_path_steps: int | None = None,
) -> LogPartition:
    r"""Estimate log Z by annealed importance sampling in both directions.

    Forward, from independent bits up to the machine, the log of the mean weight is on
    average below :math:`\log Z`, and its own error bar cannot see by how much. Reverse,
    from draws of the machine down to independent bits, it is above (Burda, Grosse &
    Salakhutdinov, 2015). The estimate is Bennett's ratio of both, and the two together
    are the bracket, whose upper end is the mean of reverse log weights, of the half of
    the chains where it is larger. The way up scales the couplings and keeps the means
    of units (`balanced_lines`). The machine is drawn from by replica exchange along it;
    the machines of annealing are spaced as those of the exchange, which have equal
    overlaps.

    Parameters
    ----------
    model : BernoulliRBM
        The machine.
    base_bias : Tensor of shape (n_visible,)
        Fields on the visible units where annealing starts: best the logits of the
        means of the data.
    n_chains : int
        Number of chains in each direction, at least 2.
    n_temperatures : int
        Number of steps in each direction.
    generator : torch.Generator
        Source of randomness, on the device of the model.
    chains : Tensor of shape (n, n_visible) or None
        States near the modes of the machine, such as persistent chains: half of
        the chains of replica exchange start at the machine from them, so that
        modes which are hard to reach from independent bits take part.
    n_path_steps : int or None, default=None
        Number of Gibbs steps for the means of the machine, and for each fit of the
        path (`balanced_lines`). None means 5 % of `n_temperatures`, and at least
        1000.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    """
    start = base_bias.expand(2 * n_chains, -1)
    draws = bernoulli(torch.sigmoid(start), generator=generator)
    forward, v = draws.split(n_chains)
    if chains is not None and not len(chains):
        chains = None
    if n_path_steps is None:
        n_path_steps = max(_LEAST_BALANCING, int(_BALANCING_SHARE * n_temperatures))
    lines = balanced_lines(
        model,
        base_bias,
        v if chains is None else chains,
        n_steps=n_path_steps,
        generator=generator,
    )
    models, states = climb(lines, v, generator=generator)
    if chains is not None:
        rows = torch.arange(n_chains // 2, device=v.device) % len(chains)
        states[-1, : len(rows)] = chains[rows]
    n_steps = max(_LEAST_TEMPERING, int(_TEMPERING_SHARE * n_temperatures))
    states = tempering(models, states, n_steps, generator=generator)
    up = annealed_log_weights(
        _spread(models, n_temperatures), forward, generator=generator
    )
    down = -annealed_log_weights(
        _spread(models[::-1], n_temperatures), states[-1], generator=generator
    )
    log_z0 = log_partition_of_bits(models[0]).item()
    return LogPartition.bracket(
        log_z0, up[None, None], down[None, None], method="ais", cautious=True
    )


def _spread(rungs: Sequence[ScaledRBM], n_steps: int) -> Iterator[ScaledRBM]:
    """`n_steps` + 1 machines, evenly many between neighbouring rungs."""
    n_gaps = len(rungs) - 1
    for k in range(n_steps + 1):
        at = k * n_gaps / n_steps
        below = min(int(at), n_gaps - 1)
        yield rungs[below].toward(rungs[below + 1], at - below)
