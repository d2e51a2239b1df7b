"""The implementations that are compared, for each kind of task.

`KINDS[kind][label]` is a pair. The first item is the name of the package, since all
implementations of a package share a process. The second is a function of a task that
makes the preparations which are not timed. It returns a function without arguments,
whose run is timed, and the number of rows that this function processes.
"""

import logging
import sys
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
from _data import data, load


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


def sklearn_rbm(task):
    from sklearn.neural_network import BernoulliRBM

    model = BernoulliRBM(**same(task))
    return partial(model.fit, data(task)), task["rows"] * model.n_iter


def bare_rbm(task, loop):
    import _bare_loops

    if loop.endswith("bfloat16"):
        need_bfloat16()
    run = getattr(_bare_loops, loop)
    sizes = task["hidden"], task["batch"], task["epochs"]
    return partial(run, data(task), *sizes), task["rows"] * task["epochs"]


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


# Inference with the parameters of one model, which is trained by scikit-learn.


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


def skgen_infers(task, method):
    from skgen import BernoulliRBMGPU

    fitted = trained_for(task)
    model = BernoulliRBMGPU(task["hidden"], device="cpu", random_state=0)
    for name in ("components_", "intercept_hidden_", "intercept_visible_"):
        setattr(model, name, getattr(fitted, name))
    return repeated(getattr(model, method), task)


def sklearn_infers(task, method):
    return repeated(getattr(trained_for(task), method), task)


# Variational autoencoders, D-512-16-512-D with ReLU and Adam.


def skgen_vae(task, **params):
    from skgen import BernoulliVAE

    model = BernoulliVAE(
        16,
        hidden_layer_sizes=(512,),
        batch_size=task["batch"],
        n_iter=task["epochs"],
        device="cpu",
        random_state=0,
        **params,
    )
    return partial(model.fit, data(task)), task["rows"] * model.n_iter


def bare_vae(task):
    from _bare_loops import bare_vae

    sizes = 512, 16, task["batch"], task["epochs"]
    return partial(bare_vae, data(task), *sizes), task["rows"] * task["epochs"]


def pythae_vae(task):
    """Create a model and a trainer of pythae, and train.

    This includes steps that cannot be disabled: a check of the model with one batch, a
    copy of the best model after the epoch, and saving it. No rows are held out, and
    nothing is logged.
    """
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable()
    X = torch.from_numpy(data(task)).reshape(-1, 1, 28, 28)
    dataset = BaseDataset(X, torch.zeros(len(X)))
    config = VAEConfig((1, 28, 28), 16, reconstruction_loss="bce")

    def run():
        with tempfile.TemporaryDirectory() as folder:
            training = BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=task["batch"],
                num_epochs=task["epochs"],
                learning_rate=1e-3,
                no_cuda=True,
            )
            BaseTrainer(VAE(config), dataset, training_config=training).train()

    return run, task["rows"] * task["epochs"]


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
PRODUCTS = {
    "products of float32": ("torch", partial(products, dtype="float32")),
    "products of bfloat16": ("torch", partial(products, dtype="bfloat16")),
}
KINDS = {
    "rbm": RBM,
    "products": PRODUCTS,
    "vae": {
        "skgen": ("skgen", skgen_vae),
        "skgen, bfloat16": ("skgen", partial(skgen_vae, precision="bfloat16")),
        "bare loop": ("torch", bare_vae),
        "pythae": ("pythae", pythae_vae),
    },
    "watching": {
        "plain": ("skgen", skgen_rbm),
        "verbose=1": ("skgen", partial(skgen_rbm, verbose=1)),
        "early_stopping=True": ("skgen", skgen_rbm_stopped_early),
    },
}
for method in ("transform", "gibbs", "score_samples"):
    KINDS[method] = {
        "skgen": ("skgen", partial(skgen_infers, method=method)),
        "scikit-learn": ("scikit-learn", partial(sklearn_infers, method=method)),
    }
