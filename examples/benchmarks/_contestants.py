"""What each contestant does for each kind of task.

`KINDS[kind][label]` is the package that it belongs to (all of a package share a
process) and a function of a task, which does what is not timed and returns a function
without arguments, the timed run, and the number of rows that this works through.
"""

import logging
import sys
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
from _data import data, load


class LeftOut(Exception):
    """Why a contestant does not take part."""


def need_bfloat16():
    """Leave out what would take minutes without instructions for it."""
    from _report import bfloat16  # and torch, which others shall not have beside them

    if not bfloat16():
        raise LeftOut("no bfloat16 here")


def same(task):
    """Parameters that skgen and scikit-learn have in common."""
    return {
        "n_components": task["hidden"],
        "batch_size": task["batch"],
        "n_iter": task.get("epochs", 1),
        "random_state": 0,
    }


# Restricted Boltzmann machines: PCD-1, as many chains as a batch has rows.


def skgen_rbm(task, **params):
    from skgen import BernoulliRBMGPU

    params = {"centered": False, **params}
    steps = {"n_gibbs_steps": task.get("steps", 1)}
    model = BernoulliRBMGPU(device="cpu", **same(task), **steps, **params)
    return partial(model.fit, data(task)), task["rows"] * model.n_iter


def skgen_rbm_watched(task):
    from skorch.callbacks import Callback

    class LooksAtBatches(Callback):
        def on_batch_end(self, net, **kwargs):
            pass

    return skgen_rbm(task, callbacks=[LooksAtBatches()])


def skgen_rbm_stopped_early(task):
    """Rows are those that are trained on: a tenth is held out."""
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
    """Its `fit`. It has CD-1 only, whose products are those of PCD-1.

    Besides, it estimates a pseudo-likelihood of every batch, always.
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
    """Its `train`, with one save to a file at the end, which it never goes without.

    It draws every batch anew from all rows: an epoch is as many updates as others
    make. With no change of gradients asked for, its compiled module that makes none
    is replaced by a plain one.
    """
    if sys.version_info < (3, 12):
        # All that it needs of Python 3.12.
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


# Inference with the parameters of one machine, which scikit-learn trains.


@cache
def trained(n_hidden, *key):
    from sklearn.neural_network import BernoulliRBM

    return BernoulliRBM(n_hidden, batch_size=100, random_state=0).fit(load(*key))


def machine_of(task):
    names = ("hidden", "data", "rows", "features", "path")
    return trained(*(task.get(name) for name in names))


def repeated(method, task):
    """Runs of milliseconds are repeated, so that they can be timed."""
    X, times = data(task), task.get("times", 1)

    def run():
        for _ in range(times):
            method(X)

    return run, len(X) * times


def skgen_infers(task, method):
    from skgen import BernoulliRBMGPU

    machine = machine_of(task)
    model = BernoulliRBMGPU(task["hidden"], device="cpu", random_state=0)
    for name in ("components_", "intercept_hidden_", "intercept_visible_"):
        setattr(model, name, getattr(machine, name))
    return repeated(getattr(model, method), task)


def sklearn_infers(task, method):
    return repeated(getattr(machine_of(task), method), task)


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
    """Its trainer, from making model and trainer to the end of training.

    That includes what cannot be turned off: a batch to check the model, a copy of the
    best model after the epoch and saving it. No rows are held out, nothing is logged.
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


# Matrix products, whose "rows" are floating-point operations.


def products(task, dtype):
    """Products of random matrices: `shapes` has their three sizes each."""
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
