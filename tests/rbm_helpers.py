"""Restricted Boltzmann machines that several test files use."""

import numpy as np
import torch
from oracles import EnumeratedRBM
from sklearn.datasets import load_digits

from skgen import BernoulliRBMGPU
from skgen.rbm._model import BernoulliRBM

DIGITS = load_digits().data / 16
SMALL = (DIGITS[:300] > 0.5).astype(np.float64)


def rbm(n_components=8, **params):
    """An estimator that is quick to fit."""
    params = {"random_state": 0, "n_iter": 3, "device": "cpu"} | params
    return BernoulliRBMGPU(n_components, **params)


def assigned(oracle, **params):
    """An estimator that was never fitted, with the weights of an oracle."""
    model = rbm(**params)
    model.components_, model.intercept_hidden_, model.intercept_visible_ = oracle.params
    return model


def module_of(oracle, dtype=torch.float64):
    """The torch module with the weights of an oracle."""
    return BernoulliRBM(*(torch.tensor(a, dtype=dtype) for a in oracle.params))


def oracle_of(scaled, oracle):
    """The model whose weights are those of `oracle`, scaled; enumerated."""
    return EnumeratedRBM(
        scaled.beta * oracle.W, scaled.hidden.bias.numpy(), scaled.visible.bias.numpy()
    )


def random_rbm(seed):
    """Weights from small ones to those of a trained model, and beyond."""
    rng = np.random.RandomState(seed)
    n, m = rng.randint(10, 40), rng.randint(4, 19)
    scale = [0.2, 0.5, 1.0, 1.5, 2.0][seed % 5]
    W = rng.normal(0, scale, (m, n))
    b, c = rng.normal(0, 1, n), rng.normal(0, 1, m)
    model = BernoulliRBM(*(torch.tensor(a) for a in (W, c, b)))
    base_bias = torch.tensor(rng.normal(0, 1, n))
    return model, base_bias
