"""The implementations that are compared, for each kind of task.

`KINDS[kind][label]` is a pair. The first item is the name of the package, since all
implementations of a package share a process. The second is a function of a task that
makes the preparations which are not timed. It returns a function without arguments,
whose run is timed, and the number of rows that this function processes.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _contestants_inference import METHODS
from _contestants_pipeline import PIPELINES
from _contestants_vae import VAES
from _data import data


class NotAvailable(Exception):
    """Reason why an implementation cannot be run here."""


def need_bfloat16():
    """Raise an error without bfloat16 instructions, where it would take minutes."""
    # Not at the top: it imports torch, which not all processes shall load.
    from _report import bfloat16

    if not bfloat16():
        raise NotAvailable("not supported")


def same(task):
    """Return the parameters that skgen and scikit-learn have in common."""
    return {
        "n_components": task["hidden"],
        "batch_size": task["batch"],
        "n_iter": task.get("epochs", 1),
        "random_state": 0,
    }


# Restricted Boltzmann machines, trained by PCD-1 with one chain per row of a batch.


def skgen_rbm(task, **params):
    from skgen import BernoulliRBMGPU

    params = {"centered": False, **params}
    steps = {"n_gibbs_steps": task.get("steps", 1)}
    model = BernoulliRBMGPU(device="cpu", **same(task), **steps, **params)
    return partial(model.fit, data(task)), task["rows"] * model.n_iter


def skgen_gaussian_rbm(task, **params):
    from skgen import GaussianRBM

    model = GaussianRBM(device="cpu", **same(task), **params)
    return partial(model.fit, data(task)), task["rows"] * model.n_iter


def skgen_rbm_watched(task):
    from skorch.callbacks import Callback

    class BatchCallback(Callback):
        def on_batch_end(self, net, **kwargs):
            pass

    return skgen_rbm(task, callbacks=[BatchCallback()])


def skgen_rbm_stopped_early(task):
    """Count only the rows used for training, since a tenth is held out."""
    run, n_rows = skgen_rbm(task, early_stopping=True, validation_fraction=0.1)
    return run, n_rows * 9 // 10


def sklearn_rbm(task, dtype="float32"):
    """Train by scikit-learn, which computes in the dtype of the data."""
    from sklearn.neural_network import BernoulliRBM

    model = BernoulliRBM(**same(task))
    X = data(task).astype(dtype, copy=False)
    return partial(model.fit, X), task["rows"] * model.n_iter


def bare_rbm(task, loop):
    import _bare_loops

    if loop.endswith("bfloat16"):
        need_bfloat16()
    run = getattr(_bare_loops, loop)
    sizes = task["hidden"], task["batch"], task["epochs"]
    return partial(run, data(task), *sizes), task["rows"] * task["epochs"]


def small_rbm(task, prepare, **params):
    """Repeat a short fit, so that it can be timed, and count steps instead of rows."""
    fit, _ = prepare(task, **params)
    steps = task["epochs"] * -(-task["rows"] // task["batch"])
    return repeated_fits(fit, task["times"]), task["times"] * steps


def lean_rbm(task):
    """Repeat as `small_rbm`; the loop leaves out an incomplete last mini-batch."""
    from _bare_loops import lean_rbm

    sizes = task["hidden"], task["batch"], task["epochs"]
    fit = partial(lean_rbm, data(task), *sizes)
    steps = task["epochs"] * (task["rows"] // task["batch"])
    return repeated_fits(fit, task["times"]), task["times"] * steps


def repeated_fits(fit, times):
    def run():
        for _ in range(times):
            fit()

    return run


def learnergy_rbm(task):
    """Train by `fit` of learnergy.

    It only implements CD-1, which has the same matrix products as PCD-1, and always
    estimates a pseudo-likelihood for every batch.
    """
    import torch
    from learnergy.models.bernoulli import RBM

    X = torch.from_numpy(data(task))
    dataset = torch.utils.data.TensorDataset(X, torch.zeros(len(X)))
    epochs = task.get("epochs", 1)

    def run():
        model = RBM(X.shape[1], task["hidden"], steps=1, learning_rate=0.1)
        model.fit(dataset, batch_size=task["batch"], epochs=epochs)

    return run, task["rows"] * epochs


def rbms_rbm(task):
    """Train by `train` of rbms, which always saves the model to a file at the end.

    It draws every batch at random from all rows, so that an epoch is defined as the
    number of updates that other packages make in one. Its compiled module that
    modifies gradients, which would not change them here, is replaced by an uncompiled
    one.
    """
    if sys.version_info < (3, 12):
        # The only feature of Python 3.12 that it needs.
        import typing

        import typing_extensions

        typing.override = typing_extensions.override
    import torch
    from rbms import BBRBM
    from rbms.dataset.dataset_class import RBMDataset
    from rbms.sampler import PCD
    from rbms.training.pcd import train

    X, epochs = data(task), task.get("epochs", 1)
    n = len(X)
    dataset = RBMDataset(
        X, np.zeros(n), np.ones(n), np.arange(n), "data", "bernoulli", "cpu"
    )

    def run():
        torch.manual_seed(0)
        model = BBRBM.init_parameters(task["hidden"], dataset, "cpu", torch.float32)
        model.init_grad()
        with tempfile.TemporaryDirectory() as folder:
            train(
                train_dataset=dataset,
                test_dataset=dataset,
                params=model,
                sampler=PCD(model, model.init_chains(task["batch"]), num_steps=1),
                optimizer=[torch.optim.SGD(model.parameters(), lr=0.1, maximize=True)],
                batch_size=task["batch"],
                centered=False,
                curr_update=0,
                pre_grad_update=torch.nn.Sequential(),
                elapsed_time=0.0,
                checkpoints=np.array([]),
                num_updates=epochs * -(-n // task["batch"]),
                filename=str(Path(folder, "rbm.h5")),
            )

    return run, n * epochs


# Matrix products, for which floating-point operations are counted instead of rows.


def products(task, dtype):
    """Multiply random matrices; `shapes` has the three sizes of each product."""
    import torch

    if dtype == "bfloat16":
        need_bfloat16()
    random = partial(torch.randn, dtype=getattr(torch, dtype))
    pairs = [(random(a, b), random(b, c)) for a, b, c in task["shapes"]]
    flops = sum(2 * a * b * c for a, b, c in task["shapes"])
    times = max(1, int(5e9 / flops))

    def run():
        for _ in range(times):
            for left, right in pairs:
                left @ right

    return run, flops * times


RBM = {
    "skgen": ("skgen", skgen_rbm),
    "skgen, bfloat16": ("skgen", partial(skgen_rbm, precision="bfloat16")),
    "skgen, centered": ("skgen", partial(skgen_rbm, centered=True)),
    "skgen, momentum": ("skgen", partial(skgen_rbm, momentum=0.5)),
    "skgen, callback on batches": ("skgen", skgen_rbm_watched),
    "bare loop": ("torch", partial(bare_rbm, loop="bare_rbm")),
    "bare loop, bfloat16": ("torch", partial(bare_rbm, loop="bare_rbm_bfloat16")),
    "scikit-learn": ("scikit-learn", sklearn_rbm),
    "learnergy": ("learnergy", learnergy_rbm),
    "rbms": ("rbms", rbms_rbm),
}
SMALL_RBM = {
    "skgen, default": ("skgen", partial(small_rbm, prepare=skgen_rbm, centered=True)),
    "skgen, centered=False": ("skgen", partial(small_rbm, prepare=skgen_rbm)),
    "lean loop": ("torch", lean_rbm),
    "scikit-learn": ("scikit-learn", partial(small_rbm, prepare=sklearn_rbm)),
    "scikit-learn, float64": (
        "scikit-learn",
        partial(small_rbm, prepare=sklearn_rbm, dtype="float64"),
    ),
}
PRODUCTS = {
    "products of float32": ("torch", partial(products, dtype="float32")),
    "products of bfloat16": ("torch", partial(products, dtype="bfloat16")),
}
GAUSSIAN_RBM = {
    "skgen, default": ("skgen", skgen_gaussian_rbm),
    "skgen, centered=False": ("skgen", partial(skgen_gaussian_rbm, centered=False)),
    "bare loop": ("torch", partial(bare_rbm, loop="bare_gaussian_rbm")),
}
KINDS = {
    "rbm": RBM,
    "gaussian rbm": GAUSSIAN_RBM,
    "small rbm": SMALL_RBM,
    "products": PRODUCTS,
    "watching": {
        "plain": ("skgen", skgen_rbm),
        "verbose=1": ("skgen", partial(skgen_rbm, verbose=1)),
        "early_stopping=True": ("skgen", skgen_rbm_stopped_early),
    },
    **METHODS,
    **VAES,
    **PIPELINES,
}
