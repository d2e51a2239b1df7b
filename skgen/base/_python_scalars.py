"""Parameters that are scalars of NumPy, as Python has them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval


@contextmanager
def python_scalars(estimator: Any) -> Iterator[None]:
    """Let the parameters of an estimator be scalars of Python for a while.

    A search over ``np.array([16, 32])`` sets scalars of NumPy, which torch does not
    take everywhere, and whose arithmetic overflows (``np.uint8``) or rounds
    (``np.float32``). Where a number is expected, True is 1, as it is for scikit-learn.
    Afterwards the parameters are the objects that the user gave.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    """
    kind: Any = type(estimator)
    attributes, numbers = vars(estimator), _names_of_numbers(kind)
    given = {
        name: value
        for name, value in attributes.items()
        if (isinstance(value, np.generic | tuple | list) and not name.endswith("_"))
        or (isinstance(value, bool) and name in numbers)
    }
    attributes.update(
        {
            name: _as_number(value) if name in numbers else as_python(value)
            for name, value in given.items()
        }
    )
    try:
        yield
    finally:
        attributes.update(given)


def python_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that it gets scalars of Python where NumPy's are given."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # numpydoc ignore=GL08
        # True is 1 where it is a number of rows or steps, which NumPy refuses.
        args = tuple(_as_number(v) if np.isscalar(v) else v for v in args)
        for name, value in kwargs.items():
            if isinstance(value, np.generic | bool):
                convert = _as_number if name.startswith("n_") else as_python
                kwargs[name] = convert(value)
        return function(*args, **kwargs)

    return wrapper


@cache
def _names_of_numbers(kind: type) -> set[str]:
    """Names of the parameters that may be numbers, but neither True nor False."""
    constraints = getattr(kind, "_parameter_constraints", {})
    return {
        name
        for name, valid in constraints.items()
        if any(isinstance(one, Interval) for one in valid)
        and not {"boolean", "verbose"} & {one for one in valid if isinstance(one, str)}
    }


def _as_number(value: Any) -> Any:
    value = as_python(value)
    return int(value) if isinstance(value, bool) else value


def as_python(value: Any) -> Any:
    """Convert a scalar of NumPy, also in tuples and lists; leave the rest as it is."""
    if isinstance(value, np.floating):
        return float(value)  # `item` of a long double is one
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(map(as_python, value))
    return value
