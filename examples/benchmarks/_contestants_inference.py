"""Inference by the compared packages, with the parameters of one model.

The model is trained by scikit-learn.
"""

from functools import cache, partial

import numpy as np
from _data import data, load


@cache
def trained(n_hidden, *key):
    from sklearn.neural_network import BernoulliRBM

    return BernoulliRBM(n_hidden, batch_size=100, random_state=0).fit(load(*key))


def trained_for(task):
    names = ("hidden", "data", "rows", "features", "path")
    return trained(*(task.get(name) for name in names))


def repeated(method, task):
    """Repeat short runs of a method, so that they can be timed."""
    X, times = data(task), task.get("times", 1)

    def run():
        for _ in range(times):
            method(X)

    return run, len(X) * times


def skgen_model(task):
    """Return a model of skgen with the parameters of `trained`."""
    from skgen import BernoulliRBMGPU

    fitted = trained_for(task)
    model = BernoulliRBMGPU(task["hidden"], device="cpu", random_state=0)
    for name in ("components_", "intercept_hidden_", "intercept_visible_"):
        setattr(model, name, getattr(fitted, name))
    return model


def skgen_infers(task, method):
    return repeated(getattr(skgen_model(task), method), task)


def sklearn_infers(task, method):
    return repeated(getattr(trained_for(task), method), task)


def one_row(task, package, method):
    """Call a method with one row, of bits or of grey values, several times."""
    model = skgen_model(task) if package == "skgen" else trained_for(task)
    X = data(task)[:1]
    if task["grey"]:
        X = np.random.default_rng(0).random(X.shape, np.float32)
    call = partial(getattr(model, method), X)

    def run():
        for _ in range(task["times"]):
            call()

    return run, task["times"]


METHODS = {
    method: {
        "skgen": ("skgen", partial(skgen_infers, method=method)),
        "scikit-learn": ("scikit-learn", partial(sklearn_infers, method=method)),
    }
    for method in ("transform", "gibbs", "score_samples")
}
METHODS |= {
    f"one row, {method}": {
        package: (package, partial(one_row, package=package, method=method))
        for package in ("skgen", "scikit-learn")
    }
    for method in METHODS
}
