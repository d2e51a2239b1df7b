"""The RBM of Gaussian visible units as a mixture of 2^n_hidden Gaussians, in numpy."""

from typing import NamedTuple

import numpy as np
import torch
from oracles import all_states
from scipy import stats
from scipy.special import logsumexp

from skgen import GaussianRBM
from skgen.rbm import GaussianBernoulliRBM, GaussianUnits


class UnitsWithoutNoise(GaussianUnits):
    """The wrong twin: every state is the mean."""

    def sample(self, mean, *, generator, out=None):
        return mean.clone() if out is None else out.copy_(mean)


class UnitsWithVarianceForDeviation(GaussianUnits):
    """The wrong twin: noise of standard deviation s^2."""

    def sample(self, mean, *, generator, out=None):
        wrong = GaussianUnits(self.bias, self.variance**2)
        return wrong.sample(mean, generator=generator, out=out)


class UnitsCoupledAsBits(GaussianUnits):
    """The wrong twin: v instead of v / s^2."""

    def coupled(self, states):
        return states


def module_of(mixture, kind=GaussianUnits, **params):
    """The torch module with the parameters of an oracle, of some kind of units."""

    class OfKind(GaussianBernoulliRBM):
        @property
        def visible(self):
            return kind(self.visible_bias, self.variance)

    arrays = mixture.W, mixture.b, mixture.c, np.log(mixture.variance)
    return OfKind(*map(torch.tensor, arrays), **params)


def assigned(mixture, **params):
    """An estimator that was never fitted, with the parameters of an oracle."""
    model = GaussianRBM(len(mixture.b), random_state=0, device="cpu", **params)
    model.components_, model.intercept_hidden_ = mixture.W, mixture.b
    model.intercept_visible_, model.noise_variance_ = mixture.c, mixture.variance
    return model


class Moments(NamedTuple):
    """Mean and covariance, and standard errors of them from one draw."""

    mean: np.ndarray
    covariance: np.ndarray
    mean_error: np.ndarray
    covariance_error: np.ndarray


class Mixture:
    """The distribution of v, one Gaussian for each hidden state, in numpy."""

    def __init__(self, n_visible, n_hidden, seed, scale=0.8):
        rng = np.random.RandomState(seed)
        self.W = rng.normal(0, scale, (n_hidden, n_visible))
        self.b, self.c = rng.normal(size=n_hidden), rng.normal(size=n_visible)
        self.variance = rng.uniform(0.3, 2.0, n_visible)
        self._enumerate()

    def _enumerate(self):
        n_hidden, n_visible = self.W.shape
        self.H = all_states(n_hidden)
        shift = self.H @ self.W
        terms = (self.c * shift + shift**2 / 2) / self.variance
        log_weight = self.H @ self.b + terms.sum(1)
        log_norm = n_visible / 2 * np.log(2 * np.pi) + np.log(self.variance).sum() / 2
        self.log_z = logsumexp(log_weight) + log_norm
        self.log_weight = log_weight - logsumexp(log_weight)
        self.centers = self.c + shift

    @classmethod
    def of(cls, model):
        """That of an estimator."""
        n_visible = model.components_.shape[1]
        mixture = cls.__new__(cls)
        mixture.W, mixture.b = model.components_, model.intercept_hidden_
        mixture.c = model.intercept_visible_
        mixture.variance = np.broadcast_to(model.noise_variance_, (n_visible,))
        mixture._enumerate()
        return mixture

    def model(self, kind=GaussianUnits):
        return module_of(self, kind)

    def log_density(self, v):
        std = np.sqrt(self.variance)
        each = stats.norm.logpdf(v[:, None], self.centers, std).sum(-1)
        return logsumexp(each + self.log_weight, axis=1)

    @property
    def moments(self):
        p, s2 = np.exp(self.log_weight), self.variance
        mean = p @ self.centers
        d = self.centers - mean
        second = d[:, :, None] * d[:, None] + np.diag(s2)
        covariance = np.einsum("h,hij->ij", p, second)
        # <x_i^2 x_j^2> around the mean, of independent x_i given h.
        square = d**2 + s2
        fourth = square[:, :, None] * square[:, None]
        i = np.arange(len(s2))
        fourth[:, i, i] = d**4 + 6 * d**2 * s2 + 3 * s2**2
        variance = np.einsum("h,hij->ij", p, fourth) - covariance**2
        return Moments(
            mean, covariance, np.sqrt(np.diag(covariance)), np.sqrt(variance)
        )

    def distance(self, v):
        """Largest error of mean and covariance, in standard errors."""
        exact, root_n = self.moments, np.sqrt(len(v))
        z = np.abs(v.mean(0) - exact.mean) / (exact.mean_error / root_n)
        deviation = v - exact.mean
        covariance = deviation.T @ deviation / len(v)
        errors = exact.covariance_error / root_n
        return max(z.max(), (np.abs(covariance - exact.covariance) / errors).max())

    def draws(self, n, seed):
        """Independent draws of v and of the hidden state of each."""
        rng = np.random.RandomState(seed)
        h = rng.choice(len(self.H), size=n, p=np.exp(self.log_weight))
        noise = rng.normal(size=(n, len(self.c))) * np.sqrt(self.variance)
        return self.centers[h] + noise, self.H[h]

    def log_conditionals(self, v):
        """log p(v_i | all others) of each entry, from the table of Gaussians."""
        std = np.sqrt(self.variance)
        each = stats.norm.logpdf(v[:, None], self.centers, std)
        joint = each.sum(-1) + self.log_weight
        others = logsumexp(joint[:, :, None] - each, axis=1)
        return logsumexp(joint, axis=1)[:, None] - others

    def given(self, v, known):
        """Mean and covariance of the entries of one row that are not known."""
        std = np.sqrt(self.variance)
        each = stats.norm.logpdf(v[known], self.centers[:, known], std[known])
        log_p = self.log_weight + each.sum(1)
        p = np.exp(log_p - logsumexp(log_p))
        centers = self.centers[:, ~known]
        mean = p @ centers
        d = centers - mean
        covariance = np.einsum("h,hi,hj->ij", p, d, d)
        return mean, covariance + np.diag(self.variance[~known])
