"""Diffusion models whose network is known exactly: of Gaussians and of mixtures."""

from math import pi

import numpy as np
import torch
from torch import nn

from skgen.diffusion import DiffusionNet, NoiseProcess

T_MIN = 1e-4
# The angle of the gain.
SMALL = torch.tensor(0.05, dtype=torch.float64)


def correlated(n_dims, seed=0):
    """A covariance with variances of 1, far from the identity."""
    rng = np.random.RandomState(seed)
    root = rng.standard_normal((n_dims, n_dims)) @ np.diag(0.5 ** np.arange(n_dims))
    covariance = root @ root.T
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)


class ExactMixture(nn.Module):
    """The mean of g for rows of a mixture of Gaussians, in closed form.

    For a process along the features, with spreads of 1, in which y is u.
    """

    def __init__(self, weights, means, covariances):
        super().__init__()
        self.weights, self.means, self.covariances = (
            torch.as_tensor(np.asarray(a), dtype=torch.float64)
            for a in (weights, means, covariances)
        )
        self.at = NoiseProcess(
            torch.ones(self.means.shape[1], dtype=torch.float64), None, t_min=T_MIN
        ).at

    def forward(self, y, phase, condition=None, generator=None):
        now = self.at(phase * pi / 2)
        c, s = now.cos[:, :1], now.sin[:, :1]
        eye = torch.eye(y.shape[1], dtype=y.dtype)
        of_u = (
            c[:, :, None, None] ** 2 * self.covariances + s[:, :, None, None] ** 2 * eye
        )
        off = y[:, None] - c[:, :, None] * self.means
        law = torch.distributions.MultivariateNormal(torch.zeros_like(off), of_u)
        share = (self.weights.log() + law.log_prob(off)).softmax(1)
        solved = torch.linalg.solve(of_u, off[..., None])
        xi = self.means + c[:, :, None] * (self.covariances @ solved)[..., 0]
        xi = (share[:, :, None] * xi).sum(1)
        g = (xi - c * y) / s
        return g / now.gain

    def log_prob(self, x):
        law = torch.distributions.MultivariateNormal(self.means, self.covariances)
        return torch.logsumexp(self.weights.log() + law.log_prob(x[:, None]), 1)


class ExactGaussian(nn.Module):
    """The same of one Gaussian of mean 0, by the eigenvalues of its covariance."""

    def __init__(self, covariance):
        super().__init__()
        variance, basis = np.linalg.eigh(covariance)
        self.variance, self.basis = torch.from_numpy(variance), torch.from_numpy(basis)
        self.law = torch.distributions.MultivariateNormal(
            torch.zeros(len(covariance)).double(), torch.from_numpy(covariance)
        )

    def forward(self, y, phase, condition=None, generator=None):
        t = phase[:, None] * pi / 2
        c, s = t.cos(), t.sin()
        factor = (self.variance - 1) * s * c / (self.variance * c**2 + s**2)
        return (factor * (y @ self.basis)) @ self.basis.T * torch.hypot(s, SMALL) / s

    def with_diagonal(self, y, phase, condition=None, probes=None):
        """The Jacobian is that of a linear map."""
        assert probes is None
        rows = torch.eye(y.shape[1], dtype=y.dtype)
        matrix = self(rows, phase[:1].expand(len(rows)))
        return self(y, phase), matrix.diagonal().expand(len(y), -1)

    def log_prob(self, x):
        return self.law.log_prob(x)


def exact_model(network, n_dims):
    process = NoiseProcess(torch.ones(n_dims, dtype=torch.float64), None, t_min=T_MIN)
    return DiffusionNet(network, process)


def linear_map(function, n_dims):
    """The matrix of a linear function of rows."""
    return function(torch.eye(n_dims, dtype=torch.float64)).T
