"""The decorators of scikit-learn that check parameters, with the types kept."""

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context

# A method; static type checkers see that it stays what it was.
Method = TypeVar("Method", bound=Callable[..., Any])


def checked_fit(*, nested: bool = False) -> Callable[[Method], Method]:
    """Decorate a method that fits: the parameters of the estimator are checked first.

    Parameters
    ----------
    nested : bool
        Whether those of estimators that it fits are checked as well.

    Returns
    -------
    decorator : callable
        The decorator.
    """
    return _fit_context(prefer_skip_nested_validation=not nested)
