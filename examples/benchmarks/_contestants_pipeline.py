"""Pipelines of an RBM and a linear classifier of digits."""

from functools import partial

import numpy as np


def nudged_digits():
    """Return the digits, shifted by a pixel in each direction, and their labels."""
    from scipy.ndimage import shift
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8) / 16
    moves = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    moved = [shift(images, (0, *move), order=0) for move in moves]
    return np.concatenate(moved).reshape(-1, 64), np.tile(y, 5)


def features_and_classifier(package, n_iter):
    """Return a pipeline whose first step is the RBM of a package.

    The parameters that are not given are the defaults of both packages.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if package == "skgen":
        from skgen import BernoulliRBMGPU

        RBM = partial(BernoulliRBMGPU, device="cpu")
    else:
        from sklearn.neural_network import BernoulliRBM as RBM
    rbm = RBM(100, learning_rate=0.06, n_iter=n_iter, random_state=0)
    classifier = LogisticRegression(max_iter=2000)
    return Pipeline([("rbm", rbm), ("scale", StandardScaler()), ("clf", classifier)])


def fit_pipeline(task, package):
    X, y = nudged_digits()
    n_rows = task["rows"]
    pipeline = features_and_classifier(package, task["epochs"])
    return partial(pipeline.fit, X[:n_rows], y[:n_rows]), n_rows


def fit_rbm_of_pipeline(task, package):
    X, _ = nudged_digits()
    n_rows = task["rows"]
    rbm = features_and_classifier(package, task["epochs"]).named_steps["rbm"]
    return partial(rbm.fit, X[:n_rows]), n_rows


PIPELINES = {
    kind: {
        package: (package, partial(prepare, package=package))
        for package in ("skgen", "scikit-learn")
    }
    for kind, prepare in [
        ("pipeline", fit_pipeline),
        ("rbm of pipeline", fit_rbm_of_pipeline),
    ]
}
