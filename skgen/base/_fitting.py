"""Fitting: how the model of an estimator is trained by skorch."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import EpochTimer
from skorch.dataset import ValidSplit
from torch import nn

from skgen.base._fit_tasks import EpochTasks, FitTasks, StopAsTold
from skgen.base._nets import (
    are_same,
    build_net,
    holds_out_rows,
    keep_frozen,
    parameters_of,
)
from skgen.base._resume import give_files
from skgen.base._run_files import RunFiles
from skgen.base._standardization import warn_of_other_units
from skgen.base._training_data import AscendingSplit, TrainingData
from skgen.base._validation import warn
from skgen.nn._threads import (
    LEAST_WORK,
    LEAST_WORK_OF_NETWORKS,
    threads_for,
    work_of_a_step,
)
from skgen.training import GenerativeNet, Objective, RowSource
from skgen.training._callbacks import WatchLoss
from skgen.training._convergence import convergence_problem
from skgen.training._device import resolve_device
from skgen.training._divergence import TrainingDivergedError
from skgen.training._optimizer_state import resume_training, training_state
from skgen.training._precision import matmul_precision
from skgen.training._processes import current_processes
from skgen.training._snapshot import Snapshot
from skgen.training._user_callbacks import check_phases

# Seeds of generators are below it, as those of NumPy's legacy generators are.
_LARGEST_SEED = 2**31 - 1
# The fitted state: arrays, and what else is plain Python, by attribute name.
State = dict[str, Any]


@dataclass
class Phase:
    """One part of a fit: a model and the objective that it is trained by.

    Most families have a single phase. Several follow one another where each needs the
    result of the last, as the layers of a deep belief network do.

    Attributes
    ----------
    model : nn.Module
        The model: before the phase as training starts from it, afterwards as trained.
    objective : Objective
        The objective, likewise.
    name : str
        Name of the phase in the history; empty if it is the only one.
    rows : array, CSR matrix or None
        What the phase is trained on, one row for each that `_initial_state` was given,
        in the same order; None means the data of the fit.
    optimizer : dict or None
        `optimizer` or `optimizers` of `GenerativeNet`, and their options; None means
        those of the estimator.
    n_iter : int or None
        Number of passes over the data in `fit`; None means `n_iter` of the estimator.
    """

    model: nn.Module
    objective: Objective
    name: str = ""
    rows: Any = None
    optimizer: dict[str, Any] | None = None
    n_iter: int | None = None


class Fitting:
    """One call of `fit` or `partial_fit`, from valid data to the trained state.

    It sets ``random_state_``, the state, ``history_``, ``n_iter_`` and ``device_`` of
    the estimator. `skgen.base.BaseGenerator` says what it asks of the estimator.

    Parameters
    ----------
    estimator : BaseGenerator
        The estimator, with valid parameters.
    n_iter : int or "auto"
        Number of passes over the data in each phase; the estimator says what "auto"
        means for so many rows.
    warm : bool
        Whether to go on from the state of the estimator.
    partial : bool
        Whether this is `partial_fit`: no row is held out, and the learning rate is
        constant.
    nets : dict of str to GenerativeNet
        Nets of the last fit, by phase. One whose parameters are the same goes on, and
        otherwise a new one with the state of its optimizers.
    tasks : FitTasks
        What callbacks of scikit-learn are told of.
    files : RunFiles or None
        Checkpoints of `Resume`, if it is one of the callbacks.

    Attributes
    ----------
    interrupted : bool
        Whether training was ended from the keyboard.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        n_iter: int | str,
        warm: bool,
        partial: bool,
        nets: dict[str, GenerativeNet],
        tasks: FitTasks,
        files: RunFiles | None = None,
    ):
        self.estimator = estimator
        self.n_iter = n_iter
        self.warm = warm
        self.partial = partial
        self.nets = dict(nets) if warm else {}
        self.tasks = tasks
        self.files = files
        self.device = resolve_device(estimator.device)
        # A copy: a fit that fails leaves the rows of the last one.
        before = estimator.__dict__.get("history_") if warm else None
        self.history: Any = copy.copy(before)
        self.interrupted = self.stops_early = False
        self._before: list[tuple[GenerativeNet, Snapshot, dict[str, Any]]] = []

    def run(self, X: Any, y: Any = None, weight: Any = None) -> None:
        """Train on valid data.

        A fit takes the rows in an order that depends on their contents alone, so that
        its result does not depend on the order in which they come.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n_samples, n_features)
            Data.
        y : ndarray of shape (n_samples, n_conditions) or None
            What the model is conditioned on, if anything.
        weight : ndarray of shape (n_samples,) or None
            Sample weights, positive, if there are any.
        """
        estimator = self.estimator
        data = TrainingData(X, y, weight, ordered=not self.partial)
        self.stops_early = estimator._stops_early(None if self.partial else len(data))
        split = None if self.partial else self._validation_split(data)
        # The net repeats the split: rows held out have no influence.
        trained_on = None if split is None else split(data)[0].indices
        rows, y_rows = data.select(trained_on)
        before = estimator._state() if self.warm else {}
        units = estimator._units_of(before)
        if units is not None:
            names = getattr(estimator, "feature_names_in_", None)
            warn_of_other_units(rows, units, names)
        state = estimator._initial_state(rows, y_rows, before)
        if data.y is not None:
            of_all, y_all = data.select()
            state.update(estimator._state_of_conditions(y_all, of_all.weight, before))
        self.n_iter = estimator._number_of_epochs(self.n_iter, len(rows))
        data.X = estimator._training_rows(data.X, state)
        data.y = estimator._training_conditions(data.y, state)
        so_far = state, rows, y_rows
        as_fitted = partial(self._attributes_as_fitted, *so_far)
        n_phases, begun = estimator._count_phases(state), False
        if n_phases > 1:
            check_phases(estimator.callbacks, type(estimator).__name__)
        for phase in estimator._phases(state):
            complete(phase, estimator, state)
            n_epochs = self._epochs_of(phase)
            if not begun:
                self.tasks.begin(n_phases, n_epochs)
                begun = True
            self.tasks.begin_phase(phase.name, n_epochs)
            of_phase = data
            if phase.rows is not None:
                of_phase = TrainingData(phase.rows, y_rows, rows.weight, ordered=False)
            net = self._train(phase, of_phase, split, so_far)
            phase.model, phase.objective = net.module_, net.criterion_
            state.update(estimator._read_state(state, phase))
            if net.interrupted_:
                self.interrupted = True
                break
            if self.tasks.end_phase(as_fitted):
                break
        n_before = 0 if not self.warm else len(estimator.__dict__.get("history_", ()))
        if self.interrupted and len(self.history) == n_before:
            raise KeyboardInterrupt  # nothing was learned
        try:
            self._conclude(estimator, state, rows, y_rows)
        except KeyboardInterrupt:  # once more: what was learned is not lost
            self.interrupted = True
            self._conclude(estimator, state, rows, y_rows)
        if not self.interrupted:
            self.tasks.end(partial(vars(estimator).copy))

    def undo(self) -> None:
        """Make the nets of the last fit go on from where they were before this one."""
        for net, snapshot, attributes in self._before:
            snapshot.restore()
            net.__dict__.clear()
            net.__dict__.update(attributes)

    def _conclude(
        self, estimator: Any, state: State, rows: RowSource, y: np.ndarray | None
    ) -> None:
        """Set what an estimator has learned."""
        estimator._set_state(dict(state))
        estimator.history_ = self.history
        estimator.n_iter_ = len(self.history)
        estimator.device_ = str(self.device)
        estimator._finalise(rows, y, partial=self.partial)

    def _attributes_as_fitted(
        self,
        state: State,
        rows: RowSource,
        y: np.ndarray | None,
        phase: Phase | None = None,
        net: Any = None,
    ) -> dict[str, Any]:
        """Return the attributes of an estimator whose fit would end now.

        The training of a net goes on from where it is.
        """
        estimator = copy.copy(self.estimator)
        if phase is not None:
            now = Snapshot(
                [net.module_, net.criterion_],
                net.named_optimizers().values(),
                net.generator,
            )
            now.take()
            try:
                state = _state_now(estimator, state, phase, net)
            finally:
                now.restore()
        self._conclude(estimator, state, rows, y)
        estimator.history_ = copy.copy(self.history)
        return vars(estimator)

    def _last_good(
        self,
        state: State,
        rows: RowSource,
        y: np.ndarray | None,
        phase: Phase,
        net: GenerativeNet,
    ) -> Callable[[], Any] | None:
        """Return what makes an estimator of the epochs before one that diverged.

        None if there are none. The estimator and the nets may change until it is
        called.
        """
        if not net.epochs_of_fit():
            return None
        estimator = copy.copy(self.estimator)
        estimator.random_state_ = copy.deepcopy(estimator.random_state_)
        state = copy.deepcopy(_state_now(estimator, state, phase, net))
        history = copy.copy(net.history)

        def make() -> Any:
            self._conclude(estimator, state, rows, y)
            estimator.history_, estimator.n_iter_ = history, len(history)
            return estimator

        return make

    def _epochs_of(self, phase: Phase) -> int:
        """Return the number of epochs of a phase."""
        own = None if self.partial else phase.n_iter
        return int(self.n_iter if own is None else own)

    def _train(
        self,
        phase: Phase,
        data: TrainingData,
        split: ValidSplit | None,
        so_far: tuple[State, RowSource, np.ndarray | None],
    ) -> GenerativeNet:
        watched = type(phase.objective).evaluate is not Objective.evaluate
        if self.stops_early and not watched:
            raise ValueError(
                f"Got early_stopping=True, but {type(self.estimator).__name__} has no "
                "loss that can be watched. Set early_stopping=False."
            )
        net = self._net_of(phase)
        n_iter = net.max_epochs = self._epochs_of(phase)
        net.learning_rate_schedule = (
            "constant" if self.partial else self.estimator._schedule
        )
        net.criterion_.n_epochs = None if self.partial else n_iter
        net.train_split = split
        net.interrupted_, net.verbose = False, self.estimator.verbose
        give_files(net, self.files)
        if n_iter:  # skorch's callbacks expect a row of history at their end
            seed = draw_seed(self.estimator.random_state_)
            seed += self._join_processes(net, len(data))
            with (
                self._threads_for(net, len(data)),
                matmul_precision(self.estimator.precision, self.device),
                self.estimator._training_context(net.module_, seed),
                self._followed(
                    net, partial(self._attributes_as_fitted, *so_far, phase, net)
                ),
                net.in_a_fit(),
            ):
                try:
                    net.partial_fit(data.dataset(net))
                except TrainingDivergedError as error:
                    error._make = self._last_good(*so_far, phase, net)
                    raise
        else:
            net.load_initial_state()
        self.history = net.history  # a checkpoint may have been loaded
        cold = not (self.warm or self.partial)
        if cold and phase.objective.loss_tells_convergence and not net.has_ended_early_:
            _warn_unless_converged(net, type(self.estimator).__name__)
        return net

    def _join_processes(self, net: GenerativeNet, n_rows: int) -> int:
        """Let a net train with those of other processes; return the rank, or 0."""
        net.processes = processes = current_processes()
        if processes is None:
            return 0
        if self.files is not None:
            raise ValueError(
                "Got the callback Resume in a training by several processes, but its "
                "checkpoints are those of one process. Remove it from callbacks."
            )
        processes.check_same("number of rows", n_rows)
        return processes.rank

    @contextmanager
    def _followed(
        self, net: GenerativeNet, as_fitted: Callable[[], dict[str, Any]]
    ) -> Iterator[None]:
        """Let callbacks of scikit-learn, if there are any, follow a training."""
        if self.tasks.root is None:
            yield
            return
        before = net.callbacks_
        own = [c for c in before if isinstance(c[1], EpochTimer | WatchLoss)]
        users = [c for c in before if c not in own]
        epochs = EpochTasks(self.tasks, as_fitted)
        # Told before a callback stops training, asked when all have seen the epoch.
        told, asked = ("epoch_tasks", epochs), ("stop_as_told", StopAsTold(epochs))
        net.callbacks_ = [*own, told, *users, asked]
        try:
            yield
        finally:
            net.callbacks_ = before

    def _threads_for(
        self, net: GenerativeNet, n_rows: int
    ) -> AbstractContextManager[None]:
        """Return the context in which a net trains with as many threads as pay."""
        if self.device.type != "cpu":
            return threads_for(inf)
        objective = net.criterion_
        n_rows = min(n_rows, self.estimator.batch_size)
        work = work_of_a_step(net.module_, objective, n_rows)
        least = LEAST_WORK_OF_NETWORKS if objective.differentiates else LEAST_WORK
        return threads_for(work, least)

    def _net_of(self, phase: Phase) -> GenerativeNet:
        """Return the net that goes on with a phase, or a new one."""
        estimator, net = self.estimator, self.nets.get(phase.name)
        parameters = parameters_of(estimator) | {"early_stopping": self.stops_early}
        if net is not None and net.built_from_ is None:
            net = None  # it was made to be looked at
        if net is None or not are_same(net.built_from_, parameters):
            old, net = net, self._new_net(phase, net)
            if old is not None:
                keep_frozen(net, old, parameters)
            net.built_from_ = parameters
        else:
            self._keep(net)
            dtype = next(net.module_.parameters()).dtype
            net.module_.load_state_dict(phase.model.state_dict())
            net.criterion_ = phase.objective.to(self.device, dtype)
        if self.history is not None:
            net.history = self.history
        self.history = net.history  # one for all phases
        self.nets[phase.name] = net
        return net

    def _new_net(self, phase: Phase, old: GenerativeNet | None) -> GenerativeNet:
        """Make a net, which goes on from the training of an old one if there is one."""
        estimator, state = self.estimator, None
        if old is not None:
            state = training_state(old)
        elif self.warm:
            state = estimator.__dict__.get("_training_states", {}).get(phase.name)
        seed = 0  # replaced by the state
        if state is None or state["device"] != self.device.type:
            seed = draw_seed(estimator.random_state_)
        net = build_net(
            estimator, phase, self.device, seed, stops_early=self.stops_early
        )
        lost = [] if state is None else resume_training(net, state)
        if lost:
            warn(
                f"The optimizer of {type(estimator).__name__} starts anew for "
                f"{', '.join(lost)}: its state is that of another optimizer, or of "
                "parameters of other shapes. To go on from it, set the parameters as "
                "they were in the last fit."
            )
        return net

    def _keep(self, net: GenerativeNet) -> None:
        """Remember where the training of a net is, for `undo`."""
        snapshot = Snapshot([], net.named_optimizers().values(), net.generator)
        snapshot.take()
        self._before.append((net, snapshot, vars(net).copy()))

    def _validation_split(self, data: TrainingData) -> ValidSplit | None:
        """Return how rows are held out, or None."""
        estimator, n_samples = self.estimator, len(data)
        if not holds_out_rows(estimator, self.stops_early):
            return None
        if np.ceil(estimator.validation_fraction * n_samples) >= n_samples:
            raise ValueError(
                f"validation_fraction={estimator.validation_fraction} of n_samples="
                f"{n_samples} leaves no row to train on. Lower it, pass more "
                "samples, or set early_stopping=False."
            )
        seed = estimator.__dict__.get("_validation_seed") if self.warm else None
        if seed is None:
            seed = draw_seed(estimator.random_state_)
        estimator._validation_seed = seed  # a warm start holds the same rows out
        kind = AscendingSplit if data.is_stored_in_blocks else ValidSplit
        return kind(estimator.validation_fraction, random_state=seed)


def complete(phase: Phase, estimator: Any, state: State) -> None:
    """Set the optimizer of a phase that has none of its own."""
    if phase.optimizer is None:
        phase.optimizer = estimator._optimizer_arguments(state)


def _state_now(estimator: Any, state: State, phase: Phase, net: Any) -> State:
    """Return a state with what the net of a phase has learned so far."""
    phase = replace(phase, model=net.module_, objective=net.criterion_)
    return {**state, **estimator._read_state(state, phase)}


def draw_seed(rng: np.random.RandomState) -> int:
    """Draw the one integer that seeds a torch generator."""
    return int(rng.randint(_LARGEST_SEED))


def _warn_unless_converged(net: GenerativeNet, name: str) -> None:
    """Warn where the losses of a training from its start show that it went wrong."""
    losses = [row["train_loss"] for row in net.own_rows() if "train_loss" in row]
    problem = convergence_problem(losses, schedule=net.learning_rate_schedule)
    if problem is not None:
        warn(f"Training of {name} {problem}", ConvergenceWarning)
