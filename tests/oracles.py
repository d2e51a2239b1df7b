"""Independent answers: brute force in numpy, sharing no code with the package."""

import itertools

import numpy as np
from scipy.special import logsumexp


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
