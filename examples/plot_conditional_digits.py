"""
====================================================
Digits of a class, and what lies between two classes
====================================================

A conditional variational autoencoder (VAE) learns the distribution of images given
their class. It draws digits of a class that is asked for. Its latent variables describe
what the class does not say: slant, width, the way of writing. This example draws
digits by class, writes one digit in the style of another, interpolates between two
classes, and uses Bayes' rule as a classifier.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skgen import ConditionalGaussianVAE, GaussianVAE
from skgen.plotting import ImageGridDisplay

# %%
# The model
# ---------
# The labels are the second argument of `fit`, as those of a classifier. They are data:
# the score is the likelihood of the images given the labels. Uniform noise is added to
# the grey values, so that the density of a pixel that is nearly always white has a
# bound.

X, y = load_digits(return_X_y=True)
X = (X + np.random.RandomState(0).uniform(size=X.shape)) / 17
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.2, random_state=0, stratify=y
)
print("Training a model of the images given the digit, and one of the images alone")
sizes = {"n_components": 16, "n_iter": 150}
vae = ConditionalGaussianVAE(**sizes, random_state=0).fit(X_train, y_train)
plain = GaussianVAE(**sizes, random_state=0).fit(X_train)

# %%
# The likelihood
# --------------
# Without labels the conditional model scores the images alone, by the sum over all
# labels. By its label an image is more likely; with that of another image it is much
# less likely. Bayes' rule makes a classifier of the model, although it is not trained
# to discriminate.

wrong = np.random.RandomState(0).permutation(y_test)
classifier = LogisticRegression(max_iter=5000).fit(X_train, y_train)
print("Held-out nats a row (lower bounds)")
print(f"Images alone, GaussianVAE:          {plain.score(X_test):8.2f}")
print(f"Images alone, conditional model:    {vae.score(X_test):8.2f}")
print(f"Images given their labels:          {vae.score(X_test, y_test):8.2f}")
print(f"Images given the labels of others:  {vae.score(X_test, wrong):8.2f}")
print("Accuracy")
print(f"Bayes' rule:         {(vae.predict(X_test) == y_test).mean():.4f}")
print(f"Logistic regression: {classifier.score(X_test, y_test):.4f}")

# %%
# Digits by class, and in the style of another
# --------------------------------------------
# Each row on the left has eight samples of one class. On the right, the first column
# has held-out images. Their latent variables, given their own class, are decoded with
# each of the ten classes: slant and thickness stay, as if one hand wrote all digits.

digits = np.arange(10)
samples = vae.sample(y=digits.repeat(8), noise=False, random_state=0)
styles = []
for digit in digits:
    image = X_test[y_test == digit][:1]
    z = vae.transform(image, [digit])
    styles += [image, vae.inverse_transform(z.repeat(10, axis=0), digits)]

# %%
# Between two classes
# -------------------
# Networks see a label as ten numbers, of which one is 1. A model of the labels as
# values lets these numbers take any value: here both ends have a weight each, which
# goes from one class to the other at fixed latent variables. What lies between two
# classes is no digit; the images show what the network makes of weights that it has
# never seen.

bits = np.eye(10)
between = ConditionalGaussianVAE(**sizes, random_state=0)
between.fit(X_train, bits[y_train])
pairs = [(3, 8), (1, 7), (4, 9), (5, 6), (0, 6), (2, 3)]
steps = np.linspace(0, 1, 9)[:, np.newaxis]
conditions = np.vstack([(1 - steps) * bits[a] + steps * bits[b] for a, b in pairs])
z = np.zeros((len(conditions), 16))
path = between.inverse_transform(z, conditions)

figure, axes = plt.subplots(ncols=3, figsize=(12, 4.6), layout="constrained")
for ax, title, images, n_columns in [
    (axes[0], "Samples of each class", samples, 8),
    (axes[1], "All digits by one hand", np.vstack(styles), 11),
    (axes[2], "From one class to another", path, 9),
]:
    ImageGridDisplay.from_array(
        images, n_columns=n_columns, vmin=0, vmax=1, title=title, ax=ax
    )

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("conditional_digits.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
