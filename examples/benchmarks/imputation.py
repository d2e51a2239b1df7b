"""Errors of imputation on the digits, compared with scikit-learn's imputers.

A share of the pixels is removed at random. Each imputer is fitted on the incomplete
images and imputes the missing values. All imputers have their default settings, except
for `n_levels=1` for binary pixels. Errors are root mean squares over the missing
pixels, which are in [0, 1].

    python examples/benchmarks/imputation.py
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skgen.impute import GenerativeImputer

GREY = load_digits().data / 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.3, help="of missing pixels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write a table here as .rst")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)

    rows = []
    for name, X in [("grey", GREY), ("binary", (GREY > 0.5).astype(float))]:
        levels = 4 if name == "grey" else 1
        for make in (
            lambda seed, n=levels: GenerativeImputer(n_levels=n, random_state=seed),
            lambda _: KNNImputer(),
            lambda seed: IterativeImputer(random_state=seed),
            lambda _: SimpleImputer(),
        ):
            errors, seconds = [], []
            for seed in range(args.seeds):
                missing = np.random.RandomState(seed).uniform(size=X.shape) < args.share
                imputer = make(seed)
                began = time.perf_counter()
                filled = imputer.fit_transform(np.where(missing, np.nan, X))
                seconds.append(time.perf_counter() - began)
                errors.append(np.sqrt(np.mean((filled - X)[missing] ** 2)))
            label = type(imputer).__name__
            rows.append(
                f"{name}, {label}, {np.mean(errors):.4f} ± {np.std(errors):.4f}, "
                f"{np.median(seconds):.1f}"
            )
            print(rows[-1], flush=True)
    if args.output:
        header = ".. csv-table::\n   :header: pixels, imputer, error, seconds\n\n"
        args.output.write_text(header + "".join(f"   {row}\n" for row in rows))


if __name__ == "__main__":
    main()
