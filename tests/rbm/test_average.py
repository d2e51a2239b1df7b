"""The mean of the parameters over the last quarter of a training."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from skorch.callbacks import Callback
from torch import nn

from skgen import GaussianRBM
from skgen.rbm._average import ParameterAverage

X = load_iris().data


@pytest.mark.parametrize(
    ("n_epochs", "averaged"),
    [(1, [1]), (3, [3]), (4, [4]), (8, [7, 8]), (9, [7, 8, 9])],
)
def test_mean_over_the_last_quarter(n_epochs, averaged):
    model, average = nn.Linear(1, 1), ParameterAverage()
    for epoch in range(1, n_epochs + 1):
        average.begin_epoch(model, n_epochs)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(10.0**epoch)
    average.conclude_(model)
    for parameter in model.parameters():
        expected = np.mean([10.0**epoch for epoch in averaged])
        assert parameter.item() == pytest.approx(expected, rel=1e-6)


def test_no_mean_where_the_end_is_not_known():
    model, average = nn.Linear(1, 1), ParameterAverage()
    for epoch in range(4):
        average.begin_epoch(model, None)
        nn.init.constant_(model.weight, epoch)
    average.conclude_(model)
    assert model.weight.item() == 3


class Parameters(Callback):
    """Keeps the hidden biases after each epoch."""

    kept = None

    def on_train_begin(self, net, **_):
        type(self).kept = []

    def on_epoch_end(self, net, **_):
        bias = net.module_.hidden_bias.detach()
        self.kept.append(bias.double().cpu().numpy().copy())


def biases(model, n):
    """Hidden biases in the units of training, and the mean of the last n epochs."""
    units, variance = model._units, model.noise_variance_
    found = model.components_ @ (units.location / variance) + model.intercept_hidden_
    return found, np.mean(Parameters.kept[-n:], axis=0)


def test_a_fit_has_the_mean_of_its_last_quarter():
    model = GaussianRBM(16, n_iter=30, batch_size=10, callbacks=[Parameters()])
    model.set_params(random_state=0).fit(X)
    np.testing.assert_allclose(*biases(model, 8), rtol=1e-4)
    for n in (1, 7, 9):
        found, wrong = biases(model, n)
        assert np.abs(found / wrong - 1).max() > 1e-3


@pytest.mark.parametrize("way", ["partial_fit", "early_stopping"])
def test_others_have_the_parameters_of_one_epoch(way):
    model = GaussianRBM(4, n_iter=6, callbacks=[Parameters()], random_state=0)
    if way == "partial_fit":
        model.partial_fit(X)
    else:
        model.set_params(early_stopping=True, n_iter_no_change=6).fit(X)
    found, _ = biases(model, 1)
    errors = [np.abs(found - kept).max() for kept in Parameters.kept]
    assert min(errors) < 1e-4
