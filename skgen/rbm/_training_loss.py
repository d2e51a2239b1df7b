"""The loss of an RBM in the history of its training: an estimate that costs little."""

from math import gcd, isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Training steps from one estimate to the next within an epoch.
STEPS_AN_ESTIMATE = 512
# Flips of an estimate: so many for each number of each mini-batch since the last one,
# which is less than 1 % of the time of training, but at least so many.
_FLIPS_A_NUMBER, _LEAST_FLIPS = 1 / 8000, 100
# Numbers of the largest tensor, one for each flip and hidden unit.
_LARGEST_TENSOR = 2**18
# Exponents stay in the range of float32. No trained model has weights beyond it.
_LARGEST_EXPONENT = 80.0
_GOLDEN_RATIO = (5**0.5 - 1) / 2


def watched_units(v: Tensor, most: int) -> Tensor | None:
    """Return indices of units whose conditionals are watched in training.

    Parameters
    ----------
    v : Tensor of shape (n_rows, n_visible)
        Visible states.
    most : int
        Number of units that are watched at most.

    Returns
    -------
    units : Tensor of shape (most,), dtype=int64, or None
        Units that are spread evenly; None means all.
    """
    n = v.shape[1]
    return None if n <= most else torch.arange(most, device=v.device) * n // most


class TrainingLoss:
    r"""Estimate minus the log pseudo-likelihood by a few flips of a few rows.

    .. math:: -\log \mathrm{PL}(v) = -\sum_i \log \sigma\left(F(v^{(i)}) - F(v)\right)
              \approx -t \sum_{i \equiv s \,(t)} \log \sigma\left(F(v^{(i)}) -
              F(v)\right)

    with :math:`v^{(i)}`, in which visible unit i is flipped. Every t-th unit is, from
    unit s on; the mean over the t values of s is the exact value
    (`pseudo_log_likelihood`). In scikit-learn's `BernoulliRBM` one i is drawn at random
    for each row.

    Here s is no random number, which would move those of the training: from estimate to
    estimate it goes round in steps of about the golden ratio of t, so that successive
    ones are far apart. An estimate is unbiased over the order of the rows, which are
    shuffled independently of s. It varies less than with random units, as these are
    spread evenly; t has no factor in common with the number of units, so that they do
    not all lie in one column of an image.

    Parameters
    ----------
    v : Tensor of shape (n_rows, n_visible)
        Visible states, as an example of what is to come.

    Attributes
    ----------
    n_steps : int
        Number of training steps since the last estimate, which the caller counts.
    """

    def __init__(self, v: Tensor):
        self._one = v.new_ones(())
        self._turn = 0
        self.n_steps = 0

    @property
    def state(self) -> dict[str, Any]:
        """What the next estimates depend on."""
        return {name: value for name, value in vars(self).items() if name != "_one"}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:  # numpydoc ignore=GL08
        vars(self).update(state)

    def is_due(self, *, new_epoch: bool) -> bool:
        """Return whether to make an estimate now."""
        return new_epoch or self.n_steps >= STEPS_AN_ESTIMATE

    def mean(
        self,
        weight: Tensor,
        visible_bias: Tensor,
        v: Tensor,
        hidden_mean: Tensor,
        row_weights: Tensor | None = None,
    ) -> tuple[float | Tensor, Tensor]:
        """Estimate the mean loss of a mini-batch, from some of its rows.

        Parameters
        ----------
        weight : Tensor of shape (n_hidden, n_visible)
            Weights of a model of binary units.
        visible_bias : Tensor of shape (n_visible,)
            Biases of its visible units.
        v : Tensor of shape (n_rows, n_visible)
            Visible states, in random order.
        hidden_mean : Tensor of shape (n_rows, n_hidden)
            Means of the hidden units given `v`.
        row_weights : Tensor of shape (n_rows,) or None
            With what weights the rows count; None means equally.

        Returns
        -------
        n_rows : float or Tensor of shape ()
            Number of the rows that it is the mean of, or the sum of their weights.
        loss : Tensor of shape ()
            Estimate in nats.
        """
        n_rows, every = self._size(v.shape[0], v.shape[1], weight.shape[0])
        units = slice(self._next_start(every), None, every)
        losses = flip_losses(
            weight[:, units],
            visible_bias[units],
            v[:n_rows, units],
            hidden_mean[:n_rows],
            self._one,
        )
        return self._average(losses, every, row_weights)

    def _average(
        self, losses: Tensor, every: int, row_weights: Tensor | None
    ) -> tuple[float | Tensor, Tensor]:
        """Average losses of some rows and of every so many units."""
        n_rows = len(losses)
        if row_weights is None:
            return n_rows, losses.sum() * (every / n_rows)
        row_weights = row_weights[:n_rows]
        total = row_weights.sum()
        return total, (losses.sum(1) @ row_weights) * (every / total)

    def _size(self, n_rows: int, n_visible: int, n_hidden: int) -> tuple[int, int]:
        """Choose how many rows an estimate takes, and every which of the units."""
        a_number, least = self._flips()
        n_flips = int(a_number * self.n_steps * n_rows * n_visible)
        n_flips = min(max(n_flips, least), max(1, _LARGEST_TENSOR // n_hidden))
        self.n_steps = 0
        n_rows = min(n_rows, isqrt(n_flips))
        every = min(max(1, n_visible * n_rows // n_flips), max(1, n_visible - 1))
        while gcd(every, n_visible) > 1:
            every -= 1
        return n_rows, every

    def _flips(self) -> tuple[float, int]:
        """Conditionals of an estimate, for each number since the last, and at least."""
        return _FLIPS_A_NUMBER, _LEAST_FLIPS

    def _next_start(self, every: int) -> int:
        self._turn += 1
        stride = max(1, round(every * _GOLDEN_RATIO))
        while gcd(stride, every) > 1:
            stride += 1
        return self._turn * stride % every


def flip_losses(
    weight: Tensor, visible_bias: Tensor, v: Tensor, hidden_mean: Tensor, one: Tensor
) -> Tensor:
    r"""Compute minus log-probabilities of visible units, each given all others.

    A flip of unit i changes the input of hidden unit j by
    :math:`d_j = (1 - 2 v_i) W_{ji}`. With the means q of the hidden units before it,

    .. math:: F(v^{(i)}) - F(v) = -(1 - 2 v_i) b_i
              - \sum_j \log(1 - q_j + q_j e^{d_j}).

    Parameters
    ----------
    weight : Tensor of shape (n_hidden, n_units)
        Weights of some of the visible units.
    visible_bias : Tensor of shape (n_units,)
        Biases of these units.
    v : Tensor of shape (n_rows, n_units)
        States of these units.
    hidden_mean : Tensor of shape (n_rows, n_hidden)
        Means of the hidden units given the states of all visible units.
    one : Tensor of shape ()
        The number 1. For a hundred flips, time depends on the number of operations.

    Returns
    -------
    loss : Tensor of shape (n_rows, n_units)
        Losses in nats.
    """
    flip = torch.sub(one, v, alpha=2)
    rise = flip.unsqueeze(2) * weight.T
    rise = rise.clamp_(-_LARGEST_EXPONENT, _LARGEST_EXPONENT).exp_()
    mean = hidden_mean.unsqueeze(1)
    logs = torch.lerp(one, rise, mean).log_().sum(2)
    return F.softplus(torch.addcmul(logs, flip, visible_bias))
