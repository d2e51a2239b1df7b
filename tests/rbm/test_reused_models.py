"""A model for inference is used again as long as the arrays are the same."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.base import clone

from skgen import BernoulliRBMGPU, GaussianRBM
from skgen.rbm._reused_models import _of_estimators
from skgen.rbm._state import BernoulliRBMState

rng = np.random.RandomState(0)
X = (rng.uniform(size=(30, 6)) < 0.4).astype(np.float32)


def fitted(kind=BernoulliRBMGPU):
    return kind(4, n_iter=1, batch_size=10, random_state=0, device="cpu").fit(X)


def expected(model, rows=X):
    return expit(rows @ model.components_.T + model.intercept_hidden_)


def assert_current(model):
    for rows in (X, X[:1], X.astype(np.float64)):
        np.testing.assert_allclose(
            model.transform(rows), expected(model, rows), rtol=1e-5
        )


def test_a_model_is_made_once(monkeypatch):
    made, make = [], BernoulliRBMState.model_to_read

    def spy(state, dtype, device):
        made.append(dtype)
        return make(state, dtype, device)

    monkeypatch.setattr(BernoulliRBMState, "model_to_read", spy)
    model = fitted()
    made.clear()
    for _ in range(3):
        model.transform(X)
        model.gibbs(X[:1])
        model.score_samples(X[:2])
    assert len(made) == 1
    # Another dtype shares no memory with the arrays.
    for _ in range(2):
        model.transform(X.astype(np.float64))
    assert len(made) == 3


@pytest.mark.parametrize("name", ["components_", "intercept_hidden_"])
def test_it_follows_what_is_assigned(name):
    model = fitted()
    assert_current(model)
    before = model.transform(X)
    getattr(model, name)[0] += 1
    assert_current(model)
    assert np.abs(model.transform(X) - before).max() > 0.01
    setattr(model, name, getattr(model, name) - 2)
    assert_current(model)
    model.set_params(n_iter=2).fit(X)
    assert_current(model)
    model.partial_fit(X)
    assert_current(model)


def test_it_follows_the_visible_biases():
    model = fitted()
    before = model.score_samples(X[:5])
    model.intercept_visible_ += 1
    assert np.abs(model.score_samples(X[:5]) - before).min() > 0.01


def test_a_gaussian_machine_follows_its_variances():
    model = fitted(GaussianRBM)
    before = model.transform(X)
    model.noise_variance_ = model.noise_variance_ * 4
    assert np.abs(model.transform(X) - before).max() > 0.01


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_have_models_of_their_own(copied):
    model = fitted()
    before = model.transform(X)
    other = copied(model)
    other.components_[:] = 0
    assert_current(other)
    np.testing.assert_array_equal(model.transform(X), before)
    assert not hasattr(clone(model), "components_")


def test_a_module_made_in_inference_mode_is_differentiated_afterwards():
    model = fitted()
    with torch.inference_mode():
        model.transform(X)
        model.to_torch()
    rows = torch.from_numpy(X).requires_grad_()
    features = model.to_torch()(rows)
    features.sum().backward()
    assert rows.grad.abs().sum() > 0


def test_it_keeps_no_estimator_alive():
    model = fitted()
    model.transform(X)
    reference, n_kept = weakref.ref(model), len(_of_estimators)
    del model
    gc.collect()
    assert reference() is None
    assert len(_of_estimators) < n_kept
