"""
==========================================================================
Variational autoencoders of digits: samples, features and the latent space
==========================================================================

Three variational autoencoders (VAEs) learn the 8 × 8 digits of scikit-learn: one with
fully connected layers, one with convolutions, and one with two latent variables, which
can be plotted. The first two are compared with PCA by the log-likelihood of held-out
images, and by the accuracy of a classifier on their features.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import GaussianVAE
from skgen.plotting import ImageGridDisplay

# %%
# The models
# ----------
# Since there are only 1347 training images, the models have a smooth activation, some
# weight decay and a learning rate that falls to zero. For the same reason, the noise
# variance of the first model is fixed at a value above the optimum of the training
# data. The latent variables then carry less information, which improves the likelihood
# of held-out images. The others learn theirs: one for all pixels, which have the same
# unit, in place of the default of one for each feature. The convolutional model needs
# the shape of the images as a parameter.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, random_state=0, stratify=y
)

settings = {
    "activation": "silu",
    "n_warmup_iter": 0,
    "batch_size": 128,
    "learning_rate": 0.003,
    "learning_rate_schedule": "linear",
    "random_state": 0,
}
mlp = GaussianVAE(
    n_components=8,
    architecture="mlp",
    hidden_layer_sizes=(256, 256),
    noise_variance=0.02,
    weight_decay=0.5,
    n_iter=300,
    **settings,
)
conv = GaussianVAE(
    n_components=8,
    architecture="conv",
    noise_variance="learned",
    image_shape=(8, 8),
    hidden_layer_sizes=(64,),
    weight_decay=1.0,
    n_iter=60,
    **settings,
)
plane = GaussianVAE(
    n_components=2,
    architecture="mlp",
    noise_variance="learned",
    hidden_layer_sizes=(256, 128),
    weight_decay=0.1,
    n_iter=150,
    **settings,
)
for name, model in [
    ("fully connected layers", mlp),
    ("convolutions", conv),
    ("two latent variables", plane),
]:
    print(f"Training the model with {name}")
    model.fit(X_train)
pca = PCA(n_components=8).fit(X_train)

# %%
# Likelihood and features
# -----------------------
# The score of a VAE is a lower bound on the mean log-likelihood, and that of PCA is the
# mean log-likelihood itself. Both are in nats, for densities of the same data, and can
# be compared. The features of a VAE are the means of the posterior.


def accuracy(model):
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    classifier.fit(model.transform(X_train), y_train)
    return classifier.score(model.transform(X_test), y_test)


print("                       held-out nats   accuracy of a classifier")
for name, model in [("PCA", pca), ("VAE, fully connected", mlp), ("VAE, conv", conv)]:
    print(f"{name:20s}   {model.score(X_test):13.2f}   {accuracy(model):.4f}")

# %%
# Reconstructions and samples
# ---------------------------
# The first figure shows held-out images, their reconstructions from the eight latent
# variables, and new images, which are the means of p(x | z) for z drawn from the prior.

figure, axes = plt.subplot_mosaic("ABC;.DE", figsize=(10, 4.9), layout="constrained")
for place, title, images in [
    ("A", "Held-out digits", X_test[:40]),
    ("B", "Fully connected: reconstructed", mlp.reconstruct(X_test[:40])),
    ("C", "Convolutional: reconstructed", conv.reconstruct(X_test[:40])),
    ("D", "Fully connected: samples", mlp.sample(40, noise=False)),
    ("E", "Convolutional: samples", conv.sample(40, noise=False)),
]:
    ImageGridDisplay.from_array(
        images, n_columns=8, vmin=0, vmax=1, title=title, ax=axes[place]
    )

# %%
# Two latent variables
# --------------------
# The left panel shows the posterior means of the held-out images, coloured by their
# class, which was not used in training. The right panel shows the output of the decoder
# on a grid of quantiles of the prior, so that all images represent equal probability.

figure_plane, axes = plt.subplots(ncols=2, figsize=(11, 5), layout="constrained")
Z = plane.transform(X_test)
points = axes[0].scatter(*Z.T, c=y_test, cmap="tab10", vmin=-0.5, vmax=9.5, s=14)
axes[0].set(title="Posterior means of held-out digits", xlabel="$z_1$", ylabel="$z_2$")
figure_plane.colorbar(points, ax=axes[0], ticks=range(10), label="digit")

quantiles = norm.ppf((np.arange(16) + 0.5) / 16)
grid = np.array([(z1, z2) for z2 in quantiles[::-1] for z1 in quantiles])
ImageGridDisplay.from_array(
    plane.inverse_transform(grid),
    n_columns=16,
    vmin=0,
    vmax=1,
    title="Decoder at quantiles of the prior",
    ax=axes[1],
)

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    for name, fig in [("vae_digits", figure), ("vae_latent_space", figure_plane)]:
        path = Path(f"{name}.png").resolve()
        fig.savefig(path, dpi=150)
        print(f"Figure: {path}")
