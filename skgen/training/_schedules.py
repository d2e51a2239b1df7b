"""Schedules of the learning rate."""

from collections.abc import Callable
from math import cos, pi


def _linear(progress: float) -> float:
    """Fall from 1 to 0."""
    return 1 - progress


def _one_cycle(progress: float) -> float:
    """Rise from 1/25 to 1 over the first 30 %, fall to 0, both as a cosine.

    The "one cycle" of Smith & Topin (2019), with the proportions of torch's
    `OneCycleLR`.
    """
    if progress < 0.3:
        return 1 / 25 + (1 - 1 / 25) * (1 - cos(pi * progress / 0.3)) / 2
    return (1 + cos(pi * (progress - 0.3) / 0.7)) / 2


# Factor of the learning rate as a function of progress, which goes from 0 to 1.
SCHEDULES: dict[str, Callable[[float], float] | None] = {
    "constant": None,
    "linear": _linear,
    "one_cycle": _one_cycle,
}
