"""A fit that was killed and started again ends with the bits of one that was not."""

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from resume_cases import CASES, X, assert_same, make, result
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    LRScheduler,
    Unfreezer,
)

import skgen
from skgen.base import _container, _run_files
from skgen.base._resume import _moved
from skgen.callbacks import Resume
from skgen.io import load

TESTS = Path(__file__).parent.parent


class Killed(BaseException):
    """What no code of the package catches, as it would not go on after a kill."""


class Kill(Callback):
    """End the process, as it were, when an epoch of a phase begins."""

    def __init__(self, epoch, phase=None):
        self.epoch, self.phase = epoch, phase

    def on_epoch_begin(self, net, **kwargs):
        is_phase = self.phase is None or net.phase == self.phase
        if is_phase and net.epochs_of_fit() == self.epoch:
            raise Killed


class CountEpochs(Callback):
    """Count the epochs that are trained."""

    n_epochs = 0

    def on_epoch_begin(self, net, **kwargs):
        type(self).n_epochs += 1


def fit_killed(case, directory, *, at, every=1, phase=None, **params):
    """Fit until an epoch begins, at which nothing goes on."""
    more = params.pop("callbacks", [])
    resume = Resume(directory, every)
    callbacks = [resume, *more, Kill(at, phase), CountEpochs()]
    model, data = make(case, callbacks=callbacks, **params)
    with pytest.raises(Killed):
        model.fit(*data)


def fit_on(case, directory, *, every=1, **params):
    """Start the fit again; return what it has learned, and of how many epochs."""
    more = params.pop("callbacks", [])
    callbacks = [Resume(directory, every), *more, Kill(-1), CountEpochs()]
    model, data = make(case, callbacks=callbacks, **params)
    CountEpochs.n_epochs = 0
    model.fit(*data)
    return result(model), CountEpochs.n_epochs


def fit_plain(case, **params):
    model, data = make(case, **params)
    return result(model.fit(*data))


def test_every_estimator_has_a_case():
    assert {name for name, _ in CASES.values()} == set(skgen.__all__)


# One of each kind of state. The slow test kills fits of all cases.
@pytest.mark.parametrize(
    "case",
    [
        *("pcd", "trajectory", "tempering", "gaussian pcd", "layers"),
        *("vae, dropout", "vae of bits", "conditional diffusion", "langevin"),
        "wasserstein",
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bits_of_a_fit_that_went_on(case, tmp_path):
    plain = fit_plain(case)
    fit_killed(case, tmp_path, at=3, every=2)
    resumed, n_epochs = fit_on(case, tmp_path, every=2)
    assert_same(plain, resumed)
    assert n_epochs < sum(np.size(v) for k, v in plain.items() if k.endswith("_loss"))
    # Once more: nothing is trained any more.
    again, n_epochs = fit_on(case, tmp_path, every=2)
    assert_same(plain, again)
    assert n_epochs <= 1  # the one after which a fit stops early


@pytest.mark.parametrize("phase", ["layer 2", "fine-tuning"])
def test_bits_of_a_later_phase(phase, tmp_path):
    names = {row["phase"] for row in make("layers")[0].fit(X).history_}
    assert phase in names
    plain = fit_plain("layers")
    assert any(name.startswith("layers_") for name in plain)
    fit_killed("layers", tmp_path, at=1, phase=phase)
    resumed, n_epochs = fit_on("layers", tmp_path)
    assert_same(plain, resumed)
    assert n_epochs < 12


def run_kills(folder, n_kills, *cases):
    program = [sys.executable, "-W", "ignore", TESTS / "kill_and_resume.py"]
    subprocess.run(
        [*program, folder, str(n_kills), *cases], check=True, timeout=1200, cwd=TESTS
    )


def test_two_fits_that_are_killed(tmp_path):
    run_kills(tmp_path, 2, "pcd")


@pytest.mark.slow
def test_fits_that_are_killed_at_random_moments(tmp_path):
    run_kills(tmp_path, 8)


def test_the_last_two_checkpoints_are_kept(tmp_path):
    fit_on("pcd", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "fit-000005.skgen",
        "fit-000006.skgen",
    ]


def test_a_fit_without_a_seed_goes_on_with_its_own_random_numbers(tmp_path):
    for seed in (None, np.random.RandomState(3)):
        folder = tmp_path / str(seed is None)
        fit_killed("vae of bits", folder, at=4, random_state=seed)
        files = {p.name: p.read_bytes() for p in folder.iterdir()}
        before = np.random.get_state()
        ends = [fit_on("vae of bits", folder, random_state=seed)[0]]
        for path in folder.iterdir():
            path.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        ends.append(fit_on("vae of bits", folder, random_state=seed)[0])
        assert_same(*ends)
        if seed is not None:
            np.testing.assert_array_equal(before[1], np.random.get_state()[1])


def test_two_fits_without_a_seed_differ(tmp_path):
    ends = [fit_on("vae", tmp_path / f, random_state=None)[0] for f in "ab"]
    assert not np.array_equal(*(end["history of train_loss"] for end in ends))


class Remember(Callback):
    """A callback of a user, which counts what it has seen."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = {"sum": 0.0, "losses": np.zeros(0)}
        self.stream_ = sys.stdout  # which no file can hold

    def on_epoch_end(self, net, **kwargs):
        loss = net.history[-1, "train_loss"]
        self.seen_["sum"] += loss
        self.seen_["losses"] = np.append(self.seen_["losses"], loss)
        net.history.record("seen", self.seen_["sum"])


def score(net, X, y=None):
    return net.score(X)


PLATEAU = {
    "policy": torch.optim.lr_scheduler.ReduceLROnPlateau,
    "monitor": "train_loss",
    "patience": 0,
    "threshold": 10.0,
    "factor": 0.5,
}
LISTENERS = {
    "own": lambda _: [Remember()],
    "step": lambda _: [LRScheduler("StepLR", step_size=2, gamma=0.5)],
    "plateau": lambda _: [LRScheduler(**PLATEAU)],
    "freezer": lambda _: [Freezer("*bias", at=2), Unfreezer("*bias", at=4)],
    "early stopping": lambda _: [
        EarlyStopping("train_loss", patience=4, threshold=1.0, load_best=True)
    ],
    "scoring": lambda _: [EpochScoring(score, lower_is_better=False, name="s")],
    "checkpoint": lambda folder: [
        Checkpoint(monitor="train_loss_best", dirname=str(folder), load_best=True)
    ],
}


@pytest.mark.parametrize("name", LISTENERS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_callbacks_go_on(name, tmp_path):
    make_callbacks = LISTENERS[name]
    case = "vae" if name in ("own", "plateau", "freezer") else "gaussian pcd"
    params = {"learning_rate_schedule": "constant", "n_iter": 7}
    plain = fit_plain(case, callbacks=make_callbacks(tmp_path / "a"), **params)
    params["callbacks"] = make_callbacks(tmp_path / "b")
    fit_killed(case, tmp_path / "c", at=3, **params)
    resumed, n_epochs = fit_on(case, tmp_path / "c", **params)
    assert_same(plain, resumed)
    assert n_epochs <= 4


class Unsaved(Callback):
    """A callback with a state that no file can hold."""

    def on_train_begin(self, net, **kwargs):
        self.scheduler_ = self

    def state_dict(self):
        return {"function": print}

    def load_state_dict(self, state):
        raise AssertionError("it was not saved")


def test_a_state_that_cannot_be_saved_is_told(tmp_path):
    with pytest.warns(
        UserWarning, match="cannot save scheduler_ of the callback Unsav"
    ):
        fit_on("pcd", tmp_path, callbacks=[Unsaved()])


def test_a_warm_start_goes_on(tmp_path):
    def start(*callbacks):
        model, data = make("gaussian pcd", callbacks=list(callbacks), warm_start=True)
        return model.set_params(callbacks=None).fit(*data), data

    plain, data = start()
    plain.set_params(n_iter=4).fit(*data)
    first, data = start()
    first.set_params(n_iter=4, callbacks=[Resume(tmp_path), Kill(2)])
    with pytest.raises(Killed):
        first.fit(*data)
    second, data = start()
    second.set_params(n_iter=4, callbacks=[Resume(tmp_path), Kill(-1)]).fit(*data)
    assert_same(result(plain), result(second))
    # A start from another state is another fit.
    other, data = start()
    other.components_ = other.components_ + 1
    other.set_params(n_iter=4, callbacks=[Resume(tmp_path), Kill(-1)])
    with pytest.raises(ValueError, match="fitted state: "):
        other.fit(*data)


def test_another_fit_is_refused(tmp_path):
    fit_on("vae", tmp_path)
    differ = {
        "n_iter: 6 there, 7 now": {"n_iter": 7},
        "random_state: 0 there, 1 now": {"random_state": 1},
        "learning_rate: ": {"learning_rate": 0.01},
        "hidden_layer_sizes: ": {"hidden_layer_sizes": (9,)},
        "callbacks: ": {"callbacks": [Remember()]},
    }
    for words, params in differ.items():
        with pytest.raises(ValueError, match=words):
            fit_on("vae", tmp_path, **params)
    model, _ = make("vae", callbacks=[Resume(tmp_path), Kill(-1), CountEpochs()])
    for data in (X + 1e-9, X[:-1], X[::-1]):
        with pytest.raises(ValueError, match=r"another fit \(X: .*remove the check"):
            model.fit(data)
    with pytest.raises(ValueError, match="sample_weight: None there"):
        model.fit(X, sample_weight=np.linspace(1, 2, len(X)))
    assert not hasattr(model, "history_")
    with pytest.raises(ValueError, match="estimator: Gaussian"):
        fit_on("pcd", tmp_path)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    plain = fit_plain("pcd")
    rng = np.random.default_rng(0)
    for number in range(6):
        folder = tmp_path / str(number)
        fit_killed("pcd", folder, at=4)
        newest = folder / "fit-000004.skgen"
        content = bytearray(newest.read_bytes())
        if number % 3:
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        else:
            del content[rng.integers(len(content)) :]
        newest.write_bytes(content)
        with pytest.warns(UserWarning, match="leaves out a checkpoint that is damaged"):
            resumed, n_epochs = fit_on("pcd", folder)
        assert_same(plain, resumed)
        assert n_epochs == 3


def test_nothing_but_damaged_checkpoints_is_an_error(tmp_path):
    fit_killed("pcd", tmp_path, at=4)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(ValueError, match="Remove them to start from the beginning"),
    ):
        fit_on("pcd", tmp_path)


def test_a_full_disk_ends_no_fit(tmp_path, monkeypatch):
    plain = fit_plain("pcd")
    fit_killed("pcd", tmp_path, at=2)
    before = sorted(p.name for p in tmp_path.iterdir())

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_container.os, "fsync", full)
    with pytest.warns(UserWarning, match=r"could not write .*No space left"):
        resumed, _ = fit_on("pcd", tmp_path)
    assert_same(plain, resumed)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    monkeypatch.undo()
    resumed, n_epochs = fit_on("pcd", tmp_path)
    assert n_epochs == 4
    assert_same(plain, resumed)


def test_a_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be used as a directory"):
        fit_on("pcd", tmp_path / "file")
    (tmp_path / "other-000001.skgen").write_text("a file of somebody else")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(ValueError, match="can be read"),
    ):
        fit_on("pcd", tmp_path)


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".fit-000001.skgen.0123").write_text("half of a")
    (tmp_path / "notes.txt").write_text("mine")
    fit_on("pcd", tmp_path)
    assert not list(tmp_path.glob(".*"))
    assert (tmp_path / "notes.txt").exists()


def test_what_resume_is_not_for(tmp_path):
    model, data = make("vae", callbacks=[Resume(tmp_path)])
    with pytest.raises(ValueError, match="Resume in partial_fit"):
        model.partial_fit(*data)
    for every in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="expected a positive integer"):
            model.set_params(callbacks=[Resume(tmp_path, every)]).fit(*data)
    with pytest.raises(ValueError, match="two callbacks Resume"):
        model.set_params(callbacks=[Resume(tmp_path), Resume(tmp_path)]).fit(*data)
    assert not hasattr(model, "history_")
    fit_on("vae", tmp_path)
    with pytest.raises(ValueError, match="checkpoint of Resume, and no estimator"):
        load(tmp_path / "fit-000006.skgen")


def test_resume_stands_behind_all_other_callbacks(tmp_path):
    model, data = make("vae of bits", callbacks=[("r", Resume(tmp_path)), Remember()])
    names = [name for name, _ in model.set_params(verbose=1).fit(*data).net_.callbacks_]
    assert names[-1] == "r"
    assert len(names) > 3


def test_progress_counts_all_epochs(tmp_path, capsys):
    fit_killed("pcd", tmp_path, at=4)
    fit_on("pcd", tmp_path, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0].split()[-1] for line in lines] == ["5", "6"]
    assert lines[-1].endswith("remaining = 0.0s")


def test_a_mistake_in_what_is_kept_is_noticed(tmp_path, monkeypatch):
    """Without one of the parts of a checkpoint, the bits are others."""
    plain = fit_plain("pcd")
    for part in ("progress", "training", "module", "objective"):
        folder = tmp_path / part
        fit_killed("pcd", folder, at=3)
        newest = _run_files.RunFiles.newest

        def without(self, phase, part=part, newest=newest):
            content = newest(self, phase)
            if part == "progress":
                content["progress"][""]["bits"]["used"] = 0
            elif part == "training":
                content["training"]["generator"][:] = plain_generator()
            else:
                for value in content[part].values():
                    value.zero_()
            return content

        with monkeypatch.context() as patch:
            patch.setattr(_run_files.RunFiles, "newest", without)
            resumed, _ = fit_on("pcd", folder)
        with pytest.raises(AssertionError):
            assert_same(plain, resumed)


def plain_generator():
    return torch.Generator().manual_seed(99).get_state().numpy()


def test_verbose_and_order_of_callbacks_may_change(tmp_path):
    fit_killed("pcd", tmp_path, at=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, n_epochs = fit_on("pcd", tmp_path, verbose=1)
    assert n_epochs == 3


def test_what_was_drawn_ahead_moves_to_the_device():
    """A tensor of a file is on the CPU, wherever it was."""
    known = {"chains": [torch.zeros(2), (torch.ones(1), 3)], "age": 1, "models": None}
    moved = _moved(known, torch.device("meta"))
    chains, (ones, three) = moved["chains"]
    assert {chains.device.type, ones.device.type} == {"meta"}
    assert (three, moved["age"], moved["models"]) == (3, 1, None)
