"""Parameters that are scalars of NumPy, as Python has them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np


@contextmanager
def python_scalars(estimator: Any) -> Iterator[None]:
    """Let the parameters of an estimator be scalars of Python for a while.

    A search over ``np.array([16, 32])`` sets scalars of NumPy, which torch does not
    take everywhere, and whose arithmetic overflows (``np.uint8``) or rounds
    (``np.float32``). Afterwards the parameters are the objects that the user gave.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    """
    attributes = vars(estimator)
    given = {
        name: value
        for name, value in attributes.items()
        if isinstance(value, np.generic | tuple | list) and not name.endswith("_")
    }
    attributes.update({name: as_python(value) for name, value in given.items()})
    try:
        yield
    finally:
        attributes.update(given)


def python_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that it gets scalars of Python where NumPy's are given."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # numpydoc ignore=GL08
        args = tuple(as_python(v) if isinstance(v, np.generic) else v for v in args)
        for name, value in kwargs.items():
            if isinstance(value, np.generic):
                kwargs[name] = as_python(value)
        return function(*args, **kwargs)

    return wrapper


def as_python(value: Any) -> Any:
    """Convert a scalar of NumPy, also in tuples and lists; leave the rest as it is."""
    if isinstance(value, np.floating):
        return float(value)  # `item` of a long double is one
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(map(as_python, value))
    return value
