"""Whether the losses of the epochs show that training has done its work."""

from collections.abc import Sequence

import numpy as np

# Epochs from which on it is said that the loss still falls.
_LEAST_EPOCHS = 50
# A fall in the second half of the epochs is clear if the slope of a line through them
# is as many standard errors, and the fall as large a share of that of the training.
# Where the learning rate falls to zero, the loss falls with it to the end.
_CLEAR_ERRORS = 3.0
_CLEAR_SHARE, _CLEAR_SHARE_WITH_SCHEDULE = 0.05, 0.4
# In fewer epochs than these, training may well raise the loss of a good start at first:
# then a rise is clear if it is twice the loss.
_FEW_EPOCHS, _CLEAR_RISE_AT_FIRST = 5, 2.0
# A rise above the start is clear if it is as many standard deviations of the noise in
# the last quarter of the epochs (where training blows up, there is more before), and as
# large a share of the fall in between and of the loss, or of one nat.
_CLEAR_DEVIATIONS = 6.0
_CLEAR_RISE = 0.1
_LEAST_LATE = 20


def convergence_problem(
    losses: Sequence[float], *, schedule: str = "constant"
) -> str | None:
    """Say what is wrong with the end of a training, judged by its losses.

    Parameters
    ----------
    losses : sequence of float
        Mean loss of each epoch, in nats per row, of a training from its start.
    schedule : str
        The schedule of the learning rate, a key of `SCHEDULES`.

    Returns
    -------
    problem : str or None
        The beginning of a sentence to warn with, and what to try; None where nothing
        is clearly wrong.
    """
    values = np.asarray(losses, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    constant = schedule == "constant"
    share = _CLEAR_SHARE if constant else _CLEAR_SHARE_WITH_SCHEDULE
    return _rise(values) or _unfinished_fall(values, share)


def _rise(losses: np.ndarray) -> str | None:
    """Whether training ends above its start."""
    first, last = losses[0], losses[-1]
    rise, fall = last - first, first - losses.min()
    least = max(
        _CLEAR_DEVIATIONS * _noise(losses[-max(_LEAST_LATE, len(losses) // 4) :]),
        _CLEAR_RISE * fall,
        (_CLEAR_RISE_AT_FIRST if len(losses) < _FEW_EPOCHS else _CLEAR_RISE)
        * max(abs(first), 1.0),
    )
    if rise <= least:
        return None
    return (
        f"ended with a train_loss of {last:.6g} nats per row, above the {first:.6g} of "
        "its first epoch. Lower learning_rate."
    )


def _unfinished_fall(losses: np.ndarray, clear_share: float) -> str | None:
    """Whether the loss falls in the second half of the epochs."""
    if len(losses) < _LEAST_EPOCHS:
        return None
    half = losses[len(losses) // 2 :]
    n = len(half)
    epochs = np.arange(n) - (n - 1) / 2
    slope = epochs @ half / (epochs @ epochs)
    error = _noise(half) / np.sqrt(epochs @ epochs)
    fall, last = -slope * n, half[-(n // 5) :].mean()
    if -slope <= _CLEAR_ERRORS * error or fall <= clear_share * (losses[0] - last):
        return None
    return (
        f"ended after {len(losses)} epochs while train_loss still fell, by {fall:.3g} "
        f"nats per row in the last {n} epochs, to {last:.6g}. Increase n_iter, or "
        "learning_rate if the loss falls smoothly."
    )


def _noise(losses: np.ndarray) -> float:
    """Standard deviation of losses about a curve, from their second differences."""
    if len(losses) < 4:  # too few to tell noise from a curve
        return 0.0
    bends = np.abs(np.diff(losses, 2))
    # The median, as the first epochs fall steeply; of |N(0, 6)| it is 1.652.
    return float(np.median(bends)) / 1.652
