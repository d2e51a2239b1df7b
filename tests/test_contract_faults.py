"""What every estimator does where memory is short, training diverges, or threads meet.

Runs on `--device`, as test_contract.py does, of which it is a part.
"""

# ruff: noqa: F811  (the fixtures of test_contract.py)

import gc
import os
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from families import ESTIMATORS, X, Y, args, fit, in_one_phase, offered, sized
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from test_contract import (  # noqa: F401
    assert_same_state,
    fits,
    fitted,
    make,
    needs,
    pytest_generate_tests,
    reloaded,
)

from skgen import BernoulliRBMGPU, GaussianVAE
from skgen.base import EncoderMixin, _generator
from skgen.base._blocks import apply_in_blocks
from skgen.exceptions import TrainingDivergedError

# What torch says on a GPU, and on a CPU.
SHORT = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
}


def short_of_memory(most, error, sizes):
    """`apply_in_blocks` on a device that has memory for so many rows."""

    def apply(function, model, X, *more, device, out=None):
        def limited(model, x, *others):
            sizes.append(len(x))
            if len(x) > most:
                raise error
            return function(model, x, *others)

        return apply_in_blocks(limited, model, X, *more, device=device, out=out)

    return apply


@pytest.mark.parametrize("error", SHORT.values(), ids=SHORT)
def test_inference_takes_smaller_blocks_where_memory_is_short(
    make, fitted, monkeypatch, error
):
    methods = ["score_samples"] + ["transform"] * hasattr(fitted, "transform")
    for name in methods:
        method, data = getattr(fitted, name), args(fitted)
        usual, sizes = method(*data), []
        with monkeypatch.context() as patch:
            limited = short_of_memory(7, error, sizes)
            patch.setattr(_generator, "apply_in_blocks", limited)
            np.testing.assert_allclose(method(*data), usual, rtol=1e-4, atol=1e-5)
        assert {len(X), 6} <= set(sizes)
        assert min(sizes) > 3  # no smaller than it has to be


def test_memory_that_does_not_suffice_for_a_row(fitted, monkeypatch):
    limited = short_of_memory(0, SHORT["gpu"], [])
    monkeypatch.setattr(_generator, "apply_in_blocks", limited)
    with pytest.raises(MemoryError, match="for one row: CUDA out of memory") as caught:
        fitted.score_samples(*args(fitted))
    assert "\n" not in str(caught.value)


def test_an_error_of_another_kind_is_raised_as_it_is(fitted, monkeypatch):
    sizes = []
    limited = short_of_memory(7, RuntimeError("something else"), sizes)
    monkeypatch.setattr(_generator, "apply_in_blocks", limited)
    with pytest.raises(RuntimeError, match="something else"):
        fitted.score_samples(*args(fitted))
    assert len(sizes) == 1


def test_training_without_enough_memory(make, fitted, monkeypatch):
    model = reloaded(fitted)
    objective, n_steps = type(model.net_.criterion_), []

    def limited(*args):
        n_steps.append(1)
        raise SHORT["gpu"]

    monkeypatch.setattr(objective, "training_step", limited)
    words = r"to train \w+: CUDA out of memory\. .*Lower one of batch_size="
    with pytest.raises(MemoryError, match=words):
        fit(model, X[:80])
    assert n_steps
    assert_same_state(model, fitted)


class Spoil(Callback):
    """Make a parameter infinite when an epoch begins."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if net.epochs_of_fit() == self.epoch:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(np.inf)


class Stop(Spoil):
    """Interrupt training when an epoch begins."""

    def on_epoch_begin(self, net, **kwargs):
        if net.epochs_of_fit() == self.epoch:
            raise KeyboardInterrupt


@needs("callbacks")
@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")
def test_the_model_before_a_divergence_can_be_had(make):
    one_phase = in_one_phase(make)
    model = make(callbacks=[Spoil(2)], **one_phase)
    with pytest.raises(TrainingDivergedError, match="diverged in epoch 3") as caught:
        fit(model)
    assert not model.__sklearn_is_fitted__()
    expected = make(callbacks=[Stop(2)], **one_phase)
    with pytest.raises(KeyboardInterrupt):
        fit(expected)
    last = caught.value.estimator
    assert last is caught.value.estimator
    assert_same_state(last, expected)
    assert last.n_iter_ == 2
    assert np.isfinite(last.score_samples(*args(last))).all()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.estimator is None


@needs("callbacks")
def test_before_the_first_epoch_there_is_no_model(make):
    with pytest.raises(TrainingDivergedError, match="in epoch 1") as caught:
        fit(make(callbacks=[Spoil(0)], **in_one_phase(make)))
    assert caught.value.estimator is None


# Threads and processes


def test_eight_threads_ask_one_model(fitted):
    names = ["score_samples"] + ["transform"] * isinstance(fitted, EncoderMixin)
    expected = [getattr(fitted, name)(*args(fitted)) for name in names]

    def ask(_):
        return [getattr(fitted, name)(*args(fitted)) for name in names]

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(ask, range(16)):
            for one, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(one, other)


def search(make, backend):
    """Search over two learning rates by two workers."""
    rate = make().learning_rate
    grid = GridSearchCV(
        make(n_iter=2), {"learning_rate": [rate, rate / 2]}, cv=2, n_jobs=2
    )
    with joblib.parallel_backend(backend), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid.fit(*args(make(), X[:60], Y[:60]))
    return {k: v for k, v in grid.cv_results_.items() if "time" not in k}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_workers_of_all_backends_agree(make):
    alone = search(make, "sequential")
    backends = ["loky", "threading"]
    if not torch.cuda.is_available():  # a GPU that was used is lost to a fork
        backends.append("multiprocessing")
    for backend in backends:
        assert_same_results(search(make, backend), alone)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_workers_in_threads_agree(make):
    assert_same_results(search(make, "threading"), search(make, "sequential"))


def assert_same_results(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def resident():
    """Memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grow(kinds, n_fits):
    """Fit many times; return by how much memory, threads and open files grow."""
    for cls in kinds:  # what is made once
        fit_once(cls)
    gc.collect()
    before = resident(), threading.active_count(), len(os.listdir("/proc/self/fd"))
    for number in range(n_fits):
        fit_once(kinds[number % len(kinds)])
    gc.collect()
    after = resident(), threading.active_count(), len(os.listdir("/proc/self/fd"))
    return [late - early for early, late in zip(before, after, strict=True)]


def fit_once(cls):
    own = offered(cls, n_iter=1, random_state=0, **sized(cls, 8))
    model = fit(cls(**own), X[:60], Y[:60])
    model.score_samples(*args(model, X[:60], Y[:60]))


on_linux = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="reads what Linux tells of a process"
)


@on_linux
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_two_hundred_fits_leave_nothing():
    memory, threads, files = grow(ESTIMATORS, 200)
    assert memory < 16 * 2**20
    assert threads <= 0
    assert files <= 0


@on_linux
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_leave_nothing():
    memory, threads, files = grow([BernoulliRBMGPU, GaussianVAE], 20)
    assert memory < 16 * 2**20
    assert threads <= 0
    assert files <= 0


@on_linux
def test_what_fits_leave_is_seen():
    kept = []

    class Leaks(BernoulliRBMGPU):
        def fit(self, X, y=None):
            # So much that no memory of the heap is used again for it.
            kept.extend([os.open(os.devnull, os.O_RDONLY), np.ones(2**23)])
            return super().fit(X, y)

    memory, _, files = grow([Leaks], 3)
    assert memory > 16 * 2**20
    assert files == 3
    for file in kept[::2]:
        os.close(file)
