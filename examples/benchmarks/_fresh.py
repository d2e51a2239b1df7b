"""Measurements in a new interpreter, of what a user waits for at first.

The first argument is the name of a measurement, and the others are its arguments. The
times are printed in seconds, as JSON.
"""

import importlib
import json
import os
import subprocess
import sys
import time

DEPENDENCIES = [
    "numpy",
    "scipy.sparse",
    "scipy.special",
    "sklearn.base",
    "sklearn.utils",
    "skorch",
    "torch",
]


def measure(name, *arguments):
    """Measure in a new interpreter; "process" is the time until it has ended.

    Files are compiled once, as by an installation with pip.
    """
    environment = os.environ.copy()
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    python = [sys.executable, "-W", "ignore"]
    command = [*python, __file__, name, *map(str, arguments)]
    reply = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(reply.stdout) | {"process": time.perf_counter() - began}


def imports():
    """Import skgen after its dependencies, then one estimator, then all."""
    began = time.perf_counter()
    for name in DEPENDENCIES:
        importlib.import_module(name)
    between = time.perf_counter()
    import skgen

    package = time.perf_counter()
    skgen.BernoulliRBMGPU  # noqa: B018
    one = time.perf_counter()
    for name in skgen.__all__:
        getattr(skgen, name)
    return {
        "dependencies": between - began,
        "skgen": package - between,
        "BernoulliRBMGPU": one - between,
        "all estimators": time.perf_counter() - between,
    }


def fits(family):
    """Fit a small model twice."""
    from sklearn.datasets import load_digits

    from skgen import BernoulliRBMGPU, GaussianVAE

    params = {"device": "cpu", "random_state": 0}
    if family == "BernoulliRBMGPU":
        model = BernoulliRBMGPU(16, n_iter=2, **params)
    else:
        model = GaussianVAE(4, hidden_layer_sizes=(32,), n_iter=10, **params)
    X = load_digits().data[:500] / 16
    times = []
    for _ in range(2):
        began = time.perf_counter()
        model.fit(X)
        times.append(time.perf_counter() - began)
    return dict(zip(["first", "second"], times, strict=True))


def grid_search(package, n_iter):
    """Search 8 candidates in 3 folds with two processes of joblib."""
    from _contestants_pipeline import features_and_classifier
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    X, y = load_digits(return_X_y=True)
    grid = {"rbm__learning_rate": [0.03, 0.06, 0.1, 0.2], "clf__C": [1, 10]}
    pipeline = features_and_classifier(package, int(n_iter))
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2)
    began = time.perf_counter()
    search.fit(X / 16, y)
    return {"search": time.perf_counter() - began}


ACTIONS = {"imports": imports, "fits": fits, "grid_search": grid_search}

if __name__ == "__main__":
    action, *rest = sys.argv[1:]
    print(json.dumps(ACTIONS[action](*rest)))
