"""Interleaved rounds of all implementations, and ratios of speeds within a round."""

import time

import numpy as np
from _contestants import KINDS
from _worker import Worker

# Seconds after each run, in which idle threads go to sleep.
PAUSE = 0.1


class Bench:
    """The processes, one for each package, and the measurements made with them."""

    def __init__(self, args, path):
        self.rounds = args.rounds
        # Short runs vary more, and many of them take little time.
        self.rounds_of_short_runs = 1 if args.quick else 5 * args.rounds
        self.quick = args.quick
        self.output = args.output
        self.path = str(path)
        self.workers = {}
        self.targets = []

    def rows(self, n_rows):
        return min(n_rows, 500) if self.quick else n_rows

    def measure(self, contests, *, threads=None, rounds=None):
        """Measure rows per second of several implementations.

        Parameters
        ----------
        contests : list of tuple (kind, labels, task)
            Implementations to run; labels None means all of a kind.
        threads : int or None
            Number of threads of each process; None means the default.
        rounds : int or None
            Number of rounds; None means that of the command line.

        Returns
        -------
        speeds : dict of str to ndarray or str
            For each label, the speeds in all rounds, or the reason why there are none.
        """
        speeds, runners = {}, {}
        for worker in self.workers.values():
            worker.ask("forget")
        for kind, labels, task in contests:
            task = {**task, "path": self.path}
            for label in labels or KINDS[kind]:
                worker = self._worker(KINDS[kind][label][0], threads)
                reply = worker.ask("prepare", kind=kind, label=label, task=task)
                n_rows = reply.get("rows")
                if n_rows:
                    reply = worker.ask("run", label=label)
                if "skipped" in reply:
                    speeds[label] = reply["skipped"]
                else:
                    runners[label], speeds[label] = (worker, n_rows), []
        for _ in range(rounds or self.rounds):
            for label, (worker, n_rows) in runners.items():
                time.sleep(PAUSE)
                seconds = worker.ask("run", label=label)["seconds"]
                speeds[label].append(n_rows / seconds)
        return {k: v if isinstance(v, str) else np.array(v) for k, v in speeds.items()}

    def target(self, what, bound, value):
        """Record a target of skgen, such as "≥ 2", and the measured value or None."""
        self.targets.append((what, bound, value))

    def close(self):
        for worker in self.workers.values():
            worker.__exit__()

    def _worker(self, package, threads):
        key = package, threads
        if key not in self.workers:
            self.workers[key] = Worker(threads)
        return self.workers[key]


def ratio(speeds, label, other):
    """Return the median ratio of two speeds over rounds; None if one is missing."""
    pair = speeds.get(label), speeds.get(other)
    if any(speed is None or isinstance(speed, str) for speed in pair):
        return None
    return float(np.median(pair[0] / pair[1]))


def cells(speeds, label, others):
    """Format the cells of a row of a table: median speed and ratios to others."""
    if isinstance(speeds[label], str):
        return [speeds[label], *[""] * len(others)]
    ratios = [ratio(speeds, label, other) for other in others]
    return [
        f"{np.median(speeds[label]):,.0f}",
        *("" if r is None else f"{r:.2f}" for r in ratios),
    ]


def fresh_fits(worker, label, task, n_fits=1):
    """Return the replies to fits of an RBM by a new process.

    A tiny model is fitted first, so that what a package loads only once is not counted.
    """
    tiny = task | {"rows": 50, "features": 16, "hidden": 4, "batch": 10}
    for each in (tiny, task):
        reply = worker.ask("prepare", kind="rbm", label=label, task=each)
        if "skipped" in reply:
            return [reply]
        replies = [worker.ask("run", label=label) for _ in range(n_fits)]
    return replies
