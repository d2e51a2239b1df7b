"""
==================================================
A table with holes: imputation and its uncertainty
==================================================

A third of the cells of the iris table are removed. `GenerativeImputer` fits a model of
whole flowers to what is left, and fills the gaps by conditional means. Draws from the
same model, several for each gap, give intervals that say how much the known
measurements of a flower determine the missing ones.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t
from sklearn.datasets import load_iris
from sklearn.impute import KNNImputer, SimpleImputer

from skgen.impute import GenerativeImputer

# %%
# Errors of the means
# -------------------
# The imputer is fitted to the incomplete table and fills it. Errors are root mean
# squares over the missing cells, in standard deviations of the columns.

iris = load_iris()
X, names = iris.data, iris.feature_names
missing = np.random.RandomState(0).uniform(size=X.shape) < 1 / 3
incomplete = np.where(missing, np.nan, X)

imputer = GenerativeImputer(random_state=0).fit(incomplete)
filled = imputer.transform(incomplete)


def error(filled):
    return np.sqrt(np.mean(((filled - X) / X.std(axis=0))[missing] ** 2))


print("                    error")
for name, table in [
    ("mean of the column", SimpleImputer().fit_transform(incomplete)),
    ("KNNImputer", KNNImputer().fit_transform(incomplete)),
    ("GenerativeImputer", filled),
]:
    print(f"{name:18s}  {error(table):5.3f}")

# %%
# Intervals from multiple imputation
# ----------------------------------
# Each of 20 imputations draws all missing values of a flower together from their
# distribution given the known ones. An interval of 95 % for a missing value follows
# from mean and standard deviation of its draws, by Student's distribution. The figure
# shows the intervals of the petal lengths, in the order of the true values, with those
# of flowers of which the petal width is known in another colour: it says most about
# the length.

n_imputations = 20
draws = np.stack(imputer.impute_multiple(incomplete, n_imputations, random_state=0))
mean, std = draws.mean(axis=0), draws.std(axis=0, ddof=1)
half = t.ppf(0.975, n_imputations - 1) * np.sqrt(1 + 1 / n_imputations) * std
covered = (np.abs(mean - X) <= half)[missing].mean()
print(f"Share of the intervals that hold the true value: {covered:.3f}")

figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
length, width = 2, 3
flowers = np.flatnonzero(missing[:, length])
flowers = flowers[np.argsort(X[flowers, length], kind="stable")]
place = np.arange(len(flowers))
for label, which in [
    ("petal width known", ~missing[flowers, width]),
    ("petal width missing", missing[flowers, width]),
]:
    rows = flowers[which]
    axes.errorbar(
        place[which],
        mean[rows, length],
        half[rows, length],
        fmt="o",
        markersize=3,
        elinewidth=1,
        label=label,
    )
axes.plot(place, X[flowers, length], "k.", label="true value")
axes.set(
    title="Missing petal lengths: intervals of 95 %",
    xlabel="flowers, in the order of the true value",
    ylabel=names[length],
)
axes.legend(loc="upper left")

# %%
# What is drawn together
# ----------------------
# Flowers of which both petal measurements are missing: draws keep the correlation of
# the two, while conditional means all lie near one curve and have too little spread.

both = missing[:, length] & missing[:, width]
known = ~missing[:, length] & ~missing[:, width]
figure_of_pairs, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
axes.plot(*X[known][:, [length, width]].T, ".", color="0.75", label="known")
axes.plot(
    *draws[:3, both][..., [length, width]].reshape(-1, 2).T,
    ".",
    color="C0",
    label="three draws",
)
axes.plot(
    *filled[both][:, [length, width]].T, "o", color="C1", label="conditional means"
)
axes.set(
    title="Both petal measurements missing", xlabel=names[length], ylabel=names[width]
)
axes.legend()

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    for name, each in [
        ("missing_values_intervals.png", figure),
        ("missing_values_pairs.png", figure_of_pairs),
    ]:
        path = Path(name).resolve()
        each.savefig(path, dpi=150)
        print(f"Figure: {path}")
