"""
====================================================
A map of the digits: two latent variables as a plane
====================================================

A variational autoencoder (VAE) with two latent variables draws a map of the data. The
encoder says where an image lies on the map, and the decoder what is at a place. This
example shows both, and what two variables cannot keep: reconstructions are compared
with those of PCA.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skgen import GaussianVAE
from skgen.plotting import ImageGridDisplay, LatentDisplay, TrainingDisplay

# %%
# A VAE with two latent variables
# -------------------------------
# One noise variance for all pixels, since they have one unit. The classes are not used
# in training. How well the map separates them shows in a classifier by neighbours.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
vae = GaussianVAE(
    n_components=2,
    architecture="mlp",
    hidden_layer_sizes=(256, 128),
    activation="silu",
    noise_variance="learned",
    weight_decay=0.1,
    batch_size=128,
    n_iter=120,
    random_state=0,
).fit(X_train)
pca = PCA(2).fit(X_train)

print("                          PCA     VAE")
models = [pca, vae]
neighbours = [
    KNeighborsClassifier(10)
    .fit(model.transform(X_train), y_train)
    .score(model.transform(X_test), y_test)
    for model in models
]
print(f"accuracy, 10 neighbours {neighbours[0]:5.3f}   {neighbours[1]:5.3f}")
print(f"held-out nats a row   {pca.score(X_test):7.2f} {vae.score(X_test):7.2f}")

# %%
# The map
# -------
# Points are posterior means of held-out images. The images on the right are what the
# decoder makes of each place, from -2.33 to 2.33: this range has 98 % of the prior of
# each variable.

figure, axes = plt.subplots(ncols=2, figsize=(11, 5), layout="constrained")
LatentDisplay.from_estimator(
    vae, X_test, y_test, title="Held-out digits by the encoder", ax=axes[0]
)
LatentDisplay.from_decoder(
    vae,
    n_steps=15,
    vmin=0,
    vmax=16,
    title="The same plane by the decoder",
    ax=axes[1],
)

# %%
# Reconstructions and training
# ----------------------------
# Each image has its reconstruction below it.

figure_below, axes = plt.subplots(ncols=3, figsize=(12, 3.4), layout="constrained")
for ax, name, model in [(axes[0], "the VAE", vae), (axes[1], "PCA", pca)]:
    ImageGridDisplay.from_reconstructions(
        model,
        X_test[:16],
        n_columns=8,
        vmin=0,
        vmax=16,
        title=f"Images, and reconstructions by {name}",
        ax=ax,
    )
TrainingDisplay.from_estimator(vae, kind="score", title="Training", ax=axes[2])

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    for name, fig in [
        ("latent_plane", figure),
        ("latent_plane_reconstructions", figure_below),
    ]:
        path = Path(f"{name}.png").resolve()
        fig.savefig(path, dpi=150)
        print(f"Figure: {path}")
