r"""Time and memory of training an RBM as functions of all sizes.

One size is varied at a time: the number of rows, of features, of hidden units, of rows
in a mini-batch and of Gibbs steps. In addition, the numbers of features and of hidden
units are varied together, from a machine of 8 x 8 units. Each measurement has a new
process, in which a tiny model is fitted first. Each fit takes one epoch, on random
bits. Time is the median of a few fits, and memory is the size of X plus the peak of the
additional memory of the first fit.

    OMP_NUM_THREADS=1 python examples/benchmarks/cost_curves.py \
        --output docs/benchmarks --figure docs/_static/cost_curves.png

This writes cost_curves.rst to the folder, and the figure.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from _report import show
from _rounds import fresh_fits
from _worker import Worker

mpl.use("Agg")
import matplotlib.pyplot as plt

BASE = {"rows": 10_000, "features": 784, "hidden": 256, "batch": 100, "steps": 1}
# Values of each size, and the exponents of the best possible growth of time per row
# and of memory. With "both", there are as many features as hidden units.
SWEEPS = {
    "both": ([8, 16, 32, 64, 128, 256, 512, 1024], 2, 1),
    "rows": ([100, 300, 1_000, 2_500, 5_000, 10_000, 20_000, 40_000], 0, 1),
    "features": ([8, 16, 32, 64, 98, 196, 392, 784, 1568], 1, 1),
    "hidden": ([8, 16, 32, 64, 128, 256, 512, 1024], 1, 0),
    "batch": ([1, 3, 10, 30, 100, 300, 1000], 0, 0),
    "steps": ([1, 2, 4, 8], 1, 0),
}
TITLES = {
    "both": "features = hidden units",
    "rows": "rows",
    "features": "features",
    "hidden": "hidden units",
    "batch": "batch size",
    "steps": "Gibbs steps",
}
LABELS = ["skgen", "scikit-learn"]


def cost(label, task, rounds):
    """Measure µs per row and memory in MB; None if the fit cannot run."""
    with Worker() as worker:
        task = {"data": "random bits", **task}
        replies = fresh_fits(worker, label, task, rounds)
    if "skipped" in replies[-1]:
        return None
    seconds = np.median([reply["seconds"] for reply in replies])
    n_bytes = replies[0]["memory"] + 4 * task["rows"] * task["features"]
    return 1e6 * seconds / task["rows"], n_bytes / 1e6


def task_of(name, value):
    """Return the task in which one size, or both of the layers, have a value."""
    names = ("features", "hidden") if name == "both" else (name,)
    return BASE | dict.fromkeys(names, value)


def measure(sizes, rounds):
    """Measure (value, time, memory) for all values of each size, by size and label."""
    costs = {}
    for name, (values, *_) in sizes.items():
        for value in values:
            for label in LABELS:
                if name == "steps" and label == "scikit-learn" and value > 1:
                    continue  # it has no such parameter
                found = cost(label, task_of(name, value), rounds)
                if found:
                    costs.setdefault((name, label), []).append((value, *found))
                    print(name, value, label, "{} µs, {} MB".format(*digits(*found)))
    return costs


def digits(*numbers):
    return [f"{number:.{1 if number >= 1 else 2}f}" for number in numbers]


def plot(costs, sizes, path):
    """Plot a column for each size that is varied, with slopes for comparison."""
    fig, axes = plt.subplots(
        2, len(sizes), figsize=(18, 6), sharex="col", sharey="row", layout="constrained"
    )
    for column, (name, (_, *powers)) in zip(axes.T, sizes.items(), strict=True):
        for i, (ax, power) in enumerate(zip(column, powers, strict=True)):
            for label in LABELS:
                found = np.array(costs.get((name, label), np.empty((0, 3))))
                ax.loglog(found[:, 0], found[:, 1 + i], "o-", label=label)
                if label == "skgen":
                    x, y = found[:, 0], found[-1, 1 + i]
                    slope = y * (x / x[-1]) ** power
                    ax.loglog(x, slope, "k:", label=f"slope {power}")
            ax.legend(fontsize="small")
        values = sizes[name][0]
        labelled = values[:: 1 if len(values) < 6 else 2]  # so that labels fit
        column[-1].set_xticks(labelled, [f"{v:,}" for v in labelled], fontsize="small")
        column[-1].xaxis.minorticks_off()
        column[-1].set_xlabel(TITLES[name])
    axes[0, 0].set_ylabel("time per row and epoch, µs")
    axes[1, 0].set_ylabel("X and memory of a fit, MB")
    fig.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, default=Path(), help="folder of the table"
    )
    parser.add_argument("--figure", type=Path, default=Path("cost_curves.png"))
    parser.add_argument("--quick", action="store_true", help="two values each, 1 round")
    args = parser.parse_args()
    sizes = SWEEPS
    if args.quick:
        args.rounds = 1
        sizes = {name: (values[:2], *rest) for name, (values, *rest) in SWEEPS.items()}

    costs = measure(sizes, args.rounds)
    rows = [["varied size", "value", "package", "µs per row", "memory, MB"]]
    for (name, label), found in costs.items():
        rows += [
            [TITLES[name], f"{value:,}", label, *digits(time, memory)]
            for value, time, memory in found
        ]
    caption = (
        "Cost of training an RBM on random bits, with {rows:,} rows of {features} "
        "features, {hidden} hidden units, mini-batches of {batch} and {steps} Gibbs "
        "step, except for the sizes that are varied. Times are medians of {rounds} "
        "epochs; memory is the size of X plus the peak of the additional memory of a "
        "fit."
    ).format(rounds=args.rounds, **BASE)
    show("cost_curves", caption, rows, args.output)
    plot(costs, sizes, args.figure)


if __name__ == "__main__":
    main()
