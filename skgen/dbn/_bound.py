"""Bounds on the log-likelihood of a deep belief network."""

from collections.abc import Callable
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.dbn._model import DeepBeliefNet, downward_inputs
from skgen.sampling import bernoulli, uniform_of_rows

# Numbers of the largest tensor at a time: it stays in the cache of a CPU.
_BLOCK = 2**19

# Draws the bits of one hidden layer, given its number and the probabilities.
Draw = Callable[[int, Tensor], Tensor]


def variational_terms(model: DeepBeliefNet, v: Tensor, draw: Draw) -> Tensor:
    r"""Compute the variational bound of each row, but for log Z, from one draw.

    .. math:: \log p(v) \ge \left\langle \sum_{k=1}^{L-1} \left[
              \log p(h^{k-1} \mid h^k) - \log q(h^k \mid h^{k-1}) \right]
              - F(h^{L-1}) \right\rangle_q - \log Z

    with the free energy F and the partition function Z of the top machine. What is
    linear in a layer, and its entropy, have their exact means given the layer below
    it; the rest is that of the draw.

    Parameters
    ----------
    model : DeepBeliefNet
        The model.
    v : Tensor of shape (n, n_visible)
        Visible states.
    draw : callable
        ``draw(k, p)`` draws bits of hidden layer k, counted from 0, whose probabilities
        are p, of shape (n, n_hidden).

    Returns
    -------
    terms : Tensor of shape (n,)
        In nats: their mean over draws, minus log Z, is the bound.
    """
    machines = [*model.directed, model.top]
    total = -machines[0].visible.energy(v)
    for k, layer in enumerate(model.directed):
        inputs = model.inputs(k, v)
        q = torch.sigmoid(inputs)
        # The entropy of a bit is log(1 + e^x) - q x.
        slope = F.linear(layer.visible.coupled(v), layer.weight) - inputs
        slope = slope + machines[k + 1].visible.bias
        total = total + (q * slope).sum(1) - F.logsigmoid(-inputs).sum(1)
        v = draw(k, q)
        below = layer.visible.log_partition(downward_inputs(layer, v))
        total = total - below.sum(1)
    top = model.top
    return total + top.hidden.log_partition(top.hidden_inputs(v)).sum(1)


def log_ratios(model: DeepBeliefNet, v: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    r"""Compute what the directed layers add to the log of an importance weight.

    .. math:: \sum_{k=1}^{L-1} \left[ \log p(h^{k-1} \mid h^k)
              - \log q(h^k \mid h^{k-1}) \right]

    Parameters
    ----------
    model : DeepBeliefNet
        The model.
    v : Tensor of shape (n, n_visible)
        Visible states.
    draw : callable
        As in `variational_terms`.

    Returns
    -------
    log_ratio : Tensor of shape (n,)
        In nats.
    h : Tensor of shape (n, n_below_top)
        The visible states of the top machine, which are drawn last.
    """
    total = torch.zeros_like(v[:, 0])
    for k, layer in enumerate(model.directed):
        inputs = model.inputs(k, v)
        h = draw(k, torch.sigmoid(inputs))
        # log q, in which each bit has the logit that is its input
        total = total - ((h * inputs) + F.logsigmoid(-inputs)).sum(1)
        interaction = (h * F.linear(layer.visible.coupled(v), layer.weight)).sum(1)
        below = layer.visible.log_partition(downward_inputs(layer, h)).sum(1)
        total = total - layer.visible.energy(v) + interaction - below
        v = h
    return total, v


def importance_log_weights(model: DeepBeliefNet, v: Tensor, draw: Draw) -> Tensor:
    r"""Compute the log of an importance weight of each row, but for log Z.

    .. math:: w = Z\; \frac{p(v, h^1, \dots, h^{L-1})}
              {\prod_{k=1}^{L-1} q(h^k \mid h^{k-1})}, \quad
              \langle w \rangle_q = Z\, p(v)

    Parameters
    ----------
    model : DeepBeliefNet
        The model.
    v : Tensor of shape (n, n_visible)
        Visible states.
    draw : callable
        As in `variational_terms`.

    Returns
    -------
    log_weight : Tensor of shape (n,)
        Log weights in nats.
    """
    log_ratio, h = log_ratios(model, v, draw)
    return log_ratio - model.top.free_energy(h)


def variational_bound(model: DeepBeliefNet, v: Tensor, n_draws: int) -> Tensor:
    """Estimate the variational bound of each row, but for log Z, always alike.

    The random numbers are a function of the row alone, and half of them are one minus
    the other half.

    Parameters
    ----------
    model : DeepBeliefNet
        The model.
    v : Tensor of shape (n, n_visible)
        Visible states.
    n_draws : int
        Draws of each row, an even number.

    Returns
    -------
    bound : Tensor of shape (n,)
        Estimates in nats, without bias; exact where nothing is drawn.
    """
    widths = [len(layer.hidden.bias) for layer in model.directed]
    if not widths:
        return variational_terms(model, v, _draws_nothing)
    pairs = n_draws // 2

    def of_rows(rows: Tensor) -> Tensor:
        """Average the terms of some rows over pairs of draws."""
        u = uniform_of_rows(rows, pairs * sum(widths)).to(rows)
        parts = u.view(len(rows) * pairs, sum(widths)).split(widths, dim=1)
        repeated = rows.repeat_interleave(pairs, dim=0)
        both = [
            variational_terms(model, repeated, draw)
            for draw in (
                lambda k, p: parts[k].lt(p).to(p),
                lambda k, p: (1 - parts[k]).le(p).to(p),
            )
        ]
        return (both[0] + both[1]).view(len(rows), pairs).mean(1) / 2

    size = max(1, _BLOCK // (pairs * max(*widths, v.shape[1])))
    return torch.cat([of_rows(rows) for rows in v.split(size)])


def importance_weighted_bound(
    model: DeepBeliefNet, v: Tensor, n_draws: int, *, generator: torch.Generator
) -> Tensor:
    r"""Importance-weighted bound on the log-likelihood of each row, but for log Z.

    .. math:: \log p(v) \ge \left\langle \log \frac{1}{K} \sum_{k=1}^{K} w_k
              \right\rangle - \log Z

    with the weights of `importance_log_weights` (Burda, Grosse & Salakhutdinov, 2016):
    a bound for every K, which tends to :math:`\log p(v)` as K grows.

    Parameters
    ----------
    model : DeepBeliefNet
        The model.
    v : Tensor of shape (n, n_visible)
        Visible states.
    n_draws : int
        Draws of each row, K.
    generator : torch.Generator
        Source of randomness, on the device of `v`.

    Returns
    -------
    bound : Tensor of shape (n,)
        Estimates in nats. Memory does not grow with `n_draws`.
    """
    if not model.directed:
        return variational_terms(model, v, _draws_nothing)

    def draw(_: int, p: Tensor) -> Tensor:
        """Draw bits."""
        return bernoulli(p, generator=generator)

    width = max(v.shape[1], *(len(layer.hidden.bias) for layer in model.directed))
    at_once = min(n_draws, max(1, _BLOCK // width))
    parts = []
    for rows in v.split(max(1, _BLOCK // (width * at_once))):
        total = torch.full_like(rows[:, 0], -torch.inf)
        for start in range(0, n_draws, at_once):
            n = min(at_once, n_draws - start)
            log_weight = importance_log_weights(
                model, rows.repeat_interleave(n, dim=0), draw
            )
            total = torch.logaddexp(total, log_weight.view(len(rows), n).logsumexp(1))
        parts.append(total - log(n_draws))
    return torch.cat(parts)


def _draws_nothing(k: int, p: Tensor) -> Tensor:  # noqa: ARG001
    raise AssertionError(f"layer {k} is at the top")
