"""GenerativeNet with a toy family: a mean that is learned by autograd."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skgen.training import GenerativeNet, Objective

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

    def descend_(
        self,
        model,
        x,
        *,
        learning_rate,
        weight_decay,
        momentum,
        velocity,
        generator,
    ):
        assert weight_decay == 0
        gradient = -model(x).mean(0)
        if velocity is not None:
            gradient = velocity[0].mul_(momentum).add_(gradient)
        model.mean.sub_(gradient, alpha=learning_rate)


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


def test_momentum_in_place_is_that_of_the_optimizer():
    net = make(SquaredErrorInPlace(), optimizer__momentum=0.9).fit(X)
    reference = make(SquaredError(), optimizer__momentum=0.9).fit(X)
    for a, b in zip(velocities(net), velocities(reference), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    heavy, plain = (n.module_.mean.detach() for n in (net, make().fit(X)))
    np.testing.assert_allclose(heavy, reference.module_.mean.detach(), rtol=1e-5)
    assert not np.allclose(plain, heavy)
    # The velocity goes on where it was, whoever listens from now on.
    net.callbacks_.append(("listener", GradientListener()))
    net.partial_fit(X)
    reference.partial_fit(X)
    np.testing.assert_allclose(
        net.module_.mean.detach(), reference.module_.mean.detach(), rtol=1e-5
    )


def velocities(net):
    return [state["momentum_buffer"] for state in net.optimizer_.state.values()]


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


class Replayer:
    """Stands where `GraphedStep` does: takes steps and counts them."""

    made: ClassVar[list] = []

    def __init__(self, step, *, generator):
        self.step, self.generator, self.n_steps = step, generator, 0
        self.made.append(self)

    def __call__(self, x):
        self.n_steps += 1
        self.step(x)


class Capturable(SquaredErrorInPlace):
    capturable = True


@pytest.fixture
def graphs(monkeypatch):
    monkeypatch.setattr("skgen.training._net.capturable", lambda device: True)
    monkeypatch.setattr("skgen.training._net.GraphedStep", Replayer)
    monkeypatch.setattr(Replayer, "made", [])
    return Replayer.made


@pytest.mark.parametrize("objective", [SquaredErrorInPlace, Capturable])
def test_one_graph_takes_the_steps_of_all_epochs(graphs, objective):
    """Its learning rate is a tensor that the schedule moves in place."""
    linear = {"learning_rate_schedule": "linear"}
    net = make(objective(), graphs=True, **linear).fit(X)
    expected = by_hand(schedule=lambda t: 1 - t)
    np.testing.assert_allclose(net.module_.mean.detach(), expected, rtol=1e-5)
    assert [g.n_steps for g in graphs] == ([9] if objective.capturable is True else [])
    assert float(net.optimizer_.param_groups[0]["lr"]) == pytest.approx(0.1)
    net.partial_fit(X)
    assert len(graphs) == (2 if objective.capturable is True else 0)


@pytest.mark.parametrize("listener", [Listener, GradientListener])
def test_no_graph_where_somebody_listens(graphs, listener):
    make(Capturable(), [listener()], graphs=True).fit(X)
    assert not graphs


def test_no_graph_unless_it_is_asked_for(graphs):
    make(Capturable()).fit(X)
    assert not graphs


def test_an_error_names_a_learning_rate_that_is_a_tensor(graphs):
    net = make(Capturable(), graphs=True, lr=1e30)
    with pytest.raises(ValueError, match=r"Lower learning_rate \(got 1e\+30\)"):
        net.fit(X)


class Products(SquaredError):
    """Writes down a matrix product while it trains."""

    def forward(self, model, x, *, generator):
        self.seen = x @ x.T
        return super().forward(model, x, generator=generator)


@pytest.mark.parametrize(
    ("products", "instructions", "dtype"),
    [
        (None, "avx512_bf16", torch.float32),
        (torch.bfloat16, "avx512_bf16", torch.bfloat16),
        (torch.bfloat16, "none", torch.float32),
    ],
)
def test_products_are_rounded_in_training(processor, products, instructions, dtype):
    processor(instructions)
    net = make(Products(), products=products).fit(X)
    seen = net.criterion_.seen
    assert seen.dtype == dtype
    assert torch.equal(seen, seen.bfloat16().to(dtype)) == (products is not None)
    np.testing.assert_allclose(net.module_.mean.detach(), by_hand(), rtol=1e-5)
    net.score(X)  # which calls forward as well
    assert not torch.equal(net.criterion_.seen, net.criterion_.seen.bfloat16().float())


@pytest.mark.parametrize("there", [True, False])
def test_data_moves_to_the_device_only_if_it_fits(monkeypatch, there):
    monkeypatch.setattr("skgen.training._net.fits", lambda n_bytes, device: there)
    net = make().initialize()
    net.device = "meta"
    assert net.get_dataset(X).X.device.type == ("meta" if there else "cpu")
