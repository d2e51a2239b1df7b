"""Held-out likelihood of ordinary tables by GaussianVAE at its defaults.

Beside it: probabilistic PCA, factor analysis and Gaussian mixtures, each with the best
number of components by the test score, which favours them. Columns are standardised by
the training rows, or raw; the scores of raw tables are also given after adding the sum of
the logs of standard deviations, so that they can be compared.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skgen import GaussianVAE

NAMES = ("iris", "wine", "diabetes", "breast_cancer", "digits", "linnerud")
COLUMNS = (
    "table",
    "GaussianVAE",
    "PCA, at most 16",
    "PCA, any number",
    "factor analysis",
    "Gaussian mixture",
    "active latents",
    "seconds",
    "spread of samples",
)


def tables():
    """Yield the names of the tables and their numbers."""
    for name in NAMES:
        yield name, getattr(datasets, f"load_{name}")().data
    angles = np.pi / 4 * np.arange(8)
    centers = 4 * np.column_stack([np.cos(angles), np.sin(angles)])
    X, _ = datasets.make_blobs(1000, centers=centers, cluster_std=0.3, random_state=0)
    yield "circle", X


def best(models, train, test):
    """Return the best test score of several models; those that fail do not count."""
    scores = [-np.inf]
    for model in models:
        try:
            scores.append(model.fit(train).score(test))
        except (ValueError, np.linalg.LinAlgError):
            continue
    return max(scores)


def peers(train, test):
    """Score the linear models and the mixtures."""
    n_most = min(train.shape[1], len(train)) - 1
    few, many = range(1, min(16, n_most) + 1), range(1, n_most + 1)
    mixtures = [
        GaussianMixture(n, covariance_type=kind, random_state=0)
        for kind in ("full", "diag", "tied")
        for n in (1, 2, 3, 4, 6, 8, 12)
    ]
    return (
        best(map(PCA, few), train, test),
        best(map(PCA, many), train, test),
        best(map(FactorAnalysis, range(1, min(20, n_most) + 1)), train, test),
        best(mixtures, train, test),
    )


def row(name, train, test, n_seeds):
    """Fit everything to one table: the numbers of one line, scores in nats."""
    start = time.perf_counter()
    models = [GaussianVAE(random_state=seed).fit(train) for seed in range(n_seeds)]
    seconds = (time.perf_counter() - start) / n_seeds
    score = np.median([model.score(test) for model in models])
    varies = train.std(axis=0) > 0
    drawn = models[0].sample(20_000, random_state=0).std(axis=0)[varies]
    spread = drawn / train.std(axis=0)[varies]
    return [
        name,
        *(f"{value:.2f}" for value in (score, *peers(train, test))),
        str(int(np.median([model.active_units_.sum() for model in models]))),
        f"{seconds:.1f}",
        f"{spread.min():.2f} to {spread.max():.2f}",
    ]


def write(rows, title, path):
    """Print a table, and add it to a file as reStructuredText."""
    lines = [
        f".. csv-table:: {title}",
        "   :header: " + ", ".join(f'"{c}"' for c in COLUMNS),
    ]
    lines += ["", *("   " + ", ".join(f'"{x}"' for x in row) for row in rows), ""]
    print("\n".join(lines), flush=True)
    if path is not None:
        with path.open("a") as file:
            file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of peers that do not converge
    standardized, raw = [], []
    for name, X in tables():
        train, test = train_test_split(X, test_size=0.3, random_state=0)
        scaler = StandardScaler().fit(train)
        raw.append(row(name, train, test, args.seeds))
        shift = np.log(scaler.scale_).sum()
        raw[-1][1] += f" ({float(raw[-1][1]) + shift:.2f})"
        standardized.append(
            row(name, scaler.transform(train), scaler.transform(test), args.seeds)
        )
        print("; ".join(standardized[-1]), "|", "; ".join(raw[-1]), flush=True)
    write(standardized, "Standardised columns, held-out nats per row", args.output)
    write(
        raw,
        "Raw columns, held-out nats per row (in units of the other table)",
        args.output,
    )


if __name__ == "__main__":
    main()
