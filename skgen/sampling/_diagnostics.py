"""Whether Markov chains have mixed: split R-hat and effective sample size."""

import math

import torch
from torch import Tensor

# Chains are split in halves, of which each needs a variance and a covariance.
_LEAST_STEPS = 8


def split_r_hat(x: Tensor) -> float:
    r"""Split R-hat of an observable, rank-normalised: near 1 if chains have mixed.

    Each chain is split in halves, so that a drift within a chain shows as well as
    chains that stay apart. With the mean W of the variances within the halves, of n
    steps each, and the variance B / n of their means,

    .. math:: \hat R = \sqrt{\frac{(n - 1) W / n + B / n}{W}}.

    It is computed of normal scores of the ranks and of those of the distances from the
    median, which shows chains of different spreads; the result is the larger one
    (Vehtari, Gelman, Simpson, Carpenter & Bürkner, 2021, Bayesian Analysis 16:667).
    They recommend to use draws only if it is below 1.01.

    Parameters
    ----------
    x : Tensor of shape (n_steps, n_chains)
        The observable along the chains, at least 8 steps.

    Returns
    -------
    r_hat : float
        R-hat; NaN if the observable does not vary within the chains.

    Raises
    ------
    ValueError
        If `x` is not of that shape.
    """
    halves = _split(x)
    distance = (halves - _median(halves)).abs()
    return max(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(distance)))


def chain_effective_sample_size(x: Tensor) -> float:
    r"""Effective sample size of chains: how many independent draws tell as much.

    .. math:: n_\mathrm{eff} = \frac{M n}{1 + 2 \sum_{t=1}^{T} \hat\rho(t)},
        \qquad \hat\rho(t) = 1 - \frac{W - \hat\gamma(t)}{(n - 1) W / n + B / n},

    for M chains of n steps (halves of the given ones), with the mean autocovariance
    :math:`\hat\gamma` and W and B of `split_r_hat`, all of normal scores of the ranks
    ("bulk" in Vehtari et al., 2021). The sum ends where pairs of neighbours are no
    longer positive, and pairs are made to fall (Geyer, 1992). Chains that stay apart
    have few effective draws, however well each of them mixes.

    Parameters
    ----------
    x : Tensor of shape (n_steps, n_chains)
        The observable along the chains, at least 8 steps.

    Returns
    -------
    ess : float
        The number; it may exceed that of the draws, if these alternate. NaN if the
        observable does not vary.

    Raises
    ------
    ValueError
        If `x` is not of that shape.
    """
    z = _normal_scores(_split(x))
    n, m = z.shape
    deviations = z - z.mean(0)
    # Padded, so that the circular correlation of the transform is the plain one.
    spectrum = torch.fft.rfft(deviations, 2 * n, dim=0)
    covariance = torch.fft.irfft(spectrum.abs().square(), 2 * n, dim=0)[:n].mean(1) / n
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + z.mean(0).var()
    if total <= 0:
        return math.nan
    rho = 1 - (within - covariance) / total
    rho[0] = 1.0
    pairs = rho[: n - n % 2].view(-1, 2).sum(1)
    # The last steps have hardly any products to estimate a covariance from.
    pairs = pairs[: (n - 1) // 2]
    negative = (pairs <= 0).nonzero()
    end = int(negative[0]) if len(negative) else len(pairs) - 1
    tau = 2 * pairs[:end].cummin(0).values.sum() - 1
    tau += rho[2 * end].clamp(min=0)  # of the first pair left out
    n_draws = m * n
    return n_draws / max(tau.item(), 1 / math.log10(n_draws))


def _split(x: Tensor) -> Tensor:
    """Halves of chains as chains of their own, (n_steps // 2, 2 n_chains), float64."""
    if x.ndim != 2 or len(x) < _LEAST_STEPS or not x.shape[1]:
        raise ValueError(
            f"Got an observable of shape {tuple(x.shape)}, but expected (n_steps, "
            f"n_chains) with at least {_LEAST_STEPS} steps and one chain. Record it "
            "after each step of the chains."
        )
    half = len(x) // 2
    return torch.cat([x[:half], x[-half:]], 1).double()


def _normal_scores(x: Tensor) -> Tensor:
    """Quantiles of a normal law at the ranks, which equal values share."""
    _, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0) - (counts - 1).double() / 2
    return torch.special.ndtri((ranks[inverse] - 3 / 8) / (x.numel() + 1 / 4))


def _median(x: Tensor) -> Tensor:
    """Median, which is the mean of the two values in the middle."""
    values, n = x.ravel().sort().values, x.numel()
    return (values[(n - 1) // 2] + values[n // 2]) / 2


def _r_hat(x: Tensor) -> float:
    n = len(x)
    within, between = x.var(0).mean(), x.mean(0).var()
    if within == 0:
        return math.nan
    return math.sqrt((n - 1) / n + (between / within).item())
