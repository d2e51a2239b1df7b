"""What a GaussianVAE finds out of the data before training, and goes on with after."""

import numpy as np
import pytest
from oracles import PPCA
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from skorch.callbacks import Callback

from skgen import GaussianVAE
from skgen.training._rows import row_source
from skgen.vae._architecture import Architecture

WINE = load_wine().data


def initial(X=WINE, **params):
    """An estimator before its training, and its state."""
    model = GaussianVAE(**({"random_state": 0} | params))
    model.n_features_in_ = X.shape[1]
    model.random_state_ = check_random_state(0)
    return model, model._initial_state(row_source(X), None, {})


def test_stages_take_a_thousand_steps_at_least():
    for params, staged in [
        ({"n_iter": 999}, False),
        ({"n_iter": 1000}, True),
        ({"n_iter": 500, "batch_size": 100}, True),  # of two steps each
        ({"n_iter": 499, "batch_size": 100}, False),
        ({"n_iter": "auto"}, True),
        ({"n_iter": "auto", "architecture": "mlp"}, False),
    ]:
        model, state = initial(**params)
        assert (state["_n_used"] is not None) == staged
        assert (model._build_objective(state).stages is not None) == staged


def test_stages_are_for_latents_that_the_start_does_not_use():
    model, state = initial()
    n_used = state["_n_used"]
    assert 1 < n_used < 13
    stages = model._build_objective(state).stages
    assert (stages.n_used, stages.n_latents) == (n_used, 16)
    for n_components in (1, n_used):
        model, state = initial(n_components=n_components)
        assert state["_n_used"] == n_components
        assert model._build_objective(state).stages is None
    for n_warmup_iter in (0, 5):
        model, state = initial(n_warmup_iter=n_warmup_iter)
        objective = model._build_objective(state)
        assert objective.stages is None
        assert objective.n_warmup == n_warmup_iter


def test_the_loss_is_in_the_units_of_the_data():
    model, state = initial()
    expected = np.log(WINE.std(axis=0)).sum()
    assert model._build_objective(state).log_scale == pytest.approx(expected)
    model, state = initial(noise_variance="learned")
    expected = 13 / 2 * np.log(WINE.var(axis=0).mean())
    assert model._build_objective(state).log_scale == pytest.approx(expected)


def test_a_noise_variance_that_is_given_has_the_units_of_the_data():
    noise = 40.0
    model, state = initial(noise_variance=noise)
    assert state["noise_variance_"] == noise
    common = WINE.var(axis=0).mean()
    W = state["weights_"]["decoder.shortcut.weight"]
    best = PPCA(WINE, 16, noise)
    np.testing.assert_allclose(W @ W.T * common, best.W @ best.W.T, rtol=1e-6)
    observation = model._build_observation(state)
    assert observation.floor is None
    assert observation.variance.item() == pytest.approx(noise / common)


def test_the_noise_of_a_start_has_the_units_of_the_data():
    X = StandardScaler().fit_transform(WINE)
    scales = 10.0 ** np.arange(-6, 7)
    _, plain = initial(X)
    model, scaled = initial(X * scales)
    np.testing.assert_allclose(
        scaled["noise_variance_"], plain["noise_variance_"] * scales**2
    )
    np.testing.assert_allclose(scaled["_noise_floor"], plain["_noise_floor"])
    observation = model._build_observation(scaled)
    np.testing.assert_allclose(observation.variance, plain["noise_variance_"])
    assert not observation.in_proportion
    _, common = initial(noise_variance="learned")
    assert isinstance(common["noise_variance_"], float)
    # Neither one for all features nor a linear model learns single rows by heart.
    assert np.all(common["_noise_floor"] == 1e-6)
    assert np.all(initial(hidden_layer_sizes=())[1]["_noise_floor"] == 1e-6)
    assert np.all(scaled["_noise_floor"] > 1e-3)


class Noise(Callback):
    """Write down the noise variances of the model at the start and during a fit."""

    def on_train_begin(self, net, **kwargs):
        self.noise_ = [net.module_.observation.variance.cpu().numpy().copy()]

    def on_batch_end(self, net, **kwargs):
        self.noise_.append(net.module_.observation.variance.cpu().numpy().copy())


def noise_during(model, X):
    """Noise variances during a fit, in the units of X."""
    seen = dict(model.set_params(callbacks=[Noise()]).fit(X).net_.callbacks_)["Noise"]
    return np.array(seen.noise_) * model._units.scale**2


def test_a_warm_start_with_another_kind_of_noise():
    """One for all starts at the mean, and stays one in the units of X."""
    model = GaussianVAE(4, n_iter=3, warm_start=True, random_state=0).fit(WINE)
    before = model.noise_variance_
    assert np.ptp(before) > 1
    seen = noise_during(model.set_params(noise_variance="learned"), WINE)
    np.testing.assert_allclose(seen[0], before.mean(), rtol=1e-6)
    np.testing.assert_allclose(np.ptp(seen, axis=1) / seen[:, 0], 0, atol=1e-5)
    assert (seen[1:, 0] != seen[0, 0]).all()
    error = np.mean((WINE - model.reconstruct(WINE)) ** 2)
    assert error < model.noise_variance_ < 2 * error
    # And back: each feature starts at what all have had.
    before = model.noise_variance_
    seen = noise_during(model.set_params(noise_variance="per_feature"), WINE)
    np.testing.assert_allclose(seen[0], before, rtol=1e-6)
    assert np.ptp(seen[-1]) > 0
    model.set_params(noise_variance=5.0)
    np.testing.assert_allclose(noise_during(model, WINE), 5.0, rtol=1e-6)
    assert model.noise_variance_ == 5


def test_the_limit_of_the_noise_of_a_warm_start():
    model, state = initial(architecture="mlp")
    limits = state["_noise_floor"]
    assert len(np.unique(limits)) == 13
    np.testing.assert_allclose(model._build_observation(state).floor, limits)
    # One feature noise for all: no less than any limit.
    model.set_params(noise_variance="learned")
    same = {**state, "_units": None, "noise_variance_": 1.0}
    assert model._build_observation(same).floor.item() == limits.max()


def test_the_architecture_of_a_start():
    model, state = initial(n_components=3)
    assert state["_architecture"] == Architecture.of(model)
    # At most as many correlations as pairs of latents.
    assert state["_weight_decay"] == pytest.approx(30 * 3 / 178)
    assert initial()[1]["_weight_decay"] == pytest.approx(30 * 13 * 12 / 2 / 178)
