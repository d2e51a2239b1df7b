"""Networks of the VAEs."""

import pytest
import torch
from scipy.signal import convolve2d
from torch import nn

from skgen.nn import Standardize, Unstandardize, conv_decoder, conv_encoder, mlp
from skgen.nn._networks import check_network, reset_parameters, shrink_log_variances


def test_mlp():
    network = mlp((5, 7, 3), "tanh")
    x = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    hidden = torch.tanh(x @ network[0].weight.T + network[0].bias)
    torch.testing.assert_close(
        network(x), hidden @ network[2].weight.T + network[2].bias
    )
    assert len(mlp((5, 3), "tanh")) == 1  # linear


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 7, 9), (1, 28, 28), (2, 1, 3)])
def test_convolutions_there_and_back(image_shape):
    n_features = torch.Size(image_shape).numel()
    encoder = conv_encoder(image_shape, (20, 8), "relu")
    decoder = conv_decoder(image_shape, (4, 20), "relu")
    x = torch.zeros(2, n_features)
    assert encoder(x).shape == (2, 8)
    assert decoder(torch.zeros(2, 4)).shape == (2, n_features)


def test_first_convolution_by_scipy():
    encoder = conv_encoder((1, 6, 8), (4,), "identity")
    layer = encoder[1]
    image = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    got = encoder[:2](image.reshape(1, -1))[0, 5]
    kernel = layer.weight[5, 0].detach().flip(0, 1).numpy()
    expected = convolve2d(image.numpy(), kernel, mode="same")[::2, ::2]
    expected = torch.from_numpy(expected) + layer.bias[5]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_units():
    location, scale = torch.tensor([1.0, -2.0]), torch.tensor(4.0)
    into, out = Standardize(2), Unstandardize(2)
    x = torch.tensor([[5.0, 2.0], [1.0, -2.0]])
    assert torch.equal(into(x), x)
    for units in (into, out):
        units.set_(location, scale)
    assert into(x).tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert torch.equal(out(into(x)), x)
    assert not list(into.parameters())
    for kind, expected in [(Standardize, [4.0, 4.0]), (Unstandardize, [6.0, 0.0])]:
        shift = kind(2, scaled=False)
        shift.set_(location)
        assert shift(x)[0].tolist() == expected
        assert list(shift.state_dict()) == ["location"]


def test_start_of_the_networks():
    encoder = mlp((50, 200, 8), "relu")
    before = torch.get_rng_state()
    reset_parameters(encoder, torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())
    weight = encoder[0].weight
    assert weight.std().item() == pytest.approx((2 / 250) ** 0.5, rel=0.05)
    assert encoder[0].bias.abs().max() == 0
    before = encoder[-1].weight.detach().clone()
    shrink_log_variances(encoder)
    torch.testing.assert_close(encoder[-1].weight[:4], before[:4])
    torch.testing.assert_close(encoder[-1].weight[4:], 0.01 * before[4:])


def test_check_network_leaves_the_mode_as_it_was():
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout()).double()
    check_network(network, "encoder", 3, 4)
    assert network.training
    assert network[1].training
    with pytest.raises(ValueError, match=r"Got decoder=Sequential.*is \(2, 4\)"):
        check_network(network.eval(), "decoder", 3, 5)
    assert not network.training
