"""Estimates of partition functions with their errors, and averages of ratios."""

from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from skgen.sampling import effective_sample_size

# Two-sided confidence of a bracket, and its quantile of the normal distribution.
CONFIDENCE = 0.95
_Z = 1.959964
# Chains in a group of the upper end of a conservative bracket, and groups of a half.
_LARGEST_GROUP, _LEAST_GROUPS = 5, 10
# Chains of a mode, nats between means of two modes, and the same in standard deviations
# within them: a normal distribution that is cut in halves has 2.7, and 9 of 10 samples
# of 50 of an exponential one have less than 5.
_LEAST_OF_A_MODE, _LEAST_GAP, _APART = 3, 2.0, 5.0


@dataclass(frozen=True)
class LogPartition:
    """An estimate of log Z with a bracket, in nats.

    Attributes
    ----------
    estimate : float
        The estimate.
    lower, upper : float
        A bracket that contains the exact value with 95 % confidence, provided that
        the chains of the model have reached all its modes. Forward annealing tends to
        underestimate log Z and reverse annealing to overestimate it, so that the
        bracket is wide where annealing fails. Along a trajectory the bracket is valid
        only if the exchange of states mixes, and it does not show whether it does.
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
        """Return an exact value as an estimate without error."""
        return cls(log_z, log_z, log_z, 0.0, inf, "exact")

    def shifted(self, by: float) -> "LogPartition":
        """Return the estimate of log Z plus a known number, in nats."""
        ends = {name: getattr(self, name) + by for name in ("lower", "upper")}
        return replace(self, estimate=self.estimate + by, **ends)

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
        r"""Estimate log Z from log weights of both directions.

        Parameters
        ----------
        log_z0 : float
            Exact log Z of the model at the bottom.
        up : Tensor of shape (n_steps, n_draws, n_chains)
            Log weights x. The mean of :math:`e^x`, over draws from the lower model of
            a step of the ladder, is the ratio of partition functions of this step.
            Chains are independent.
        down : Tensor of shape (n_steps, n_draws, n_chains)
            The same function y of draws from the upper model, for which the mean of
            :math:`e^{-y}` is the inverse ratio.
        method : str
            Name of the method.
        conservative : bool
            Whether the upper end is a mean of :math:`-\log \langle e^{-y} \rangle`
            over groups of one to five chains (`_upper_end`), which is at least the log
            of the ratio by Jensen's inequality, instead of the same over all chains.
            The latter can be far too low where draws from the upper model have the
            modes in wrong proportions. The mean is taken over each half of the chains,
            which may have started at different places, and the larger is used, or the
            upper end of the interval of the forward estimate where that is larger yet.

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
            high = max(_upper_end(part) for part in parts)
            # Forward weights err on the low side: what they reach is not too high.
            high = max(high, low + _Z * low_error)
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


def _upper_end(down: Tensor) -> float:
    r"""Upper end of the confidence interval of a bound of the log ratio from above.

    With K chains in a group, the mean of :math:`-\log \frac{1}{K} \sum_k e^{-y_k}` over
    groups is on average at least the log of the ratio, and the closer to it, the larger
    the groups are (Burda, Grosse & Salakhutdinov, 2016, for importance weights). Where
    modes in wrong proportions can matter, as y differs by more than a few nats between
    chains, each chain is a group of its own.

    That holds for chains that are in each mode in proportion to its mass. If y forms
    several modes, the mean over the highest one is at least the log of the ratio in any
    case: the inverse ratio is an average of :math:`\langle e^{-y} \rangle` over modes,
    which is no less than the least of them.
    """
    n_chains = down.shape[2]
    of_chains = down.mean(1).sum(0)
    variance = max(of_chains.var().item(), 1.0)
    size = max(1, min(int(_LARGEST_GROUP / variance), n_chains // _LEAST_GROUPS))
    groups = down.tensor_split(n_chains // size, dim=2)
    each = torch.stack([-log_mean_exp(-group).sum() for group in groups])
    end = _upper_limit(each)
    highest = _highest_mode(of_chains)
    return max(end, _upper_limit(highest)) if len(highest) < n_chains else end


def _upper_limit(values: Tensor) -> float:
    """Upper end of the confidence interval of the mean of independent values."""
    mean = values.mean()
    return mean.item() + _Z * _spread_of_sum((values - mean) / len(values))


def _highest_mode(y: Tensor) -> Tensor:
    """Return the values of the highest mode; all where they form a single one.

    Values are divided in two where the variance within both parts is least, as long as
    the parts are further from each other than those of a single mode.
    """
    y = y.sort().values
    while len(y) >= 2 * _LEAST_OF_A_MODE:
        n, m = len(y), torch.arange(_LEAST_OF_A_MODE, len(y) - _LEAST_OF_A_MODE + 1)
        total = y.cumsum(0)
        low, high = total[m - 1] / m, (total[-1] - total[m - 1]) / (n - m)
        between = m * (n - m) / n * (high - low).square()
        best = int(between.argmax())
        within = (y.var(correction=0) * n - between[best]).clamp(min=0)
        gap = (high - low)[best]
        if gap < _LEAST_GAP or gap < _APART * (within / n).sqrt():
            break
        y = y[m[best] :]
    return y


def log_mean_exp(x: Tensor) -> Tensor:
    """Compute log of the mean of exp(x) over all axes but the first, in float64."""
    x = x.double().flatten(1)
    return x.logsumexp(1) - torch.tensor(float(x.shape[1]), dtype=x.dtype).log()


def bennett(up: Tensor, down: Tensor) -> Tensor:
    r"""Solve for the log of a ratio of partition functions by Bennett's method.

    With equally many log weights x of draws from the lower model and y of draws from
    the upper one, the estimate L solves

    .. math:: \sum_i \sigma(x_i - L) = \sum_j \sigma(L - y_j)

    (Bennett, 1976; for annealed weights Crooks, 2000), which has the least variance
    of all estimates from both.

    Parameters
    ----------
    up : Tensor of shape (n_steps, ...)
        Log weights x of draws from the lower model of each step.
    down : Tensor of shape (n_steps, ...)
        Log weights y of draws from the upper model, equally many.

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
