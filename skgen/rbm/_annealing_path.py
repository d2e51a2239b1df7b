"""A path from independent units to an RBM along which the means change little."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from skgen.rbm._model import RBM
from skgen.rbm._scaled import ScaledRBM
from skgen.rbm._units import Units

# Factors of the weights at which biases are fitted, below the model itself.
_KNOTS = (0.95, 0.85, 0.7, 0.45)
# The first step of a bias is this times the distance of its mean from the target.
_RATE = 0.05
# Least number of chains: fewer states are repeated.
_LEAST_CHAINS = 100


def moment_matched_paths(
    model: RBM,
    base: Units,
    v: Tensor,
    *,
    n_steps: int,
    generator: torch.Generator,
) -> list[Callable[[float], ScaledRBM]]:
    r"""Piecewise linear path from independent units to an RBM, with means between.

    Where weights are scaled down and nothing else is done, the means of the units
    drift far from those of both ends, and modes of the model appear or vanish
    suddenly near one temperature: chains that are annealed through it end in modes
    with wrong proportions. Here the biases are fitted at a few factors
    :math:`\beta` of the weights, so that the mean of every unit lies between
    those of the ends, on the straight line in its logit,

    .. math:: \mathrm{logit} \langle v_i \rangle_\beta = (1 - \beta)\,
              \mathrm{logit} \langle v_i \rangle_0 + \beta\,
              \mathrm{logit} \langle v_i \rangle_1,

    and of h the same, where hidden units keep the means of the model: moments are
    averaged instead of energies (Grosse, Maddison & Salakhutdinov, 2013). The means of
    real units lie on the straight line themselves; their biases follow from the means
    of h. The fit is a stochastic approximation (Robbins & Monro, 1951), on chains that
    go down from the model. An estimate of log Z along the path is valid however good
    the fit is.

    Parameters
    ----------
    model : RBM
        The model at the upper end.
    base : Units
        Visible units at the lower end.
    v : Tensor of shape (n_chains, n_visible)
        States near the modes of the model, where chains start.
    n_steps : int
        Gibbs steps for the means of the model, and for each fit.
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    paths : list of callables
        As `skgen.sampling.build_ladder` takes them.
    """
    v = v[torch.arange(max(len(v), _LEAST_CHAINS), device=v.device) % len(v)]
    top = ScaledRBM(model, 1.0, model.visible, model.hidden)
    v, means = _mean_states(top, v, n_steps, generator)
    layers = top.visible, top.hidden
    ends = [units.bias_of_mean(mean) for units, mean in zip(layers, means, strict=True)]
    starts = base.bias, ends[1]
    knots = [top]
    for beta in _KNOTS:
        targets = [
            units.mean_(torch.lerp(start, end, beta))
            for units, start, end in zip(layers, starts, ends, strict=True)
        ]
        inputs = beta * (targets[1] @ model.weight)
        known = top.visible.bias_given_input(targets[0], inputs)
        knot = _with_biases(
            knots[-1],
            beta,
            knots[-1].visible.bias.detach().clone() if known is None else known,
            knots[-1].hidden.bias.detach().clone(),
        )
        fitted = (1,) if known is not None else (0, 1)
        v = _fit_biases_(knot, targets, v, n_steps, generator, layers=fitted)
        knots.append(knot)
    knots.append(_with_biases(top, 0.0, *starts))
    return [partial(a.interpolate, b) for a, b in pairwise(knots[::-1])]


def _with_biases(
    model: ScaledRBM, beta: float, visible_bias: Tensor, hidden_bias: Tensor
) -> ScaledRBM:
    visible = model.visible.with_bias(visible_bias)
    return ScaledRBM(model.model, beta, visible, model.hidden.with_bias(hidden_bias))


def _gibbs_step(
    model: ScaledRBM, v: Tensor, generator: torch.Generator
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Take one Gibbs step; the means given the other layer, averaged over chains."""
    q = model.hidden_mean(v)
    p = model.visible_mean(model.hidden.sample(q, generator=generator))
    return model.visible.sample(p, generator=generator), (p.mean(0), q.mean(0))


def _mean_states(
    model: ScaledRBM, v: Tensor, n_steps: int, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    """Average the means of both layers over the steps of chains."""
    totals = torch.zeros_like(model.visible.bias), torch.zeros_like(model.hidden.bias)
    for _ in range(n_steps):
        v, means = _gibbs_step(model, v, generator)
        for total, mean in zip(totals, means, strict=True):
            total += mean
    return v, [total / n_steps for total in totals]


def _fit_biases_(
    model: ScaledRBM,
    targets: list[Tensor],
    v: Tensor,
    n_steps: int,
    generator: torch.Generator,
    *,
    layers: tuple[int, ...],
) -> Tensor:
    """Move biases until the means are the targets, by ever smaller steps.

    Those of the visible layer are layer 0, those of the hidden one layer 1.
    """
    biases = model.visible.bias, model.hidden.bias
    for k in range(n_steps):
        v, means = _gibbs_step(model, v, generator)
        rate = _RATE * (1 - k / n_steps)
        for layer in layers:
            biases[layer].add_(targets[layer] - means[layer], alpha=rate)
    return v
