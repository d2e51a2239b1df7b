"""Parameters and copies of an estimator, with those of its callbacks."""

import copy
from functools import cache
from typing import Any

from sklearn.base import BaseEstimator

from skgen.base._fit_tasks import without_callbacks
from skgen.training._callback_parameters import callback_parameters, with_parameters
from skgen.training._optimizer_state import training_state
from skgen.training._user_callbacks import copy_callbacks, deepcopy_callbacks


class CopiesCallbacks(BaseEstimator):
    """Base of estimators with callbacks, and with nets that are no part of a copy.

    In place of a net, a copy and a pickle have arrays that training can go on from:
    the states of its optimizers and of its random numbers.
    """

    callbacks: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle arrays and parameters; the net and callbacks of a fit are left out."""
        return self._attributes_to_save()

    def _attributes_to_save(self) -> dict[str, Any]:
        """Return what a pickle or a file holds: nets and callbacks of a fit are not."""
        state = self._without_nets(self.__dict__)
        is_fitted = self.__sklearn_is_fitted__()
        if is_fitted:
            state["callbacks"] = None
        return without_callbacks(state, is_fitted=is_fitted)

    def __copy__(self) -> Any:
        """Copy, with the callbacks; what a fit changes in place is not shared."""
        state = self._without_nets(self.__dict__)
        random = {"random_state", "random_state_"} & state.keys()
        state |= copy.deepcopy({name: state[name] for name in random})
        if state.get("callbacks"):
            state["callbacks"] = copy_callbacks(state["callbacks"])
        return self._made_of(state)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy, with the callbacks."""
        state = self._without_nets(self.__dict__)
        callbacks = state.pop("callbacks", None)
        # Those of scikit-learn are made to be shared by copies.
        shared = {n: state.pop(n) for n in ("_skl_callbacks",) if n in state}
        state = without_callbacks(state, is_fitted=True)
        new = self._made_of(copy.deepcopy(state, memo) | shared)
        if "callbacks" in self.__dict__:
            new.callbacks = callbacks and deepcopy_callbacks(callbacks)
        return new

    def __sklearn_clone__(self) -> Any:
        """Clone, with copies of the callbacks, also of those with a state."""
        if not self.callbacks:
            return super().__sklearn_clone__()
        bare = self._made_of(self.__dict__ | {"callbacks": None})
        new = BaseEstimator.__sklearn_clone__(bare)
        new.callbacks = deepcopy_callbacks(self.callbacks)
        return new

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        # Reading the signature takes a tenth of the time of a small fit.
        return super()._get_param_names()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters of the estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include those of the callbacks: each callback is
            ``callbacks__name`` and its parameters are ``callbacks__name__parameter``,
            by the names that skorch gives to callbacks.

        Returns
        -------
        params : dict
            Values by name.
        """
        params = super().get_params(deep=deep)
        if deep:
            params |= callback_parameters(params.get("callbacks"))
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters of the estimator, and of its callbacks.

        Parameters
        ----------
        **params : dict
            Values by name. ``callbacks__name__parameter`` sets a parameter of a
            callback, and ``callbacks__name`` replaces or, if None, removes one, by the
            names that skorch gives to callbacks. The callbacks are copied for that.

        Returns
        -------
        self : object
            The estimator.
        """
        nested = {k: v for k, v in params.items() if k.startswith("callbacks__")}
        own = {name: value for name, value in params.items() if name not in nested}
        super().set_params(**own)
        if nested:
            self.callbacks = with_parameters(self, nested)
        return self

    def _without_nets(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Copy attributes, with arrays that training goes on from in place of nets."""
        state = dict(attributes)
        nets = state.pop("_nets", {})
        trained = {n: net for n, net in nets.items() if net.built_from_ is not None}
        if trained:
            state["_training_states"] = {
                name: training_state(net) for name, net in trained.items()
            }
        return state

    def _made_of(self, attributes: dict[str, Any]) -> Any:
        """Make an estimator of this class with attributes, without its constructor."""
        new = type(self).__new__(type(self))
        new.__dict__.update(attributes)
        return new
