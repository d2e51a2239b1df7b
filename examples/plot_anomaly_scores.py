"""
============================================
Unusual rows: anomaly scores by a likelihood
============================================

A model of ordinary rows gives unusual ones a low density. This example fits models to
measurements of benign tumours only, and ranks others by their score. A threshold
follows from held-out benign rows, and conditional means say which measurement of a
row is unusual.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split

from skgen import GaussianVAE
from skgen.plotting import ScoreDisplay

# %%
# Ordinary rows
# -------------
# Of the 357 benign rows, 60 % are for training; the rest and all malignant ones are to
# be told apart. No malignant row is seen in training.

data = load_breast_cancer()
benign, malignant = data.data[data.target == 1], data.data[data.target == 0]
train, benign_test = train_test_split(benign, test_size=0.4, random_state=0)
rows = np.vstack([benign_test, malignant])
is_unusual = np.repeat([False, True], [len(benign_test), len(malignant)])

vae = GaussianVAE(n_iter=200, random_state=0).fit(train)
models = {
    "GaussianVAE": vae,
    "GaussianMixture": GaussianMixture(1, random_state=0).fit(train),
    "IsolationForest": IsolationForest(random_state=0).fit(train),
}
print("Area under the ROC curve")
for name, model in models.items():
    area = roc_auc_score(is_unusual, -model.score_samples(rows))
    print(f"{name:16s} {area:.3f}")

# %%
# A threshold
# -----------
# Half of the held-out benign rows give the threshold below which five percent of them
# lie, and the other half tell how many alarms are false. Training rows score too high
# for this.

calibration, others = benign_test[::2], benign_test[1::2]
threshold = np.quantile(vae.score_samples(calibration), 0.05)
false = (vae.score_samples(others) < threshold).mean()
found = (vae.score_samples(malignant) < threshold).mean()
print(f"Alarms: {false:.1%} of benign rows, {found:.1%} of malignant rows")

# %%
# What is unusual in a row
# ------------------------
# Each measurement of the malignant row in the middle of the ranking is removed and
# filled from the others. The differences, in standard deviations of benign rows, say
# where the row disagrees with itself.

scores = vae.score_samples(malignant)
row = malignant[np.argsort(scores)[len(scores) // 2]]
without_each = np.where(np.eye(len(row), dtype=bool), np.nan, row)
expected = np.diag(vae.impute(without_each, random_state=0))
difference = (row - expected) / train.std(axis=0)
order = np.argsort(-np.abs(difference))[:8]

figure, axes = plt.subplots(ncols=2, figsize=(11, 4.2), layout="constrained")
sets = {
    "benign, training": vae.score_samples(train),
    "benign, held out": vae.score_samples(benign_test),
    "malignant": scores,
}
sets = {name: np.maximum(values, -100) for name, values in sets.items()}
ScoreDisplay(sets).plot(bins=40, title="Scores, −100 at least", ax=axes[0])
axes[0].axvline(threshold, color="0.4", linewidth=3, alpha=0.5)
axes[0].annotate("threshold", (threshold, 0.035), ha="right", rotation=90)
axes[1].barh(np.array(data.feature_names)[order][::-1], difference[order][::-1])
axes[1].axvline(0, color="black", linewidth=0.8)
axes[1].set(
    title="One malignant row: measured minus expected",
    xlabel="standard deviations of benign rows",
)

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("anomaly_scores.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
