"""All families on the same data: likelihood, samples and seconds, at the defaults.

    python examples/benchmarks/families.py [table ...] [--output families.rst]

The tables are moons, cancer, digits and bits (the digits above half of the scale). Each
estimator of `skgen.__all__` stands in those whose data it is made for; a mixture of
Gaussians, with the number of components and the covariance of the best score on a fifth
of the training rows, stands beside them. Conditional models are given the class, so
that their likelihood is that of a row given its class, and their samples have the
classes of the test rows.

Energy distances are of as many samples as test rows, on columns that are standardised
by the training rows, with the mean and the standard deviation of five draws. Those of
"training rows" are the floor. Seconds are processor time; set OMP_NUM_THREADS=1 to have
those of one core.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _report import about, table
from sklearn.datasets import load_breast_cancer, load_digits, make_moons
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split

import skgen
from skgen.base import ConditionalMixin, LikelihoodMixin
from skgen.metrics import energy_distance

N_SAMPLED = 1000
OF_REAL_VALUES = (
    "GaussianVAE",
    "GaussianRBM",
    "DeepBeliefNetwork",
    "DiffusionModel",
    "EnergyModel",
    "GAN",
    "ConditionalGaussianVAE",
    "ConditionalDiffusionModel",
)
OF_BITS = (
    "BernoulliVAE",
    "BernoulliRBMGPU",
    "DeepBeliefNetwork",
    "ConditionalBernoulliVAE",
)


def moons():
    return make_moons(3_000, noise=0.1, random_state=0)


def cancer():
    return load_breast_cancer(return_X_y=True)


def digits():
    """The digits with uniform noise of the width of a grey level: densities."""
    X, y = load_digits(return_X_y=True)
    return X + np.random.RandomState(0).uniform(size=X.shape), y


def bits():
    X, y = load_digits(return_X_y=True)
    return (X > 8).astype(float), y


DATA = {"moons": moons, "cancer": cancer, "digits": digits, "bits": bits}
TITLES = {
    "moons": "Two moons: 2400 rows of 2 columns, 600 held out",
    "cancer": "Breast cancer: 455 rows of 30 columns in raw units, 114 held out",
    "digits": "Digits in grey levels with uniform noise: 1437 rows of 64 columns, 360 "
    "held out",
    "bits": "Digits as bits: 1437 rows of 64 columns, 360 held out",
}


def timed(function, *args, **kwargs):
    start = time.process_time()
    result = function(*args, **kwargs)
    return result, time.process_time() - start


def mixture(train):
    """Return an unfitted mixture, chosen by rows that are held out of the training."""
    some, others = train_test_split(train, test_size=0.2, random_state=0)
    scores = {}
    for kind in ("full", "diag", "tied"):
        for n in (1, 2, 4, 8, 16, 32, 64):
            model = GaussianMixture(n, covariance_type=kind, random_state=0)
            try:
                scores[kind, n] = model.fit(some).score(others)
            except ValueError:  # a covariance that is singular
                continue
    kind, n = max(scores, key=scores.get)
    return GaussianMixture(n, covariance_type=kind, random_state=0)


def estimators(name, train):
    """Yield the label and an unfitted estimator of each line of a table."""
    if name != "bits":
        yield "GaussianMixture", mixture(train)
    for kind in OF_BITS if name == "bits" else OF_REAL_VALUES:
        params = {"random_state": 0}
        if kind == "DeepBeliefNetwork" and name != "bits":
            params["visible"] = "gaussian"
        yield kind, getattr(skgen, kind)(**params)
        if kind == "BernoulliRBMGPU":
            # Its defaults are those of scikit-learn, a short training.
            longer = {"batch_size": 100, "n_iter": 170}
            params |= longer | {"learning_rate_schedule": "linear"}
            yield f"{kind}, 2550 steps of 100 rows", skgen.BernoulliRBMGPU(**params)


def likelihood(model, X, y):
    """Return held-out nats a row, and how they are known."""
    if isinstance(model, GaussianMixture):
        return f"{model.score(X):.2f}", "exact"
    if not isinstance(model, LikelihoodMixin):
        return "", "none"
    given = (X, y) if isinstance(model, ConditionalMixin) else (X,)
    value = model.log_likelihood(*given).mean()
    if hasattr(model, "log_likelihood_bounds"):
        low, high = (bound.mean() for bound in model.log_likelihood_bounds(X)[:2])
        return f"{value:.2f}", f"[{low:.2f}, {high:.2f}]"
    by_samples = "VAE" in type(model).__name__
    return f"{value:.2f}", "importance samples" if by_samples else "probability flow"


def draw(model, n_samples, y, seed):
    if isinstance(model, GaussianMixture):
        return model.set_params(random_state=seed).sample(n_samples)[0]
    if isinstance(model, ConditionalMixin):
        y = np.resize(y, n_samples)
        return model.sample(y=y, random_state=seed)
    return model.sample(n_samples, random_state=seed)


def standardiser(X):
    """Return what standardises rows by those of a table; constant columns stay."""
    mean, std = X.mean(0), X.std(0)
    std[std == 0] = 1
    return lambda rows: (rows - mean) / std


def distance(test, sets):
    """Format the mean energy distance of several sets of samples, and its spread."""
    values = [energy_distance(test, drawn) for drawn in sets]
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def line(label, model, train, test):
    """Fit an estimator; return the cells of its line."""
    (X, y), (X_test, y_test) = train, test
    standardised = standardiser(X)
    fit = (X, y) if isinstance(model, ConditionalMixin) else (X,)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, of_fit = timed(model.fit, *fit)
        nats, known_by = likelihood(model, X_test, y_test)
    for warning in caught:
        print(f"  {label}: {str(warning.message)[:200]}", flush=True)
    _, of_samples = timed(draw, model, N_SAMPLED, y_test, 0)
    sets = [standardised(draw(model, len(X_test), y_test, s)) for s in range(5)]
    apart = distance(standardised(X_test), sets)
    return [label, nats, known_by, apart, f"{of_fit:.1f}", f"{of_samples:.2f}"]


def lines(name):
    """Yield the lines of one table."""
    X, y = DATA[name]()
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    standardised = standardiser(X)
    rng = np.random.RandomState(0)
    several = [rng.choice(len(X), len(X_test), replace=False) for _ in range(5)]
    sets = [standardised(X[rows]) for rows in several]
    floor = distance(standardised(X_test), sets)
    yield ["training rows", "", "", floor, "", ""]
    for label, model in estimators(name, X):
        yield line(label, model, (X, y), (X_test, y_test))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(DATA)}")
    parser.add_argument("--output", type=Path, help="write the tables to this file")
    args = parser.parse_args()
    if unknown := set(args.tables) - set(DATA):
        parser.error(f"unknown tables: {', '.join(sorted(unknown))}")
    header = [
        "model",
        "nats",
        "known by",
        "energy distance",
        "fit, s",
        "1000 samples, s",
    ]
    parts = []
    for name in args.tables or DATA:
        rows = [header]
        for row in lines(name):
            rows.append(row)
            print(f"{name}: {'  '.join(row)}", flush=True)
        parts.append(f"**{TITLES[name]}**\n\n{table(rows)}\n")
    text = "\n".join([*parts, about(torch.get_num_threads())])
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
