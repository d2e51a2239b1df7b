"""Estimators with networks of a user: pickles, and caches that find them."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.pipeline import Pipeline
from skorch.callbacks import EpochTimer, LRScheduler
from torch import nn

from skgen import BernoulliVAE, GaussianVAE

X = load_digits().data[:60] / 16
both = pytest.mark.parametrize("kind", [GaussianVAE, BernoulliVAE])


def network(n_in, n_out, seed=0):
    layers = nn.Sequential(nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out))
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(layers[0].weight, std=0.1, generator=generator)
    nn.init.zeros_(layers[0].bias)
    return layers


def make(kind, **params):
    quick = {"n_components": 2, "n_iter": 1, "device": "cpu", "random_state": 0}
    return kind(**(quick | params))


PARAMS = {
    "encoder": lambda: {"encoder": network(64, 4)},
    "both": lambda: {"encoder": network(64, 4), "decoder": network(2, 64)},
    "class": lambda: {"encoder": nn.Linear},
    "callbacks": lambda: {
        "callbacks": [EpochTimer(), ("rate", LRScheduler("StepLR", step_size=2))]
    },
}


@both
@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS)
def test_a_pipeline_with_a_memory_trains_once(kind, params, tmp_path, monkeypatch):
    fits = []
    fit = kind._fit

    def counted(self, *args, **kwargs):
        fits.append(self)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(kind, "_fit", counted)
    outputs = []
    for _ in range(2):
        steps = [("vae", make(kind, **params())), ("as it is", "passthrough")]
        outputs.append(Pipeline(steps, memory=str(tmp_path)).fit_transform(X))
    assert len(fits) == 1
    np.testing.assert_array_equal(*outputs)
    if "encoder" in params():
        other = make(kind, encoder=network(64, 4, seed=1))
        steps = [("vae", other), ("as it is", "passthrough")]
        Pipeline(steps, memory=str(tmp_path)).fit_transform(X)
        assert len(fits) == 2


@both
def test_hashes_of_equal_estimators(kind):
    model = make(kind, encoder=network(64, 4))
    expected = joblib.hash(model)
    model.fit(X)  # which leaves the network that was given
    equal = [clone(model), copy.deepcopy(clone(model)), copy.copy(clone(model))]
    equal.append(pickle.loads(pickle.dumps(clone(model))))
    assert [joblib.hash(each) for each in equal] == [expected] * 4
    assert joblib.hash(pickle.loads(pickle.dumps(model))) == joblib.hash(model)
    assert joblib.hash(model) != expected


@both
def test_a_pickle_goes_on(kind, tmp_path):
    model = make(kind, encoder=network(64, 4), warm_start=True).fit(X)
    joblib.dump(model, tmp_path / "model")
    for read in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model"),
        joblib.load(tmp_path / "model", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(read.transform(X), model.transform(X))
        assert torch.equal(read.encoder[0].weight, model.encoder[0].weight)
        read.partial_fit(X)  # by the network that the first fit began with
        read.fit(X)


@both
def test_a_pickle_keeps_the_networks_of_the_fit(kind):
    """Not those that parameters name since then."""
    model = make(kind, encoder=network(64, 4)).fit(X)
    expected = model.transform(X)
    model.set_params(encoder=nn.Linear(64, 6), n_components=3)
    read = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(read.transform(X), expected)
    assert torch.equal(read.encoder.weight, model.encoder.weight)
    assert read.fit(X).transform(X).shape == (60, 3)


def test_a_state_that_is_read_stays_as_it_was():
    """It may be read again, as by a copy of an estimator."""
    state = make(GaussianVAE, encoder=network(64, 4)).fit(X).__getstate__()
    names = set(state)
    for _ in range(2):
        read = GaussianVAE.__new__(GaussianVAE)
        read.__setstate__(state)
        assert read.transform(X).shape == (60, 2)
        assert set(state) == names


@both
def test_a_pickle_of_networks_holds_no_tensor(kind):
    model = make(kind, encoder=network(64, 4), decoder=network(2, 64)).fit(X)
    assert b"torch._utils" not in pickle.dumps(model)
    assert isinstance(model.encoder, nn.Sequential)
