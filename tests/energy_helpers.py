"""Energy models of two features, and quadrature on a grid as their oracle."""

import numpy as np
import torch
from torch import nn

from skgen.energy import EnergyNet, GaussianMixtureDensity

SIDE = 200


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def gaussian(n_features=2):
    eye = torch.eye(n_features, dtype=torch.float64)
    zero = torch.zeros(1, n_features, dtype=torch.float64)
    return GaussianMixtureDensity(zero[:, 0], zero, eye[None])


def mixture(*, diagonal=False):
    """Two components, far enough from each other to have modes of their own."""
    mean = double([[-1.2, 0.0], [1.0, 0.5]])
    if diagonal:
        factor = double([[0.5, 0.8], [0.7, 0.3]])
    else:
        factor = double([[[0.5, 0.0], [0.3, 0.6]], [[0.7, 0.0], [-0.4, 0.3]]])
    return GaussianMixtureDensity(double([0.3, 0.7]).log(), mean, factor)


def random_network(seed, size=2.0, n_features=2):
    """A small network whose values at the data vary by a few nats."""
    generator = seeded(seed)
    network = nn.Sequential(
        nn.Linear(n_features, 16), nn.Tanh(), nn.Linear(16, 1)
    ).double()
    with torch.no_grad():
        network[0].weight.normal_(0, 1.5, generator=generator)
        network[0].bias.uniform_(-2, 2, generator=generator)
        network[2].weight.normal_(0, size / 2, generator=generator)
        network[2].bias.normal_(0, 1, generator=generator)
    return network


def energy_net(seed=0, base=None, **options):
    network = random_network(seed, **options)
    return EnergyNet(network, base or gaussian()).requires_grad_(False)


def grid(half_width=6.0):
    """Points of a grid, (SIDE^2, 2), and the area of a cell."""
    line = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE
    line = half_width * (2 * line - 1)
    points = torch.cartesian_prod(line, line)
    return points, (2 * half_width / SIDE) ** 2


def log_z(model):
    points, area = grid()
    return (torch.logsumexp(-model.energy(points), 0) + np.log(area)).item()


def exact_draws(model, n, generator, beta=1.0):
    """Draws of the model from cells of the grid."""
    points, area = grid()
    log_p = model.base.log_prob(points) - beta * model.correction(points)
    x = points[torch.multinomial(log_p.softmax(0), n, True, generator=generator)]
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype)
    return x + (u - 0.5) * area**0.5


def cell_p_value(model, x, beta=1.0):
    """Chi-square of draws in coarse cells against their masses by quadrature."""
    from scipy.stats import chisquare

    points, _ = grid()
    log_p = model.base.log_prob(points) - beta * model.correction(points)
    mass = log_p.softmax(0).view(10, SIDE // 10, 10, SIDE // 10).sum((1, 3)).ravel()
    cell = ((x + 6) / 1.2).floor().long().clamp(0, 9)
    counts = torch.bincount(cell[:, 0] * 10 + cell[:, 1], minlength=100).double()
    large = mass * len(x) > 10
    observed = torch.cat([counts[large], counts[~large].sum()[None]])
    expected = torch.cat([mass[large], mass[~large].sum()[None]]) * len(x)
    return chisquare(observed.numpy(), expected.numpy()).pvalue
