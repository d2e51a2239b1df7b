"""A path from independent bits to a machine along which means stay alike."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from skgen.rbm._model import BernoulliRBM
from skgen.rbm._scaled import ScaledRBM
from skgen.sampling import bernoulli

# Factors of the couplings at which fields are fitted, below the machine itself.
_KNOTS = (0.95, 0.85, 0.7, 0.45)
# The first step of a field is this times the distance of its mean from the target.
_RATE = 0.05
# Chains at least: fewer states are repeated.
_LEAST_CHAINS = 100
# Means are kept this far from 0 and 1.
_MARGIN = 1e-6


def balanced_lines(
    model: BernoulliRBM,
    base_bias: Tensor,
    v: Tensor,
    *,
    n_steps: int,
    generator: torch.Generator,
) -> list[Callable[[float], ScaledRBM]]:
    r"""Straight lines from independent bits to a machine, with means between.

    Where couplings are scaled down and nothing else is done, the means of the units
    drift far from those of both ends, and modes of the machine arise or vanish
    suddenly near one temperature: chains that are annealed through it end in modes
    with wrong proportions. Here the fields are fitted at a few factors
    :math:`\beta` of the couplings, so that the mean of every unit lies between
    those of the ends, on the straight line in its logit,

    .. math:: \mathrm{logit} \langle v_i \rangle_\beta = (1 - \beta)\,
              \mathrm{logit} \langle v_i \rangle_0 + \beta\,
              \mathrm{logit} \langle v_i \rangle_1,

    and of h the same, where hidden units keep the means of the machine: moments are
    averaged instead of energies (Grosse, Maddison & Salakhutdinov, 2013). Stochastic
    approximation does it (Robbins & Monro, 1951), on chains that come down from the
    machine. An estimate of log Z along the path is valid however well it fits.

    Parameters
    ----------
    model : BernoulliRBM
        The machine at the upper end.
    base_bias : Tensor of shape (n_visible,)
        Fields on the visible units at the lower end.
    v : Tensor of shape (n_chains, n_visible)
        States near the modes of the machine, where chains start.
    n_steps : int
        Gibbs steps for the means of the machine, and for each fit.
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    lines : list of callables
        As `skgen.sampling.climb` takes them.
    """
    v = v[torch.arange(max(len(v), _LEAST_CHAINS), device=v.device) % len(v)]
    top = ScaledRBM(model, 1.0, model.visible_bias, model.hidden_bias)
    v, means = _means(top, v, n_steps, generator)
    ends = [torch.logit(mean, eps=_MARGIN) for mean in means]
    starts = base_bias, ends[1]
    ladder = [top]
    for beta in _KNOTS:
        targets = [
            torch.sigmoid(torch.lerp(start, end, beta))
            for start, end in zip(starts, ends, strict=True)
        ]
        above = ladder[-1]
        biases = above.visible_bias.detach().clone(), above.hidden_bias.detach().clone()
        rung = ScaledRBM(model, beta, *biases)
        v = _fit_(rung, targets, v, n_steps, generator)
        ladder.append(rung)
    ladder.append(ScaledRBM(model, 0.0, *starts))
    return [partial(a.toward, b) for a, b in pairwise(ladder[::-1])]


def _step(
    rung: ScaledRBM, v: Tensor, generator: torch.Generator
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One Gibbs step, with the means of P(v = 1 | h) and P(h = 1 | v) over chains."""
    q = rung.hidden_probability(v)
    p = rung.visible_probability(bernoulli(q, generator=generator))
    return bernoulli(p, generator=generator), (p.mean(0), q.mean(0))


def _means(
    rung: ScaledRBM, v: Tensor, n_steps: int, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    totals = torch.zeros_like(rung.visible_bias), torch.zeros_like(rung.hidden_bias)
    for _ in range(n_steps):
        v, means = _step(rung, v, generator)
        for total, mean in zip(totals, means, strict=True):
            total += mean
    return v, [total / n_steps for total in totals]


def _fit_(
    rung: ScaledRBM,
    targets: list[Tensor],
    v: Tensor,
    n_steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Move the fields until the means are the targets, by ever smaller steps."""
    for k in range(n_steps):
        v, means = _step(rung, v, generator)
        rate = _RATE * (1 - k / n_steps)
        rung.visible_bias.add_(targets[0] - means[0], alpha=rate)
        rung.hidden_bias.add_(targets[1] - means[1], alpha=rate)
    return v
