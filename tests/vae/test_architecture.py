"""Networks of a user: where their random numbers come from."""

from threading import Thread

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch import nn

from skgen import BernoulliVAE, GaussianVAE

X = load_digits().data[:100] / 16


def make(kind=GaussianVAE, **params):
    quick = {"n_components": 2, "n_iter": 2, "device": "cpu", "random_state": 0}
    return kind(**(quick | params))


def with_dropout(n_in, n_out):
    layers = nn.Linear(n_in, 16), nn.BatchNorm1d(16), nn.Dropout(0.3)
    return nn.Sequential(*layers, nn.Linear(16, n_out))


class Noisy(nn.Module):
    """It draws its parameters in a way of its own, and always adds noise."""

    seen: list = []  # noqa: RUF012

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(n_in, n_out))
        self.look()

    def forward(self, x):
        self.look()
        return (x + 0.1 * torch.randn_like(x)) @ self.weight

    def look(self):
        self.seen.append(torch.get_rng_state())


NETWORKS = {
    "class": {"encoder": Noisy, "decoder": Noisy},
    "function": {"encoder": with_dropout},
    "instance": {"decoder": with_dropout(2, 64)},
}
every_network = pytest.mark.parametrize("networks", NETWORKS.values(), ids=NETWORKS)


def answers(model):
    return [
        model.transform(X),
        model.score_samples(X),
        model.sample(3, random_state=0),
        model.inverse_transform(model.transform(X)),
    ]


@pytest.mark.parametrize("kind", [GaussianVAE, BernoulliVAE])
@every_network
def test_one_seed_one_model(kind, networks):
    """In other threads, too, and each answer is the same every time."""
    models = [make(kind, **networks) for _ in range(4)]
    models[0].fit(X)
    expected = answers(models[0])
    threads = [Thread(target=model.fit, args=(X,)) for model in models[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        for one, other in zip(answers(model), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    other = make(kind, random_state=1, **networks).fit(X)
    assert not np.array_equal(other.transform(X), models[0].transform(X))


class Looks(Callback):
    def on_epoch_end(self, net, **kwargs):
        Noisy.seen.append(torch.get_rng_state())


def test_no_global_generator_moves_not_even_for_a_moment():
    """Seen from constructors, forward passes and callbacks."""
    Noisy.seen.clear()
    before = torch.get_rng_state()
    model = make(**NETWORKS["class"], callbacks=[Looks()], early_stopping=True).fit(X)
    answers(model)
    model.log_likelihood(X[:2], 10)
    model.set_params(early_stopping=False, callbacks=None).partial_fit(X)
    model.net_.module_.encoder.look()
    assert len(Noisy.seen) > 20
    assert all(torch.equal(state, before) for state in Noisy.seen)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_drawn_anew_at_each_step_and_fit():
    """A mask that repeats would leave the weights of what it drops as they were."""

    class Masks(nn.Dropout):
        kept: list = []  # noqa: RUF012

        def forward(self, x):
            x = super().forward(torch.ones_like(x)) * x
            if self.training and x.requires_grad:
                self.kept.append((x != 0).tolist())
            return x

    def encoder(n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, 8), Masks(0.5), nn.Linear(8, n_out))

    model = make(encoder=encoder, batch_size=50)
    for _ in range(2):
        model.partial_fit(X)
    masks = [str(mask) for mask in Masks.kept]
    assert len(masks) == len(set(masks)) == 4
    share = np.mean([np.mean(mask) for mask in Masks.kept])
    assert share == pytest.approx(0.5, abs=0.05)


class Scores(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.score(X)


def test_evaluation_draws_nothing_from_the_training():
    quiet, watched = (
        make(**NETWORKS["class"], callbacks=c).fit(X) for c in (None, [Scores()])
    )
    np.testing.assert_array_equal(quiet.transform(X), watched.transform(X))


def test_networks_that_draw_are_not_compiled(monkeypatch):
    """A compiled network takes its random numbers from nowhere but torch's own."""
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    model = make(encoder=with_dropout, compile=True).fit(X)
    assert compiled == [model.net_.module_.decoder]


def test_a_network_made_in_inference_mode_is_trained():
    with torch.inference_mode():
        network = with_dropout(64, 4)
    start, model = (make(encoder=network, n_iter=n).fit(X) for n in (0, 3))
    weight = "encoder.0.weight"
    assert not np.array_equal(start.weights_[weight], model.weights_[weight])
