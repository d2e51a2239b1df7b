"""What the callbacks of scikit-learn are told of a fit, from scikit-learn 1.9 on."""

from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback

from skgen.base._capabilities import ConditionalMixin
from skgen.training._net import StopTraining

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn 1.8
    CallbackSupportMixin = object

# What an estimator has while callbacks follow its fit.
_OF_A_FIT = (
    *("_callback_fit_ctx", "_skl_callbacks_to_teardown", "_parent_callback_ctx"),
)


class SupportsCallbacks(CallbackSupportMixin):
    """Capability of an estimator whose fits callbacks of scikit-learn can follow.

    Before scikit-learn 1.9 it is empty.
    """

    if CallbackSupportMixin is not object:

        def set_callbacks(self, *callbacks: Any) -> Any:
            """Set callbacks of scikit-learn, which follow each fit from now on.

            They are told of the fit, of its epochs and, where a model is trained in
            several phases, of these; of an imputer, they are told of each fit of its
            model. A callback that asks to stop ends the training of a phase after an
            epoch, as early stopping does, or the fit after one of its parts.
            As `sklearn.callback.ScoringMonitor` only scores if there is a y, callbacks
            get X as y where the model has none and `fit` got none.

            Those of skorch are given as the parameter `callbacks`.

            Parameters
            ----------
            *callbacks : callback instances
                Such as `sklearn.callback.ProgressBar`. Without any, those that were
                set are removed.

            Returns
            -------
            self : object
                The estimator.

            Raises
            ------
            TypeError
                If one is no callback of scikit-learn.
            """
            for callback in callbacks:
                kind = callback if isinstance(callback, type) else type(callback)
                if issubclass(kind, Callback):
                    raise TypeError(
                        f"Got {kind.__name__}, a callback of skorch, but expected "
                        "those of scikit-learn. Pass it as a parameter of the "
                        "estimator: set_params(callbacks=[...])."
                    )
                if isinstance(callback, type):
                    raise TypeError(
                        f"Got the class {kind.__name__}, but expected an instance: "
                        f"set_callbacks({kind.__name__}())."
                    )
                if not hasattr(callback, "on_fit_task_end"):
                    raise TypeError(
                        f"Got a callback of type {kind.__name__}, but expected those "
                        "of scikit-learn, such as sklearn.callback.ProgressBar()."
                    )
            return super().set_callbacks(*callbacks)


def without_callbacks(attributes: dict[str, Any], *, is_fitted: bool) -> dict[str, Any]:
    """Leave out what belongs to a fit that callbacks of scikit-learn follow.

    Workers need the callbacks of an estimator that is not fitted yet. Those of a
    fitted one have sockets and threads that are of this process.

    Parameters
    ----------
    attributes : dict
        Attributes of an estimator.
    is_fitted : bool
        Whether it is fitted.

    Returns
    -------
    attributes : dict
        The others.
    """
    left_out = (*_OF_A_FIT, "_skl_callbacks") if is_fitted else _OF_A_FIT
    return {name: v for name, v in attributes.items() if name not in left_out}


class FitTasks:
    """The tasks of one fit: the fit itself, its phases if it has several, and epochs.

    Their context is opened when this object is made, and closed by `_fit_context` of
    scikit-learn, however the fit ends. Attributes of the estimator belong to it, so
    that it is to be opened before these are remembered for a fit that fails.

    Parameters
    ----------
    estimator : BaseGenerator
        The estimator, in `fit` or `partial_fit`.
    X, y, sample_weight : object
        What it was given.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any):
        self.root: Any = None
        self.phase: Any = None
        self._has_phases = False
        if not hasattr(estimator, "_init_callback_context"):
            return
        context = estimator._init_callback_context(max_subtasks=None)
        if not getattr(estimator, "_skl_callbacks", None):
            return
        self.root = context
        if y is None and not isinstance(estimator, ConditionalMixin):
            y = X
        weighted = sample_weight is not None
        self._arguments = {
            "estimator": estimator,
            "X": X,
            "y": y,
            "metadata": {"sample_weight": sample_weight} if weighted else None,
        }

    def begin(self, n_phases: int, n_epochs: int) -> None:
        """Tell that a fit begins, with the number of phases, or of epochs of one."""
        self._has_phases = n_phases > 1
        if self.root is not None:
            self.root.max_subtasks = n_phases if self._has_phases else n_epochs
            self._tell_begin(self.root)

    def begin_phase(self, name: str, n_epochs: int) -> None:
        """Tell that a phase begins, if there are several."""
        self.phase = self.root
        if self.root is not None and self._has_phases:
            self.phase = self.root.subcontext(name, max_subtasks=n_epochs)
            self._tell_begin(self.phase)

    def begin_epoch(self) -> Any:
        """Tell that an epoch begins, and return its task."""
        return self._tell_begin(self.phase.subcontext("epoch"))

    def end_phase(self, as_fitted: Callable[[], dict[str, Any]]) -> bool:
        """Tell that a phase has ended; return whether the fit is to stop."""
        if self.phase is None or self.phase is self.root:
            return False
        return self.tell_end(self.phase, as_fitted)

    def follow_fit_of(
        self,
        model: Any,
        name: str,
        fit: Callable[[], Any],
        as_fitted: Callable[[], dict[str, Any]],
    ) -> bool:
        """Fit another estimator as a part of this fit.

        Callbacks that follow estimators into others, by scikit-learn's rules, follow
        the fit of the model; the others are told of it as of one task.

        Parameters
        ----------
        model : estimator
            The other estimator.
        name : str
            Name of the task.
        fit : callable
            Fits it.
        as_fitted : callable
            As in `tell_end`.

        Returns
        -------
        stops : bool
            Whether a callback asks to stop.
        """
        if self.root is None:
            fit()
            return False
        task = self.root.subcontext(name)
        with task.propagate_callback_context(model):
            self._tell_begin(task)
            fit()
            return self.tell_end(task, as_fitted)

    def end(self, as_fitted: Callable[[], dict[str, Any]]) -> None:
        """Tell that the fit has ended."""
        if self.root is not None:
            self.tell_end(self.root, as_fitted)

    def tell_end(self, task: Any, as_fitted: Callable[[], dict[str, Any]]) -> bool:
        """Tell that a task has ended; return whether callbacks ask to stop.

        Parameters
        ----------
        task : CallbackContext
            The task.
        as_fitted : callable
            Returns the attributes of an estimator whose fit would end now, if a
            callback asks for it.

        Returns
        -------
        stops : bool
            Whether a callback asks to stop.
        """
        return task.call_on_fit_task_end(
            **self._arguments, reconstruction_attributes=as_fitted
        )

    def _tell_begin(self, task: Any) -> Any:
        return task.call_on_fit_task_begin(**self._arguments)


class EpochTasks(Callback):
    """Tells callbacks of scikit-learn of the epochs of a net.

    Parameters
    ----------
    tasks : FitTasks
        The tasks of the fit.
    as_fitted : callable
        As in `FitTasks.tell_end`.
    """

    stops = False

    def __init__(self, tasks: FitTasks, as_fitted: Callable[[], dict[str, Any]]):
        self.tasks = tasks
        self.as_fitted = as_fitted

    def on_epoch_begin(self, net: Any, *args: Any, **kwargs: Any) -> None:
        self.epoch = self.tasks.begin_epoch()

    def on_epoch_end(self, net: Any, *args: Any, **kwargs: Any) -> None:
        self.stops = self.tasks.tell_end(self.epoch, self.as_fitted)


class StopAsTold(Callback):
    """Stops training at the end of an epoch, when all callbacks have seen it.

    Parameters
    ----------
    epochs : EpochTasks
        What knows whether to stop.
    """

    def __init__(self, epochs: EpochTasks):
        self.epochs = epochs

    def on_epoch_end(self, net: Any, *args: Any, **kwargs: Any) -> None:
        if self.epochs.stops:
            raise StopTraining
