"""Steps that are recorded once do what steps do that are taken one by one.

On a CPU a stand-in for a graph records the operations of torch, and carries these out
again: what a step does in Python alone is then missing, as it is in a graph.
"""

import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import skgen
from skgen.nn import _cuda_graphs

X = load_digits().data[:210, 20:44] / 16
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def storages(values):
    tensors = (x for x in tree_leaves(values) if isinstance(x, Tensor))
    return {x.untyped_storage().data_ptr() for x in tensors}


class Record(TorchDispatchMode):
    """Operations on tensors, which can be carried out again in the same memory."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self._before, self._own = {}, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func._schema.is_mutable:
            self._keep(tree_leaves([args, kwargs]))
        if "_local_scalar_dense" in str(func):
            raise RuntimeError("a graph has no numbers of Python")
        out = func(*args, **kwargs)
        if torch.Tag.inplace_view in func.tags:
            pass  # of the shape alone
        elif func._schema.is_mutable:
            self.calls.append((func, args, kwargs, []))
        elif not storages(out) & storages([args, kwargs]):  # or else it is a view
            self.calls.append((func, args, kwargs, tree_leaves(out)))
            self._own |= storages(out)
        return out

    def _keep(self, values):
        for value in values:
            if isinstance(value, Tensor) and not storages(value) & self._own:
                self._before.setdefault(id(value), (value, value.clone()))

    def undo(self):
        """Have nothing happened: a graph is only recorded."""
        with torch.no_grad():
            for value, before in reversed(self._before.values()):
                value.copy_(before)

    def replay(self):
        with torch.no_grad():
            for func, args, kwargs, outs in self.calls:
                results = tree_leaves(func(*args, **kwargs))
                for out, result in zip(outs, results, strict=False):
                    if isinstance(out, Tensor):
                        out.copy_(result.view(out.shape))


class Recorder:
    """Stands in for `recorded`."""

    def __init__(self):
        self.n_launched = self.n_recorded = 0

    def __call__(self, operate, generator):
        record, state = Record(), generator.get_state()
        with record:
            operate()
        record.undo()
        generator.set_state(state)
        self.n_recorded += 1

        def launch():
            self.n_launched += 1
            record.replay()

        return launch


class Counter(Recorder):
    """Count the launches of graphs of a GPU."""

    def __init__(self):
        super().__init__()
        self.plain = _cuda_graphs.recorded

    def __call__(self, operate, generator):
        graph = self.plain(operate, generator)
        if graph is None:
            return None
        self.n_recorded += 1

        def launch():
            self.n_launched += 1
            graph()

        return launch


@pytest.fixture
def fit_both(monkeypatch):
    """Fit a model with graphs and without; count the launches."""
    # On a CPU, too, from the generator.
    monkeypatch.setattr("skgen.sampling._bits._LEAST_DRAWN", 2**60)

    def fit(make, device):
        recorder = Counter() if device == "cuda" else Recorder()
        models = []
        for records in (False, True):
            joint_step = "skgen.rbm._joint_step"
            monkeypatch.setattr(f"{joint_step}.records_on", lambda _, r=records: r)
            monkeypatch.setattr(f"{joint_step}.recorded", recorder)
            models.append(make(device=device).fit(X))
            if not records:
                assert recorder.n_launched == 0
        return *models, recorder

    return fit


def assert_same_parameters(one, other, **tolerance):
    pairs = zip(
        one.net_.module_.named_parameters(),
        other.net_.module_.named_parameters(),
        strict=True,
    )
    for (name, a), (_, b) in pairs:
        torch.testing.assert_close(a, b, msg=lambda m, n=name: f"{n}: {m}", **tolerance)


SMALL = {"batch_size": 20, "n_iter": 6, "random_state": 0}
CONSTANT = {"learning_rate_schedule": "constant"}
MACHINES = {
    "PCD": (skgen.BernoulliRBMGPU, {}),
    "CD with momentum": (
        skgen.BernoulliRBMGPU,
        {"algorithm": "cd", "momentum": 0.5, "weight_decay": 1e-3},
    ),
    "Gaussian PCD": (skgen.GaussianRBM, CONSTANT),
    "Gaussian CD": (
        skgen.GaussianRBM,
        CONSTANT | {"algorithm": "cd", "noise_variance": 1.0},
    ),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MACHINES)
def test_graphs_do_what_steps_do(fit_both, name, device):
    kind, params = MACHINES[name]
    plain, by_graphs, recorder = fit_both(
        lambda **more: kind(5, **SMALL | params | more), device
    )
    # For the mini-batches of 20 rows and the last one of each epoch, which has 10.
    assert recorder.n_recorded == 2
    # Of the 11 steps of an epoch, the first one is recorded in the history, and three
    # more are taken before the graphs are launched.
    assert recorder.n_launched == 6 * 7
    assert_same_parameters(plain, by_graphs, rtol=1e-5, atol=1e-6)


class Annealed(Callback):
    """A callback of a user, which changes numbers that a graph does not read."""

    def on_epoch_begin(self, net, **kwargs):
        for group in net.optimizer_.param_groups:
            group["lr"] = 0.01 * len(net.history)
        net.optimizer_.param_groups[0]["weight_decay"] = 1e-3 * len(net.history)


@pytest.mark.parametrize("device", DEVICES)
def test_graphs_follow_a_callback_of_a_user(fit_both, device):
    params = SMALL | {"callbacks": [Annealed()]}
    plain, by_graphs, recorder = fit_both(
        lambda **more: skgen.BernoulliRBMGPU(5, **params | more), device
    )
    assert recorder.n_recorded == 12
    assert_same_parameters(plain, by_graphs, rtol=1e-5, atol=1e-6)


@pytest.mark.cuda
def test_what_no_graph_may_have_is_done_step_by_step():
    generator = torch.Generator(device="cuda").manual_seed(0)
    x = torch.zeros(3, device="cuda")

    def operate():
        x.add_(torch.rand(3, generator=generator, device="cuda"))
        return x.sum().item()

    assert _cuda_graphs.recorded(operate, generator) is None
    assert not x.any()  # nothing has been carried out
    operate()
    other = torch.Generator(device="cuda").manual_seed(0)
    assert torch.equal(x, torch.rand(3, generator=other, device="cuda"))
    launch = _cuda_graphs.recorded(lambda: x.add_(1), generator)
    launch()
    launch()
    assert x.min() >= 2
