"""What every estimator promises of callbacks, those of skorch and of scikit-learn.

Runs on `--device`, as test_contract.py does, of which it is a part.
"""

# ruff: noqa: F811  (the fixtures of test_contract.py)

import io
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from families import X, Y, args, fit, in_one_phase, n_phases, net_args
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WandbLogger,
)
from test_contract import (  # noqa: F401
    assert_same_state,
    make,
    needs,
    pytest_generate_tests,
)

pytestmark = needs("callbacks")

FEW = X[:60], Y[:60]


def parameters(net):
    """Copies of the parameters of a net, by name."""
    return {name: p.detach().clone() for name, p in net.module_.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[k], other[k]) for k in one
    )


class Follows(Callback):
    """Keeps the parameters at the beginning and the end of each epoch."""

    def __init__(self, begins, ends):
        self.begins, self.ends = begins, ends

    def on_epoch_begin(self, net, **kwargs):
        self.begins.append(parameters(net))

    def on_epoch_end(self, net, **kwargs):
        self.ends.append(parameters(net))


# Those that watch


class Sink:
    """Stands for a summary writer, an experiment, a run and a client that log."""

    def __init__(self):
        self.seen = []
        self.info = SimpleNamespace(run_id="run")
        self.dir = None

    def add_scalar(self, tag, scalar_value, global_step):
        self.seen.append((tag, float(scalar_value), global_step))

    def log_scalar(self, name, value, step=None):
        self.seen.append((name, float(value), step))

    def log_metric(self, run_id, key, value, step):
        self.seen.append((key, float(value), step))

    def log_artifact(self, run_id, path):
        self.seen.append((path.name, path.stat().st_size, 0))

    def set_terminated(self, run_id):
        self.seen.append(("terminated", 0.0, 0))

    def watch(self, module):
        self.seen.append(("watch", 0.0, 0))

    def log(self, values):
        self.seen += [(name, value, 0) for name, value in values.items()]

    def close(self):
        self.seen.append(("closed", 0.0, 0))

    def names(self):
        return [name for name, *_ in self.seen]


def mean_of_x(net, X, y):
    return float(X.mean())


def test_those_that_watch(make, tmp_path, capsys):
    """What each of them records; and the fit is, to the bit, that without them."""
    board, flow, sacred, wandb = (Sink() for _ in range(4))
    wandb.dir = tmp_path
    lines = []
    watching = [
        EpochTimer(),
        BatchScoring(mean_of_x, name="batch", on_train=True),
        BatchScoring(None, name="batch_score", lower_is_better=False),
        EpochScoring(None, name="epoch_score", lower_is_better=False),
        EpochScoring(None, name="uncached", use_caching=False),
        PassthroughScoring("train_batch_size", on_train=True),
        Checkpoint(dirname=str(tmp_path), f_pickle="net.pkl"),
        TrainEndCheckpoint(dirname=str(tmp_path)),
        PrintLog(sink=lines.append),
        ProgressBar(),
        TensorBoard(board),
        MlflowLogger(flow, flow),
        SacredLogger(sacred),
        WandbLogger(wandb),
    ]
    model = fit(make(callbacks=watching), *FEW)
    twin = fit(make(callbacks=[EarlyStopping(patience=99)]), *FEW)
    assert_same_state(model, twin)
    history, n = model.history_, model.n_iter_
    for name in ("batch", "batch_score", "epoch_score", "uncached", "dur"):
        assert np.isfinite(history[:, name]).all()
    np.testing.assert_allclose(history[:, "uncached"], history[:, "epoch_score"])
    assert history[:, "train_batch_size"] == [54.0] * n or make().batch_size < 54
    assert history[0, "event_cp"]
    for name in ("params.pt", "train_end_params.pt", "net.pkl", "best_model.pth"):
        assert (tmp_path / name).stat().st_size > 100
    last = torch.load(tmp_path / "train_end_params.pt")
    learned = parameters(model.net_)
    assert same({name: last[name] for name in learned}, learned)
    assert len(lines) >= n + 2
    assert "epoch" in lines[0]
    assert "batch_score" in lines[0]
    assert capsys.readouterr().err.count("| 0/") == n  # a bar for each epoch
    for sink, tag in ((board, "Loss/train_loss"), (flow, "train_loss")):
        values = [value for name, value, _ in sink.seen if name == tag]
        assert values == history[:, "train_loss"]
    assert sacred.names().count("epoch_score") == n
    assert wandb.names().count("epoch_score") == n
    assert board.names()[-1] == "closed"
    assert flow.names()[-1] == "terminated"
    assert {"params.pth", "criterion.pth", "history.json"} <= set(flow.names())


def test_names_of_phases_are_no_metrics(make):
    """Loggers of numbers do not get them; the list of the user stays as it was."""
    loggers = [MlflowLogger(Sink(), Sink(), keys_ignored="dur"), SacredLogger(Sink())]
    model = fit(make(callbacks=loggers), *FEW)
    assert ("phase" in model.history_[0]) == (n_phases(model) > 1)
    assert loggers[0].keys_ignored == "dur"
    kept = dict(model.net_.callbacks_)["MlflowLogger"].keys_ignored_
    assert kept == {"dur", "phase", "batches"}


# Those that change the training


def test_a_freezer_and_an_unfreezer(make):
    begins, ends = [], []
    follows = Follows(begins, ends)
    callbacks = [Freezer("*"), Unfreezer("*", at=3), follows]
    fit(make(callbacks=callbacks, **in_one_phase(make)), *FEW)
    assert same(ends[0], begins[0])
    assert same(ends[1], begins[0])
    # All learn again, but for what a layer of zeros keeps from a gradient at first.
    assert not same(ends[2], begins[0])


@pytest.mark.filterwarnings("ignore:Training of:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "mapper",
    [
        Initializer("*", fn=lambda p: p.data.fill_(-0.25)),
        ParamMapper("*", fn=lambda p: p.data.fill_(-0.25), at=2),
        ParamMapper("*", schedule=lambda net: lambda p: p.data.fill_(-0.25)),
    ],
    ids=["initializer", "mapper", "schedule"],
)
def test_a_mapper_sets_what_training_goes_on_from(make, mapper):
    begins, ends = [], []
    at = 2 if mapper.at == 2 else 1
    callbacks = [mapper, Freezer("*", at=at), Follows(begins, ends)]
    model = fit(make(callbacks=callbacks, **in_one_phase(make)), *FEW)
    for found in (begins[at - 1], ends[-1], parameters(model.net_)):
        # A variance that training has a bound for is moved back to it.
        kept = [p.ravel() for name, p in found.items() if "variance" not in name]
        values = torch.cat(kept)
        torch.testing.assert_close(values, torch.full_like(values, -0.25))
    alone = fit(make(callbacks=[mapper], **in_one_phase(make)), *FEW)
    assert not same(parameters(alone.net_), ends[-1])  # it learns from there


class Norms(Callback):
    def __init__(self, norms):
        self.norms = norms

    def on_grad_computed(self, net, named_parameters, **kwargs):
        grads = [p.grad.ravel() for _, p in named_parameters if p.grad is not None]
        self.norms.append(torch.cat(grads).norm().item())


def test_gradients_are_clipped(make):
    free, clipped = [], []
    one = fit(make(callbacks=[Norms(free)]), *FEW)
    other = fit(make(callbacks=[GradientNormClipping(1e-6), Norms(clipped)]), *FEW)
    assert max(clipped) < 1.001e-6 < 1e-4 < max(free)
    assert_same_state(one, other, equal=False)


class Rates(Callback):
    def __init__(self, rates):
        self.rates = rates

    def on_batch_begin(self, net, **kwargs):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])


@pytest.mark.parametrize("every", ["epoch", "batch"])
def test_a_scheduler_sets_the_learning_rate(make, every):
    rates = []
    halves = LRScheduler("StepLR", step_size=1, gamma=0.5, step_every=every)
    one = in_one_phase(make)
    model = fit(make(callbacks=[halves, Rates(rates)], **one), *FEW)
    n_batches = model.history_[-1, "train_batch_count"]
    steps = np.arange(len(rates)) // (n_batches if every == "epoch" else 1)
    np.testing.assert_allclose(rates, model.learning_rate / 2.0**steps)
    assert_same_state(model, fit(make(**one), *FEW), equal=False)


@pytest.mark.parametrize("kind", ["checkpoint", "safetensors", "stop"])
def test_the_best_epoch_is_restored(make, kind, tmp_path):
    """And is not averaged with others (GaussianRBM) nor moved from at the end."""

    class Score(Callback):
        def on_epoch_end(self, net, **kwargs):
            best = net.epochs_trained() == 2
            net.history.record("own", 0.0 if best else 1.0)
            net.history.record("own_best", best)

    restores = {
        "checkpoint": Checkpoint("own_best", dirname=str(tmp_path), load_best=True),
        "safetensors": Checkpoint(
            "own_best",
            dirname=str(tmp_path),
            load_best=True,
            f_optimizer=None,
            use_safetensors=True,
        ),
        "stop": EarlyStopping("own", patience=99, load_best=True),
    }
    ends = []
    callbacks = [Score(), restores[kind], Follows([], ends)]
    params = {"learning_rate_schedule": "constant", "n_iter": 8}
    model = fit(make(callbacks=callbacks, **in_one_phase(make), **params), *FEW)
    assert len(ends) == 8
    assert same(parameters(model.net_), ends[1])
    assert not same(parameters(model.net_), ends[7])
    assert model.n_iter_ == len(model.history_) == (8 if kind == "stop" else 2)


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("kind", [TrainEndCheckpoint, Checkpoint])
def test_a_checkpoint_is_gone_on_from(make, kind, linked, tmp_path):
    """In a list with what wrote it, or with a checkpoint of the same files."""
    one = in_one_phase(make)
    own = {"monitor": None} if kind is Checkpoint else {}
    saves = kind(dirname=str(tmp_path), **own)
    first = fit(make(callbacks=[LoadInitState(saves), saves], **one), *FEW)
    assert first.n_iter_ == 3  # there was nothing to load
    loads = [LoadInitState(saves), *([saves] if linked else [])]
    loaded = fit(make(callbacks=loads, n_iter=0, **one), *FEW)
    assert same(parameters(loaded.net_), parameters(first.net_))
    assert loaded.history_[:, "epoch"] == [1, 2, 3]
    assert loaded.n_iter_ == 3
    begins = []
    model = make(callbacks=[*loads, Follows(begins, [])], n_iter=1, **one)
    fit(model, *FEW)
    assert same(begins[0], parameters(first.net_))
    assert model.history_[:, "epoch"] == [1, 2, 3, 4]
    assert model.n_iter_ == len(model.net_.history) == 4
    assert not hasattr(saves, "checkpoint_")  # that of the user is as it was


def test_a_checkpoint_of_one_phase_is_not_that_of_a_fit(make, tmp_path):
    loads = LoadInitState(Checkpoint(dirname=str(tmp_path)))
    if n_phases(fit(make(n_iter=1), *FEW)) > 1:
        with pytest.raises(ValueError, match=r"LoadInitState, but a Deep.*\(save, "):
            fit(make(callbacks=[loads]), *FEW)


def test_what_is_loaded_into_the_net_of_an_estimator_is_refused(make):
    model = fit(make(**in_one_phase(make)), *FEW)
    file = io.BytesIO()
    model.net_.save_params(f_params=file)
    file.seek(0)
    with pytest.raises(TypeError, match=r"would be undone. Fit with callbacks=\[Load"):
        model.net_.load_params(f_params=file)
    net = pickle.loads(pickle.dumps(model.net_))  # it is of nobody
    with torch.no_grad():
        next(net.module_.parameters()).fill_(3.0)
    net.load_params(f_params=file)
    assert same(parameters(net), parameters(model.net_))


def test_what_the_net_of_an_estimator_learns_on_its_own_is_refused(make):
    model = fit(make(**in_one_phase(make)), *FEW)
    learned = parameters(model.net_)
    for method in (model.net_.partial_fit, model.net_.fit):
        with pytest.raises(TypeError, match=r"would be undone. Call fit with warm_st"):
            method(*net_args(model))
    assert same(parameters(model.net_), learned)
    net = pickle.loads(pickle.dumps(model.net_))  # it is of nobody
    net.max_epochs = 1
    net.partial_fit(*net_args(model))
    assert not same(parameters(net), learned)
    twin = fit(make(**in_one_phase(make)), *FEW)
    for each in (model, twin):
        each.partial_fit(*args(each, *FEW))
    assert_same_state(model, twin)


BAD = {
    "bare": (EarlyStopping(), r"type EarlyStopping, but .* a list.*callbacks=\[callb"),
    "class": (EarlyStopping, r"type EarlyStopping, but .* Put it in a list"),
    "string": ("print", "type str, but expected a list of callbacks of skorch"),
    "other": (["print"], "callback of type str, but expected those of skorch"),
    "shape": ([InputShapeSetter()], "number of features is taken from X. Remove it"),
    "shape class": ([("n", InputShapeSetter)], "InputShapeSetter, but the number"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_is_no_list_of_callbacks(make, name, method):
    callbacks, message = BAD[name]
    model = make(callbacks=callbacks)
    with pytest.raises(TypeError, match=message):
        getattr(model, method)(*args(model, *FEW))
