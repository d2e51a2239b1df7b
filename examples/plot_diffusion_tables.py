"""
=============================================================
Diffusion model: density and samples of two interleaved moons
=============================================================

A :class:`skgen.DiffusionModel` learns the density of points in the plane. The figure
shows the flow that it has learned: points of noise turn into samples, and the samples
have a density, which is computed along the flow together with its error.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

from skgen import DiffusionModel
from skgen.metrics import energy_distance, null_distribution

# %%
# Data and training
# -----------------
# Half of the points are held out.

X = make_moons(4000, noise=0.1, random_state=0)[0]
train, test = X[:2000], X[2000:]
model = DiffusionModel(
    hidden_layer_sizes=(128, 128, 128), n_iter=200, random_state=0
).fit(train)

# %%
# Likelihood
# ----------
# Two numbers: a lower bound, and the density of the flow, which has an error from its
# solver.

few = test[:500]
log_p, error = model.log_likelihood(few, return_error=True)
mixture = GaussianMixture(2, random_state=0).fit(train)
print(f"Held-out nats: flow {log_p.mean():.3f}, with an error of {error.mean():.3f}")
print(f"               bound {model.score(few):.3f}")
print(f"               mixture of two Gaussians {mixture.score(few):.3f}")

# %%
# Samples
# -------
# Their energy distance to the held-out points lies in the range that points of the
# data have from each other.

samples = model.sample(2000, random_state=0)
null = null_distribution(energy_distance, X, random_state=0)
print(f"Energy distance of samples {energy_distance(test, samples):.4f}")
print(f"   of data from data {null.min():.4f} to {null.max():.4f}")

# %%
# The flow
# --------
# `transform` follows the flow from data to noise. Colours are those of the ends.

noise = model.transform(test)
axis = np.linspace(-1.7, 2.7, 40), np.linspace(-1.2, 1.7, 40)
grid = np.stack(np.meshgrid(*axis), -1)
density = np.exp(model.log_likelihood(grid.reshape(-1, 2))).reshape(grid.shape[:2])

figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
colour = {"c": test[:, 0], "s": 3, "cmap": "viridis"}
axes[0].scatter(*test.T, **colour)
axes[0].set_title("Held-out data")
axes[1].scatter(*noise.T, **colour)
axes[1].set_title("The same as noise")
axes[2].scatter(*samples.T, s=3)
axes[2].set_title("Samples")
axes[3].contourf(*axis, density, levels=20)
axes[3].set_title("Density of the flow")

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    path = Path("diffusion_tables.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
