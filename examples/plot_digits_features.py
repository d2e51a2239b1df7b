"""
====================================================================
RBM features for digit classification, and samples from the model
====================================================================

A restricted Boltzmann machine (RBM) learns the distribution of handwritten digits
without labels. This example uses it in two ways: the hidden units are features on
which a linear classifier is far more accurate than on raw pixels, and the model is
used to draw new digits. The first half follows `an example of scikit-learn
<https://scikit-learn.org/stable/auto_examples/neural_networks/plot_rbm_logistic_classification.html>`_.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import shift
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import BernoulliRBMGPU
from skgen.plotting import ImageGridDisplay

# %%
# Shifted digits
# --------------
# Copies of the 1797 images of 8 × 8 pixels are shifted by one pixel in each of the
# four directions. This makes the data set five times as large, and much harder for
# a classifier of the pixels. The data is split before the images are shifted, so
# that no test image is a shifted copy of a training image.


def nudge(X):
    """Return X, and X shifted up, down, to the left and to the right."""
    images = X.reshape(-1, 8, 8)
    moves = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    moved = [shift(images, (0, *move), order=0) for move in moves]
    return np.concatenate(moved).reshape(-1, 64)


digits, labels = load_digits(return_X_y=True)
digits = digits / 16  # to [0, 1]
X_train, X_test, y_train, y_test = train_test_split(
    digits, labels, test_size=0.2, random_state=0
)
originals = np.tile(np.arange(len(X_train)), 5)
X_train, X_test = nudge(X_train), nudge(X_test)
y_train, y_test = np.tile(y_train, 5), np.tile(y_test, 5)

# %%
# Features for a linear classifier
# --------------------------------
# :class:`~skgen.BernoulliRBMGPU` can be a step of a pipeline, and a grid search
# tunes the parameters of all steps together. All copies of an image are in the same
# fold of the cross-validation.

rbm = BernoulliRBMGPU(learning_rate=0.06, random_state=0)
classifier = LogisticRegression(max_iter=2000)
pipeline = Pipeline([("rbm", rbm), ("scale", StandardScaler()), ("clf", classifier)])
search = GridSearchCV(
    pipeline,
    {"rbm__n_components": [100, 200], "clf__C": [1, 10]},
    cv=GroupKFold(3),
    n_jobs=2,
    verbose=1,
)
search.fit(X_train, y_train, groups=originals)
raw = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
raw.fit(X_train, y_train)

print(f"Best parameters: {search.best_params_}")
print(f"Test accuracy, raw pixels:   {raw.score(X_test, y_test):.4f}")
print(f"Test accuracy, RBM features: {search.score(X_test, y_test):.4f}")

# %%
# Samples from the model
# ----------------------
# The visible units are binary, but the pixels are grey. Therefore each pixel is
# encoded by four bits, which indicate whether it is darker than each of four
# thresholds; the mean of the four bits is a grey value again. The samples come from
# new Markov chains, which start at independent random bits and not at digits.

print("Training a model of the digits, and drawing from it")
thresholds = np.array([0.2, 0.4, 0.6, 0.8])
bits = (digits[:, :, np.newaxis] > thresholds).reshape(len(digits), -1)
model = BernoulliRBMGPU(
    n_components=200,
    learning_rate=0.1,
    learning_rate_schedule="linear",
    batch_size=50,
    n_iter=100,
    n_gibbs_steps=5,
    random_state=0,
).fit(bits)
samples = model.sample(40, n_gibbs_steps=2000)

# %%
# Each filter shows the weights between one hidden unit and all pixels. Ink in the
# red pixels activates the unit, and ink in the blue pixels inhibits it.

figure, axes = plt.subplots(ncols=3, figsize=(12, 2.9), layout="constrained")
ImageGridDisplay.from_components(
    search.best_estimator_["rbm"],
    n_images=40,
    n_columns=8,
    title="Strongest filters of the RBM",
    ax=axes[0],
)
titles = ["Digits of the data set", "Digits drawn by the model"]
for X, title, ax in zip([bits[:40], samples], titles, axes[1:], strict=True):
    grey = X.reshape(40, 64, 4).mean(axis=2)
    ImageGridDisplay.from_array(grey, n_columns=8, title=title, ax=ax)

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("digits_features.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
