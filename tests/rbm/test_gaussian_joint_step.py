"""The step of real visible units with few operations: the same as the general one."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from skorch.callbacks import Callback

from skgen import GaussianRBM
from skgen.rbm import _gaussian_objective
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._gaussian_joint_step import GaussianJointStep

X = load_wine().data
NAMES = ("components_", "intercept_hidden_", "intercept_visible_", "noise_variance_")
OPTIONS = [
    {},
    {"centered": False},
    {"algorithm": "cd", "noise_variance": 1000.0},
    {"momentum": 0.5, "weight_decay": 0.1},
    {"n_gibbs_steps": 3},
    {"noise_variance": "learned"},
    {"noise_variance": "learned", "momentum": 0.5},
    {"learning_rate_schedule": "constant"},
    {"keep_trajectory": True},
]


def fitted(monkeypatch, *, jointly, **params):
    monkeypatch.setattr(ContrastiveDivergence, "steps_jointly", jointly)
    defaults = {"n_iter": 15, "batch_size": 32, "learning_rate_schedule": "linear"}
    model = GaussianRBM(9, precision="float64", random_state=0, **(defaults | params))
    model.fit(X)
    joint = model._nets[""].criterion_._joint
    assert isinstance(joint, GaussianJointStep) == jointly
    return model


def distance(one, other):
    return max(
        np.max(np.abs(getattr(one, name) / getattr(other, name) - 1)) for name in NAMES
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_same_as_the_general_step(monkeypatch, options):
    both = [fitted(monkeypatch, jointly=way, **options) for way in (True, False)]
    assert distance(*both) < 1e-9
    losses = [model.history_[:, "train_loss"] for model in both]
    np.testing.assert_allclose(*losses, rtol=1e-9)
    start = fitted(monkeypatch, jointly=True, **(options | {"n_iter": 1}))
    assert distance(both[0], start) > 1e-3


@pytest.mark.parametrize("noise_variance", ["per_feature", "learned"])
def test_another_rate_of_the_variances_is_seen(monkeypatch, noise_variance):
    """What the comparison above would say of a step that is wrong."""
    # Away from the upper limit, where variances begin.
    options = {"noise_variance": noise_variance, "n_iter": 40}
    right = fitted(monkeypatch, jointly=False, **options)
    monkeypatch.setattr(_gaussian_objective, "_VARIANCE_RATE", 0.29)
    wrong = fitted(monkeypatch, jointly=True, **options)
    assert distance(right, wrong) > 1e-5


def test_variances_stay_within_their_limits(monkeypatch):
    model = fitted(monkeypatch, jointly=True, n_iter=60, learning_rate=0.2)
    assert (model.noise_variance_ <= X.var(axis=0) * (1 + 1e-9)).all()
    assert (model.noise_variance_ < 0.95 * X.var(axis=0)).any()
    least = model._noise_floor * X.var(axis=0)
    assert (model.noise_variance_ >= least * (1 - 1e-9)).all()


def test_limits_hold_in_each_step(monkeypatch):
    """Limits that are narrower than what the gradient asks for are what is learned."""
    monkeypatch.setattr(
        _gaussian_objective._GaussianTraining,
        "set_limits",
        lambda self, least, largest: (
            setattr(self, "least_log_variance", least.mul(0).sub(0.02)),
            setattr(self, "largest_log_variance", largest.sub(0.01)),
        ),
    )
    both = [
        fitted(monkeypatch, jointly=way, n_iter=60, learning_rate=0.2)
        for way in (True, False)
    ]
    assert distance(*both) < 1e-9
    log_share = np.log(both[0].noise_variance_ / X.var(axis=0))
    assert log_share.min() == pytest.approx(-0.02, abs=1e-6)
    assert log_share.max() <= -0.01 + 1e-9


class ReplacesVariances(Callback):
    """Gives the variances other memory, and other values, before an epoch."""

    def on_epoch_begin(self, net, **_):
        values = torch.full_like(net.module_.log_variance.detach(), -1.0)
        net.module_.log_variance.data = values


def test_variances_in_other_memory_are_followed(monkeypatch):
    both = [
        fitted(monkeypatch, jointly=way, callbacks=[ReplacesVariances()], n_iter=3)
        for way in (True, False)
    ]
    assert distance(*both) < 1e-9
    without = fitted(monkeypatch, jointly=True, n_iter=3)
    assert distance(both[0], without) > 0.1


def test_sample_weights_take_the_general_step(monkeypatch):
    weight = np.linspace(0.2, 1.8, len(X))
    models = []
    for way in (True, False):
        monkeypatch.setattr(ContrastiveDivergence, "steps_jointly", way)
        model = GaussianRBM(9, n_iter=5, precision="float64", random_state=0)
        models.append(model.fit(X, sample_weight=weight))
    assert distance(*models) < 1e-9
