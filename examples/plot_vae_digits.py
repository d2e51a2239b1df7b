"""
==========================================================
Variational autoencoders of digits: samples and features
==========================================================

Two variational autoencoders (VAEs) learn the 8 × 8 digits of scikit-learn: one with
fully connected layers, and one with convolutions. They are compared with PCA by the
log-likelihood of held-out images, and by the accuracy of a classifier on their
features. :doc:`Another example </auto_examples/plot_latent_plane>` has a VAE with two
latent variables, which can be plotted.
"""

from pathlib import Path

import matplotlib.pyplot as plt
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
# of held-out images. The convolutional model learns its own: one for all pixels, which
# have the same unit, in place of the default of one for each feature. It needs the
# shape of the images as a parameter.

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
    n_iter=200,
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
for name, model in [
    ("fully connected layers", mlp),
    ("convolutions", conv),
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
# The figure shows held-out images, their reconstructions from the eight latent
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

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("vae_digits.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
