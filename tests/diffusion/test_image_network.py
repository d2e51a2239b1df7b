"""Networks that see features in their order."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from torch import nn

from skgen.diffusion import DiffusionNet, NoiseProcess, TimeConv, TimeMLP
from skgen.diffusion._image_network import GivenNetwork, reset_time_conv
from skgen.diffusion._network import reset_time_mlp

Y = torch.randn(3, 30, generator=torch.Generator().manual_seed(1))
PHASE = torch.linspace(0.1, 0.9, 3)
CONDITION = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])


def network(sizes=(4, 6), shape=(2, 5, 3), n_conditions=0, **options):
    net = TimeConv(shape, sizes, "silu", n_conditions=n_conditions, **options)
    generator = torch.Generator().manual_seed(0)
    reset_time_conv(net, generator)
    y, phase = torch.randn(2, net.image_shape[0] * shape[1] * shape[2]), PHASE[:2]
    assert not net(y, phase, CONDITION[:2] if n_conditions else None).any()
    net.last.weight.data.normal_(generator=generator)
    return net


@pytest.mark.parametrize("sizes", [(4,), (4, 6), (4, 6, 5)])
def test_images_of_odd_sides(sizes):
    assert network(sizes)(Y, PHASE).shape == Y.shape


def test_it_is_told_of_time_and_conditions():
    net = network(n_conditions=2)
    got = net(Y, PHASE, CONDITION)
    assert (got - net(Y, PHASE.flip(0), CONDITION)).abs().amax(1)[[0, 2]].min() > 1e-6
    other = (got - net(Y, PHASE, CONDITION.flip(0))).abs().amax(1)
    assert other[[0, 2]].min() > 1e-6


def test_a_shifted_image_gives_a_shifted_output():
    """Away from the borders, and by pixels of the coarsest resolution."""
    net = network((4, 4), (1, 48, 48))
    image = torch.zeros(1, 1, 48, 48)
    image[:, :, 20:23, 20:23] = 1
    here, there = (
        net(each.flatten(1), PHASE[:1]).view(48, 48)
        for each in (image, image.roll(4, dims=3))
    )
    torch.testing.assert_close(there[20:28, 24:28], here[20:28, 20:24])
    assert (there - here).abs().max() > 0.01


def test_dropout_is_of_training_alone():
    net = network(dropout=0.5)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(net.train()(Y, PHASE), net.eval()(Y, PHASE))
    one, other = (net(Y, PHASE, generator=generator) for _ in range(2))
    assert not torch.equal(one, other)


def test_columns_of_a_given_network():
    class Columns(nn.Module):
        def forward(self, inputs):
            self.inputs = inputs
            return inputs[:, :30]

    inner = Columns()
    GivenNetwork(inner)(Y, PHASE, CONDITION)
    expected = torch.cat([Y, PHASE[:, None], CONDITION], 1)
    assert torch.equal(inner.inputs, expected)
    GivenNetwork(inner)(Y, PHASE)
    assert torch.equal(inner.inputs, expected[:, :31])


@pytest.mark.parametrize("n_probes", [None, 4])
def test_a_network_of_features_behind_a_basis(n_probes):
    """It is that of directions, turned, and so are its derivatives."""
    net = TimeMLP(4, (6, 6), "silu").double()
    reset_time_mlp(net, torch.Generator().manual_seed(0))
    net.last.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    basis = torch.from_numpy(ortho_group.rvs(4, random_state=0))
    spread = torch.tensor([0.5, 1.0, 1.2, 2.0]).double()
    model = DiffusionNet(net, NoiseProcess(spread, basis, t_min=1e-3), by_features=True)
    y = torch.from_numpy(np.random.RandomState(0).standard_normal((5, 4)))
    now = model.process.at(torch.tensor([0.4]).double())

    def by_hand(row):
        return now.gain[0] * (net((row @ basis.T)[None], now.phase)[0] @ basis)

    torch.testing.assert_close(model.g(y, now)[1], by_hand(y[1]))
    jacobian = torch.autograd.functional.jacobian(by_hand, y[1])
    probes = None
    expected = jacobian.diagonal()
    if n_probes is not None:
        probes = torch.ones(n_probes, 4).double()
        probes[::2, 0] = -1
        expected = now.gain[0] * torch.stack(
            [(jacobian / now.gain[0][:, None]).T @ p * p for p in probes]
        ).mean(0)
    _, diagonal = model.with_diagonal(y, now, probes)
    torch.testing.assert_close(diagonal[1], expected)
