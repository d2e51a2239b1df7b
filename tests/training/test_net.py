"""GenerativeNet with a toy family: a mean that is learned by autograd."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skgen.modules import Objective
from skgen.training import GenerativeNet

X = np.random.RandomState(0).normal(3.0, 1.0, (25, 2)).astype(np.float32)


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return x - self.mean


class SquaredError(Objective):
    """-log N(x | mean, 1) up to a constant."""

    def forward(self, model, x, *, generator):
        return 0.5 * model(x).square().sum(1)

    def evaluate(self, model, x):
        return self(model, x, generator=None)


class SquaredErrorInPlace(SquaredError):
    descends = True

    def descend_(self, model, x, *, learning_rate, weight_decay, generator):
        decay = 1 - learning_rate * weight_decay
        with torch.no_grad():
            model.mean.mul_(decay).add_(model(x).mean(0), alpha=learning_rate)


def make(objective=None, callbacks=(), seed=0, **kwargs):
    kwargs = {"lr": 0.1, "max_epochs": 3, "batch_size": 10} | kwargs
    return GenerativeNet(
        Mean(),
        objective or SquaredError(),
        generator=torch.Generator().manual_seed(seed),
        train_split=None,
        verbose=0,
        callbacks=list(callbacks),
        **kwargs,
    )


def by_hand(seed=0, epochs=3, schedule=lambda _: 1.0):
    """The same training in numpy."""
    generator, mean = torch.Generator().manual_seed(seed), np.zeros(2)
    step, n_steps = 0, epochs * 3
    for _ in range(epochs):
        order = torch.randperm(len(X), generator=generator).numpy()
        for start in range(0, len(X), 10):
            batch = X[order[start : start + 10]]
            mean += 0.1 * schedule(step / n_steps) * (batch - mean).mean(0)
            step += 1
    return mean


class Listener(Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.heard = []

    def on_batch_end(self, net, batch=None, training=None, y_pred=None, **kwargs):
        self.heard.append((len(batch[0]), training, tuple(y_pred.shape)))


class GradientListener(Callback):
    def __init__(self):
        self.norms = []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.norms.append([p.grad.norm().item() for _, p in named_parameters])


@pytest.mark.parametrize("objective", [SquaredError, SquaredErrorInPlace])
@pytest.mark.parametrize("listener", [None, Listener, GradientListener])
def test_step_whoever_listens(objective, listener):
    net = make(objective(), [listener()] if listener else [])
    net.fit(X)
    np.testing.assert_allclose(net.module_.mean.detach().numpy(), by_hand(), rtol=1e-5)


def test_linear_schedule():
    net = make(learning_rate_schedule="linear").fit(X)
    np.testing.assert_allclose(
        net.module_.mean.detach().numpy(), by_hand(schedule=lambda t: 1 - t), rtol=1e-5
    )
    assert net.optimizer_.param_groups[0]["lr"] == 0.1  # ready for the next fit


def test_momentum_goes_through_the_optimizer():
    plain, heavy = (
        make(SquaredErrorInPlace(), optimizer__momentum=m).fit(X).module_.mean
        for m in (0.0, 0.9)
    )
    reference = make(SquaredError(), optimizer__momentum=0.9).fit(X).module_.mean
    assert torch.equal(heavy, reference)
    assert not torch.allclose(plain, heavy)


def test_batches_are_told_only_to_those_who_listen():
    listener = Listener()
    net = make(callbacks=[listener], max_epochs=1).fit(X)
    assert listener.heard == [(n, True, (n, 2)) for n in (10, 10, 5)]
    assert [b["train_batch_size"] for b in net.history[0, "batches"]] == [10, 10, 5]
    silent = make(max_epochs=1).fit(X)
    assert silent.history[:, "train_batch_count"] == [3]


def test_gradients_are_told_to_those_who_listen():
    listener = GradientListener()
    make(SquaredErrorInPlace(), [listener], max_epochs=1).fit(X)
    assert len(listener.norms) == 3
    assert all(norm > 0 for norms in listener.norms for norm in norms)


def test_score_is_minus_the_mean_objective():
    net = make(max_epochs=0).fit(X)
    expected = -0.5 * np.mean(np.sum(X.astype(np.float64) ** 2, axis=1))
    assert abs(net.score(X) - expected) < 1e-5


def test_predict_and_forward():
    net = make(max_epochs=1).fit(X)
    expected = X - net.module_.mean.detach().numpy()
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-6)


@pytest.mark.parametrize("n_batches", [1, 150])
def test_divergence_is_seen_at_once(n_batches):
    class Explodes(SquaredErrorInPlace):
        calls = 0

        def descend_(self, model, x, **kwargs):
            self.calls += 1
            if self.calls >= n_batches + 2:
                with torch.no_grad():
                    model.mean[1] = torch.nan

    objective = Explodes()
    net = make(objective, batch_size=25, max_epochs=1)
    long = np.tile(X, (n_batches * 3, 1))
    with pytest.raises(ValueError, match=r"diverged in epoch 1:.*Lower learning_rate"):
        net.fit(long)
    assert objective.calls <= n_batches + 2 + 100


def test_interrupt_in_an_epoch_is_marked():
    class Interrupts(SquaredErrorInPlace):
        def descend_(self, model, x, **kwargs):
            raise KeyboardInterrupt

    net = make(Interrupts()).fit(X)
    assert net.interrupted_
    assert not make().fit(X).interrupted_
