"""What every estimator promises of its training: history, interrupts, warm starts.

Runs on `--device`, as test_contract.py does, of which it is a part.
"""

# ruff: noqa: F811  (the fixtures of test_contract.py)

import copy
import io
import sys
import warnings

import numpy as np
import pytest
from families import X, args, fit, in_one_phase, n_phases
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EarlyStopping, PrintLog
from test_contract import (  # noqa: F401
    assert_same_state,
    fits,
    fitted,
    make,
    needs,
    pytest_generate_tests,
    reloaded,
)

from skgen.base import LikelihoodMixin
from skgen.training import GenerativeNet
from skgen.training._batches import DeviceBatches


@pytest.fixture(scope="module")
def quick_fits():
    """One fit of an epoch to some rows, per class."""
    return {}


@pytest.fixture(scope="module")
def twice_fits():
    """One fit that was gone on with by a second one, per class."""
    return {}


def shared(models, make, train):
    """The model of a class that is trained once and only looked at."""
    kind = type(make())
    if kind not in models:
        models[kind] = train()
    return models[kind]


# The history


@needs(LikelihoodMixin)
def test_every_fit_has_its_loss(make):
    model = fit(make())
    losses = model.history_[:, "train_loss"]
    assert len(losses) == 3 * n_phases(model)
    assert np.isfinite(losses).all()
    assert model.history_[0, "train_loss_best"]
    assert "valid_loss" not in model.history_[-1]
    model.partial_fit(*args(model))
    assert len(model.history_[:, "train_loss"]) == 4 * n_phases(model)


@needs("early_stopping", LikelihoodMixin)
def test_held_out_rows_have_a_loss_of_their_own(make):
    model = fit(make(early_stopping=True))
    assert len(model.history_[:, "valid_loss"]) == model.n_iter_
    assert len(model.history_[:, "valid_loss_best"]) == model.n_iter_
    assert model.history_[:, "train_loss"] != model.history_[:, "valid_loss"]


# Interrupts


class CtrlC(Callback):
    """Ctrl-C when an event happens in an epoch."""

    def __init__(self, event, epoch):
        self.event, self.epoch = event, epoch
        setattr(self, event, self.interrupt)

    def interrupt(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_batch_begin(self, net, **kwargs):
        """Makes the net tell of mini-batches."""

    def on_grad_computed(self, net, **kwargs):
        """Makes the net tell of gradients."""


EVENTS = [
    ("on_epoch_begin", 3),
    ("on_grad_computed", 3),
    ("on_batch_end", 3),
    ("on_epoch_end", 2),
]


@needs("callbacks")
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event[0])
def test_an_interrupt_keeps_whole_epochs(make, event):
    """To the bit, what a fit of so many epochs has; it can go on from there."""
    one = in_one_phase(make)
    model = make(callbacks=[CtrlC(*event)], n_iter=9, **one)
    with pytest.raises(KeyboardInterrupt):
        fit(model)
    listens = CtrlC("on_batch_begin", 0)  # gradients by way of .grad, to the bit
    twin = fit(make(callbacks=[listens], n_iter=2, **one))
    assert model.n_iter_ == len(model.history_) == 2
    assert model.history_[:, "epoch"] == [1, 2]
    assert_same_state(model, twin)
    assert model.score(*args(model)) == twin.score(*args(twin))
    model.set_params(callbacks=[listens])
    assert_same_state(model.partial_fit(*args(model)), twin.partial_fit(*args(twin)))


def interrupt_batches(monkeypatch, after):
    """Ctrl-C after so many mini-batches."""
    batches = DeviceBatches.__iter__

    def interrupted(self):
        nonlocal after
        for batch in batches(self):
            if not after:
                raise KeyboardInterrupt
            after -= 1
            yield batch

    monkeypatch.setattr(DeviceBatches, "__iter__", interrupted)


def test_an_interrupt_in_the_first_epoch_leaves_no_model(make, monkeypatch):
    model, untouched = make(), make()
    interrupt_batches(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        fit(model)
    assert vars(model) == vars(untouched)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_interrupt_in_the_first_epoch_of_a_warm_start_changes_nothing(
    make, monkeypatch, method
):
    model, twin = fit(make()), fit(make())
    for one in (model, twin):
        one.warm_start = True
    with monkeypatch.context() as patch:
        interrupt_batches(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            getattr(model, method)(*args(model))
    assert_same_state(model, twin)
    n_epochs = 3 * n_phases(twin)
    assert model.n_iter_ == len(model.history_) == n_epochs
    assert len(model.net_.history) == n_epochs
    # The optimizer and the random numbers go on from where they were, too.
    assert_same_state(
        getattr(model, method)(*args(model)), getattr(twin, method)(*args(twin))
    )


@needs("early_stopping", LikelihoodMixin)
def test_an_epoch_is_whole_when_its_held_out_rows_have_a_loss(make, monkeypatch):
    one = in_one_phase(make)
    model = make(early_stopping=True, n_iter=9, **one)
    losses, left = GenerativeNet.losses, 2

    def interrupted(self, *args):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return losses(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(GenerativeNet, "losses", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(model)
    assert model.n_iter_ == len(model.history_[:, "valid_loss"]) == 2
    assert_same_state(model, fit(make(early_stopping=True, n_iter=2, **one)))


def test_an_interrupt_at_the_very_end_keeps_the_fit(make, monkeypatch):
    model, calls = make(), []
    finalise = type(model)._finalise

    def interrupted(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == 1:
            raise KeyboardInterrupt
        finalise(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "_finalise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(model)
    assert len(calls) == 2
    assert_same_state(model, fit(make()))
    assert model.n_iter_ == len(model.history_) == 3 * n_phases(model)


@needs("callbacks")
def test_an_interrupt_stops_a_search(make):
    search = GridSearchCV(
        make(callbacks=[CtrlC("on_epoch_end", 1)]), {"batch_size": [50, 60]}, cv=2
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(*args(make()))
    assert not hasattr(search, "cv_results_")


@needs("callbacks", LikelihoodMixin)
def test_early_stopping_is_no_interrupt(make):
    class Own(EarlyStopping):
        """A stopping rule of a user."""

    # A loss may be negative.
    never = {"threshold": 1e9, "threshold_mode": "abs"}
    stop = Own(monitor="train_loss", patience=1, **never)
    model = fit(make(callbacks=[stop], n_iter=9))
    assert model.n_iter_ == 2 * n_phases(model)


# Warm starts


def constant(make, **params):
    """An estimator of which a training does not depend on how often it is resumed."""
    fixed = {
        "learning_rate_schedule": "constant",
        "momentum": 0.5,
        "noise_variance": 0.5,  # none that is set at the end of a fit
    }
    offered = make().get_params()
    fixed = {name: value for name, value in fixed.items() if name in offered}
    return make(**fixed | params)


HARMLESS = {
    "nothing": {},
    "verbose": {"verbose": 1},
    "seed": {"random_state": 7},
    "callbacks": {"callbacks": [PrintLog()]},
    "patience": {"n_iter_no_change": 7, "tol": 0.5},
    "array": {"batch_size": np.int64(50)},
}

WAYS = {
    "live": lambda m: m,
    "pickle": reloaded,
    "deep": copy.deepcopy,
    "copy": copy.copy,
}


# Each parameter with a live model, and each way of having one with a parameter.
CELLS = {
    **{f"live, {name}": (WAYS["live"], params) for name, params in HARMLESS.items()},
    **{
        f"{name}, seed": (way, HARMLESS["seed"])
        for name, way in WAYS.items()
        if name != "live"
    },
    "pickle, callbacks": (WAYS["pickle"], HARMLESS["callbacks"]),
}


@needs("warm_start")
@pytest.mark.parametrize(("way", "params"), CELLS.values(), ids=CELLS)
def test_parameters_that_training_does_not_read_change_nothing(
    make, twice_fits, params, way, capsys
):
    def once():
        return fit(constant(make, n_iter=2, batch_size=50, warm_start=True))

    twin = shared(twice_fits, make, lambda: fit(once()))
    model = way(once()).set_params(**params)
    assert_same_state(fit(model), twin)
    assert model.n_iter_ == 4 * n_phases(model)


@needs("warm_start", "n_warmup_iter")
def test_two_epochs_and_three_are_five(make, capsys):
    """To the bit; an RBM starts its source of random bits anew in each fit."""
    model = fit(constant(make, n_iter=2, batch_size=50, warm_start=True))
    model.set_params(n_iter=3, **HARMLESS["seed"])
    assert_same_state(fit(model), fit(constant(make, n_iter=5, batch_size=50)))
    assert model.n_iter_ == 5


@needs("early_stopping", "warm_start")
@pytest.mark.parametrize("way", [lambda m: m, reloaded])
def test_a_warm_start_holds_the_same_rows_out(make, way):
    model = fit(make(early_stopping=True, warm_start=True))
    before = model.net_.train_split(X)[1].indices
    model = fit(way(model).set_params(learning_rate=1e-3, verbose=0))
    np.testing.assert_array_equal(model.net_.train_split(X)[1].indices, before)
    other = fit(make(early_stopping=True, random_state=1))
    assert not np.array_equal(other.net_.train_split(X)[1].indices, before)


@needs("warm_start")
def test_parameters_of_training_keep_the_optimizer(make):
    """Steps of another length, along the moments that were there."""

    def warm(forget):
        model = fit(constant(make, warm_start=True))
        model.set_params(learning_rate=model.learning_rate / 2)
        if forget:
            model = reloaded(model)
            for state in model._training_states.values():
                del state["optimizers"]["optimizer"]
        return fit(model)

    assert_same_state(warm(False), warm(True), equal=False)
    model = warm(False)
    assert model.net_.optimizer_.param_groups[0]["lr"] == model.learning_rate


@needs("warm_start")
def test_an_optimizer_that_is_lost_is_told(make):
    model = reloaded(fit(constant(make, warm_start=True)))
    *_, last = model._training_states.values()
    last["optimizers"]["optimizer"]["kind"] = "Another"
    with pytest.warns(
        UserWarning, match=r"The optimizer of .* starts anew for .*weight"
    ):
        fit(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model)


@needs("warm_start")
def test_a_fit_that_fails_keeps_the_optimizer(make, monkeypatch):
    model, twin = (fit(constant(make, warm_start=True)) for _ in range(2))

    def fails(self, *args):
        raise ValueError("no")

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "_read_state", fails)
        with pytest.raises(ValueError, match="no"):
            fit(model)
    assert len(model.history_) == model.n_iter_ == 3 * n_phases(twin)
    assert_same_state(fit(model), fit(twin))


# Copies, and parameters of callbacks


class Counts(Callback):
    """A callback of a user with a state that is no parameter."""

    def __init__(self, step=1):
        self.step = step
        self.counts = []

    def on_epoch_end(self, net, **kwargs):
        self.counts.append(self.step)


class Unwilling(Callback):
    """One that holds what cannot be copied."""

    def __init__(self, stream=sys.stdout):
        self.stream = stream


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "clone": clone}


@needs("callbacks")
@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES)
def test_copies_keep_callbacks(make, way):
    callbacks = [("counts", Counts(step=3)), EarlyStopping, Unwilling()]
    model = make(callbacks=callbacks, early_stopping=True)
    for original in (model, fit(model)):
        copied = way(original)
        (name, counts), kind, unwilling = copied.callbacks
        assert (name, counts.step, kind) == ("counts", 3, EarlyStopping)
        assert unwilling.stream is sys.stdout
        assert counts is not callbacks[0][1]
        assert copied.callbacks is not original.callbacks
    assert reloaded(make(callbacks=[Counts])).callbacks == [Counts]
    model.set_params(callbacks=[Counts()])
    assert reloaded(model).callbacks is None
    assert "net_" in dir(copy.copy(model))


@pytest.mark.parametrize(
    ("way", "seed"),
    [
        (copy.copy, lambda: 0),
        (copy.copy, lambda: np.random.RandomState(0)),
        (copy.deepcopy, lambda: np.random.RandomState(0)),
    ],
    ids=["copy", "copy with a source", "deepcopy with a source"],
)
def test_a_copy_is_trained_alone(make, way, seed):
    model, twin = (fit(make(n_iter=1, random_state=seed())) for _ in range(2))
    copied = way(model)
    copied.partial_fit(*args(copied))
    fit(copied)
    assert model.n_iter_ == len(model.history_) == n_phases(twin)
    assert_same_state(model, twin)
    assert_same_state(model.partial_fit(*args(model)), twin.partial_fit(*args(twin)))
    assert_same_state(fit(model), fit(twin))


@needs("callbacks")
def test_parameters_of_callbacks(make):
    stop = EarlyStopping(patience=5)
    model = make(callbacks=[stop, ("mine", Counts()), Counts(), Counts(2), PrintLog])
    params = model.get_params()
    assert params["callbacks__EarlyStopping__patience"] == 5
    assert params["callbacks__Counts_2__step"] == 2
    assert params["callbacks__mine"] is model.callbacks[1][1]
    assert "callbacks__mine" not in model.get_params(deep=False)
    model.set_params(
        callbacks__EarlyStopping__patience=3,
        callbacks__mine__step=4,
        callbacks__Counts_2__step=5,
        callbacks__PrintLog__floatfmt=".1f",
        batch_size=20,
    )
    early, (name, mine), one, two, printed = model.callbacks
    assert (early.patience, name, mine.step, one.step, two.step) == (3, "mine", 4, 1, 5)
    assert printed.floatfmt == ".1f"
    assert (stop.patience, model.batch_size) == (5, 20)
    model.set_params(
        callbacks=[stop], callbacks__EarlyStopping=EarlyStopping(patience=1)
    )
    assert [c[1].patience for c in model.callbacks] == [1]
    assert model.set_params(callbacks__EarlyStopping=None).callbacks == []


@needs("callbacks")
@pytest.mark.parametrize(
    ("params", "match"),
    [
        (
            {"callbacks__mime__step": 1},
            r"Invalid parameter 'callbacks__mime__step' for ",
        ),
        ({"callbacks__mime": None}, r"callbacks are: \['mine'\]"),
        ({"callbacks__mine__stop": 1}, r"Invalid parameter 'stop' .*\['step'\]"),
        ({"nothing": 1}, "Invalid parameter 'nothing' for estimator"),
    ],
)
def test_wrong_parameters_of_callbacks(make, params, match):
    with pytest.raises(ValueError, match=match):
        make(callbacks=[("mine", Few())]).set_params(**params)
    with pytest.raises(ValueError, match="Invalid parameter"):
        make().set_params(**params)


class Few(Callback):
    def __init__(self, step=1):
        self.step = step


@needs("callbacks", LikelihoodMixin)
def test_a_search_over_a_parameter_of_a_callback(make):
    never = {"threshold": 9e9, "threshold_mode": "abs"}
    stop = EarlyStopping(monitor="train_loss", **never)
    model = make(
        n_iter=6,
        callbacks=[("stop", stop)],
        **in_one_phase(make),
    )
    search = GridSearchCV(
        model,
        {"callbacks__stop__patience": [1, 3]},
        cv=2,
        scoring=lambda estimator, X, y=None: float(estimator.n_iter_),
        error_score="raise",
    ).fit(*args(make()))
    assert list(search.cv_results_["mean_test_score"]) == [2.0, 4.0]
    assert search.best_params_ == {"callbacks__stop__patience": 3}
    assert model.callbacks[0][1].patience == 5


# What is shown


class NoTerminal:
    """A stream that is less than a file."""

    def write(self, text):
        pass


class Broken(io.StringIO):
    def isatty(self):
        return True

    def write(self, text):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {"none": lambda: None, "closed": closed, "bare": NoTerminal, "broken": Broken}


@needs("verbose", "callbacks")
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_progress_never_ends_a_fit(make, quick_fits, monkeypatch, stream):
    silent = shared(quick_fits, make, lambda: fit(make(n_iter=1), X[:60]))
    for names, verbose in [
        (["stderr"], 1),
        (["stdout"], 1),
        (["stderr", "stdout"], 1),
        (["stderr", "stdout"], 0),
    ]:
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(sys, name, stream())
            model = fit(make(n_iter=1, verbose=verbose, callbacks=[PrintLog()]), X[:60])
        assert_same_state(model, silent)


@needs("verbose", "callbacks", LikelihoodMixin)
@pytest.mark.parametrize("kind", [PrintLog, PrintLog()], ids=["class", "instance"])
def test_print_log_prints_if_verbose_asks(make, capsys, kind):
    one = in_one_phase(make)  # each phase has its own header
    model = fit(make(callbacks=[kind], **one))
    first = "train_kl" if "train_kl" in model.history_[-1] else "train_loss"
    assert capsys.readouterr().out == ""
    fit(make(callbacks=[kind], verbose=1, **one))
    table = [x for x in capsys.readouterr().out.splitlines() if "Iteration" not in x]
    assert table[0].split()[:2] == ["epoch", first]
    assert len(table) == 5
    lines = []
    fit(make(callbacks=[PrintLog(sink=lines.append)], **one))
    assert len(lines) == 5
