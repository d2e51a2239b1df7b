"""
=====================================================
Features from many images, a classifier of few labels
=====================================================

Labels are expensive and images are not. A model of the images is fitted to all of
them, without labels, and a classifier to the features of the few that are labelled.
This example compares the features of a restricted Boltzmann machine (RBM), those of
PCA and the pixels themselves, by the number of labels for each digit.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skgen import GaussianRBM
from skgen.plotting import ImageGridDisplay

# %%
# Features of all images
# ----------------------
# A `GaussianRBM` takes grey values as they are. Its features are the probabilities of
# its hidden units. Uniform noise of one grey level undoes the rounding of the pixels.

X, y = load_digits(return_X_y=True)
X = X + np.random.RandomState(0).uniform(size=X.shape)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, random_state=0, stratify=y
)
rbm = GaussianRBM(n_components=128, n_iter=100, learning_rate=0.03, random_state=0)
representations = {
    "GaussianRBM": rbm.fit(X_train),
    "PCA": PCA(30).fit(X_train),
    "pixels": None,
}

# %%
# Few labels
# ----------
# For each number of labels, the rows that have one are drawn ten times. All
# representations get the same rows, and their classifiers the same regularisation.


def draw(n, seed):
    """Return n rows of each digit."""
    order = np.random.RandomState(seed).permutation(len(y_train))
    digits = y_train[order]
    return np.concatenate([order[digits == digit][:n] for digit in range(10)])


numbers, seeds = [1, 2, 5, 10, 30], range(10)
accuracy = {}
for name, model in representations.items():
    train, test = (
        (X_train, X_test)
        if model is None
        else (model.transform(X_train), model.transform(X_test))
    )
    scale = train.std()  # one number: what varies little is not blown up
    train, test = train / scale, test / scale
    classifier = LogisticRegression(C=0.1)
    accuracy[name] = np.array(
        [
            [
                classifier.fit(train[rows], y_train[rows]).score(test, y_test)
                for rows in (draw(n, seed) for seed in seeds)
            ]
            for n in numbers
        ]
    )

print("Accuracy on held-out images, mean over ten draws of the labelled rows")
print("labels a digit    " + "".join(f"{n:8d}" for n in numbers))
for name, values in accuracy.items():
    print(f"{name:18s}" + "".join(f"{mean:8.3f}" for mean in values.mean(axis=1)))

# %%
# The left panel has the accuracies, with standard errors over the draws. The right one
# shows the filters of the RBM: spots and edges at different places.

figure, axes = plt.subplots(ncols=2, figsize=(10, 4.2), layout="constrained")
for (name, values), style in zip(accuracy.items(), ["o-", "s--", "^:"], strict=True):
    error = values.std(axis=1, ddof=1) / len(seeds) ** 0.5
    axes[0].errorbar(
        numbers, values.mean(axis=1), error, fmt=style, capsize=3, label=name
    )
axes[0].set(xscale="log", xlabel="labels for each digit", ylabel="accuracy")
axes[0].set_xticks(numbers, numbers)
axes[0].set_title("Held-out accuracy")
axes[0].legend()
ImageGridDisplay.from_components(
    rbm, n_images=64, n_columns=8, title="64 of 128 filters", ax=axes[1]
)

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("few_labels.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
