"""Independent answers: brute force in numpy, sharing no code with the package."""

import itertools

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal


def all_states(n):
    """All 2^n binary states, shape (2^n, n)."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


class EnumeratedRBM:
    """A small Bernoulli RBM, every probability from the table of joint energies."""

    def __init__(self, W, c, b):
        self.W, self.c, self.b = (np.asarray(a, dtype=np.float64) for a in (W, c, b))
        self.V, self.H = all_states(len(self.b)), all_states(len(self.c))
        # E(v, h) = -b.v - c.h - h.W.v, shape (2^n_visible, 2^n_hidden)
        energy = -np.einsum("vi,i->v", self.V, self.b)[:, None]
        energy = energy - np.einsum("hj,j->h", self.H, self.c)[None]
        energy = energy - np.einsum("hj,ji,vi->vh", self.H, self.W, self.V)
        self.log_z = logsumexp(-energy)
        self.log_joint = -energy - self.log_z

    @classmethod
    def random(cls, n_visible, n_hidden, seed=0, scale=1.0):
        rng = np.random.RandomState(seed)
        return cls(
            rng.normal(0, scale, (n_hidden, n_visible)),
            rng.normal(0, scale, n_hidden),
            rng.normal(0, scale, n_visible),
        )

    @classmethod
    def of(cls, estimator):
        return cls(
            estimator.components_,
            estimator.intercept_hidden_,
            estimator.intercept_visible_,
        )

    @property
    def params(self):
        return self.W, self.c, self.b

    @property
    def log_p_v(self):
        return logsumexp(self.log_joint, axis=1)

    @property
    def p_h(self):
        return np.exp(logsumexp(self.log_joint, axis=0))

    @property
    def p_h_given_v(self):
        """Table over whole hidden states, shape (2^n_visible, 2^n_hidden)."""
        return np.exp(self.log_joint - self.log_p_v[:, None])

    @property
    def p_v_given_h(self):
        """Table over whole visible states, shape (2^n_visible, 2^n_hidden)."""
        return np.exp(self.log_joint) / self.p_h

    @property
    def transition(self):
        """Kernel of one Gibbs step v -> h -> v', rows v."""
        return self.p_h_given_v @ self.p_v_given_h.T

    def index(self, v):
        """Row of V for each visible state."""
        return (np.asarray(v, dtype=int) @ (2 ** np.arange(len(self.b))[::-1])).astype(
            int
        )

    def log_likelihood(self, v):
        return self.log_p_v[self.index(v)]

    def pseudo_log_likelihood(self, v):
        """From the definition: sum of log p(v_i | all others), by the table of p."""
        total = np.zeros(len(v))
        for i in range(len(self.b)):
            flipped = v.copy()
            flipped[:, i] = 1 - flipped[:, i]
            here, there = self.log_likelihood(v), self.log_likelihood(flipped)
            total += here - np.logaddexp(here, there)
        return total

    def moments(self, p_v):
        """<h v^T>, <h>, <v> under p_v(v) p(h | v)."""
        joint = p_v[:, None] * self.p_h_given_v
        return (
            np.einsum("vh,hj,vi->ji", joint, self.H, self.V),
            joint.sum(0) @ self.H,
            joint.sum(1) @ self.V,
        )

    def gradient(self, p_data, p_model=None):
        """d(mean log-likelihood)/d(W, c, b); the model's law unless given."""
        p_model = np.exp(self.log_p_v) if p_model is None else p_model
        return tuple(
            d - m
            for d, m in zip(self.moments(p_data), self.moments(p_model), strict=True)
        )

    def mean_log_likelihood(self, p_data):
        return p_data @ self.log_p_v


def log_likelihood_by_visible(W, c, b, v):
    """log p(v) of a machine with few visible and any number of hidden units."""

    def minus_free_energy(v):
        return v @ b + np.logaddexp(0, v @ np.asarray(W, np.float64).T + c).sum(axis=1)

    return minus_free_energy(v) - logsumexp(minus_free_energy(all_states(len(b))))


def independent_bits(p):
    """Probability of each state of independent bits with means p."""
    V = all_states(len(p))
    return np.prod(np.where(V == 1, p, 1 - np.asarray(p)), axis=1)


def center(dW, dc, db, mu, lam):
    """The centered gradient in plain coordinates, from a plain gradient."""
    cW = dW - np.outer(lam, db) - np.outer(dc, mu)
    return cW, dc - cW @ mu, db - lam @ cW


def bars_and_stripes(n):
    """All 2 * 2^n patterns of an n x n grid; all-on and all-off stand twice."""
    stripes = np.repeat(all_states(n)[:, :, None], n, axis=2)
    return np.concatenate([stripes, stripes.transpose(0, 2, 1)]).reshape(-1, n * n)


class PPCA:
    """Probabilistic PCA of X in closed form (Tipping & Bishop, 1999).

    With a noise variance that is given, latents whose eigenvalue is below it are
    off; otherwise it is the mean of the eigenvalues left out.
    """

    def __init__(self, X, n_components, noise_variance=None):
        self.mean = X.mean(axis=0)
        eigenvalues, U = np.linalg.eigh((X - self.mean).T @ (X - self.mean) / len(X))
        self.eigenvalues = eigenvalues[::-1]
        self.kept = self.eigenvalues[:n_components]
        if noise_variance is None:
            noise_variance = self.eigenvalues[n_components:].mean()
        self.noise_variance = noise_variance
        excess = np.maximum(self.kept - noise_variance, 0)
        # Shape (n_features, n_components)
        self.W = U[:, ::-1][:, :n_components] * np.sqrt(excess)
        self.n_active = int((excess > 0).sum())

    @property
    def posterior_variance(self):
        return self.noise_variance / np.maximum(self.kept, self.noise_variance)

    @property
    def encoder(self):
        """Posterior mean = encoder @ (x - mean), shape (n_components, n_features)."""
        M = self.W.T @ self.W + self.noise_variance * np.eye(self.W.shape[1])
        return np.linalg.solve(M, self.W.T)

    @property
    def covariance(self):
        return self.W @ self.W.T + self.noise_variance * np.eye(len(self.W))

    @property
    def best_mean_log_likelihood(self):
        """Largest mean ELBO of a linear VAE at this noise variance."""
        s2, n_features = self.noise_variance, len(self.eigenvalues)
        active = self.eigenvalues[: self.n_active]
        rest = self.eigenvalues[self.n_active :]
        total = n_features * np.log(2 * np.pi) + np.sum(np.log(active) + 1)
        return -0.5 * (total + np.sum(np.log(s2) + rest / s2))


def gauss_hermite(n_points, n_dims):
    """Nodes and weights of averages over a standard normal distribution."""
    x, w = np.polynomial.hermite_e.hermegauss(n_points)
    nodes = np.array(list(itertools.product(x, repeat=n_dims)))
    weights = np.prod(list(itertools.product(w / w.sum(), repeat=n_dims)), axis=1)
    return nodes, weights


class TinyVAE:
    """A VAE with one hidden layer of tanh each way, in numpy, for quadrature.

    `weights` are those of torch.nn.Linear: (W1, b1, W2, b2) of the encoder and of
    the decoder. `log_prob(x, f)` gives one number for each row of f.
    """

    def __init__(self, encoder, decoder, log_prob):
        self.encoder, self.decoder, self.log_prob = encoder, decoder, log_prob

    @staticmethod
    def network(weights, x):
        W1, b1, W2, b2 = weights
        return np.tanh(x @ W1.T + b1) @ W2.T + b2

    def posterior(self, x):
        mu, log_var = np.split(self.network(self.encoder, x), 2)
        return mu, np.exp(log_var / 2)

    def log_p(self, x, n_points=400):
        """Log p(x) by the trapezoidal rule over a box: exact to rounding here."""
        n_latents = self.decoder[0].shape[1]
        line = np.linspace(-9, 9, n_points)
        z = np.array(list(itertools.product(line, repeat=n_latents)))
        log_prior = -0.5 * np.sum(z**2 + np.log(2 * np.pi), axis=1)
        terms = log_prior + self.log_prob(x, self.network(self.decoder, z))
        return logsumexp(terms) + n_latents * np.log(line[1] - line[0])

    def reconstruction(self, x, n_points=60):
        """Mean of log p(x | z) over the posterior."""
        mu, std = self.posterior(x)
        nodes, weights = gauss_hermite(n_points, len(mu))
        return weights @ self.log_prob(x, self.network(self.decoder, mu + std * nodes))

    def kl(self, x, n_points=60):
        """KL divergence of the posterior from the prior, by quadrature, each latent."""
        mu, std = self.posterior(x)
        nodes, weights = gauss_hermite(n_points, 1)
        z = mu + std * nodes
        return weights @ (-np.log(std) - nodes**2 / 2 + z**2 / 2)


class KaufmanIsing:
    """The Ising model on a periodic L x L lattice in closed form (Kaufman, 1949)."""

    def __init__(self, size, temperature):
        self.size, self.beta = size, 1 / temperature
        self.log_z = self._log_z(self.beta)

    @property
    def mean_energy(self):
        step = 1e-5
        return -(self._log_z(self.beta + step) - self._log_z(self.beta - step)) / (
            2 * step
        )

    def _log_z(self, K):
        n = self.size
        l = np.arange(2 * n)  # noqa: E741
        c = np.cosh(2 * K) / np.tanh(2 * K) - np.cos(np.pi * l / n)
        gamma = np.arccosh(np.maximum(c, 1))
        gamma[0] = 2 * K + np.log(np.tanh(K))
        half = n * gamma / 2
        # Logs of 2 cosh and of |2 sinh|, whose sign is that of gamma_0.
        log_cosh = np.logaddexp(half, -half)
        log_sinh = np.abs(half) + np.log(-np.expm1(-2 * np.abs(half)))
        odd, even = l % 2 == 1, l % 2 == 0
        terms = [log_cosh[odd].sum(), log_sinh[odd].sum()]
        terms += [log_cosh[even].sum(), log_sinh[even].sum()]
        signs = [1, 1, 1, np.sign(gamma[0])]
        scale = n * n / 2 * np.log(2 * np.sinh(2 * K)) - np.log(2)
        return scale + logsumexp(terms, b=signs)


class EnumeratedIsing:
    """The Ising model on a periodic 4 x 4 lattice, by its 65536 states."""

    def __init__(self, temperature):
        self.states = all_states(16)
        self.temperature = temperature
        self.energies = self.energy(self.states)
        log_p = -self.energies / temperature
        self.log_z = logsumexp(log_p)
        self.p = np.exp(log_p - self.log_z)

    @staticmethod
    def energy(X):
        spins = (2 * X - 1).reshape(-1, 4, 4)
        total = np.zeros(len(X))
        for r, c in itertools.product(range(4), range(4)):
            right, below = spins[:, r, (c + 1) % 4], spins[:, (r + 1) % 4, c]
            total -= spins[:, r, c] * (right + below)
        return total

    @property
    def entropy(self):
        return self.log_z + self.p @ self.energies / self.temperature

    def observables(self, X, p=None):
        """Energy, |magnetisation| and specific heat, each a site."""
        p = np.full(len(X), 1 / len(X)) if p is None else p
        energy, spins = self.energy(X), 2 * X - 1
        variance = p @ energy**2 - (p @ energy) ** 2
        return np.array(
            [
                p @ energy / 16,
                p @ np.abs(spins.mean(axis=1)),
                variance / self.temperature**2 / 16,
            ]
        )


class Gaussian:
    """A multivariate Gaussian, of whose rows NaN marks entries that are missing."""

    def __init__(self, mean, covariance):
        self.mean, self.covariance = np.asarray(mean), np.asarray(covariance)

    def log_p_observed(self, X):
        """Log-density of the observed entries of each row."""
        return np.array([self._log_p(x, ~np.isnan(x)) for x in X])

    def _log_p(self, x, o):
        if not o.any():
            return 0.0
        law = multivariate_normal(self.mean[o], self.covariance[np.ix_(o, o)])
        return law.logpdf(x[o])

    def missing_given_observed(self, x):
        """Mean and covariance of the missing entries of one row."""
        m, o = np.isnan(x), ~np.isnan(x)
        gain = np.linalg.solve(
            self.covariance[np.ix_(o, o)], self.covariance[np.ix_(o, m)]
        ).T
        mean = self.mean[m] + gain @ (x[o] - self.mean[o])
        rest = self.covariance[np.ix_(m, m)] - gain @ self.covariance[np.ix_(o, m)]
        return mean, rest

    def impute(self, X):
        X = X.copy()
        for x in X:
            x[np.isnan(x)] = self.missing_given_observed(x)[0]
        return X


def em_ppca(X, n_components, n_steps=2000):
    """Probabilistic PCA of incomplete data by EM, row by row, as a `Gaussian`.

    The complete data of EM are the rows and their latents; the mean is the weight of a
    latent that is always 1.
    """
    n_features = X.shape[1]
    rng = np.random.RandomState(0)
    W = np.c_[rng.normal(size=(n_features, n_components)), np.nanmean(X, axis=0)]
    s2 = 1.0
    for _ in range(n_steps):
        second = np.zeros((n_features, n_components + 1, n_components + 1))
        first = np.zeros_like(W)
        for x in X:
            o = ~np.isnan(x)
            A, b = W[o, :-1], W[o, -1]
            covariance = np.linalg.inv(np.eye(n_components) + A.T @ A / s2)
            z = np.append(covariance @ A.T @ (x[o] - b) / s2, 1.0)
            moment = np.outer(z, z)
            moment[:-1, :-1] += covariance
            second[o] += moment
            first[o] += np.outer(x[o], z)
        W = np.linalg.solve(second, first[:, :, None])[:, :, 0]
        explained = np.einsum("di,di->", W, first)
        s2 = (np.nansum(X**2) - explained) / (~np.isnan(X)).sum()
    A = W[:, :-1]
    return Gaussian(W[:, -1], A @ A.T + s2 * np.eye(n_features))
