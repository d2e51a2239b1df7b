"""Partition functions by annealing, forward and reverse."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.likelihood._estimate import LogPartition
from skgen.modules import BernoulliRBM, TemperedRBM, log_partition_of_bits
from skgen.sampling import bernoulli, climb, tempering

# Steps of replica exchange before the reverse direction starts, as a share of the
# temperatures, and at least so many.
_TEMPERING_SHARE, _LEAST_TEMPERING = 0.1, 100


def annealed_log_weights(
    model: BernoulliRBM,
    base_bias: Tensor,
    betas: list[float],
    v: Tensor,
    *,
    generator: torch.Generator,
) -> Tensor:
    r"""Log weights of annealed importance sampling along inverse temperatures.

    .. math:: \log w = \sum_k \left[ F_{\beta_k}(v_k) - F_{\beta_{k+1}}(v_k)
              \right], \qquad
              \langle w \rangle = Z_{\beta_K} / Z_{\beta_0},

    where :math:`v_0` is drawn at :math:`\beta_0` and :math:`v_{k+1}` is one Gibbs
    step at :math:`\beta_{k+1}` from :math:`v_k` (Neal, 2001; Salakhutdinov & Murray,
    2008). Temperatures may go up or down.

    Parameters
    ----------
    model : BernoulliRBM
        The machine.
    base_bias : Tensor of shape (n_visible,)
        Fields on the visible units at inverse temperature 0 (see `TemperedRBM`).
    betas : list of float
        Inverse temperatures, from the one that `v` is drawn at.
    v : Tensor of shape (n_chains, n_visible)
        Independent draws from the machine at ``betas[0]``.
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    log_weight : Tensor of shape (n_chains,)
        Log weights in nats, summed in float64.
    """
    total = torch.zeros(len(v), dtype=torch.float64, device=v.device)
    slope = (model.visible_bias - base_bias).double()
    for beta, after in pairwise(betas):
        x = model.hidden_logits(v)
        # softplus(x) = -logsigmoid(-x), which is exact for large x too.
        change = F.logsigmoid(x * -beta) - F.logsigmoid(x * -after)
        total += change.sum(1, dtype=torch.float64)
        total += (after - beta) * (v.double() @ slope)
        h = bernoulli(torch.sigmoid_(x.mul_(after)), generator=generator)
        p = TemperedRBM(model, base_bias, after).visible_probability(h)
        v = bernoulli(p, generator=generator)
    return total


def log_partition_annealed(
    model: BernoulliRBM,
    base_bias: Tensor,
    *,
    n_chains: int,
    n_temperatures: int,
    generator: torch.Generator,
    chains: Tensor | None = None,
) -> LogPartition:
    r"""Estimate log Z by annealed importance sampling in both directions.

    Forward, from independent bits up to the machine, the log of the mean weight
    is on average below :math:`\log Z`, and its own error bar cannot see by how
    much. Reverse, from draws of the machine down to independent bits, it is
    above (Burda, Grosse & Salakhutdinov, 2015). The estimate is Bennett's ratio of
    both, and the two together are the bracket, whose upper end is the mean of
    reverse log weights. The machine is drawn from by replica exchange between
    temperatures; the temperatures of annealing are spaced as those of the exchange,
    which have equal overlaps.

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
        Number of steps between temperatures in each direction.
    generator : torch.Generator
        Source of randomness, on the device of the model.
    chains : Tensor of shape (n, n_visible) or None
        States near the modes of the machine, such as persistent chains: half of
        the chains of replica exchange start at the machine from them, so that
        modes which are hard to reach from high temperature take part.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    """
    start = base_bias.expand(2 * n_chains, -1)
    draws = bernoulli(torch.sigmoid(start), generator=generator)
    forward, v = draws.split(n_chains)
    models, states = climb(
        [lambda beta: TemperedRBM(model, base_bias, beta)], v, generator=generator
    )
    if chains is not None and len(chains):
        rows = torch.arange(n_chains // 2, device=v.device) % len(chains)
        states[-1, : len(rows)] = chains[rows]
    n_steps = max(_LEAST_TEMPERING, int(_TEMPERING_SHARE * n_temperatures))
    states = tempering(models, states, n_steps, generator=generator)
    betas = _spread([m.beta for m in models], n_temperatures)
    up = annealed_log_weights(model, base_bias, betas, forward, generator=generator)
    down = -annealed_log_weights(
        model, base_bias, betas[::-1], states[-1], generator=generator
    )
    log_z0 = log_partition_of_bits(base_bias, len(model.hidden_bias)).item()
    return LogPartition.bracket(
        log_z0, up[None, None], down[None, None], method="ais", cautious=True
    )


def _spread(rungs: list[float], n_steps: int) -> list[float]:
    """`n_steps` + 1 temperatures, evenly many between neighbouring rungs."""
    heights = torch.tensor(rungs, dtype=torch.float64)
    at = torch.linspace(0, len(rungs) - 1, n_steps + 1, dtype=torch.float64)
    below = at.long().clamp(max=len(rungs) - 2)
    return torch.lerp(heights[below], heights[below + 1], at - below).tolist()
