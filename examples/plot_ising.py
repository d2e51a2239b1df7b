"""
====================================================
The Ising model by restricted Boltzmann machines
====================================================

A physicist trusts a generative model when it gives the right numbers. Here machines
learn the two-dimensional Ising model from configurations at three temperatures, one
below, one at and one above the transition, and observables of their samples are set
beside those of cluster Monte Carlo, with error bars: energy, magnetisation, specific
heat, and the correlation function.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skgen import BernoulliRBMGPU
from skgen.datasets import make_ising

# %%
# Configurations
# --------------
# Spins on a periodic lattice of 8 x 8 sites, as bits. Cluster updates draw them
# independently of each other. A second set of draws, which no machine sees, gives the
# values to compare with.

SIZE = 8
TEMPERATURES = [2.0, 2.269185, 3.0]
N_TRAIN, N_SAMPLES = 20_000, 4_000

train = {
    T: make_ising(N_TRAIN, size=SIZE, temperature=T, random_state=0)
    for T in TEMPERATURES
}
reference = {
    T: make_ising(N_TRAIN, size=SIZE, temperature=T, random_state=1)
    for T in TEMPERATURES
}

# %%
# Machines
# --------
# At low temperature nearly all spins are up or nearly all are down, and no chain of
# single machines crosses from one to the other. With ``keep_rungs=True`` machines
# are kept along the training, each within reach of the last, and samples are drawn by
# exchange of states along this ladder, which gives both phases their weights.

machines = {
    T: BernoulliRBMGPU(
        n_components=100,
        learning_rate=0.2,
        learning_rate_schedule="linear",
        batch_size=100,
        n_gibbs_steps=5,
        n_iter=40,
        keep_rungs=True,
        random_state=0,
    ).fit(X)
    for T, X in train.items()
}
samples = {T: machine.sample(N_SAMPLES) for T, machine in machines.items()}

for T, machine in machines.items():
    log_z = machine.log_partition_function("ais")
    print(
        f"T = {T:.3f}: {len(machine.rungs_['components_'])} rungs; held-out "
        f"log-likelihood {machine.log_likelihood(reference[T]).mean():.2f} nats, "
        f"log Z in [{log_z.lower:.2f}, {log_z.upper:.2f}]"
    )

# %%
# Observables
# -----------
# All are functions of configurations. Error bars are standard deviations of the mean
# over 40 parts of the samples; those of the specific heat, a variance, too.


def spins(X):
    return (2 * X - 1).reshape(-1, SIZE, SIZE)


def energy(X):
    """Energy of each configuration, a site."""
    s = spins(X)
    return -sum((s * np.roll(s, 1, axis)).mean((1, 2)) for axis in (1, 2))


def magnetisation(X):
    """Magnetisation of each configuration, a site, up or down."""
    return np.abs(spins(X).mean((1, 2)))


OBSERVABLES = {
    "energy": lambda X, _T: energy(X).mean(),
    "magnetisation": lambda X, _T: magnetisation(X).mean(),
    "specific heat": lambda X, T: SIZE**2 * energy(X).var() / T**2,
    "correlation": lambda X, _T: correlation(X),
}


def correlation(X):
    """Mean of s_0 s_r along both axes, r = 0, …, SIZE / 2."""
    s = spins(X)
    return np.array(
        [
            np.mean([(s * np.roll(s, r, axis)).mean() for axis in (1, 2)])
            for r in range(SIZE // 2 + 1)
        ]
    )


def with_error(name, X, T, n_parts=40):
    """Value and standard error of an observable, by parts of the samples."""
    function = OBSERVABLES[name]
    parts = np.array([function(X[k::n_parts], T) for k in range(n_parts)])
    return function(X, T), parts.std(axis=0) / n_parts**0.5


# %%
# The comparison
# --------------

figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
for name, axis in zip(list(OBSERVABLES)[:3], axes.flat, strict=False):
    for label, data, style in [
        ("clusters", reference, {"fmt": "s", "mfc": "none", "ms": 11}),
        ("RBM samples", samples, {"fmt": "o", "ms": 4, "capsize": 4}),
    ]:
        found = [with_error(name, data[T], T) for T in TEMPERATURES]
        value, error = zip(*found, strict=True)
        axis.errorbar(TEMPERATURES, value, error, label=label, **style)
        cells = [f"{v:.4f} ± {e:.4f}" for v, e in found]
        print(f"{name:15}{label:12}" + "".join(f"{cell:>20}" for cell in cells))
    axis.set(xlabel="temperature", ylabel=f"{name} a site")
    axis.legend()

axis = axes.flat[3]
distance = np.arange(SIZE // 2 + 1)
for T, color in zip(TEMPERATURES, ["C0", "C1", "C2"], strict=True):
    value, _ = with_error("correlation", reference[T], T)
    axis.plot(distance, value, color=color, label=f"T = {T:.3f}, clusters")
    value, error = with_error("correlation", samples[T], T)
    axis.errorbar(distance, value, error, fmt="o", color=color, ms=4, capsize=4)
axis.set(xlabel="distance", ylabel="correlation (points: RBM samples)", ylim=(0, 1.05))
axis.set_xticks(distance)
axis.legend()
figure.suptitle(f"Ising model on {SIZE} x {SIZE} sites")

# sphinx-gallery runs this file without the name __file__, and shows the figure.
if "__file__" in globals():
    path = Path("ising.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
