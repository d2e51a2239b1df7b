"""The network: its derivatives, dropout, and its start."""

import pytest
import torch
from torch import nn

from skgen.diffusion import DiffusionNet, NoiseProcess, TimeMLP
from skgen.diffusion._network import kept, reset_time_mlp

Y = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PHASE = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)


def network(sizes, activation="silu", **options):
    net = TimeMLP(3, sizes, activation, **options).double()
    generator = torch.Generator().manual_seed(0)
    reset_time_mlp(net, generator)
    net.last.weight.data.normal_(generator=generator)
    return net


def jacobians(net):
    one = torch.autograd.functional.jacobian
    return torch.stack(
        [
            one(lambda y, p=p: net(y[None], p[None])[0], y)
            for y, p in zip(Y, PHASE, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("sizes", "activation"),
    [
        ((6, 6, 4), "silu"),
        ((3, 3), "tanh"),
        ((5,), "relu"),
        ((), "elu"),
        ((4, 4), "gelu"),
    ],
)
def test_diagonal_of_the_jacobian(sizes, activation):
    net = network(sizes, activation)
    g, diagonal = net.with_diagonal(Y, PHASE)
    torch.testing.assert_close(g, net(Y, PHASE))
    expected = jacobians(net).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(diagonal, expected)


@pytest.mark.parametrize("conditions", [None, Y[:, :2]])
def test_one_phase_stands_for_all_points(conditions):
    net = network((6, 6), n_conditions=0 if conditions is None else 2)
    one, all_ = PHASE[2:3], PHASE[2].expand(5)
    expected = net.with_diagonal(Y, all_, conditions)
    torch.testing.assert_close(net(Y, one, conditions), expected[0])
    torch.testing.assert_close(net.with_diagonal(Y, one, conditions), expected)


def test_estimate_of_the_diagonal_along_directions():
    """Over all directions of entries 1 and -1 it is the diagonal itself."""
    net = network((6, 6))
    probes = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)
    exact = net.with_diagonal(Y, PHASE)[1]
    torch.testing.assert_close(net.with_diagonal(Y, PHASE, None, probes)[1], exact)
    some = net.with_diagonal(Y, PHASE, None, probes[:1])[1]
    along = jacobians(net) @ probes[0] * probes[0]
    torch.testing.assert_close(some, along)


class Given(nn.Module):
    """A network that does not know its derivatives."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, y, phase, condition=None, generator=None):
        return self.net(y, phase)


@pytest.mark.parametrize("n_probes", [None, 2])
def test_diagonal_by_autograd(n_probes):
    process = NoiseProcess(torch.tensor([1.0, 0.5, 2.0]).double(), None, t_min=1e-2)
    probes = None
    if n_probes is not None:
        probes = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]]).double()
    net, now = network((6, 6)), process.at(torch.tensor([0.4]).double())
    one = DiffusionNet(net, process).with_diagonal(Y, now, probes)
    with torch.inference_mode():
        other = DiffusionNet(Given(net), process).with_diagonal(Y, now, probes)
    for a, b in zip(one, other, strict=True):
        if probes is None or a is one[0]:
            torch.testing.assert_close(a, b)
    # Along directions the two estimates differ, but not their sums.
    sums = [(diagonal / now.gain).sum(1) for _, diagonal in (one, other)]
    torch.testing.assert_close(*sums)


def test_dropout_keeps_the_mean():
    generator = torch.Generator().manual_seed(0)
    drawn = kept((400, 501), 0.25, generator)
    assert drawn.unique().tolist() == pytest.approx([0, 4 / 3])
    share = (drawn == 0).double().mean().item()
    # Five standard errors.
    assert share == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 200400) ** 0.5)
    assert abs(torch.corrcoef(drawn[:, :2].T)[0, 1]) < 0.25


def test_dropout_is_of_training_alone():
    net = network((8, 8), dropout=0.5)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(net.train()(Y, PHASE), net.eval()(Y, PHASE))
    drawn = [net(Y, PHASE, generator=generator) for _ in range(2)]
    assert not torch.equal(*drawn)


def test_start_is_zero_with_kinks_all_over_the_data():
    net = TimeMLP(2, (64, 8), "silu")
    reset_time_mlp(net, torch.Generator().manual_seed(0))
    assert not net(torch.randn(3, 2), torch.rand(3)).any()
    first = net.layers[0]
    offset = (first.bias / first.weight.norm(dim=1)).abs()
    assert offset.min() < 0.1
    assert offset.max() > 1


def test_the_network_is_told_of_time():
    net = network((8, 8))
    assert (net(Y, PHASE) - net(Y, PHASE.flip(0))).abs().max() > 0.01
