"""What an estimate of a partition function is, and how ratios are averaged."""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from skgen.sampling import effective_sample_size

# Two-sided confidence of a bracket, and its quantile of the normal distribution.
CONFIDENCE = 0.95
_Z = 1.959964


@dataclass(frozen=True)
class LogPartition:
    """An estimate of log Z with a bracket, in nats.

    Attributes
    ----------
    estimate : float
        The estimate.
    lower, upper : float
        A bracket that holds the exact value with 95 % confidence, as far as the
        chains at the model have reached all its modes. Forward annealing tends to
        underestimate log Z and reverse annealing to overestimate it, so that
        annealing that fails shows by a wide bracket. Along a trajectory it holds
        only if the exchange of states mixes, which it does not show.
    standard_error : float
        Standard error of `estimate`.
    effective_sample_size : float
        Effective number of independent forward weights,
        (sum of w) squared over the sum of w squared; infinite if exact.
    method : str
        "exact", "ais" or "trajectory".
    """

    estimate: float
    lower: float
    upper: float
    standard_error: float
    effective_sample_size: float
    method: str

    @classmethod
    def exact(cls, log_z: float) -> "LogPartition":
        """Wrap a value without error."""
        return cls(log_z, log_z, log_z, 0.0, inf, "exact")

    @classmethod
    def bracket(
        cls,
        log_z0: float,
        up: Tensor,
        down: Tensor,
        *,
        method: str,
        conservative: bool = False,
    ) -> "LogPartition":
        r"""Estimate log Z from weights of both directions.

        Parameters
        ----------
        log_z0 : float
            Exact log Z of the model at the bottom.
        up : Tensor of shape (n_steps, n_draws, n_chains)
            Logs x of weights whose mean, over draws from the model below, is the
            ratio of partition functions, one ratio a step of the ladder. Chains
            are independent.
        down : Tensor of shape (n_steps, n_draws, n_chains)
            The same functional y of draws from the model above, where the mean of
            :math:`e^{-y}` is the inverse ratio.
        method : str
            What to call it.
        conservative : bool
            Whether the upper end is a mean of y, which is at least the log of the
            ratio by Jensen's inequality, instead of :math:`-\log \langle e^{-y}
            \rangle`. Where draws from the model above have the modes in wrong
            proportions, the latter takes the mode that forward weights see as well
            for the whole. It is the larger one of the means of either half of the
            chains, which may have started in different places.

        Returns
        -------
        result : LogPartition
            Estimate and bracket.
        """
        up, down = up.double(), down.double()
        log_ratio = bennett(up, down)
        best, error = log_ratio.sum().item(), _bennett_error(up, down, log_ratio)
        low, low_error = log_mean_exp(up).sum().item(), _log_mean_exp_error(up)
        if conservative:
            # A half has at least two chains, or no error.
            n_parts = 2 if down.shape[2] >= 4 else 1
            parts = down.tensor_split(n_parts, dim=2)
            high = max(_upper_mean(part) for part in parts)
        else:
            high = -log_mean_exp(-down).sum().item() + _Z * _log_mean_exp_error(-down)
        margin = _Z * error
        return cls(
            estimate=log_z0 + best,
            lower=log_z0 + min(low - _Z * low_error, best - margin),
            upper=log_z0 + max(high, best + margin),
            standard_error=error,
            effective_sample_size=effective_sample_size(up.sum(0).flatten()),
            method=method,
        )


def _upper_mean(down: Tensor) -> float:
    """Upper end of the confidence interval of the mean weight, over chains."""
    each = down.mean(1).sum(0)
    mean = each.mean().item()
    return mean + _Z * _spread_of_sum((each - mean) / len(each))


def log_mean_exp(x: Tensor) -> Tensor:
    """Compute log of the mean of exp(x) over all axes but the first, in float64."""
    x = x.double().flatten(1)
    return x.logsumexp(1) - torch.tensor(float(x.shape[1]), dtype=x.dtype).log()


def bennett(up: Tensor, down: Tensor) -> Tensor:
    r"""Solve for the log of a ratio of partition functions by Bennett's method.

    With as many weights x of draws from the model below as y from the one above,
    the estimate L solves

    .. math:: \sum_i \sigma(x_i - L) = \sum_j \sigma(L - y_j)

    (Bennett, 1976; for annealed weights Crooks, 2000), which has the least variance
    of all estimates from both.

    Parameters
    ----------
    up : Tensor of shape (n_steps, ...)
        Logs x of weights, one ratio a step.
    down : Tensor of shape (n_steps, ...)
        Logs y of weights, of the same number.

    Returns
    -------
    log_ratio : Tensor of shape (n_steps,)
        Logs of ratios, float64.
    """
    x, y = up.double().flatten(1), down.double().flatten(1)
    both = torch.cat([x, y], dim=1)
    low, high = both.amin(1), both.amax(1)
    # The left side falls with L and the right one rises: bisection is safe.
    for _ in range(100):
        middle = (low + high) / 2
        left = torch.sigmoid(x - middle[:, None]).sum(1)
        right = torch.sigmoid(middle[:, None] - y).sum(1)
        low, high = (
            torch.where(left > right, middle, low),
            torch.where(left > right, high, middle),
        )
    return (low + high) / 2


def _bennett_error(up: Tensor, down: Tensor, log_ratio: Tensor) -> float:
    """Standard error of the sum of `bennett`, to first order, over chains."""
    L = log_ratio[:, None, None]
    above, below = torch.sigmoid(up - L), torch.sigmoid(L - down)
    slope = (above * (1 - above) + below * (1 - below)).sum((1, 2))
    moved = (above - below).sum(1) / slope.clamp(min=1e-300)[:, None]
    return _spread_of_sum(moved.sum(0))


def _log_mean_exp_error(x: Tensor) -> float:
    """Standard error of the sum of `log_mean_exp`, to first order, over chains."""
    n_draws, n_chains = x.shape[1:]
    w = (x - log_mean_exp(x)[:, None, None]).exp()
    return _spread_of_sum((w - 1).sum((0, 1)) / (n_draws * n_chains))


def _spread_of_sum(parts: Tensor) -> float:
    """Standard deviation of a sum of independent parts of mean zero."""
    n = len(parts)
    return (parts.square().sum() * n / (n - 1)).sqrt().item()
