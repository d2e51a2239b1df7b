"""
==========================================
Generative adversarial network: two rings
==========================================

A :class:`skgen.GAN` learns points on two rings, a thin set that has hardly a density.
The figure shows its samples in the course of training, and what a mixture of Gaussians
makes of the same points.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.mixture import GaussianMixture

from skgen import GAN
from skgen.metrics import energy_distance, null_distribution, precision_recall

# %%
# Data
# ----


def rings(n_rows, seed):
    rng = np.random.RandomState(seed)
    angle = rng.uniform(0, 2 * np.pi, n_rows)
    radius = rng.choice([1.0, 2.0], n_rows) + 0.02 * rng.standard_normal(n_rows)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


train, test = rings(2000, 0), rings(1000, 1)

# %%
# Training
# --------
# With ``warm_start=True`` each call of `fit` goes on: both players, their optimizers
# and the averaged generator, whose samples are shown. The score is the energy score,
# higher is better. It is not in nats.

gan = GAN(
    hidden_layer_sizes=(64, 64),
    learning_rate_schedule="constant",
    warm_start=True,
    random_state=0,
)
snapshots = []
for n_iter in (10, 40, 100):
    gan.set_params(n_iter=n_iter).fit(train)
    snapshots.append((gan.n_iter_, gan.sample(1000, random_state=0)))
    print(f"After {gan.n_iter_} epochs: score {gan.score(test):.4f}")

# %%
# Samples beside those of a mixture
# ---------------------------------
# The energy distance says how far the laws are apart, precision which share of samples
# is like data, and recall which share of the data is covered. What they are for data
# against data has to be known besides.

mixture = GaussianMixture(8, random_state=0).fit(train)
drawn = {"GAN": snapshots[-1][1], "mixture of 8": mixture.sample(1000)[0]}
for name, samples in drawn.items():
    distance = energy_distance(test, samples)
    precision, recall = precision_recall(test, samples)
    print(f"{name}: energy distance {distance:.4f}, {precision:.2f}, {recall:.2f}")
null = null_distribution(energy_distance, rings(2000, 2), random_state=0)
print(f"Data against data: energy distance {null.min():.4f} to {null.max():.4f}")

# %%
# Pictures
# --------

fig, axes = plt.subplots(1, 5, figsize=(10, 2.3), sharex=True, sharey=True)
panels = [("data", test)]
panels += [(f"GAN, {n} epochs", samples) for n, samples in snapshots]
panels.append(("mixture of 8", drawn["mixture of 8"]))
for ax, (title, points) in zip(axes, panels, strict=True):
    ax.scatter(*points.T, s=1, color="C0")
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
fig.tight_layout()

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    path = Path("gan_ring.png").resolve()
    fig.savefig(path, dpi=150)
    print(f"Figure: {path}")
