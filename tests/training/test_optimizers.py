"""The optimizers of the package: those of torch, without an import of its compiler."""

import copy
import subprocess
import sys

import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Checkpoint, LRScheduler
from torch import nn

import skgen
from skgen import BernoulliRBMGPU, BernoulliVAE
from skgen.rbm._gradient_ascent import _is_plain_sgd
from skgen.training import _optimizers

X = load_digits().data[:60] / 16

OPTIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "fused": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "fused": True}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "betas": (0.5, 0.9), "fused": True}),
]
every_kind = pytest.mark.parametrize(("kind", "options"), OPTIONS)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))


def optimizer_of(module, kind, options, net):
    """An optimizer of which the second layer joins later, at another rate."""
    optimizer = getattr(module, kind)(net[0].parameters(), **options)
    optimizer.add_param_group({"params": net[2].parameters(), "lr": 0.02})
    return optimizer


def train(net, optimizer, n_steps=5):
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(n_steps):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    return net


def assert_same(a, b):
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)


@every_kind
def test_steps_are_those_of_torch(kind, options):
    ours, theirs = network(), network()
    train(ours, optimizer_of(_optimizers, kind, options, ours))
    train(theirs, optimizer_of(torch.optim, kind, options, theirs))
    assert_same(ours, theirs)
    assert not torch.equal(ours[0].weight, network()[0].weight)


def test_parameters_without_gradients_stay():
    """They have no state either, until a step at which they have one."""
    nets = network(), network()
    for net, module in zip(nets, (_optimizers, torch.optim), strict=True):
        optimizer = optimizer_of(module, "AdamW", {"lr": 0.01, "fused": True}, net)
        for i in range(6):
            net[2].requires_grad_(i >= 3)
            net[0].weight.requires_grad_(i % 2 == 0)
            train(net, optimizer, n_steps=1)
    assert_same(*nets)
    torch.manual_seed(0)
    first, then = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizer = _optimizers.AdamW([*first.parameters(), *then.parameters()], fused=True)
    before = copy.deepcopy(then.state_dict())
    for _ in range(3):
        first(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert all(torch.equal(before[k], v) for k, v in then.state_dict().items())


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        ({"fused": True}, True),
        ({"fused": True, "betas": (0.0, 0.99)}, True),
        ({"fused": True, "amsgrad": True}, False),
        ({"fused": True, "maximize": True}, False),
        ({"fused": False}, False),
        ({"fused": True, "lr": torch.tensor(0.1)}, False),
    ],
)
@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_plain_steps_are_taken_at_once(kind, options, at_once, monkeypatch):
    """From the second one on; all others are those of torch."""
    steps, plain = [], getattr(_optimizers, kind)._plain_step

    def spy(optimizer, closure):
        steps.append(closure)
        return plain(optimizer, closure)

    monkeypatch.setattr(getattr(_optimizers, kind), "_plain_step", spy)
    ours, theirs = network(), network()
    for net, module in [(ours, _optimizers), (theirs, torch.optim)]:
        train(net, getattr(module, kind)(net.parameters(), **options))
    assert len(steps) == (1 if at_once else 5)
    assert_same(ours, theirs)


def test_steps_of_mixed_precision_are_those_of_torch():
    nets = network(), network()
    for net, module in zip(nets, (_optimizers, torch.optim), strict=True):
        net[2].double()
        net[1].register_forward_hook(lambda *args: args[-1].double())
        train(net, module.AdamW(net.parameters(), fused=True))
    assert_same(*nets)


@every_kind
@pytest.mark.parametrize(
    ("first", "then"), [(_optimizers, torch.optim), (torch.optim, _optimizers)]
)
def test_one_goes_on_from_the_state_of_the_other(first, then, kind, options):
    net = network()
    before = optimizer_of(first, kind, options, net)
    train(net, before)
    state, other = copy.deepcopy(before.state_dict()), copy.deepcopy(net)
    after = optimizer_of(then, kind, options, other)
    after.load_state_dict(state)
    assert type(after).__name__ == type(before).__name__
    assert_same(train(other, after), train(net, before))


@every_kind
def test_methods_have_no_wrapper(kind, options):
    """What torch wraps around them is all that `__wrapped__` leads to."""
    optimizer = optimizer_of(_optimizers, kind, options, network())
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        assert not hasattr(getattr(optimizer, name), "__wrapped__")
    assert not hasattr(type(optimizer).step, "__wrapped__")


def test_a_step_evaluates_a_closure_and_records_no_gradient():
    net = network()
    optimizer = _optimizers.SGD(net.parameters(), lr=0.1)
    x = torch.ones(1, 5)

    def closure():
        optimizer.zero_grad()
        loss = net(x).square().sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert optimizer.step(closure) < first
    assert all(p.grad_fn is None for p in net.parameters())
    assert torch.is_grad_enabled()


def test_hooks_are_called_once_a_step():
    net, calls = network(), []
    optimizer = _optimizers.AdamW(net.parameters())
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    optimizer.register_state_dict_pre_hook(lambda _: calls.append("state"))
    train(net, optimizer, n_steps=2)
    optimizer.state_dict()
    assert calls == ["before", "after", "before", "after", "state"]


@every_kind
def test_schedulers_of_torch_move_the_learning_rate(kind, options):
    """They see the steps; without, they would warn."""
    net = network()
    optimizer = optimizer_of(_optimizers, kind, options, net)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for _ in range(2):
        train(net, optimizer, n_steps=1)
        scheduler.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [options["lr"] / 4, 0.02 / 4]


@pytest.mark.filterwarnings("ignore:Training of:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", [BernoulliRBMGPU, BernoulliVAE])
def test_callbacks_of_skorch_schedule_and_save(kind, tmp_path):
    scheduler = LRScheduler("StepLR", step_size=1, gamma=0.5)
    checkpoint = Checkpoint(dirname=tmp_path, monitor=None)
    model = kind(4, n_iter=3, learning_rate=0.1, callbacks=[scheduler, checkpoint])
    model.set_params(random_state=0, device="cpu").fit(X)
    saved = torch.load(tmp_path / "optimizer.pt")
    assert [group["lr"] for group in saved["param_groups"]] == pytest.approx(
        [0.1 / 8] * len(saved["param_groups"])
    )
    theirs = getattr(torch.optim, type(model.net_.optimizer_).__name__)
    theirs(model.net_.module_.parameters())  # of the same name


def test_a_subclass_is_not_taken_for_gradient_descent():
    class Other(torch.optim.SGD):
        pass

    class OtherOfOurs(_optimizers.SGD):
        pass

    def is_plain(kind):
        return _is_plain_sgd(kind(network().parameters(), lr=0.1))

    assert is_plain(torch.optim.SGD)
    assert is_plain(_optimizers.SGD)
    assert not is_plain(Other)
    assert not is_plain(OtherOfOurs)
    assert not is_plain(_optimizers.AdamW)


FIRST_FITS = """
import sys

import numpy as np

import skgen

before, X, y = set(sys.modules), np.eye(12), np.arange(12) % 2
for name in skgen.__all__:
    kind = getattr(skgen, name)
    model = kind(n_iter=2, early_stopping=True, random_state=0, device="cpu")
    if "n_components" in model.get_params():
        model.set_params(n_components=4)
    else:
        model.set_params(hidden_layer_sizes=(6, 4))
    model.fit(X, y)
    model.set_params(early_stopping=False).partial_fit(X, y)
    model.score(X)
    model.sample(3)
    model.net_.optimizer_.load_state_dict(model.net_.optimizer_.state_dict())
    unwanted = ["torch._dynamo", "torch._inductor", "sympy"]
    imported = [name for name in unwanted if name in set(sys.modules) - before]
    imported += [name for name in unwanted[:2] if name in sys.modules]
    print(name, imported)
"""


def test_a_fit_imports_no_compiler():
    """It would take seconds, in the first fit of a process."""
    run = [sys.executable, "-W", "ignore", "-c", FIRST_FITS]
    found = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    if torch.__version__.startswith("2.6."):  # its optimizers need sympy themselves
        found = found.replace("['sympy']", "[]")
    assert found.splitlines() == [f"{name} []" for name in skgen.__all__]
