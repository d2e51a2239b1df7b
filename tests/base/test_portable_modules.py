"""Modules whose pickle depends on their values alone."""

import copy
import functools
import pickle

import joblib
import pytest
import torch
from torch import nn

from skgen.base._portable_modules import PortableModules


def made(network):
    return PortableModules({"network": network})


def there_and_back(network):
    return pickle.loads(pickle.dumps(made(network))).restored()["network"]


class Everything(nn.Module):
    """Tensors wherever a module can hold them."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout())
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.layers[0].weight
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
        self.fixed = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("rounded", torch.ones((), dtype=torch.bfloat16))
        self.register_buffer("hidden", torch.ones(2, 3).T, persistent=False)
        self.register_buffer("nothing", None)
        self.plain = [torch.arange(3), {"a": torch.ones(2, dtype=torch.complex64)}]

    def forward(self, x):
        return self.tied(self.layers(x))


def look(module, inputs, output):
    """A hook, as those of a user."""


def test_what_comes_back():
    network = Everything().eval()
    network.register_forward_hook(look)
    got = there_and_back(network)
    x = torch.ones(2, 3)
    assert torch.equal(got(x), network(x))
    assert not got.training
    assert list(got.state_dict()) == list(network.state_dict())
    for (name, one), (_, other) in zip(
        got.named_parameters(), network.named_parameters(), strict=True
    ):
        assert isinstance(one, nn.Parameter)
        assert torch.equal(one, other), name
        assert one.requires_grad == other.requires_grad
    assert got.tied.weight is got.layers[0].weight
    assert got.rounded.dtype == torch.bfloat16
    assert got.rounded.item() == 1
    assert torch.equal(got.hidden, network.hidden)
    assert torch.equal(got.plain[0], network.plain[0])
    assert got.plain[1]["a"].dtype == torch.complex64
    assert list(got._forward_hooks.values()) == [look]
    got(x).sum().backward()  # its memory is its own
    assert network.fixed.data_ptr() != got.fixed.data_ptr()


def test_modules_share_what_they_shared():
    network = nn.Linear(2, 2)
    got = PortableModules({"one": network, "other": nn.Sequential(network)}).restored()
    assert got["one"] is got["other"][0]


NETWORKS = {
    "all kinds of tensors": Everything,
    "LSTM": lambda: nn.LSTM(2, 2),
    "other memory format": lambda: nn.Conv2d(1, 2, 3).to(
        memory_format=torch.channels_last
    ),
    "float16": lambda: nn.Linear(2, 2).half(),
    "lazy": lambda: nn.LazyLinear(2),
    "module in a partial": lambda: functools.partial(nn.Sequential, nn.Linear(2, 2)),
    "no tensor": nn.ReLU,
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_equal_modules_have_equal_hashes(make):
    network = make()
    other = copy.deepcopy(network)
    unlike = torch.zeros(1000)  # memory in between
    other = pickle.loads(pickle.dumps(made(other))).restored()["network"]
    assert joblib.hash(made(network)) == joblib.hash(made(other))
    assert joblib.hash(made(network)) != joblib.hash(made(nn.Linear(1000, 1)))
    assert len(unlike) == 1000


@pytest.mark.parametrize(
    "change",
    [
        lambda network: network.layers[0].bias.data[0].add_(1e-3),
        lambda network: network.layers[1].running_mean.add_(1),
        lambda network: network.fixed.requires_grad_(True),
        lambda network: network.plain[0].add_(1),
        lambda network: setattr(network.layers[2], "p", 0.1),
        lambda network: network.half(),
        lambda network: network.eval(),
    ],
)
def test_modules_that_differ_have_other_hashes(change):
    one, other = Everything(), Everything()
    assert joblib.hash(made(one)) == joblib.hash(made(other))
    change(other)
    assert joblib.hash(made(one)) != joblib.hash(made(other))


def test_functions_without_a_name_pass():
    """They are left to the pickler that is used, which may know how."""
    modules = PortableModules({"made": lambda n_in, n_out: nn.Linear(n_in, n_out)})
    assert modules.tensors == []
