"""The error of a training that diverges."""

from collections.abc import Callable
from typing import Any


class TrainingDivergedError(ValueError):
    """Training has diverged: parameters or losses are no longer finite.

    `fit` raises it, and leaves the estimator as it was before.

    Parameters
    ----------
    message : str
        Which epoch it was, and what to change.

    Attributes
    ----------
    estimator : estimator or None
        A copy of the estimator, fitted by the epochs before the one that diverged; None
        if that was the first one, or if the error comes from another process. What is
        computed at the end of a fit is computed when it is asked for.
    """

    _make: Callable[[], Any] | None = None
    _made: Any = None

    def __init__(self, message: str):
        super().__init__(message)

    @property
    def estimator(self) -> Any:  # numpydoc ignore=GL08
        if self._made is None and self._make is not None:
            self._made = self._make()
        return self._made

    def __reduce__(self) -> Any:
        return type(self), (str(self),)
