"""Deep belief networks that several test files use, and their enumeration."""

import itertools

import numpy as np
import torch
from oracles import EnumeratedRBM, all_states
from scipy.special import expit, logsumexp

from skgen.dbn._model import DeepBeliefNet
from skgen.rbm import BernoulliRBM


class EnumeratedDBN:
    """A small network of binary units, every probability from tables.

    `machines` are those of `EnumeratedRBM`, the lowest first; `recognition` are pairs
    of weights and biases of q for those below the top, by default theirs.
    """

    def __init__(self, machines, recognition=None):
        self.machines = machines
        self.recognition = recognition or [(m.W, m.c) for m in machines[:-1]]

    @classmethod
    def random(cls, sizes, seed=0, scale=1.0, untied=False):
        pairs = list(itertools.pairwise(sizes))
        machines = [
            EnumeratedRBM.random(n, m, seed=10 * seed + k, scale=scale)
            for k, (n, m) in enumerate(pairs)
        ]
        rng = np.random.RandomState(seed)
        recognition = [
            (rng.normal(0, scale, (m, n)), rng.normal(0, scale, m))
            for n, m in pairs[:-1]
        ]
        return cls(machines, recognition if untied else None)

    @property
    def log_p_v(self):
        """log p of all visible states, by sums over each layer in turn."""
        *directed, top = self.machines
        log_p = top.log_p_v
        for machine in reversed(directed):
            with np.errstate(divide="ignore"):
                down = np.log(machine.p_v_given_h)
            log_p = logsumexp(down + log_p, axis=1)
        return log_p

    @property
    def log_q(self):
        """Tables of log q(h | below) of each layer below the top, (2^n, 2^m)."""
        tables = []
        for machine, (R, r) in zip(self.machines, self.recognition, strict=False):
            a = machine.V @ R.T + r
            on, off = np.log(expit(a)), np.log(expit(-a))
            H = machine.H
            tables.append(on @ H.T + off @ (1 - H).T)
        return tables

    @property
    def paths(self):
        """log q(path | v) and the log of the joint law, over all states of all layers.

        Both have one axis for each layer but the highest, which is summed out.
        """
        *directed, top = self.machines
        n_axes = len(self.machines)
        log_q = log_p = 0.0
        for k, (machine, table) in enumerate(zip(directed, self.log_q, strict=True)):
            shape = [1] * n_axes
            shape[k : k + 2] = table.shape
            log_q = log_q + table.reshape(shape)
            log_p = log_p + np.log(machine.p_v_given_h).reshape(shape)
        shape = [1] * n_axes
        shape[-1] = -1
        return log_q, log_p + top.log_p_v.reshape(shape)

    @property
    def bound(self):
        """The variational bound of all visible states, by its definition."""
        log_q, log_p = self.paths
        axes = tuple(range(1, len(self.machines)))
        return (np.exp(log_q) * (log_p - log_q)).sum(axis=axes)

    @property
    def V(self):
        return all_states(len(self.machines[0].b))

    def module(self, dtype=torch.float64, untied=True):
        layers = [
            BernoulliRBM(*(torch.tensor(a, dtype=dtype) for a in m.params))
            for m in self.machines
        ]
        recognition = []
        for R, r in self.recognition if untied else ():
            linear = torch.nn.Linear(R.shape[1], R.shape[0], dtype=dtype)
            linear.weight.data, linear.bias.data = torch.tensor(R), torch.tensor(r)
            recognition.append(linear.to(dtype))
        return DeepBeliefNet(layers, recognition)


def tied(machine):
    """The same machine with its layers exchanged."""
    return EnumeratedRBM(machine.W.T, machine.b, machine.c)
