"""
===================================================
Energy-based model: a density, and what its Z costs
===================================================

A :class:`skgen.EnergyModel` corrects a simple density by a network. The figure shows
the base, the correction and their product; the density is known up to the partition
function, which is estimated with a bracket. Chains sample it.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

from skgen import EnergyModel
from skgen.metrics import energy_distance, null_distribution

# %%
# Data and training
# -----------------
# Over a single Gaussian, so that the network has something to do. It learns to tell the
# points from draws of the Gaussian.

X = make_moons(2000, noise=0.1, random_state=0)[0]
train, test = X[:1000], X[1000:]
model = EnergyModel(base="gaussian", hidden_layer_sizes=(64, 64), random_state=0)
model.fit(train)

# %%
# Likelihood
# ----------
# All densities share one error, that of log Z. It was estimated by annealing from the
# Gaussian to the model and back. In two dimensions a sum over a grid tells the truth.

log_z = model.log_partition_
lower, upper = model.log_likelihood_bounds(test)
mixture = GaussianMixture(2, random_state=0).fit(train)
print(f"log Z between {log_z.lower:.3f} and {log_z.upper:.3f}")
print(f"Held-out nats: {model.score(test):.3f}")
print(f"               between {lower.mean():.3f} and {upper.mean():.3f}")
print(f"               mixture of two Gaussians {mixture.score(test):.3f}")

axis = np.linspace(-2.2, 3.2, 200), np.linspace(-1.7, 2.2, 200)
grid = np.stack(np.meshgrid(*axis), -1)
energy = model.energy(grid.reshape(-1, 2)).reshape(grid.shape[:2])
cell = np.ptp(axis[0]) / 199 * np.ptp(axis[1]) / 199
print(f"log Z by the grid: {np.log(np.exp(-energy).sum() * cell):.3f}")

# %%
# Samples
# -------
# Each is the end of a chain of its own. `chain_diagnostics` tells whether chains from
# the base and chains from the data come to the same distribution.

samples = model.sample(1000, random_state=0)
null = null_distribution(energy_distance, X, random_state=0)
print(f"Energy distance of samples {energy_distance(test, samples):.4f}")
print(f"   of data from data {null.min():.4f} to {null.max():.4f}")
report = model.chain_diagnostics(random_state=0)
print(f"Acceptance {report.acceptance_rate:.2f}, R-hat {report.r_hat:.3f}")

# %%
# Base, correction, density
# -------------------------

start = EnergyModel(base="gaussian", n_iter=0, early_stopping=False).fit(train)
base = start.energy(grid.reshape(-1, 2)).reshape(grid.shape[:2])
figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
axes[0].contourf(*axis, np.exp(-base), levels=20)
axes[0].set_title("Base")
axes[1].contourf(*axis, np.clip(energy - base, -6, 12), levels=20)
axes[1].set_title("Correction f, in nats")
axes[2].contourf(*axis, np.exp(-energy - log_z.estimate), levels=20)
axes[2].set_title("Density")
axes[3].scatter(*samples.T, s=3)
axes[3].set_title("Samples")

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    path = Path("energy_model.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
