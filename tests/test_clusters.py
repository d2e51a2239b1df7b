"""Searches on clusters: real processes that talk to each other on this machine."""

import os
import runpy
import signal
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from families import X
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skgen import BernoulliRBMGPU

EXAMPLE = Path(__file__).parents[1] / "examples" / "cluster_search.py"


def search_and_splits(n_iter):
    pipeline = make_pipeline(
        MinMaxScaler(clip=True), BernoulliRBMGPU(n_iter=n_iter, random_state=0)
    )
    grid = {
        "bernoullirbmgpu__n_components": [4, 8],
        "bernoullirbmgpu__learning_rate": [0.05, 0.1],
    }
    splits = list(KFold(3).split(X))
    return GridSearchCV(pipeline, grid, cv=splits), splits


def scores(search):
    names = [f"split{i}_test_score" for i in range(3)]
    return np.stack([search.cv_results_[name] for name in names])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of libraries that are no part of this one
def test_dask_finds_what_loky_finds_though_a_worker_is_killed():
    distributed = pytest.importorskip("distributed")
    import dask

    search, splits = search_and_splits(n_iter=300)
    with joblib.parallel_config("loky", n_jobs=2):
        expected = scores(search.fit(X))
    off = {"distributed.scheduler.active-memory-manager.start": False}
    with (
        dask.config.set(off),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config("dask", scatter=[X, *sum(splits, ())]),
    ):
        np.testing.assert_array_equal(scores(search.fit(X)), expected)
        pids = client.run(os.getpid)
        timer = threading.Timer(1, os.kill, (next(iter(pids.values())), signal.SIGKILL))
        timer.start()
        np.testing.assert_array_equal(scores(search.fit(X)), expected)
        timer.join()
        assert client.run(os.getpid) != pids  # one was killed, and another started


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_example_of_a_cluster(capsys):
    pytest.importorskip("distributed")
    runpy.run_path(str(EXAMPLE))["main"]()
    assert capsys.readouterr().out.count("nats") == 4


def kill_a_worker_of_ray(killed):
    """Kill one of the workers while they compute."""
    import psutil

    while len(workers := named(psutil, "ray::PoolActor")) < 2:
        time.sleep(0.2)
    time.sleep(5)  # in which they import and begin
    workers[0].kill()
    killed.append(workers[0].pid)


def named(psutil, start):
    found = psutil.process_iter(["cmdline"])
    return [p for p in found if (p.info["cmdline"] or [""])[0].startswith(start)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_finds_what_loky_finds_though_a_worker_is_killed():
    ray = pytest.importorskip("ray")
    pytest.importorskip("psutil")
    from ray.util.joblib import register_ray

    search, _ = search_and_splits(n_iter=1000)
    with joblib.parallel_config("loky", n_jobs=2):
        expected = scores(search.fit(X))
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=2**28)
    killed = []
    thread = threading.Thread(target=kill_a_worker_of_ray, args=(killed,), daemon=True)
    again = {"max_restarts": -1, "max_task_retries": -1}
    try:
        register_ray()
        thread.start()
        with joblib.parallel_config("ray", n_jobs=2, ray_remote_args=again):
            np.testing.assert_array_equal(scores(search.fit(X)), expected)
        assert killed  # before the search ended
    finally:
        ray.shutdown()
