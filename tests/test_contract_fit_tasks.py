"""What every estimator promises of the callbacks of scikit-learn 1.9.

Runs on `--device`, as test_contract.py does, of which it is a part.
"""

# ruff: noqa: F811  (the fixtures of test_contract.py)

import copy
import pickle
import threading

import numpy as np
import pytest
import sklearn
from families import N_FEATURES, X, Y, args, draw, fit, in_one_phase, n_phases
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from skorch.callbacks import Callback, EarlyStopping
from test_contract import (  # noqa: F401
    assert_same_state,
    make,
    needs,
    pytest_generate_tests,
)

from skgen import BernoulliRBMGPU, DeepBeliefNetwork, GaussianRBM
from skgen.base import BaseGenerator

HAS_CALLBACKS = hasattr(BaseGenerator, "set_callbacks")
with_callbacks = pytest.mark.skipif(
    not HAS_CALLBACKS, reason="scikit-learn before 1.9 has no callbacks"
)

FEW = X[:60], Y[:60]


class Follows:
    """Keeps what it is told, and asks to stop at a task."""

    def __init__(self, stop_at=None, scores=False):
        self.told, self.seen, self.scores_ = [], [], []
        self.stop_at, self.scores = stop_at, scores

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(
        self,
        estimator,
        context,
        *,
        X=None,
        y=None,
        metadata=None,
        fitted_estimator=None,
    ):
        self.told.append(("end", context.task_name, context.task_id))
        self.seen.append((X, y, metadata))
        self.last = fitted_estimator
        if self.scores:
            self.scores_.append(fitted_estimator.score(*args(fitted_estimator, *FEW)))
        return (context.task_name, context.task_id) == self.stop_at

    def count(self, *event):
        return sum(told[: len(event)] == event for told in self.told)


def test_nothing_of_it_before_scikit_learn_19():
    version = tuple(map(int, sklearn.__version__.split(".")[:2]))
    assert (version >= (1, 9)) == HAS_CALLBACKS


@with_callbacks
def test_a_fit_is_followed(make):
    """Each epoch, with an estimator as if the fit had ended; the bits are the same."""
    follows = Follows(scores=True)
    model, twin = fit(make().set_callbacks(follows), *FEW), fit(make(), *FEW)
    assert_same_state(model, twin)
    names = [[name for name, _ in m.net_.callbacks_] for m in (model, twin)]
    assert names[0] == names[1]  # the net of the next warm start is told of nothing
    assert model.history_[:, "epoch"] == twin.history_[:, "epoch"]
    phases = n_phases(model)
    assert follows.told[:2] == ["setup", ("begin", "fit", 0)]
    assert follows.told[-2:] == [("end", "fit", 0), "teardown"]
    assert (
        follows.count("begin", "epoch") == follows.count("end", "epoch") == 3 * phases
    )
    if phases > 1:
        assert follows.count("end", "layer 2", 1) == 1
    score = model.score(*args(model, *FEW))
    assert follows.scores_[-1] == score
    if "callbacks" in model.get_params():  # no other state is averaged over epochs
        short = fit(make(n_iter=1), *FEW)
        if phases == 1:
            assert follows.scores_[0] == pytest.approx(
                short.score(*args(short, *FEW)), rel=1e-6
            )
    assert len(set(follows.scores_)) > 2
    np.testing.assert_array_equal(
        draw(follows.last, 5, random_state=0), draw(model, 5, random_state=0)
    )
    assert follows.seen[0][0] is FEW[0]
    assert all(y is not None for _, y, _ in follows.seen)
    # A second fit is followed, too; none is when they are removed.
    n_told = len(follows.told)
    assert_same_state(fit(model, *FEW), twin)
    assert len(follows.told) == 2 * n_told
    fit(model.set_callbacks(), *FEW).partial_fit(*args(model, *FEW))
    assert len(follows.told) == 2 * n_told


@with_callbacks
def test_a_look_at_an_average_does_not_move_the_training():
    """A GaussianRBM averages its last epochs, also for those that look at it."""
    params = {"n_iter": 9, "random_state": 0, "device": "cpu"}
    model = GaussianRBM(4, **params).set_callbacks(Follows(scores=True)).fit(FEW[0])
    assert_same_state(model, GaussianRBM(4, **params).fit(FEW[0]))


@with_callbacks
def test_weights_and_partial_fits_are_told_of(make):
    follows = Follows()
    model = make().set_callbacks(follows)
    weight = np.linspace(0.5, 1.5, 60)
    model.partial_fit(*args(model, *FEW), sample_weight=weight)
    assert follows.count("end", "epoch") == n_phases(model)
    assert all(m["sample_weight"] is weight for *_, m in follows.seen)


@with_callbacks
def test_a_callback_stops_training(make):
    """After the epoch, which all other callbacks see; it is no interrupt."""
    follows = Follows(stop_at=("epoch", 1))
    model = fit(make(n_iter=9).set_callbacks(follows), *FEW)
    phases = n_phases(model)
    assert model.n_iter_ == len(model.history_) == 2 * phases
    assert follows.count("end", "epoch") == 2 * phases
    assert follows.told[-2:] == [("end", "fit", 0), "teardown"]


@with_callbacks
def test_a_callback_stops_a_fit_after_a_phase():
    model = DeepBeliefNetwork((5, 4), n_iter=2, random_state=0, device="cpu")
    model.set_callbacks(Follows(stop_at=("layer 1", 0))).fit(FEW[0])
    assert model.history_[:, "phase"] == ["layer 1"] * 2
    assert model.sample(3).shape == (3, N_FEATURES)


class Ends(Callback):
    """Ends the second epoch in some way."""

    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, net, **kwargs):
        if net.epochs_trained() == 2:
            raise self.error


def open_ends():
    from sklearn.callback import _transport

    return len(_transport._listeners), threading.active_count()


class Bars(Follows):
    """Opens what `sklearn.callback.ProgressBar` does: a listener and its thread."""

    def setup(self, estimator, context):
        from sklearn.callback._transport import open_listener

        super().setup(estimator, context)
        self.handle = open_listener(self.told.append)

    def teardown(self, estimator, context):
        from sklearn.callback._transport import close_listener

        super().teardown(estimator, context)
        close_listener(self.handle)


def opened_since(before):
    """Listeners and threads that are open now and were not before."""
    return np.subtract(open_ends(), before)


@pytest.fixture(scope="module")
def after_regression():
    """What a fit of scikit-learn leaves open: the thread of a closed listener."""
    before = open_ends()
    y = np.arange(60) % 2
    LogisticRegression(max_iter=2000).set_callbacks(Bars()).fit(FEW[0], y)
    return opened_since(before)


@with_callbacks
@needs("callbacks")
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=repr)
def test_nothing_stays_open_after_a_fit_that_ends_early(make, error, after_regression):
    follows = Bars()
    model = make(n_iter=9, callbacks=[Ends(error)]).set_callbacks(follows)
    before = open_ends()
    with pytest.raises(type(error)):
        fit(model, *FEW)
    assert (opened_since(before) <= after_regression).all()
    assert follows.told[-1] == "teardown"
    left = [name for name in vars(model) if "callback" in name]
    assert left == ["callbacks", "_skl_callbacks"]
    assert model.__sklearn_is_fitted__() == isinstance(error, KeyboardInterrupt)


@with_callbacks
@needs("callbacks", "learning_rate")
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_nothing_stays_open_after_a_fit_that_diverges(make, after_regression):
    """By its numbers: what was learned before stays, and the next fit is followed."""
    follows = Bars()
    model = make().set_callbacks(follows)
    fit(model, *FEW)
    learned, n_told, before = copy.copy(model), len(follows.told), open_ends()
    model.set_params(learning_rate=1e38)
    with pytest.raises(ValueError, match=r"Training diverged in epoch \d"):
        fit(model, *FEW)
    assert (opened_since(before) <= after_regression).all()
    assert follows.told[n_told] == "setup"
    assert follows.told[-1] == "teardown"
    assert ("end", "fit", 0) not in follows.told[n_told:]
    assert_same_state(model, learned)
    left = [name for name in vars(model) if "callback" in name]
    assert left == ["callbacks", "_skl_callbacks"]
    model.set_params(learning_rate=learned.learning_rate)
    assert_same_state(fit(model, *FEW), learned)
    assert follows.told[-2:] == [("end", "fit", 0), "teardown"]


class Interrupts(Bars):
    """Is interrupted from the keyboard while it is told of something."""

    def __init__(self, *event):
        super().__init__()
        self.event = event

    def on_fit_task_begin(self, estimator, context):
        super().on_fit_task_begin(estimator, context)
        self.interrupt()

    def on_fit_task_end(self, estimator, context, **kwargs):
        super().on_fit_task_end(estimator, context, **kwargs)
        self.interrupt()

    def interrupt(self):
        if self.told[-1] == self.event:
            raise KeyboardInterrupt


@with_callbacks
@pytest.mark.parametrize(
    ("event", "n_epochs"),
    [
        (("begin", "fit", 0), 0),
        (("begin", "epoch", 0), 0),
        (("begin", "epoch", 2), 2),
        (("end", "epoch", 1), 2),
        (("end", "fit", 0), None),
    ],
    ids=str,
)
def test_a_callback_that_is_interrupted(make, event, n_epochs, after_regression):
    """Epochs that are whole are learned from; without one, nothing has happened."""
    follows, before = Interrupts(*event), open_ends()
    model = make(**in_one_phase(make)).set_callbacks(follows)
    with pytest.raises(KeyboardInterrupt):
        fit(model, *FEW)
    assert (opened_since(before) <= after_regression).all()
    assert follows.told[-1] == "teardown"
    assert not {"_callback_fit_ctx", "_skl_callbacks_to_teardown"} & vars(model).keys()
    assert model.__sklearn_is_fitted__() == bool(n_epochs)
    if n_epochs:
        assert len(model.history_) == model.n_iter_ == n_epochs


@with_callbacks
def test_nothing_stays_open_after_a_fit_that_fails(make, monkeypatch, after_regression):
    def diverges(*args):
        raise ValueError("Training diverged")

    follows = Bars()
    model = make().set_callbacks(follows)
    before = open_ends()
    monkeypatch.setattr(type(model), "_read_state", diverges)
    with pytest.raises(ValueError, match="diverged"):
        fit(model, *FEW)
    assert (opened_since(before) <= after_regression).all()
    assert follows.told[-1] == "teardown"
    with pytest.raises(ValueError, match=r"NaN|inf"):
        fit(model, np.full((9, N_FEATURES), np.inf), Y[:9])
    assert (opened_since(before) <= 2 * after_regression).all()


@with_callbacks
def test_copies_and_pickles(make):
    """Workers need the callbacks of an unfitted estimator; a fitted one has none."""
    follows = Follows()
    model = make().set_callbacks(follows)
    for way in (clone, copy.copy, copy.deepcopy):
        assert way(model)._skl_callbacks == [follows]  # shared, as scikit-learn does
    assert len(pickle.loads(pickle.dumps(model))._skl_callbacks) == 1
    fit(model, *FEW)
    for way in (clone, copy.copy, copy.deepcopy):
        assert way(model)._skl_callbacks == [follows]
    reloaded = pickle.loads(pickle.dumps(model))
    assert not [name for name in vars(reloaded) if "skl_callb" in name or "ctx" in name]
    during = pickle.loads(pickle.dumps(follows.last))
    assert not [name for name in vars(during) if "skl_callb" in name or "ctx" in name]
    assert_same_state(during, model)


@with_callbacks
def test_what_is_no_callback_of_scikit_learn(make):
    model = make()
    for bad, message in [
        (EarlyStopping(), r"EarlyStopping, a callback of skorch.*callbacks=\[\.\.\.\]"),
        (EarlyStopping, r"set_params\(callbacks="),
        (Follows, r"the class Follows, but expected an instance: set_callbacks\(Foll"),
        (print, "of type builtin_function_or_method, but expected those of scikit-le"),
    ]:
        with pytest.raises(TypeError, match=message):
            model.set_callbacks(bad)
    assert "_skl_callbacks" not in vars(model)


@with_callbacks
@needs("callbacks")
@pytest.mark.parametrize("listed", [True, False])
def test_a_callback_of_scikit_learn_in_the_list_of_skorch(make, listed):
    model = make(callbacks=[Follows()] if listed else Follows())
    with pytest.raises(
        TypeError, match=r"callback of scikit-learn: call set_callbacks"
    ):
        fit(model, *FEW)


# Those of scikit-learn, in its own machinery


def score(estimator, X, y):
    return estimator.score(X)


def monitor():
    from sklearn.callback import ScoringMonitor

    return ScoringMonitor(scoring={"score": score})


def rbm(**params):
    return BernoulliRBMGPU(4, n_iter=3, random_state=0, device="cpu", **params)


@with_callbacks
def test_a_scoring_monitor_scores_without_y():
    watch = monitor()
    model = rbm().set_callbacks(watch).fit(FEW[0])
    rows = watch.get_logs().data
    assert [row["task_name"] for row in rows] == ["fit", "epoch", "epoch", "epoch"]
    scores = [row["score"] for row in rows]
    assert scores[0] == scores[-1] == model.score(FEW[0])
    assert len(set(scores)) == 3


@with_callbacks
def test_a_scoring_monitor_in_a_pipeline():
    watch = monitor()
    model = make_pipeline(MinMaxScaler(), rbm().set_callbacks(watch))
    model.fit(FEW[0])
    rows = watch.get_logs().data
    assert [len(row["task_id_path"]) for row in rows] == [2, 3, 3, 3]
    assert rows[-1]["score"] == model.score(FEW[0])


@with_callbacks
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_scoring_monitor_in_a_search(n_jobs):
    """Scores come from the workers: of 2 values, 2 folds and the last fit, 4 each."""
    watch = monitor()
    grid = {"bernoullirbmgpu__learning_rate": [0.01, 0.1]}
    model = make_pipeline(FunctionTransformer(), rbm().set_callbacks(watch))
    search = GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(FEW[0])
    rows = watch.get_logs().data
    assert len(rows) == 5 * 4
    assert np.isfinite([row["score"] for row in rows]).all()
    # The shortest path is that of the fit of the best of them.
    assert rows[0]["score"] == search.best_estimator_.score(FEW[0])


@with_callbacks
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_progress_bar_of_a_search(n_jobs, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    before = open_ends()
    grid = {"bernoullirbmgpu__learning_rate": [0.01, 0.1]}
    model = make_pipeline(rbm())
    search = GridSearchCV(model, grid, cv=2, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(FEW[0])
    assert opened_since(before)[0] == 0
    out = capsys.readouterr().out
    assert "BernoulliRBMGPU - fit" in out
    assert "100%" in out
