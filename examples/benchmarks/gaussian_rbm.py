"""GaussianRBM: held-out likelihood of digits and tables, exact optimum, and features.

    OMP_NUM_THREADS=1 python examples/benchmarks/gaussian_rbm.py --output results

The parts, which `--only` chooses from, are

- digits: the digits of scikit-learn, 1437 and 360 rows, with uniform noise in grey
  levels, so that the density bounds the probability of the integers. The noise of the
  training rows is drawn several times. log Z is bracketed by annealing in both
  directions.
- digits_peers: one normal distribution and a mixture of them on the same rows.
- optimum: eight hidden units on the standardised table diabetes, where the likelihood
  can be computed exactly: persistent contrastive divergence (PCD) and contrastive
  divergence (CD) beside maximum likelihood by Adam, from the same starts and from where
  PCD ended. All have several starts, of which that of the highest likelihood of the
  training rows is chosen.
- tables: ordinary tables at the defaults, standardised and raw, beside PCA, factor
  analysis and Gaussian mixtures, which have the number of components (and the
  covariance) of the best test score, as in `tables.py`. Scores of raw tables are in the
  units of standardised ones.
- features: accuracy of a logistic regression on hidden features, raw columns, PCA and
  the features of a BernoulliRBMGPU.

Likelihoods are in nats a row, and seconds are processor time of a fit. The speed of
training is measured by `speed.py --only gaussian_rbm`.
"""

import argparse
import time
import warnings
from copy import deepcopy
from pathlib import Path

import numpy as np
from _gaussian_rbm_exact import maximum_likelihood
from _report import about, table
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from tables import NAMES, peers

from skgen import BernoulliRBMGPU, GaussianRBM


def fitted(model, X):
    """Fit a model; return it and the seconds of processor time."""
    start = time.process_time()
    with warnings.catch_warnings():
        # That CD is not for learned variances is what is shown.
        warnings.filterwarnings("ignore", message=".*contrastive divergence")
        model.fit(X)
    return model, time.process_time() - start


def likelihoods(model, *data, n_temperatures):
    """Return the mean log-likelihoods of some data, and the width of the bracket."""
    result = model.log_partition_function(
        n_chains=100, n_temperatures=n_temperatures, random_state=0
    )
    return *(model.log_likelihood(X).mean() for X in data), result.upper - result.lower


# Digits


def noisy_digits(seed, n_copies):
    """Return training rows with several draws of the noise, and test rows with one."""
    X = datasets.load_digits().data
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = X[order[:1437]], X[order[1437:]]
    rng = np.random.default_rng([seed, 1])
    copies = [train + rng.uniform(size=train.shape) for _ in range(n_copies)]
    noise = np.random.RandomState(seed).uniform(size=X.shape)
    return np.concatenate(copies), test + noise[order[1437:]]


def digits_peers(args):
    rows = [["model", "split", "test", "train"]]
    for seed in args.splits:
        train, test = noisy_digits(seed, 1)
        for name, model in {
            "normal distribution": GaussianMixture(1),
            "mixture of 32, diagonal": GaussianMixture(
                32, covariance_type="diag", n_init=5, random_state=seed
            ),
        }.items():
            model.fit(train)
            scores = (f"{model.score(X):.2f}" for X in (test, train))
            rows.append([name, f"{seed}", *scores])
            print(*rows[-1], sep="  ", flush=True)
    return "Digits with noise, nats a row, by scikit-learn.", rows


def digits(args):
    rows = [
        ["hidden", "split", "test", "bracket", "width", "train", "fit, s", "log Z, s"]
    ]
    for n_hidden in args.hidden:
        for seed in args.splits:
            train, test = noisy_digits(seed, args.copies)
            model, seconds = fitted(
                GaussianRBM(
                    n_hidden,
                    learning_rate=args.learning_rate,
                    n_chains=args.chains,
                    n_iter=args.epochs,
                    algorithm=args.algorithm,
                    random_state=seed,
                ),
                train,
            )
            start = time.process_time()
            model.log_partition_function(
                "ais",
                n_chains=args.ais_chains,
                n_temperatures=args.temperatures,
                random_state=seed,
            )
            annealed = time.process_time() - start
            lower, upper = (ends.mean() for ends in model.log_likelihood_bounds(test))
            rows.append(
                [
                    f"{n_hidden}",
                    f"{seed}",
                    f"{model.log_likelihood(test).mean():.2f}",
                    f"[{lower:.2f}, {upper:.2f}]",
                    f"{upper - lower:.2f}",
                    f"{model.log_likelihood(train[:1437]).mean():.2f}",
                    f"{seconds:.0f}",
                    f"{annealed:.0f}",
                ]
            )
            print(*rows[-1], sep="  ", flush=True)
    return (
        f"Digits, nats a row, by {args.algorithm}: {args.copies} draws of the noise "
        f"of the training rows, {args.epochs} epochs, learning rate "
        f"{args.learning_rate:g} falling linearly to 0, mini-batches of 100, "
        f"{args.chains} chains; annealing with {args.ais_chains} chains and "
        f"{args.temperatures} temperatures.",
        rows,
    )


# Exact optimum


def optimum(args):
    X = datasets.load_diabetes(as_frame=True).data
    X = X.drop(columns="sex").to_numpy() if args.without_sex else X.to_numpy()
    train, test = train_test_split(X, test_size=0.3, random_state=0)
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    contrastive = {
        "PCD-5": {"n_gibbs_steps": 5},
        "PCD-1": {},
        "CD-1": {"algorithm": "cd"},
    }
    rows = [["method", "train", "test", "test, all starts", "least noise", "fit, s"]]

    def add(name, found):
        rows.append(best_start(name, found, train, test))
        print(*rows[-1], sep="  ", flush=True)

    def improved(model, learning_rate):
        start = time.process_time()
        maximum_likelihood(
            model, train, n_steps=args.ml_steps, learning_rate=learning_rate
        )
        return model, time.process_time() - start

    seeds = range(args.starts)
    starts = [GaussianRBM(8, n_iter=0, random_state=seed).fit(train) for seed in seeds]
    add("maximum likelihood", [improved(model, 0.02) for model in starts])
    for name, params in contrastive.items():
        params = {"n_iter": args.pcd_epochs, **params}
        models = [GaussianRBM(8, random_state=seed, **params) for seed in seeds]
        found = [fitted(model, train) for model in models]
        add(name, found)
        if name == "PCD-1":
            ended = [improved(deepcopy(model), 0.005) for model, _ in found]
            add("maximum likelihood from there", ended)
    return (
        f"Standardised diabetes{' without sex' if args.without_sex else ''}, 8 hidden "
        "units, nats a row, exact: the start with the "
        f"highest likelihood of the training rows, of {args.starts}.",
        rows,
    )


def best_start(name, found, train, test):
    """Return a row about the fit with the highest likelihood of the training rows."""
    for model, _ in found:
        model.log_partition_function("exact")
    scores = [
        (model.log_likelihood(train).mean(), model.log_likelihood(test).mean())
        for model, _ in found
    ]
    best = int(np.argmax([score for score, _ in scores]))
    model, seconds = found[best]
    return [
        name,
        *(f"{score:.2f}" for score in scores[best]),
        ", ".join(f"{score:.2f}" for _, score in scores),
        f"{np.min(model.noise_variance_):.4f}",
        f"{seconds:.1f}",
    ]


# Tables


def tables(args):
    rows = [
        [
            "table",
            "8 units",
            "256 units",
            "bracket",
            "256, raw",
            "PCA",
            "factor analysis",
            "mixture",
            "fit, s",
        ]
    ]
    steps = {"n_temperatures": args.table_temperatures}
    for name in args.tables:
        X = getattr(datasets, f"load_{name}")().data
        train, test = train_test_split(X, test_size=0.3, random_state=0)
        scaler = StandardScaler().fit(train)
        scaled, scaled_test = scaler.transform(train), scaler.transform(test)
        shift = np.log(scaler.scale_).sum()
        seed = {"random_state": args.seed}
        few, _ = fitted(GaussianRBM(8, **seed), scaled)
        many, seconds = fitted(GaussianRBM(**seed), scaled)
        raw, _ = fitted(GaussianRBM(**seed), train)
        score, width = likelihoods(many, scaled_test, **steps)
        cells = [
            f"{likelihoods(few, scaled_test, **steps)[0]:.2f}",
            f"{score:.2f}",
            f"{width:.2f}",
            f"{likelihoods(raw, test, **steps)[0] + shift:.2f}",
        ]
        of_peers = peers(scaled, scaled_test, scaled.shape[1])
        cells += [f"{best:.2f} ({chosen})" for best, chosen in of_peers[1:]]
        rows.append([name, *cells, f"{seconds:.1f}"])
        print(*rows[-1], sep="  ", flush=True)
    return (
        "Ordinary tables at the defaults (seed "
        f"{args.seed}), held-out nats a row, standardised.",
        rows,
    )


# Features


def features(args):
    rows = [["data", "features", "accuracy", "seconds"]]
    for name in ("digits", "breast_cancer"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=0.3, random_state=0, stratify=y
        )
        few = min(30, X.shape[1])
        contestants = {
            "GaussianRBM, 256": [StandardScaler(), GaussianRBM(random_state=0)],
            "raw": [StandardScaler()],
            f"PCA, {few}": [StandardScaler(), PCA(few)],
            "BernoulliRBMGPU, 256": [
                MinMaxScaler(clip=True),
                BernoulliRBMGPU(
                    256, learning_rate=0.05, n_iter=args.bits_epochs, random_state=0
                ),
            ],
        }
        for features, steps in contestants.items():
            start = time.process_time()
            classifier = LogisticRegression(C=args.penalty, max_iter=5000)
            model = make_pipeline(*steps, classifier).fit(X, y)
            seconds = time.process_time() - start
            accuracy = model.score(X_test, y_test)
            rows.append([name, features, f"{accuracy:.4f}", f"{seconds:.1f}"])
            print(*rows[-1], sep="  ", flush=True)
    return (
        f"Accuracy of logistic regression (C={args.penalty:g}) on 30 % held-out rows.",
        rows,
    )


PARTS = {
    part.__name__: part for part in (digits_peers, digits, optimum, tables, features)
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--output", type=Path, help="write tables to this folder")
    of_digits = parser.add_argument_group("digits")
    of_digits.add_argument("--hidden", type=int, nargs="+", default=[256])
    of_digits.add_argument("--splits", type=int, nargs="+", default=[0])
    of_digits.add_argument("--copies", type=int, default=20, help="draws of the noise")
    of_digits.add_argument("--epochs", type=int, default=25)
    of_digits.add_argument("--learning-rate", type=float, default=0.03)
    of_digits.add_argument("--chains", type=int, default=400, help="of training")
    of_digits.add_argument("--algorithm", default="pcd")
    of_digits.add_argument("--ais-chains", type=int, default=100)
    of_digits.add_argument("--temperatures", type=int, default=16_000)
    of_optimum = parser.add_argument_group("optimum")
    of_optimum.add_argument("--starts", type=int, default=3)
    of_optimum.add_argument(
        "--without-sex", action="store_true", help="drop the column of two values"
    )
    of_optimum.add_argument("--ml-steps", type=int, default=3000)
    of_optimum.add_argument("--pcd-epochs", type=int, default=600)
    of_tables = parser.add_argument_group("tables")
    names = [name for name in NAMES if name != "digits"]
    of_tables.add_argument("--tables", choices=names, nargs="+", default=names)
    of_tables.add_argument("--table-temperatures", type=int, default=500)
    of_tables.add_argument("--seed", type=int, default=0)
    of_features = parser.add_argument_group("features")
    of_features.add_argument("--penalty", type=float, default=1.0)
    of_features.add_argument("--bits-epochs", type=int, default=100)
    args = parser.parse_args()
    for name in args.only:
        print(f"\n{name}", flush=True)
        caption, rows = PARTS[name](args)
        text = f"{caption}\n\n{table(rows)}\n\n{about()}\n"
        print(f"\n{text}", flush=True)
        if args.output:
            args.output.mkdir(parents=True, exist_ok=True)
            (args.output / f"gaussian_rbm_{name}.rst").write_text(text)


if __name__ == "__main__":
    main()
