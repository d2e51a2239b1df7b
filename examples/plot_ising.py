"""
================================================
Restricted Boltzmann machines of the Ising model
================================================

A generative model of a physical system should reproduce its observables. In this
example, restricted Boltzmann machines (RBMs) learn the two-dimensional Ising model from
configurations at three temperatures: below, at and above the phase transition. The
lattice is small enough to sum over all of its states, so that the energy, the
magnetisation, the specific heat and the correlation function of samples can be compared
with exact values.
"""

from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skgen import BernoulliRBMGPU
from skgen.datasets import make_ising

SIZE = 4
TEMPERATURES = [2.0, 2.269185, 3.0]

# %%
# Observables
# -----------
# All observables are means over configurations: over samples, or over all 65,536
# states with their Boltzmann weights. The error bars are standard errors, estimated
# from 40 subsets of the samples.


def spins(X):
    return (2 * X - 1).reshape(-1, SIZE, SIZE)


def energy(X):
    """Compute the energy of each configuration of the periodic lattice."""
    s = spins(X)
    return -sum((s * np.roll(s, 1, axis)).sum((1, 2)) for axis in (1, 2))


def observables(X, T, weights=None):
    """Compute energy, magnetisation and specific heat per site, and correlations.

    The correlations are those at the distances r = 0, 1, 2.
    """
    s, E = spins(X), energy(X)

    def mean(x):
        return np.average(x, weights=weights)

    correlation = [
        mean(sum((s * np.roll(s, r, axis)).mean((1, 2)) for axis in (1, 2)) / 2)
        for r in range(SIZE // 2 + 1)
    ]
    magnetisation = mean(np.abs(s.mean((1, 2))))
    variance = mean(E**2) - mean(E) ** 2
    return np.array(
        [mean(E) / SIZE**2, magnetisation, variance / T**2 / SIZE**2, *correlation]
    )


STATES = np.array(list(product([0.0, 1.0], repeat=SIZE**2)))


def exact(T):
    return observables(STATES, T, np.exp(-energy(STATES) / T))


def sampled(X, T, n_parts=40):
    """Compute observables of samples and their standard errors."""
    parts = np.array([observables(X[k::n_parts], T) for k in range(n_parts)])
    return observables(X, T), parts.std(axis=0) / n_parts**0.5


# %%
# Training and sampling
# ---------------------
# At low temperature nearly all spins are up or nearly all are down, and a Markov chain
# rarely changes from one phase to the other. With ``keep_trajectory=True``, copies of
# the model are kept during training, each close enough to the last one for swaps of
# states. Samples are then drawn by replica exchange along this ladder of models, which
# gives both phases their correct probabilities. Two hidden units per site can represent
# the couplings of the lattice; the models here have twice as many.

results = {}
for T in TEMPERATURES:
    print(f"Training a model at T = {T:.3f}, and drawing from it")
    X = make_ising(40_000, size=SIZE, temperature=T, random_state=0)
    model = BernoulliRBMGPU(
        n_components=64,
        learning_rate=0.3,
        learning_rate_schedule="linear",
        batch_size=100,
        n_gibbs_steps=5,
        n_iter=24,
        keep_trajectory=True,
        random_state=0,
    ).fit(X)
    samples = model.sample(2000)
    results[T] = exact(T), *sampled(samples, T)
    log_z = model.log_partition_function("ais")
    print(
        f"T = {T:.3f}: {len(model.trajectory_['components_'])} models kept; "
        f"log-likelihood {model.log_likelihood(X[:10_000]).mean():.2f} nats; log Z in "
        f"[{log_z.lower:.2f}, {log_z.upper:.2f}]"
    )

# %%
# Comparison with exact values
# ----------------------------

names = ["energy", "magnetisation", "specific heat"]
for i, name in enumerate(names):
    for T, (truth, value, error) in results.items():
        print(
            f"{name:14} T = {T:.3f}: exact {truth[i]:8.4f}, RBM {value[i]:8.4f} ± "
            f"{error[i]:.4f}"
        )

figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
truth, value, error = np.array(list(results.values())).transpose(1, 0, 2)
line = np.linspace(1.8, 3.2, 29)
exact_line = np.array([exact(T) for T in line])
for i, name in enumerate(names):
    axis = axes.flat[i]
    axis.plot(line, exact_line[:, i], color="0.6", label="exact")
    axis.errorbar(
        TEMPERATURES, value[:, i], error[:, i], fmt="o", capsize=4, label="RBM samples"
    )
    axis.set(xlabel="temperature", ylabel=f"{name} per site")
    axis.legend()

axis = axes.flat[3]
distance = np.arange(SIZE // 2 + 1)
for k, T in enumerate(TEMPERATURES):
    style = {"color": f"C{k}", "linestyle": ["-", "--", ":"][k]}
    axis.plot(distance, truth[k, 3:], label=f"T = {T:.3f}, exact", **style)
    axis.errorbar(
        distance, value[k, 3:], error[k, 3:], fmt="os^"[k], color=f"C{k}", capsize=4
    )
axis.set(xlabel="distance", ylabel="correlation (points: RBM samples)")
axis.set_xticks(distance)
axis.legend()
figure.suptitle(f"Ising model on {SIZE} x {SIZE} sites")

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("ising.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
