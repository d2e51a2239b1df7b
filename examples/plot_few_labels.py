"""
=====================================================
Features from many images, a classifier of few labels
=====================================================

Labels are expensive and images are not. A restricted Boltzmann machine (RBM) is fitted
to all images, without labels, and a linear classifier to the features of the few that
are labelled. This example compares the features with PCA and with the pixels, by the
number of labels for each digit, where features help: on images that are not centered.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import shift
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skgen import BernoulliRBMGPU
from skgen.plotting import ImageGridDisplay

# %%
# Digits that are not centered
# ----------------------------
# Each image of 8 × 8 pixels is there five times: as it is, and shifted by one pixel in
# the four directions. The data is split before, so that no test image is a copy of one
# that was seen. On centered images, a linear classifier of the pixels is as good as
# one of the features.

MOVES = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]


def shifted(X):
    images = X.reshape(-1, 8, 8)
    moved = [shift(images, (0, *move), order=0) for move in MOVES]
    return np.concatenate(moved).reshape(-1, 64)


X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.3, random_state=0, stratify=y
)
X_train, X_test = shifted(X_train), shifted(X_test)
y_train, y_test = np.tile(y_train, len(MOVES)), np.tile(y_test, len(MOVES))

# %%
# Features of all images
# ----------------------
# The features are the probabilities of the hidden units. Each set of features is
# divided by one number, its standard deviation, so that the same regularisation of the
# classifier suits all.

rbm = BernoulliRBMGPU(n_components=256, learning_rate=0.06, n_iter=20, random_state=0)
models = {"RBM": rbm.fit(X_train), "PCA": PCA(30).fit(X_train)}
features = {
    name: (m.transform(X_train), m.transform(X_test)) for name, m in models.items()
}
features["pixels"] = X_train, X_test

# %%
# Few labels
# ----------
# For each number of labels, the rows that have one are drawn five times, the same for
# all sets of features.


def draw(n, seed):
    """Return n rows of each digit."""
    order = np.random.RandomState(seed).permutation(len(y_train))
    digits = y_train[order]
    return np.concatenate([order[digits == digit][:n] for digit in range(10)])


numbers, seeds = [2, 5, 10, 30, 100], range(5)
accuracy = {}
for name, (train, test) in features.items():
    scale = train.std()
    classifier = LogisticRegression(C=1.0, max_iter=1000)
    accuracy[name] = np.array(
        [
            [
                classifier.fit(train[rows] / scale, y_train[rows]).score(
                    test / scale, y_test
                )
                for rows in (draw(n, seed) for seed in seeds)
            ]
            for n in numbers
        ]
    )

print("Accuracy on test images, mean over five draws of the labelled rows")
print("labels a digit" + "".join(f"{n:8d}" for n in numbers))
for name, values in accuracy.items():
    print(f"{name:14s}" + "".join(f"{mean:8.3f}" for mean in values.mean(axis=1)))

# %%
# The left panel has the accuracies, with standard errors over the draws. The right one
# shows filters of the RBM: spots and edges at different places.

figure, axes = plt.subplots(ncols=2, figsize=(10, 4.2), layout="constrained")
for (name, values), style in zip(accuracy.items(), ["o-", "s--", "^:"], strict=True):
    error = values.std(axis=1, ddof=1) / len(seeds) ** 0.5
    axes[0].errorbar(
        numbers, values.mean(axis=1), error, fmt=style, capsize=3, label=name
    )
axes[0].set(xscale="log", xlabel="labels for each digit", ylabel="accuracy")
axes[0].set_xticks(numbers, numbers)
axes[0].minorticks_off()
axes[0].set_title("Accuracy on test images")
axes[0].legend()
ImageGridDisplay.from_components(
    rbm, n_images=64, n_columns=8, title="The 64 strongest filters", ax=axes[1]
)

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("few_labels.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
