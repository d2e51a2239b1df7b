"""Networks that a user chooses: convolutions, and modules of their own."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from skgen import ConditionalDiffusionModel, DiffusionModel
from skgen.diffusion._image_network import TimeConv
from skgen.io import load

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS, LABELS = DIGITS[:60] + 0.5, LABELS[:60]
X = np.random.RandomState(0).standard_normal((50, 3)) ** 3


def small(cls=DiffusionModel, **params):
    quick = {"n_iter": 2, "n_steps": 4, "early_stopping": False, "random_state": 0}
    return cls(**quick | params)


def own(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 8), nn.SiLU(), nn.Linear(8, n_out))


class WithDropout(nn.Sequential):
    def __init__(self, n_in, n_out):
        super().__init__(nn.Linear(n_in, 8), nn.Dropout(0.5), nn.Linear(8, n_out))


# Convolutions


@pytest.fixture(scope="module")
def images():
    sizes = {"architecture": "conv", "hidden_layer_sizes": (3, 4)}
    return small(image_shape=(8, 8), **sizes).fit(DIGITS)


def test_images(images):
    network = images.net_.module_.network
    assert isinstance(network, TimeConv)
    assert network.image_shape == (1, 8, 8)
    assert np.isfinite(images.score(DIGITS[:5]))
    assert images.sample(2, random_state=0).shape == (2, 64)
    back = images.inverse_transform(images.transform(DIGITS[:5]))
    assert np.abs(back - DIGITS[:5]).max() < 1
    assert np.isfinite(images.log_likelihood(DIGITS[:2], n_steps=2)).all()


@pytest.mark.filterwarnings("error:Got X with implausible")
def test_ink_at_the_edge_of_few_images_is_no_fault():
    noise = np.random.RandomState(0).uniform(size=DIGITS.shape)
    inked = DIGITS + noise
    inked[3, 0] = 200
    conv = {"architecture": "conv", "hidden_layer_sizes": 2, "image_shape": (8, 8)}
    scale = small(n_iter=0, **conv).fit(inked)._units.scale[0]
    assert scale == pytest.approx(inked[:, 0].std())
    with pytest.raises(UserWarning, match="implausible"):
        small(n_iter=0).fit(inked)


def test_images_given_labels():
    model = small(
        ConditionalDiffusionModel,
        architecture="conv",
        image_shape=(1, 8, 8),
        hidden_layer_sizes=3,
    ).fit(DIGITS, LABELS)
    assert model.sample(2, y=3, guidance=1.0).shape == (2, 64)
    weight = model.weights_["down.0.time.weight"]
    assert weight.shape == (3, 16 + len(np.unique(LABELS)) + 1)


@pytest.mark.parametrize(
    ("side", "channels"), [(2, (32,)), (4, (32,)), (8, (32, 64)), (28, (32, 64, 64))]
)
def test_default_channels(side, channels):
    data = np.random.RandomState(0).standard_normal((5, side**2))
    model = small(n_iter=0, architecture="conv", image_shape=(side, side)).fit(data)
    assert model._architecture.hidden_layer_sizes == channels


def test_bad_images():
    with pytest.raises(ValueError, match=r"image_shape=\(4, 4\)"):
        small(architecture="conv", image_shape=(4, 4)).fit(DIGITS)
    with pytest.raises(ValueError, match="one or more channels"):
        small(architecture="conv", image_shape=(8, 8), hidden_layer_sizes=()).fit(
            DIGITS
        )


# A network of a user


@pytest.mark.parametrize("network", [own, nn.Linear, own(4, 3)])
def test_a_network_of_a_user_is_trained(network):
    model = small(network=network, n_iter=0).fit(X)
    before = {name: values.copy() for name, values in model.weights_.items()}
    model.partial_fit(X)
    assert all((model._last_weights[name] != before[name]).any() for name in before)
    assert np.isfinite(model.log_likelihood(X[:3], n_steps=32)).all()
    assert model.sample(3, random_state=0).shape == (3, 3)
    if isinstance(network, nn.Module):  # it stays as it was
        np.testing.assert_array_equal(
            network[0].weight.detach(), before["network.0.weight"]
        )


def test_training_raises_the_likelihood():
    data = np.random.RandomState(0).choice([-1.0, 1.0], size=(256, 1))
    data = data + 0.2 * np.random.RandomState(1).standard_normal((256, 1))
    model = small(network=own, n_iter=150, learning_rate=3e-2, n_steps=16).fit(data)
    start = small(network=own, n_iter=0, n_steps=16).fit(data)
    gained = model.log_likelihood(data).mean() - start.log_likelihood(data).mean()
    assert gained > 0.05


def test_columns_of_conditions():
    model = small(ConditionalDiffusionModel, network=own).fit(X, np.arange(50) % 2)
    assert model.weights_["network.0.weight"].shape == (8, 3 + 1 + 2 + 1)


def test_dropout_of_a_user_draws_from_the_seed():
    fits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fits.append(small(network=WithDropout).fit(X))
    a, b = fits
    np.testing.assert_array_equal(a.score_samples(X[:5]), b.score_samples(X[:5]))


def test_bad_networks():
    with pytest.raises(ValueError, match=r"n_features \+ 1 columns.* to n_features"):
        small(network=nn.Linear(3, 3)).fit(X)
    with pytest.raises(ValueError, match=r"and 3 of y, to n_features"):
        small(ConditionalDiffusionModel, network=nn.Linear(4, 3)).fit(
            X, np.arange(50) % 2
        )


def test_a_warm_start_keeps_the_network():
    model = small(network=own, warm_start=True).fit(X)
    model.set_params(network=nn.Linear)
    with pytest.raises(ValueError, match="goes on with network="):
        model.fit(X)


def test_pickles_and_files(tmp_path):
    module = own(4, 3)
    model = small(network=module).fit(X)
    expected = model.transform(X)
    read = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(read.transform(X), expected)
    assert b"torch._utils" not in pickle.dumps(model)
    assert joblib.hash(clone(model)) == joblib.hash(clone(model))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="Pass network= to load"):
        load(tmp_path / "model")
    loaded = load(tmp_path / "model", network=module)
    np.testing.assert_array_equal(loaded.transform(X), expected)
