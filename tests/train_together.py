"""What each of several processes runs, for tests of trainings by several: a program.

    torchrun --nproc-per-node 2 tests/train_together.py FOLDER NAME [NAME ...]

Each process writes what each fit has learned, or how it failed.
"""

import os
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
from resume_cases import CASES, X, make, result
from toys.linear_conditional import LinearConditional

from skgen import BernoulliRBMGPU, GaussianVAE
from skgen.callbacks import Resume
from skgen.parallel import data_parallel
from skgen.training import GenerativeNet


def least_squares():
    """Steps that draw no random numbers, of mini-batches that do not divide evenly."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(110, 2))
    x = y @ rng.normal(size=(2, 3)) + rng.normal(size=(110, 3))
    weight = rng.uniform(0.5, 2, size=110)
    model = LinearConditional(n_iter=3, batch_size=33, random_state=0)
    return model.fit(x, y, weight)


def bits():
    """A machine whose likelihood can be computed."""
    X = np.random.default_rng(0).random((6, 12)).repeat(200, axis=0)
    X = (np.random.default_rng(1).random(X.shape) < X).astype(float)
    options = {"learning_rate": 0.1, "learning_rate_schedule": "linear"}
    return BernoulliRBMGPU(6, n_iter=20, batch_size=60, random_state=0, **options).fit(
        X
    )


def killed(processes):
    """A fit in the middle of which a process dies."""
    rows = {"n": 0}
    step = GenerativeNet.notify

    def notify(self, name, **kwargs):
        rows["n"] += name == "on_epoch_end"
        if processes.rank == 1 and rows["n"] == 3:
            os._exit(9)
        return step(self, name, **kwargs)

    GenerativeNet.notify = notify
    return GaussianVAE(2, n_iter=10_000, random_state=0).fit(X)


def fit(name, processes):
    """Fit what a name stands for."""
    if name in CASES:
        model, data = make(name)
        return model.fit(*data)
    if name == "killed":
        return killed(processes)
    if name == "other data":
        return GaussianVAE(2, n_iter=1, random_state=0).fit(X + processes.rank)
    if name == "other rows":
        return GaussianVAE(2, n_iter=1, random_state=0).fit(X[processes.rank :])
    if name == "few rows":
        return GaussianVAE(2, n_iter=1, random_state=0).fit(X[: processes.n])
    if name == "resume":
        return GaussianVAE(2, n_iter=1, callbacks=[Resume(sys.argv[1])]).fit(X)
    return {"least squares": least_squares, "bits": bits}[name]()


def main():
    folder = Path(sys.argv[1])
    with data_parallel() as processes:
        for name in sys.argv[2:]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = fit(name, processes)
                found = result(model)
                found["random numbers"] = model.net_.generator.get_state().numpy()
            except ValueError as error:
                found = str(error)
            path = folder / f"{name} {processes.n} {processes.rank}.pickle"
            path.write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
