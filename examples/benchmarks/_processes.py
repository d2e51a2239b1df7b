"""Times of whole processes: of the first fit, and of several processes at once."""

import time
from itertools import product

import numpy as np
from _fresh import DEPENDENCIES, measure
from _report import show
from _worker import Worker

# A fresh process takes seconds.
MOST_ROUNDS = 5
PACKAGES = ["skgen", "scikit-learn"]


def first_fit(bench):
    """Measure the first and the second fit of a process, and the import of skgen."""
    n = min(bench.rounds, MOST_ROUNDS)
    names = ["first fit", "second fit", "first − second"]
    rows = [["model", *[f"{name}, s" for name in names]]]
    families = ["BernoulliRBMGPU", "GaussianVAE"]
    measure("imports")  # reads files that the system then has in memory
    replies = [
        [measure("imports"), *[measure("fits", family) for family in families]]
        for _ in range(n)
    ]
    imports, *fits = zip(*replies, strict=True)
    for family, found in zip(families, fits, strict=True):
        times = np.array([[each["first"], each["second"]] for each in found])
        times = np.median(np.c_[times, times[:, 0] - times[:, 1]], axis=0)
        rows.append([family, *[f"{t:.3f}" for t in times]])
        bench.target(f"first fit − second fit of {family}, s", "≤ 0.3", times[2])
    caption = (
        "Times of the first two fits of a small model in a new process, after all "
        f"imports: medians of {n} processes. The models have 500 digits of 64 "
        "features; 16 hidden units and 2 epochs, or 4 latent variables, 32 hidden "
        "units and 10 epochs."
    )
    show("first_fit", caption, rows, bench.output)

    milliseconds = {
        name: 1e3 * float(np.median([each[name] for each in imports]))
        for name in ("dependencies", "skgen", "BernoulliRBMGPU", "all estimators")
    }
    rows = [["import", "ms"]]
    rows += [[name, f"{milliseconds[name]:.0f}"] for name in milliseconds]
    bench.target(
        "import skgen after its dependencies, ms", "≤ 50", milliseconds["skgen"]
    )
    caption = (
        f"Times of imports in a new process: of {', '.join(DEPENDENCIES)}; and after "
        "them of skgen, which imports an estimator when first asked for, of skgen "
        f"with one estimator, and with all. Medians of {n} processes."
    )
    show("imports", caption, rows, bench.output)


def two_processes(bench):
    """Measure fits in two processes at once, with the default number of threads."""
    rows = [["RBM of", "fit of", "in turn, s", "at once, s", "ratio"]]
    task = {"rows": bench.rows(8985), "epochs": 2 if bench.quick else 10}
    fits = {"pipeline": "the pipeline", "rbm of pipeline": "the RBM alone"}
    for package, kind in product(PACKAGES, fits):
        pairs = np.array(in_turn_and_at_once(kind, package, task, bench.rounds))
        found = float(np.median(pairs[:, 1] / pairs[:, 0]))
        times = [f"{t:.2f}" for t in np.median(pairs, axis=0)]
        rows.append([package, fits[kind], *times, f"{found:.2f}"])
        if package == "skgen":
            what = f"two processes, {fits[kind]}: time at once / in turn"
            bench.target(what, "≤ 1.3", found)
    caption = (
        "Two processes, each of which fits a pipeline of an RBM with 100 hidden units, "
        "StandardScaler and LogisticRegression on digits that are shifted by one pixel "
        f"({task['rows']:,} rows, {task['epochs']} epochs), or its RBM alone, with the "
        "default number of threads: one after the other, and both at once. Medians of "
        f"{bench.rounds} rounds."
    )
    show("two_processes", caption, rows, bench.output)


def in_turn_and_at_once(kind, package, task, rounds):
    """Measure, in each round, two fits one after the other and at the same time."""
    with Worker() as first, Worker() as second:
        workers = [first, second]
        for worker in workers:
            worker.ask("prepare", kind=kind, label=package, task=task)
            reply = worker.ask("run", label=package)
            if "skipped" in reply:
                raise RuntimeError(reply["skipped"])
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            for worker in workers:
                worker.ask("run", label=package)
            between = time.perf_counter()
            for worker in workers:
                worker.send("run", label=package)
            for worker in workers:
                worker.receive()
            times.append((between - began, time.perf_counter() - between))
    return times


def grid_search(bench):
    """Measure a grid search with two processes of joblib, from a cold start."""
    n, n_iter = min(bench.rounds, MOST_ROUNDS), 2 if bench.quick else 10
    found = [[measure("grid_search", p, n_iter) for p in PACKAGES] for _ in range(n)]
    rows = [["time, s", *PACKAGES, "ratio"]]
    for key, what in [("search", "GridSearchCV.fit"), ("process", "whole process")]:
        times = np.array([[each[key] for each in pair] for pair in found])
        share = float(np.median(times[:, 0] / times[:, 1]))
        cells = [f"{t:.2f}" for t in np.median(times, axis=0)]
        rows.append([what, *cells, f"{share:.2f}"])
        what = f"grid search, {what}: time of skgen / scikit-learn"
        bench.target(what, "≤ 1", share)
    caption = (
        "GridSearchCV of 8 candidates in 3 folds with n_jobs=2, in a new process whose "
        "workers have to be started: a pipeline of an RBM with 100 hidden units "
        f"({n_iter} epochs), StandardScaler and LogisticRegression on the digits of "
        f"scikit-learn. The whole process includes all imports. Medians of {n} "
        "processes."
    )
    show("grid_search", caption, rows, bench.output)
