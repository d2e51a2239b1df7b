"""Old names that still work, with a warning."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

# The release in which the old names end.
_END = "0.4"


def renamed_parameter(estimator: Any, old: str, new: str) -> Any:
    """Return the value of a parameter that may still be given by its old name.

    The constructor has both, and "deprecated" as the default of the old one.

    Parameters
    ----------
    estimator : object
        The estimator.
    old, new : str
        Names of the parameter.

    Returns
    -------
    value : object
        Value of the old name if it was set, otherwise that of the new one.
    """
    return getattr(estimator, old if _is_set(estimator, old) else new)


def warn_renamed_parameter(estimator: Any, old: str, new: str | None) -> None:
    """Warn where a parameter is given by its old name, or has no effect any more.

    Parameters
    ----------
    estimator : object
        The estimator.
    old : str
        Name of the parameter, whose default is "deprecated".
    new : str or None
        Its new name; None means that it has no effect.
    """
    if _is_set(estimator, old):
        now = f"is now {new}" if new else "has no effect any more"
        warnings.warn(
            f"The parameter {old} of {type(estimator).__name__} {now}; {old} will be "
            f"removed in version {_END}.",
            FutureWarning,
            stacklevel=2,
        )


def renamed_attribute(estimator: Any, old: str, new: str) -> Any:
    """Return an attribute that was asked for by its old name, with a warning.

    For the ``__getattr__`` of an estimator.

    Parameters
    ----------
    estimator : object
        The estimator.
    old, new : str
        Names of the attribute.

    Returns
    -------
    value : object
        The attribute.
    """
    if new not in vars(estimator):
        kind = type(estimator).__name__
        raise AttributeError(f"{kind!r} object has no attribute {old!r}")
    warnings.warn(
        f"{old} is now {new}; {old} will be removed in version {_END}.",
        FutureWarning,
        stacklevel=3,
    )
    return getattr(estimator, new)


def moved_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a module of which some names have moved.

    Parameters
    ----------
    module : str
        Name of the module.
    names : mapping of str to str
        Where each name is now, as "package.module:name".

    Returns
    -------
    getattr : callable
        Finds the object, with a `FutureWarning` that says where it is.
    """

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new = names[name].partition(":")
        warnings.warn(
            f"{module}.{name} is now {place}.{new}; the old name will be removed in "
            f"version {_END}.",
            FutureWarning,
            stacklevel=2,
        )
        return getattr(import_module(place), new)

    return __getattr__


def _is_set(estimator: Any, old: str) -> bool:
    """Whether a parameter that is deprecated has another value than its default."""
    value = getattr(estimator, old)
    return not isinstance(value, str) or value != "deprecated"
