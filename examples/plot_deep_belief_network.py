"""
========================================================
A deep belief network: layer by layer, and then together
========================================================

A deep belief network has several layers of hidden bits. Its layers are trained one
after another, each as a restricted Boltzmann machine (RBM) of the layer below it, and
then all together by gradient ascent of a bound on the likelihood. This example trains
a network of bars and stripes, whose best possible likelihood is known, and shows what
each phase of training contributes.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skgen import BernoulliRBMGPU, DeepBeliefNetwork
from skgen.datasets import make_bars_and_stripes
from skgen.plotting import ImageGridDisplay, ScoreDisplay, TrainingDisplay

# %%
# Layer by layer
# --------------
# The images have 4 × 4 pixels with full rows or full columns. All patterns of rows and
# of columns are equally probable. The second layer starts as the first one upside down:
# at that moment its distribution is that of the first RBM, from which it goes on.

SIDE = 4
X = make_bars_and_stripes(SIDE, n_samples=2000, random_state=0)
X_test = make_bars_and_stripes(SIDE, n_samples=1000, random_state=1)
best = -3.3791  # nats a row: minus the entropy of the patterns
settings = {"learning_rate": 0.1, "batch_size": 20, "n_chains": 100, "random_state": 0}
layers = (12, 12)

rbm = BernoulliRBMGPU(layers[0], n_iter=30, **settings).fit(X)
network = DeepBeliefNetwork(layers, n_iter=30, warm_start=True, **settings).fit(X)
scores = {
    "RBM of 12 units": rbm.log_likelihood(X_test).mean(),
    "network, layer by layer": network.score(X_test),
}

# %%
# All layers together
# -------------------
# A warm start goes on where the layers ended: no further epoch of layers, but 15 of
# fine-tuning.

network.set_params(n_iter=0, fine_tune_iter=15).fit(X)
scores["network, fine-tuned"] = network.score(X_test)
print("Held-out nats a row (of the networks: lower bounds)")
for name, score in scores.items():
    print(f"{name:25s} {score:7.3f}")
print(f"{'best possible':25s} {best:7.3f}")

# %%
# Samples and scores
# ------------------
# Losses of different phases do not compare: those of layers are pseudo-likelihoods of
# different data, and that of fine-tuning is the bound, up to a constant. The last panel
# has the scores of single images: samples with a low score are no bars or stripes.

figure, axes = plt.subplots(2, 2, figsize=(10, 6), layout="constrained")
TrainingDisplay.from_estimator(network, title="Loss by phase", ax=axes[0, 0])
ScoreDisplay.from_estimator(
    network, X, X_test=X_test, random_state=0, title="Scores", ax=axes[0, 1]
)
for ax, title, images in [
    (axes[1, 0], "Data", X_test[:48]),
    (axes[1, 1], "Samples", network.sample(48, random_state=0)),
]:
    ImageGridDisplay.from_array(images, n_columns=12, title=title, ax=ax)

full = network.sample(1000, random_state=1).reshape(-1, SIDE, SIDE)
rows = (full == full[:, :, :1]).all(axis=(1, 2))
columns = (full == full[:, :1, :]).all(axis=(1, 2))
print(f"Share of samples that are bars or stripes: {np.mean(rows | columns):.3f}")

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("deep_belief_network.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
