"""Trainings of all families and algorithms, for tests that interrupt them."""

import numpy as np
from sklearn.datasets import load_digits
from torch import nn

import skgen
from skgen.base import ConditionalMixin

X = load_digits().data[:200, 20:44] / 16
Y = load_digits().target[:200]
SMALL = {"n_iter": 6, "batch_size": 32, "random_state": 0}


def with_dropout(n_in, n_out):
    """A network of a user that draws random numbers in training."""
    return nn.Sequential(
        nn.Linear(n_in, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, n_out)
    )


MACHINE = SMALL | {"n_components": 5}
LAYERS = SMALL | {"hidden_layer_sizes": (6, 4), "fine_tune_iter": 3}
MLP = SMALL | {"hidden_layer_sizes": (8,)}
CODE = MLP | {"n_components": 2}
CASES = {
    "pcd": ("BernoulliRBMGPU", MACHINE),
    "cd, momentum": (
        "BernoulliRBMGPU",
        MACHINE | {"algorithm": "cd", "momentum": 0.5, "weight_decay": 1e-3},
    ),
    "tempering": ("BernoulliRBMGPU", MACHINE | {"algorithm": "pt"}),
    "trajectory": ("BernoulliRBMGPU", MACHINE | {"keep_trajectory": True}),
    "drawn bits": (
        "BernoulliRBMGPU",
        MACHINE | {"binarize": "sample", "early_stopping": True, "n_iter_no_change": 2},
    ),
    "bfloat16": ("BernoulliRBMGPU", MACHINE | {"precision": "bfloat16"}),
    "gaussian pcd": ("GaussianRBM", MACHINE),
    "gaussian tempering": ("GaussianRBM", MACHINE | {"algorithm": "pt"}),
    "gaussian cd": (
        "GaussianRBM",
        MACHINE
        | {
            "algorithm": "cd",
            "noise_variance": 1.0,
            "learning_rate_schedule": "linear",
        },
    ),
    "layers": ("DeepBeliefNetwork", LAYERS),
    "gaussian layers": ("DeepBeliefNetwork", LAYERS | {"visible": "gaussian"}),
    "vae": ("GaussianVAE", CODE),
    "vae, dropout": ("GaussianVAE", CODE | {"encoder": with_dropout}),
    "vae of bits": ("BernoulliVAE", CODE | {"early_stopping": True}),
    "importance": ("BernoulliVAE", CODE | {"n_importance_samples": 3}),
    "conditional vae": ("ConditionalGaussianVAE", CODE),
    "conditional bits": ("ConditionalBernoulliVAE", CODE),
    "diffusion": ("DiffusionModel", MLP),
    "conditional diffusion": ("ConditionalDiffusionModel", MLP),
    "nce": ("EnergyModel", MLP),
    "langevin": ("EnergyModel", MLP | {"objective": "pcd"}),
    "gan": ("GAN", MLP),
    "wasserstein": ("GAN", MLP | {"loss": "wasserstein", "n_critic": 2}),
}


def make(case, **params):
    """Return the estimator of a case, and the data that it is fitted to."""
    name, own = CASES[case]
    cls = getattr(skgen, name)
    data = (X, Y) if issubclass(cls, ConditionalMixin) else (X,)
    return cls(**own | params), data


def result(model):
    """What a fit has learned: arrays by name, without times."""
    found = {}
    for name, value in vars(model).items():
        if name.endswith("_") and not name.startswith("_"):
            _collect(name, value, found)
    for row in model.history_:
        for name, value in row.items():
            if isinstance(value, float) and name != "dur":
                found.setdefault(f"history of {name}", []).append(value)
    return {name: np.asarray(value) for name, value in found.items()}


def _collect(name, value, found):
    if isinstance(value, np.ndarray):
        found[name] = value
    elif isinstance(value, dict):
        for key, each in value.items():
            _collect(f"{name}.{key}", each, found)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            _collect(f"{name}.{number}", each, found)
    elif isinstance(value, np.random.RandomState):
        found[name] = value.get_state(legacy=False)["state"]["key"]


def assert_same(one, other):
    """Fail unless two results have the same bits."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)
