"""GaussianVAE and BernoulliVAE: networks, and what training does with parameters."""

import numpy as np
import pytest
import torch
from families import PLAIN
from sklearn.base import clone
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch import nn

from skgen import BernoulliVAE, GaussianVAE
from skgen.training._schedules import SCHEDULES

X = (load_digits().data / 16)[:300]
BOTH = pytest.mark.parametrize("cls", [GaussianVAE, BernoulliVAE])


def quick(cls=GaussianVAE, **params):
    plain = PLAIN if cls is GaussianVAE else {}
    params = plain | {"n_components": 4, "n_iter": 3, "random_state": 0} | params
    return cls(**params)


# Networks


def test_linear_networks():
    model = quick(hidden_layer_sizes=()).fit(X)
    rng = np.random.RandomState(0)
    a, b = rng.normal(size=(2, 5, 4))
    decode = model.inverse_transform
    np.testing.assert_allclose(
        decode(a + b) + decode(0 * a), decode(a) + decode(b), atol=1e-10
    )


def test_hidden_layers():
    model = quick(hidden_layer_sizes=(32, 16)).fit(X)
    widths = [v.shape[0] for k, v in model.weights_.items() if k.endswith("weight")]
    assert widths == [32, 16, 8, 16, 32, 64]
    model = quick(hidden_layer_sizes=(32, 16), architecture="shortcut").fit(X)
    widths = [v.shape[0] for k, v in model.weights_.items() if k.endswith("weight")]
    assert widths == [32, 16, 8, 8, 16, 32, 64, 64]
    alike = quick(hidden_layer_sizes=32).fit(X), quick(hidden_layer_sizes=[32]).fit(X)
    np.testing.assert_array_equal(*(m.transform(X) for m in alike))


@pytest.mark.parametrize(
    "activation",
    ["identity", "logistic", "tanh", "relu", "elu", "silu", "gelu", "softplus"],
)
def test_activations(activation):
    model = quick(activation=activation, n_iter=30).fit(X)
    start = quick(activation=activation, n_iter=0).fit(X)
    assert model.score(X) > start.score(X) + 1


@pytest.mark.parametrize(
    "image_shape", [(8, 8), (4, 16), (1, 8, 8), (4, 4, 4), (64, 1), (2, 1, 32)]
)
def test_convolutions_on_images_of_any_shape(image_shape):
    few = X[:20]  # in as many updates as 300 rows in batches of the default size
    model = quick(
        architecture="conv",
        image_shape=image_shape,
        hidden_layer_sizes=(16,),
        batch_size=7,
    )
    model.fit(few)
    assert model.sample(3).shape == (3, 64)
    assert model.reconstruct(few).shape == few.shape
    start = clone(model).set_params(n_iter=0).fit(few)
    assert model.score(few) > start.score(few)


@pytest.mark.parametrize("side", [1, 2, 3, 5, 7, 28, 29])
def test_convolutions_on_odd_sides(side):
    data = np.random.RandomState(0).uniform(size=(10, side * 4))
    model = quick(architecture="conv", image_shape=(side, 4), n_iter=1).fit(data)
    assert model.sample(3).shape == (3, side * 4)


def test_convolutions_of_the_keras_example():
    model = quick(architecture="conv", image_shape=(8, 8)).fit(X)
    shapes = [v.shape for k, v in model.weights_.items() if k.endswith("weight")]
    assert shapes == [
        *[(32, 1, 3, 3), (64, 32, 3, 3), (256, 256), (8, 256)],
        *[(256, 4), (256, 256), (64, 64, 3, 3), (64, 32, 3, 3), (1, 32, 3, 3)],
    ]


class Encoder(nn.Module):
    """A network with dropout, which torch seeds by its global generator."""

    def __init__(self, n_in=64, n_out=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_in, 20),
            nn.BatchNorm1d(20),
            nn.Dropout(0.2),
            nn.Linear(20, n_out),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("encoder", [Encoder, Encoder()], ids=["class", "instance"])
@BOTH
def test_networks_of_ones_own(cls, encoder):
    before = torch.get_rng_state()
    model = quick(cls, encoder=encoder, decoder=nn.Linear)
    model.fit(X)
    again = clone(model).fit(X)
    np.testing.assert_array_equal(model.transform(X), again.transform(X))
    assert torch.equal(before, torch.get_rng_state())
    # Dropout is off after training.
    np.testing.assert_array_equal(model.score_samples(X), model.score_samples(X))
    assert model.sample(3).shape == (3, 64)
    assert any(name.startswith("encoder.layers.1.running") for name in model.weights_)


def test_start_of_a_fit():
    """Posteriors near the prior, and a decoder that gives the mean of the data."""
    gaussian, bernoulli = (
        quick(c, n_iter=0).fit(X) for c in (GaussianVAE, BernoulliVAE)
    )
    for model in (gaussian, bernoulli):
        assert np.abs(np.log(model.encode(X)[1])).max() < 0.1
        assert (model.transform(X).std(axis=0) > 0.1).all()
    mean = X.mean(axis=0)
    origin = np.zeros((1, 4))
    np.testing.assert_allclose(gaussian.inverse_transform(origin)[0], mean, atol=1e-6)
    np.testing.assert_allclose(
        bernoulli.inverse_transform(origin)[0],
        mean.clip(1 / 302, 301 / 302),
        atol=1e-6,
    )


@BOTH
def test_being_told_of_batches_does_not_change_the_bits(cls):
    plain = quick(cls, encoder=Encoder).fit(X)
    told = quick(cls, encoder=Encoder, callbacks=[Weights()]).fit(X)
    for name, value in plain.weights_.items():
        np.testing.assert_array_equal(value, told.weights_[name])


def test_an_instance_is_copied_and_training_starts_from_it():
    network = nn.Linear(64, 8)
    weight = network.weight.detach().clone()
    start = quick(encoder=network, n_iter=0).fit(X)
    np.testing.assert_array_equal(start.weights_["encoder.weight"], weight)
    model = quick(encoder=network).fit(X)
    assert torch.equal(network.weight, weight)
    assert not np.array_equal(model.weights_["encoder.weight"], weight)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"encoder": nn.Linear(64, 7)}, r"\(2, 64\) is \(2, 7\).* to \(n_samples, 8\)"),
        ({"encoder": nn.Linear(63, 8)}, r"fails for an input of shape \(2, 64\)"),
        ({"encoder": nn.LSTM(64, 8)}, "is tuple"),
        ({"decoder": nn.Linear(4, 63)}, r"Got decoder=Linear.*is \(2, 63\)"),
        ({"decoder": nn.Linear(5, 64)}, r"Got decoder=Linear, which fails"),
        ({"hidden_layer_sizes": (3, 0)}, r"Got hidden_layer_sizes=\(3, 0\)"),
        ({"hidden_layer_sizes": (3.5,)}, "expected integers of at least 1"),
        ({"architecture": "conv"}, "Got image_shape=None with architecture='conv'"),
        ({"architecture": "conv", "image_shape": (8, 9)}, "whose product is 64"),
        ({"architecture": "conv", "image_shape": (64,)}, r"\(height, width\)"),
        ({"architecture": "conv", "image_shape": (-8, -8)}, "Pass image_shape"),
        ({"noise_variance": 0.0}, "noise_variance"),
        ({"noise_variance": "known"}, "noise_variance"),
    ],
)
def test_bad_networks_and_parameters(params, match):
    with pytest.raises(ValueError, match=match):
        quick(**params).fit(X)


def test_parameters_set_after_a_fit_wait_for_the_next():
    model = quick().fit(X)
    features = model.transform(X)
    model.set_params(n_components=7, hidden_layer_sizes=(9,), activation="tanh")
    np.testing.assert_array_equal(model.transform(X), features)
    assert model.fit(X).transform(X).shape == (300, 7)


# Training


def test_warm_start_goes_on():
    model = quick(warm_start=True).fit(X)
    first = model.score(X)
    assert model.fit(X).n_iter_ == 6
    assert model.score(X) > first
    model.set_params(hidden_layer_sizes=(9,))
    with pytest.raises(ValueError, match=r"\(9,\), but the fit goes on .*warm_start=F"):
        model.fit(X)


def test_partial_fit_starts_and_goes_on():
    model = quick()
    for part in np.array_split(X, 3):
        model.partial_fit(part)
    assert model.n_iter_ == 3
    assert np.isfinite(model.score(X))


def test_weights_whose_sum_is_too_large():
    """Only their ratios matter, up to the largest numbers that there are."""
    weight = np.random.RandomState(0).uniform(0.1, 1, size=300)
    large = quick().fit(X, sample_weight=2.0**1023 * weight)
    for name, values in quick().fit(X, sample_weight=weight).weights_.items():
        np.testing.assert_array_equal(large.weights_[name], values)


def test_equal_rows_of_different_weights_in_any_order():
    rows = np.repeat(X[:50], 2, axis=0)
    weight = np.random.RandomState(0).uniform(0.1, 1, size=100)
    plain = quick().fit(rows, sample_weight=weight)
    turned = quick().fit(rows[::-1], sample_weight=weight[::-1])
    for name, values in plain.weights_.items():
        np.testing.assert_array_equal(turned.weights_[name], values)


class Weights(Callback):
    """Write down the weight of the KL term and the learning rate of every batch."""

    def on_train_begin(self, net, **kwargs):
        self.kl_, self.lr_ = [], []

    def on_batch_end(self, net, **kwargs):
        self.kl_.append(net.criterion_.kl_weight)
        self.lr_.append(net.optimizer_.param_groups[0]["lr"])


def test_warm_up_rises_batch_by_batch():
    model = quick(n_warmup_iter=2, beta=3.0, batch_size=100, callbacks=[Weights()])
    weights = dict(model.fit(X).net_.callbacks_)["Weights"].kl_
    assert weights == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3, 3])


@pytest.mark.parametrize("schedule", ["constant", "linear", "one_cycle"])
def test_learning_rate_schedules(schedule):
    model = quick(learning_rate_schedule=schedule, batch_size=30, callbacks=[Weights()])
    rates = np.array(dict(model.fit(X).net_.callbacks_)["Weights"].lr_) / 1e-3
    t = np.arange(30) / 30
    if schedule == "one_cycle":
        # torch's own, whose last step is at its end, and ours before its last.
        parameter = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        reference = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            1.0,
            total_steps=3001,
            final_div_factor=1e12,
            cycle_momentum=False,
        )
        expected = []
        for _ in range(3000):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            reference.step()
        np.testing.assert_allclose(rates, expected[::100], atol=2e-3)
    else:
        np.testing.assert_allclose(rates, 1 - t if schedule == "linear" else 1 + 0 * t)
    assert set(SCHEDULES) == {"constant", "linear", "one_cycle"}


def test_early_stopping_waits_for_the_warm_up():
    params = {
        "n_iter": 40,
        "early_stopping": True,
        "n_iter_no_change": 2,
        "tol": 1e3,  # nothing is an improvement of a thousand nats
        "noise_variance": 0.1,
        "batch_size": 2,  # 135 steps an epoch
        "hidden_layer_sizes": (8,),
    }
    assert quick(**params).fit(X).n_iter_ == 3
    model = quick(n_warmup_iter=8, **params).fit(X)
    assert model.n_iter_ == 11
    losses = model.history_[:, "valid_loss"]
    # The best epoch after the warm-up is restored.
    assert -model.net_.score(X) != losses[-1]


def test_early_stopping_restores_the_best():
    model = quick(
        n_components=16,
        n_iter=200,
        early_stopping=True,
        learning_rate=0.01,
        batch_size=4,
        hidden_layer_sizes=(32,),
    ).fit(X[:60])
    losses = model.history_[:, "valid_loss"]
    assert model.n_iter_ < 200
    assert np.argmin(losses) < len(losses) - 1


def test_weight_decay_spares_biases():
    big = {"weight_decay": 900.0, "learning_rate": 1e-3, "n_iter": 20}
    model = quick(**big).fit(X)
    weights = {k: np.abs(v).max() for k, v in model.weights_.items() if "weight" in k}
    assert max(weights.values()) < 0.05
    biases = [np.abs(v).max() for k, v in model.weights_.items() if "bias" in k]
    assert max(biases) > 1e-3


def test_interrupt_keeps_what_was_learned():
    class Interrupts(Callback):
        def on_batch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    model = quick(callbacks=[Interrupts()], n_iter=9)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert model.n_iter_ == len(model.history_) == 2
    short = quick(n_iter=2).fit(X)
    for name, weight in short.weights_.items():
        np.testing.assert_array_equal(model.weights_[name], weight)


def test_verbose_shows_the_elbo(capsys):
    quick(verbose=1).fit(X)
    assert "[GaussianVAE] Iteration 3, ELBO = " in capsys.readouterr().out
