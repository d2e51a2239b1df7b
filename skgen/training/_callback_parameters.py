"""Parameters of callbacks as those of an estimator: callbacks__name__parameter."""

import copy
from collections.abc import Sequence
from typing import Any

from skgen.training._user_callbacks import unnamed_callback


def callback_parameters(callbacks: Sequence[Any] | None) -> dict[str, Any]:
    """Return callbacks and their parameters by the names that an estimator gives them.

    Parameters
    ----------
    callbacks : list or None
        Callbacks, classes of them, or tuples of a name and one.

    Returns
    -------
    params : dict
        Values by name; classes have no parameters yet.
    """
    params: dict[str, Any] = {}
    if not isinstance(callbacks, list | tuple):
        return params
    for name, item in zip(callback_names(callbacks), callbacks, strict=True):
        callback = unnamed_callback(item)
        params[f"callbacks__{name}"] = callback
        if hasattr(callback, "get_params") and not isinstance(callback, type):
            of_callback = callback.get_params(deep=True).items()
            params |= {f"callbacks__{name}__{key}": value for key, value in of_callback}
    return params


def with_parameters(estimator: Any, params: dict[str, Any]) -> list[Any]:
    """Return the callbacks of an estimator with other parameters.

    Parameters
    ----------
    estimator : BaseGenerator
        The estimator.
    params : dict
        Values by names that begin with ``callbacks__``.

    Returns
    -------
    callbacks : list
        Copies of those that change; a class becomes an instance.
    """
    callbacks = list(estimator.callbacks or [])
    names = callback_names(callbacks)
    of_each: dict[str, dict[str, Any]] = {}
    for key in sorted(params, key=lambda key: key.count("__")):  # replaced first
        _, name, *parameter = key.split("__", 2)
        if name not in names:
            raise ValueError(
                f"Invalid parameter {key!r} for estimator {estimator}. Valid names of "
                f"callbacks are: {names!r}."
            )
        number = names.index(name)
        if parameter:
            of_each.setdefault(name, {})[parameter[0]] = params[key]
        else:
            callbacks[number] = (name, params[key])
    for name, values in of_each.items():
        number = names.index(name)
        callbacks[number] = _with_values(callbacks[number], values)
    return [item for item in callbacks if unnamed_callback(item) is not None]


def callback_names(callbacks: Sequence[Any]) -> list[str]:
    """Name callbacks as skorch does: the name given, or that of the class.

    Parameters
    ----------
    callbacks : list
        Callbacks, classes of them, or tuples of a name and one.

    Returns
    -------
    names : list of str
        Names in the same order; repeated ones end with _1, _2 and so on.
    """
    names = [
        item[0]
        if isinstance(item, tuple | list)
        else getattr(item, "__name__", type(item).__name__)
        for item in callbacks
    ]
    numbers = [names[: k + 1].count(name) for k, name in enumerate(names)]
    return [
        f"{name}_{number}" if names.count(name) > 1 else name
        for name, number in zip(names, numbers, strict=True)
    ]


def _with_values(item: Any, values: dict[str, Any]) -> Any:
    """Copy a callback, with its name if it has one, and set parameters of it."""
    callback = unnamed_callback(item)
    if isinstance(callback, type):
        callback = callback(**values)
    else:
        callback = copy.copy(callback)
        callback.set_params(**values)
    return (item[0], callback) if isinstance(item, tuple | list) else callback
