"""
===================================================
Grid search by a likelihood, and successive halving
===================================================

The score of a generative model is a likelihood, a bound on one or a pseudo-likelihood,
of rows that were not in training. `GridSearchCV` therefore needs no labels and no
`scoring`. This example searches for the learning rate and the number of hidden units
of a restricted Boltzmann machine (RBM) of the digits. Successive halving then does the
same for more candidates, which begin with few epochs and of which the best get more.
The last part shows what changes for Optuna.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    train_test_split,
)

from skgen import BernoulliRBMGPU

# %%
# A grid
# ------
# Each of the twelve candidates is fitted three times, to two thirds of the training
# rows, and scored by the other third: by the exact log pseudo-likelihood, which is
# deterministic. Differences between candidates are not noise of the score.

X_train, X_test = train_test_split(load_digits().data / 16, random_state=0)
grid = {"n_components": [16, 64, 128], "learning_rate": [0.003, 0.01, 0.03, 0.1]}
rbm = BernoulliRBMGPU(n_iter=10, random_state=0)
search = GridSearchCV(rbm, grid, cv=3).fit(X_train)
print(f"Grid: {search.best_params_}")
print(f"Grid, nats a row of test images: {search.score(X_test):.2f}")

# %%
# Bars are standard deviations over the three folds. Most of them is common to all
# candidates, as some folds have more difficult images: compare candidates fold by
# fold.

table = search.cv_results_
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for n_components, style in zip(grid["n_components"], ["o-", "s--", "^:"], strict=True):
    which = np.flatnonzero(table["param_n_components"] == n_components)
    axes.errorbar(
        grid["learning_rate"],
        table["mean_test_score"][which],
        table["std_test_score"][which],
        fmt=style,
        capsize=3,
        label=f"{n_components} hidden units",
    )
axes.set(
    xscale="log",
    xlabel="learning rate",
    ylabel="score of held-out folds (nats per row)",
    title="Grid search by the pseudo-likelihood",
)
axes.legend()

# %%
# Successive halving
# ------------------
# The resource is the number of epochs. Twelve candidates get five of them, the best
# four 15, and the best of these 45.

halving = HalvingRandomSearchCV(
    rbm,
    {"learning_rate": loguniform(1e-3, 0.3), "n_components": [16, 32, 64, 128]},
    n_candidates=12,
    resource="n_iter",
    min_resources=5,
    max_resources=45,
    cv=3,
    random_state=0,
).fit(X_train)
print(f"Halving: {halving.n_candidates_} candidates with {halving.n_resources_} epochs")
print(f"Halving: {halving.best_params_}")
print(f"Halving, nats a row of test images: {halving.score(X_test):.2f}")

# %%
# Optuna
# ------
# Optuna, which is not needed here, takes an objective that returns the score. With
# `partial_fit`, epoch by epoch, a trial that falls behind is stopped:
#
# .. code-block:: python
#
#     import optuna
#
#     def objective(trial):
#         model = BernoulliRBMGPU(
#             n_components=64,
#             learning_rate=trial.suggest_float("learning_rate", 1e-3, 0.3, log=True),
#             random_state=0,
#         )
#         for epoch in range(40):
#             model.partial_fit(fit_rows)
#             trial.report(model.score(held_out_rows), epoch)
#             if trial.should_prune():
#                 raise optuna.TrialPruned
#         return model.score(held_out_rows)
#
#     optuna.create_study(direction="maximize").optimize(objective, n_trials=20)

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("grid_search.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
