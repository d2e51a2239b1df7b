"""Held-out likelihood of ordinary tables by GaussianVAE at its defaults.

    python examples/benchmarks/tables.py --output tables.rst

Beside it are probabilistic PCA with at most as many components as GaussianVAE has
latent variables (16), PCA with any number of components, factor analysis with up to 20
factors, and Gaussian mixtures with full, diagonal and tied covariances and up to 12
components. Each of them has the number of components (and the covariance) of the best
test score, which favours them; GaussianVAE has no choice: its scores are medians of
several seeds. Models whose covariance is singular up to rounding do not count.

Columns are standardised by the training rows, or raw. Scores of raw tables are also
given, in parentheses, after adding the sum of the logs of the standard deviations of
the training rows, so that they can be compared with those of standardised tables.

The seconds are processor time of one fit, all threads together; set OMP_NUM_THREADS=1
to have the time of one core. The spread of samples is the least and the largest ratio
of the standard deviation of 20,000 samples to that of the training rows, over the
columns that vary.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from _report import about
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
    "importance-weighted",
    "PCA, at most 16",
    "PCA, any number",
    "factor analysis",
    "Gaussian mixture",
    "active units",
    "seconds",
    "spread of samples",
)


def tables():
    """Yield the name, the training rows and the test rows of each table."""
    for name in NAMES:
        X = getattr(datasets, f"load_{name}")().data
        train, test = train_test_split(X, test_size=0.3, random_state=0)
        yield name, train, test
        if name == "digits":
            # Without the pixels that differ from their median in few images.
            rare = (train != np.median(train, axis=0)).mean(axis=0) < 0.01
            yield f"{name}, {(~rare).sum()} pixels", train[:, ~rare], test[:, ~rare]
    angles = np.pi / 4 * np.arange(8)
    centers = 4 * np.column_stack([np.cos(angles), np.sin(angles)])
    X, _ = datasets.make_blobs(1000, centers=centers, cluster_std=0.3, random_state=0)
    yield "circle", *train_test_split(X, test_size=0.3, random_state=0)


def singular(model):
    """Tell whether the noise of PCA is nothing but rounding."""
    if not isinstance(model, PCA) or model.n_components_ == model.n_features_in_:
        return False  # without noise, an error tells if the covariance is singular
    largest = model.explained_variance_[0]
    rounding = model.n_features_in_ * np.finfo(float).eps * largest
    return model.noise_variance_ < rounding


def best(models, train, test):
    """Return the best test score of several models, and the name of its model.

    Models that fail, or are singular, do not count.
    """
    scores = [(-np.inf, "")]
    for name, model in models:
        try:
            score = model.fit(train).score(test)
        except (ValueError, np.linalg.LinAlgError):
            continue
        if np.isfinite(score) and not singular(model):
            scores.append((score, name))
    return max(scores)


def peers(train, test, n_latents):
    """Return the best scores of linear models and of mixtures, with their names."""
    n_most = min(train.shape[1], len(train) - 1)
    few, many, factors = (range(1, min(n, n_most) + 1) for n in (n_latents, n_most, 20))
    mixtures = (
        (
            f"{kind} {n}",
            GaussianMixture(n, covariance_type=kind, random_state=0),
        )
        for kind in ("full", "diag", "tied")
        for n in range(1, min(12, len(train)) + 1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of models that do not converge
        return [
            best(((str(n), PCA(n)) for n in few), train, test),
            best(((str(n), PCA(n)) for n in many), train, test),
            best(((str(n), FactorAnalysis(n)) for n in factors), train, test),
            best(mixtures, train, test),
        ]


def fits(train, n_seeds):
    """Return fits of GaussianVAE, the median time of one, and its warnings."""
    models, seconds = [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(n_seeds):
            start = time.process_time()
            models.append(GaussianVAE(random_state=seed).fit(train))
            seconds.append(time.process_time() - start)
    return models, np.median(seconds), [str(w.message) for w in caught]


def row(name, train, test, n_seeds, shift=None):
    """Fit everything to one table: the cells of one line, scores in nats per row.

    With `shift`, scores are also given in units in which it is added to them; without,
    the models that have been chosen are.
    """
    models, seconds, caught = fits(train, n_seeds)
    for message in caught:
        print(f"{name}: {message}", file=sys.stderr, flush=True)
    bounds = [model.log_likelihood(test, random_state=0).mean() for model in models]
    scores = [
        (np.median([model.score(test) for model in models]), ""),
        (np.median(bounds), ""),
        *peers(train, test, models[0].n_components),
    ]
    deviations = train.std(axis=0)
    varies = deviations > 0
    drawn = models[0].sample(20_000, random_state=0).std(axis=0)
    spread = drawn[varies] / deviations[varies]
    cells = []
    for score, chosen in scores:
        other = chosen if shift is None else f"{score + shift:.2f}"
        cells.append(f"{score:.2f}" + (f" ({other})" if other else ""))
    return [
        name,
        *cells,
        f"{np.median([model.active_units_.sum() for model in models]):.0f}",
        f"{seconds:.1f}",
        f"{spread.min():.2f} to {spread.max():.2f}",
    ]


def csv_table(title, rows):
    """Format rows of text as a table in reStructuredText."""
    lines = [", ".join(f'"{cell}"' for cell in line) for line in (COLUMNS, *rows)]
    header, *body = lines
    text = [f".. csv-table:: {title}", f"   :header: {header}", ""]
    return "\n".join([*text, *(f"   {line}" for line in body), ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="fits of GaussianVAE")
    parser.add_argument("--output", type=Path, help="write the tables here as .rst")
    args = parser.parse_args()

    standardized, raw = [], []
    for name, train, test in tables():
        scaler = StandardScaler().fit(train)
        scaled = scaler.transform(train), scaler.transform(test)
        shift = np.log(scaler.scale_).sum()
        standardized.append(row(name, *scaled, args.seeds))
        print("standardised:", *standardized[-1], sep="  ", flush=True)
        raw.append(row(name, train, test, args.seeds, shift))
        print("raw:", *raw[-1], sep="  ", flush=True)
    text = "\n".join(
        [
            csv_table(
                "Standardised columns (and the number of components)", standardized
            ),
            csv_table(
                "Raw columns (and scores in the units of standardised ones)", raw
            ),
            about(),
        ]
    )
    print(f"\n{text}")
    if args.output:
        args.output.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
