"""The VAE under `torch.autocast`: layers in bfloat16, everything else in float32."""

import pytest
import torch
from oracles import PPCA
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler
from steps import gradient_step, take_step
from torch import nn

from skgen.nn import (
    BernoulliObservation,
    GaussianObservation,
    Standardize,
    Unstandardize,
    mlp,
)
from skgen.nn._networks import reset_parameters
from skgen.nn._seeding import DrawFrom
from skgen.training import Batch
from skgen.vae._model import VAE, elbo
from skgen.vae._objective import NegativeELBO


def source():
    return torch.Generator().manual_seed(3)


def small(observation, seed=0):
    """A VAE of 20 features, as the estimators build it, in float32."""
    encoder = nn.Sequential(Standardize(20), *mlp((20, 64, 8), "relu"))
    decoder = nn.Sequential(*mlp((4, 64, 20), "relu"), Unstandardize(20))
    generator = torch.Generator().manual_seed(seed)
    for network in (encoder, decoder):
        reset_parameters(network, generator)
    encoder[0].set_(torch.full((20,), 0.5), torch.tensor(0.3))
    decoder[-1].set_(torch.full((20,), 0.1), torch.tensor(1.5))
    return VAE(encoder, decoder, observation)


AUTOCAST = pytest.mark.parametrize(
    "observation",
    [
        GaussianObservation(torch.tensor(0.3)),
        GaussianObservation(torch.full((20,), 0.3)),
        BernoulliObservation(),
    ],
    ids=["gaussian", "per feature", "bernoulli"],
)


@AUTOCAST
def test_mixed_precision_rounds_layers_only(observation, processor):
    """Loss and gradients in float32, near those without; the output of layers is not.

    Factors have 8 bits: the loss moves by less than 0.5 %, gradients by less than 5 %,
    and both by something.
    """
    processor("avx512_bf16")  # so that a step is autocast, as the loss is here
    model = small(observation)
    x = torch.rand(200, 20, generator=source())
    loss = NegativeELBO().loss(model, Batch(x), generator=source())
    loss.mean().backward()
    full = [p.grad for p in model.parameters()]
    seen = []
    hook = model.encoder.register_forward_hook(lambda _m, _x, out: seen.append(out))
    with torch.autocast("cpu", torch.bfloat16):
        assert all(t.dtype == torch.float32 for t in model.posterior(x))
        z = torch.randn(7, 4, generator=source())
        assert model.conditional_mean(z).dtype == torch.float32
        half = NegativeELBO().loss(model, Batch(x), generator=source())
    model.zero_grad()
    gradient_step(NegativeELBO(), model, x, source(), factor_dtype=torch.bfloat16)
    hook.remove()
    assert seen[0].dtype == seen[-1].dtype == torch.bfloat16
    assert len(seen) == 3
    assert half.dtype == torch.float32
    assert 0 < abs(half.mean() / loss.mean() - 1) < 5e-3
    for p, expected in zip(model.parameters(), full, strict=True):
        assert p.grad.dtype == torch.float32
        assert 0 < (p.grad - expected).norm() < 0.05 * expected.norm()


def test_plain_layers_come_back_in_the_dtype_of_the_data():
    model = VAE(nn.Linear(5, 4), nn.Linear(2, 5), BernoulliObservation())
    went_back = []
    model.decoder.weight.register_hook(
        lambda _: went_back.append(torch.is_autocast_enabled("cpu"))
    )
    x = torch.rand(7, 5, generator=source())
    with torch.autocast("cpu", torch.bfloat16):
        assert model.decoder(x[:, :2]).dtype == torch.bfloat16
        assert model.decode(x[:, :2]).dtype == torch.float32
        gradient_step(NegativeELBO(), model, x, source())
        assert torch.is_autocast_enabled("cpu")
    assert went_back == [False]


@AUTOCAST
def test_nothing_is_copied_without_mixed_precision(observation):
    model = small(observation)
    out = torch.randn(5, 8, generator=source())
    model.encoder = nn.Identity()
    model.decoder = nn.Identity()
    assert model.posterior(out)[0].data_ptr() == out.data_ptr()
    assert model.decode(out) is out


def train_linear(X, n_steps, factor_dtype):
    """Mean ELBO, in float64, that a linear VAE reaches in a bare loop."""
    x = torch.tensor(X, dtype=torch.float32)
    n = x.shape[1]
    with DrawFrom(torch.Generator().manual_seed(0)):
        networks = nn.Linear(n, 8), nn.Linear(4, n)
    model = VAE(*networks, GaussianObservation(torch.ones(()), floor=1e-3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, n_steps)
    generator = source()
    for _ in range(n_steps):
        take_step(NegativeELBO(), model, x, generator, optimizer, None, factor_dtype)
        decay.step()
    with torch.no_grad():
        return elbo(model.double(), torch.from_numpy(X)).mean().item()


@pytest.mark.parametrize("products", ["float32", "native", "rounded"])
def test_mixed_precision_reaches_probabilistic_pca(processor, products):
    """Within 0.01 nats a feature of the optimum, as float32, and never above it."""
    processor("avx512_bf16" if products == "native" else "none")
    factor_dtype = None if products == "float32" else torch.bfloat16
    X = StandardScaler().fit_transform(load_wine().data)
    gap = PPCA(X, 4).best_mean_log_likelihood - train_linear(X, 600, factor_dtype)
    assert 0 <= gap / X.shape[1] < 0.01
