"""Averages over the posterior of a VAE, against closed forms for linear decoders."""

import numpy as np
import pytest
import torch
from torch import nn

from skgen.nn import GaussianObservation
from skgen.vae._model import VAE, posterior_average

RNG = np.random.RandomState(0)


class Counts(nn.Module):
    """A linear decoder that counts the points that it is given."""

    def __init__(self, n_latents, n_features=3):
        super().__init__()
        self.W = torch.from_numpy(RNG.normal(size=(n_features, n_latents)))
        self.n_points = 0

    def forward(self, z):
        self.n_points += len(z)
        return z @ self.W.T


def case(n_latents, n_rows, *, same=False):
    """A model, rows and posteriors, which may be the same for all rows."""
    model = VAE(nn.Identity(), Counts(n_latents), GaussianObservation(torch.ones(())))
    x = torch.from_numpy(RNG.normal(size=(n_rows, 3)))
    mu, log_var = torch.from_numpy(RNG.normal(size=(2, n_rows, n_latents)))
    if same:
        x, mu, log_var = (each[:1].expand_as(each) for each in (x, mu, log_var))
    return model, x, (mu, log_var)


def squared_error(x, f):
    return (x - f).square()


def moments(model, x, posterior):
    """Means of f and of the squared error of each row."""
    (mu, log_var), W = posterior, model.decoder.W
    mean, variance = mu @ W.T, log_var.exp() @ W.T**2
    return mean, (x - mean) ** 2 + variance


@pytest.mark.parametrize("n_latents", [1, 5, 16, 17, 40])
@pytest.mark.parametrize("n_points", [None, 50])
def test_quadratic_functions_are_exact(n_latents, n_points):
    """Of any number of latents; by 50 points if there are to be so many."""
    model, x, posterior = case(n_latents, 7)
    model.n_points = n_points
    mean, squares = moments(model, x, posterior)
    got = posterior_average(model, x, posterior, lambda _, f: f)
    torch.testing.assert_close(got, mean)
    seen = max(32, 2 ** int(np.ceil(np.log2(2 * n_latents))))
    assert model.decoder.n_points == 7 * (n_points or seen)
    got = posterior_average(model, x, posterior, squared_error)
    torch.testing.assert_close(got, squares)


@pytest.mark.parametrize("block", [2, 40, 10**6])
@pytest.mark.parametrize("pairs", [False, True])
def test_blocks_of_any_size(block, pairs, monkeypatch):
    model, x, posterior = case(4, 50)
    expected = posterior_average(model, x, posterior, squared_error, pairs=pairs)
    monkeypatch.setattr("skgen.vae._model._BLOCK", block * 3)
    got = posterior_average(model, x, posterior, squared_error, pairs=pairs)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("n_points", [None, 18])
@pytest.mark.parametrize("n_latents", [4, 20])
def test_a_pair_of_points_for_each_row(n_points, n_latents):
    """Opposite points: linear functions are exact; others are in the mean over rows.

    A convolutional decoder, which has fewer points, has the same pairs.
    """
    # Half of the points are these many; each is that of as many rows.
    half = 16 if n_latents == 4 else 32
    model, x, posterior = case(n_latents, 3 * half, same=True)
    model.n_points = n_points
    mean, squares = moments(model, x, posterior)
    got = posterior_average(model, x, posterior, lambda _, f: f, pairs=True)
    torch.testing.assert_close(got, mean)
    assert model.decoder.n_points == 2 * 3 * half
    got = posterior_average(model, x, posterior, squared_error, pairs=True)
    torch.testing.assert_close(got.mean(0), squares.mean(0))
    assert (got - squares).abs().max() > 0.1
    # A number of rows that is no multiple of that of the points.
    few = [each[: half + 3] for each in (x, *posterior)]
    got = posterior_average(model, few[0], (few[1], few[2]), lambda _, f: f, pairs=True)
    torch.testing.assert_close(got, mean[: half + 3])


def test_an_encoder_sees_values_within_its_bounds():
    model, _, _ = case(1, 1)
    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, float("inf")])
    x = torch.tensor([[-3.0, -2.0], [0.5, 70.0], [2.0, 0.1]]).double()
    before = x.clone()
    torch.testing.assert_close(torch.cat(model.posterior(x), 1)[1, 1].item(), 20.0)
    model.bounds = low, high
    expected = np.array([[-1.0, 0.0], [0.5, 20.0], [1.0, 0.1]])
    np.testing.assert_allclose(torch.cat(model.posterior(x), 1), expected)
    assert torch.equal(x, before)
