"""Small steps are computed by one thread; what was there before is put back."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from math import inf
from threading import Barrier, current_thread, main_thread

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skgen import BernoulliRBMGPU, BernoulliVAE, GaussianVAE
from skgen.likelihood import LogPartition
from skgen.nn import _threads
from skgen.nn._threads import (
    number_of_threads,
    side_by_side,
    threads_for,
    work_of_a_step,
)

BITS = (np.random.RandomState(0).uniform(size=(40, 64)) < 0.3).astype(np.float32)


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def in_new_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


@pytest.mark.parametrize(("work", "expected"), [(0, 1), (10_000, 1), (inf, 2)])
def test_small_work_takes_one_thread(two_threads, work, expected):
    with threads_for(work):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


def test_one_thread_stays_one():
    for work in (0, inf):
        with threads_for(work):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1


def test_an_error_puts_the_number_back(two_threads):
    with pytest.raises(KeyboardInterrupt), threads_for(0):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2


def test_contexts_nest(two_threads):
    with threads_for(0):
        with threads_for(0):
            pass
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_threads_that_start_meanwhile_have_the_number_of_the_process(two_threads):
    with threads_for(0):
        assert in_new_thread(number_of_threads) == 2
    assert in_new_thread(number_of_threads) == 2


@pytest.mark.parametrize("n_contexts", [2, 5])
def test_contexts_overlap_in_threads(two_threads, n_contexts):
    """All are in at the same time, and leave one after the other."""
    everybody = Barrier(n_contexts)

    def numbers(turn):
        seen = [number_of_threads()]
        with threads_for(0):
            everybody.wait(timeout=30)
            seen.append(torch.get_num_threads())
            for now in range(n_contexts):
                everybody.wait(timeout=30)
                if now == turn:
                    break
        seen.append(torch.get_num_threads())
        for _ in range(turn + 1, n_contexts):
            everybody.wait(timeout=30)
        return [*seen, torch.get_num_threads()]

    with ThreadPoolExecutor(n_contexts) as pool:
        seen = list(pool.map(numbers, range(n_contexts)))
    assert seen == [[2, 1, 2, 2]] * n_contexts
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_forked_while_another_thread_sets_a_number(two_threads):
    """Its lock is not that of the parent, which nobody would release there."""
    with threads_for(0):
        pass
    with _threads._lock:
        child = os.fork()
        if not child:
            os._exit(not _threads._lock.acquire(timeout=1))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Threads(Callback):
    """Write into the history how many threads there are."""

    def on_epoch_end(self, net, **kwargs):
        net.record("n_threads", torch.get_num_threads())


def fitted(kind, seed=0):
    model = kind(8, n_iter=3, callbacks=[Threads()], device="cpu", random_state=seed)
    return model.fit(BITS)


def n_threads_of(model):
    (number,) = {row["n_threads"] for row in model.history_}
    return number


every_kind = pytest.mark.parametrize(
    "kind", [BernoulliRBMGPU, BernoulliVAE, GaussianVAE]
)
quiet = pytest.mark.filterwarnings(
    "ignore:Training of:sklearn.exceptions.ConvergenceWarning"
)


@quiet
@every_kind
def test_a_small_fit_is_trained_by_one_thread(two_threads, kind, monkeypatch):
    assert n_threads_of(fitted(kind)) == 1
    assert torch.get_num_threads() == 2
    monkeypatch.setattr("skgen.base._fitting.work_of_a_step", lambda *_: inf)
    assert n_threads_of(fitted(kind)) == 2
    assert torch.get_num_threads() == 2


@quiet
@every_kind
def test_fits_side_by_side_are_as_alone(two_threads, kind):
    alone = [fitted(kind, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(fitted, [kind] * 4, range(4)))
        after = list(pool.map(lambda _: torch.get_num_threads(), range(8)))
    for a, b in zip(alone, beside, strict=True):
        assert n_threads_of(a) == n_threads_of(b) == 1
        np.testing.assert_array_equal(a.score_samples(BITS), b.score_samples(BITS))
    assert set(after) == {2}
    assert torch.get_num_threads() == 2


@quiet
@every_kind
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_a_thread_takes_its_number_before_it_computes(two_threads, kind, method):
    """It would keep the 1 that another fit sets for a moment."""
    model = fitted(kind)
    with ThreadPoolExecutor(1) as pool:
        with _threads._lock:
            in_new_thread(torch.set_num_threads, 1)
            done = pool.submit(getattr(model, method), BITS)
            wait([done], timeout=0.3)
            in_new_thread(torch.set_num_threads, 2)
        done.result()
        assert pool.submit(torch.get_num_threads).result() == 2


@pytest.mark.parametrize(("n_chains", "expected"), [(3, 1), (200_000, 2)])
def test_few_chains_are_run_by_one_thread(two_threads, n_chains, expected, monkeypatch):
    seen = []

    def chains(model, v, **kwargs):
        seen.append(torch.get_num_threads())
        return v

    monkeypatch.setattr("skgen.rbm._base.gibbs", chains)
    model = BernoulliRBMGPU(8, n_iter=1, device="cpu", random_state=0).fit(BITS[:, :8])
    model.sample(n_chains)
    assert seen == [expected]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("method", "expected"), [("exact", 2), ("ais", 1), ("trajectory", 1)]
)
def test_annealing_is_run_by_one_thread(two_threads, method, expected, monkeypatch):
    """Enumeration is not, which is one large sum."""
    seen = []

    def estimate(*args, **kwargs):
        seen.append(torch.get_num_threads())
        return LogPartition.exact(0.0)

    monkeypatch.setattr("skgen.rbm._base.estimate_log_partition", estimate)
    model = BernoulliRBMGPU(8, n_iter=1, device="cpu", random_state=0).fit(BITS)
    model.log_partition_function(method)
    assert seen == [expected]


@quiet
def test_a_fit_that_fails_puts_the_number_back(two_threads):
    class Fails(Callback):
        def on_batch_end(self, net, **kwargs):
            assert torch.get_num_threads() == 1
            raise RuntimeError("no")

    model = BernoulliRBMGPU(4, callbacks=[Fails()], device="cpu", random_state=0)
    with pytest.raises(RuntimeError, match="no"):
        model.fit(BITS)
    assert torch.get_num_threads() == 2


def test_work_is_that_of_the_largest_product():
    model = nn.Sequential(nn.Linear(64, 100), nn.Linear(100, 10))
    objective = nn.Module()
    assert work_of_a_step(model, objective, 10) == 10 * 64 * 100
    objective.register_buffer("means", torch.zeros(1000))
    assert work_of_a_step(model, objective, 10) == 10 * 64 * 100
    # Chains at 3 temperatures, which are sampled together.
    objective.register_buffer("chains", torch.zeros(3, 20, 100))
    assert work_of_a_step(model, objective, 10) == 60 * 64 * 100
    assert work_of_a_step(model, objective, 80) == 80 * 64 * 100


def test_convolutions_are_no_small_work():
    assert work_of_a_step(nn.Conv2d(1, 1, 3), nn.Module(), 1) == inf


def test_a_model_without_parameters_is_small():
    assert work_of_a_step(nn.Identity(), nn.Module(), 10) == 0


def names_of_threads(work):
    with threads_for(work):
        return side_by_side(
            lambda: current_thread().name,
            lambda stopped: (current_thread().name, torch.get_num_threads()),
        )


def test_two_functions_run_side_by_side_where_threads_are_left(two_threads):
    here, (there, n_threads) = names_of_threads(0)
    assert here == current_thread().name != there
    assert n_threads == 1
    here, (there, n_threads) = names_of_threads(inf)  # these need all threads
    assert here == there == current_thread().name
    assert n_threads == 2
    torch.set_num_threads(1)
    assert len(set(names_of_threads(0)[1])) == 2
    assert names_of_threads(0)[1] == (current_thread().name, 1)


def test_side_by_side_leaves_the_number_of_new_threads(two_threads):
    with threads_for(0):
        side_by_side(lambda: None, lambda stopped: None)
        assert in_new_thread(torch.get_num_threads) == 2


def test_what_fails_here_stops_what_runs_there(two_threads):
    ended = []

    def there(stopped):
        ended.append(stopped.wait(30))

    def here():
        raise KeyboardInterrupt

    with threads_for(0), pytest.raises(KeyboardInterrupt):
        side_by_side(here, there)
    assert ended == [True]


def test_what_fails_there_is_raised(two_threads):
    def there(stopped):
        raise ValueError("there")

    with threads_for(0), pytest.raises(ValueError, match="there"):
        side_by_side(lambda: None, there)


def test_both_directions_of_annealing_side_by_side(two_threads):
    """With one thread they give the same numbers, one after the other."""
    model = BernoulliRBMGPU(8, n_iter=2, random_state=0, device="cpu").fit(BITS)

    def result():
        return model.log_partition_function(
            method="ais", n_chains=20, n_temperatures=50, random_state=0
        )

    side = result()
    torch.set_num_threads(1)
    assert result() == side


def test_annealing_that_is_interrupted_ends_soon(two_threads, monkeypatch):
    from skgen.rbm import _partition_annealed

    plain, n_steps = _partition_annealed.annealed_log_weights, []

    def interrupted(models, v, *, generator):
        if current_thread() is main_thread():
            raise KeyboardInterrupt
        models = list(models)  # as many as come before the other thread has failed
        n_steps.append(len(models))
        return plain(models[:2], v, generator=generator)

    monkeypatch.setattr(_partition_annealed, "annealed_log_weights", interrupted)
    model = BernoulliRBMGPU(8, n_iter=2, random_state=0, device="cpu").fit(BITS)
    with pytest.raises(KeyboardInterrupt):
        model.log_partition_function(
            method="ais", n_chains=20, n_temperatures=20_000, random_state=0
        )
    assert n_steps[0] < 10_000


class SeesThreads(Callback):
    def on_epoch_begin(self, net, **_):
        net.history.record("n_threads", torch.get_num_threads())


@pytest.mark.parametrize("width", [128, 1500])
def test_threads_of_a_small_table(two_threads, width):
    """178 rows, whose steps two threads make no faster, and larger networks."""
    options = {"hidden_layer_sizes": (width,) * 2, "early_stopping": False}
    X = np.random.default_rng(0).normal(size=(178, 13))
    model = GaussianVAE(2, n_iter=1, callbacks=[SeesThreads()], **options).fit(X)
    assert model.history_[-1]["n_threads"] == (1 if width == 128 else 2)
