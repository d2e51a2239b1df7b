"""Learning from incomplete rows by a model of bits, which takes complete ones only."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from skgen.base._fitting import draw_seed
from skgen.base._training_data import TrainingData

# Gibbs steps that fill in what is missing between two passes of training.
_STEPS_A_ROUND = 10


@dataclass(frozen=True, eq=False)
class BitCode:
    r"""Each feature coded by bits, and back.

    Bit k of K is 1 if the value, scaled to [0, 1] by the smallest and the largest known
    value of the feature, is above :math:`(k - \frac{1}{2}) / K`. The mean of the bits,
    or of their probabilities, is the value to within half a level.

    Attributes
    ----------
    low, high : ndarray of shape (n_features,)
        The smallest and the largest known value of each feature.
    n_levels : int
        Number of bits of a feature.
    """

    low: np.ndarray
    high: np.ndarray
    n_levels: int

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Encode each feature by bits, (n_samples, n_features * n_levels)."""
        width = self.high - self.low
        scaled = (X - self.low) / np.where(width == 0, 1, width)
        levels = (np.arange(self.n_levels) + 0.5) / self.n_levels
        bits = (scaled[:, :, None] > levels).astype(X.dtype)
        bits[np.isnan(X)] = np.nan
        return bits.reshape(len(X), -1)

    def decode(self, bits: np.ndarray) -> np.ndarray:
        """Return the values of features for bits or their probabilities."""
        share = bits.reshape(len(bits), len(self.low), -1).mean(axis=2)
        return self.low + share * (self.high - self.low)


def fit_in_rounds(
    model: Any,
    bits: np.ndarray,
    weight: np.ndarray | None,
    n_rounds: int,
    rng: np.random.RandomState,
    follow: Callable[[Any, Callable[[], Any], int], bool],
) -> tuple[Any, int, bool]:
    """Alternate passes of training with draws of what is missing (stochastic EM).

    Parameters
    ----------
    model : estimator
        An estimator with `learning_rate`, `warm_start`, and `sample` with ``given``.
        The learning rate falls linearly over the rounds.
    bits : ndarray of shape (n_samples, n_bits)
        Coded data, in which NaN marks what is missing.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.
    n_rounds : int
        Number of rounds.
    rng : RandomState
        Source of randomness.
    follow : callable
        Called with the model, what trains it in one round, and the number of the
        round; returns whether it is to be the last one.

    Returns
    -------
    model : estimator
        The model after the last whole round.
    n_rounds : int
        Number of whole rounds.
    interrupted : bool
        Whether the rounds were interrupted from the keyboard.
    """
    model.set_params(warm_start=True)
    bits, weight = _in_order(bits, weight)
    weights = {} if weight is None else {"sample_weight": weight}
    start = rng.uniform(size=bits.shape) < _known_means(bits, weight)
    filled = np.where(np.isnan(bits), start, bits)
    rate, whole, interrupted = float(model.learning_rate), (model, 0), False
    try:
        for round_ in range(n_rounds):
            model.set_params(learning_rate=rate * (1 - round_ / n_rounds))
            is_last = follow(model, partial(model.fit, filled, **weights), round_ + 1)
            filled = model.sample(
                given=bits,
                sampler="gibbs",
                n_gibbs_steps=_STEPS_A_ROUND,
                random_state=draw_seed(rng),
            )
            # The next fit may be interrupted after some of its epochs.
            whole = copy.copy(model), round_ + 1
            if is_last:
                break
    except KeyboardInterrupt:
        if whole[1] == 0:
            raise
        interrupted = True
    whole[0].set_params(learning_rate=rate, warm_start=False)
    return *whole, interrupted


def _in_order(
    bits: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Order rows by their contents, as a fit of the model does.

    What is drawn for a row does not depend on where it stands then.
    """
    known = np.where(np.isnan(bits), -1, bits)
    data = TrainingData(known, None, weight, ordered=True)
    return bits[data.index], None if data.weight is None else data.weight[data.index]


def _known_means(bits: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Mean of the known bits of each column."""
    if weight is None:
        return np.nanmean(bits, axis=0)
    known = ~np.isnan(bits)
    return (weight @ np.where(known, bits, 0)) / (weight @ known)
