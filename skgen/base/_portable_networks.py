"""The networks of a user in the pickle of an estimator."""

from dataclasses import replace
from typing import Any

from skgen.base._portable_modules import PortableModules

# Where they are: in parameters of these names, and in the architecture that was fitted.
_NAMES = ("encoder", "decoder", "network", "generator", "critic")
_FITTED = "_architecture"


class PortableNetworksMixin:
    """Mixin of estimators that take networks of a user, and pickle them as arrays.

    It stands before the base class, whose `__getstate__` it extends.
    """

    def __getstate__(self) -> dict[str, Any]:
        parent: Any = super()
        return with_portable_networks(parent.__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        parent: Any = super()
        parent.__setstate__(with_networks(state))


def with_portable_networks(state: dict[str, Any]) -> dict[str, Any]:
    """Keep the networks of a user as arrays.

    Parameters
    ----------
    state : dict of str to object
        Attributes of an estimator.

    Returns
    -------
    state : dict of str to object
        The same, whose pickle depends on nothing but values.
    """
    given = {name: state[name] for name in _NAMES if name in state}
    architecture = state.get(_FITTED)
    fitted = {name: getattr(architecture, name) for name in given if architecture}
    networks = PortableModules({"given": given, "fitted": fitted})
    if not networks.tensors:
        return state
    nothing = dict.fromkeys(given), dict.fromkeys(fitted)
    return _with(state, *nothing) | {"_networks": networks}


def with_networks(state: dict[str, Any]) -> dict[str, Any]:
    """Undo `with_portable_networks`.

    Parameters
    ----------
    state : dict of str to object
        What it returned, or a state that it has never seen.

    Returns
    -------
    state : dict of str to object
        Attributes of an estimator.
    """
    if "_networks" not in state:
        return state
    state = dict(state)
    return _with(state, **state.pop("_networks").restored())


def _with(
    state: dict[str, Any], given: dict[str, Any], fitted: dict[str, Any]
) -> dict[str, Any]:
    state = state | given
    if _FITTED in state:
        state[_FITTED] = replace(state[_FITTED], **fitted)
    return state
