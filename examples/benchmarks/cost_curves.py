"""Time and memory of training an RBM, against the size of everything.

One number is changed at a time: rows, features, hidden units, the batch size, Gibbs
steps a batch. Each fit of one epoch, on random bits, has a fresh process, in which a
fit of 200 rows comes first. Time is the median of a few fits, memory the peak of the
first of them beyond what the process held before, X among it.

    python examples/benchmarks/cost_curves.py --output docs/_static

Writes cost_curves.png and cost_curves.rst there.
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
# Values of each, and powers with which time a row and memory would grow at best.
SWEEPS = {
    "rows": ([2_500, 5_000, 10_000, 20_000, 40_000], 0, 1),
    "features": ([98, 196, 392, 784, 1568], 1, 1),
    "hidden": ([64, 128, 256, 512, 1024], 1, 0),
    "batch": ([10, 30, 100, 300, 1000], 0, 0),
    "steps": ([1, 2, 4, 8], 1, 0),
}
TITLES = {
    "rows": "rows",
    "features": "features",
    "hidden": "hidden units",
    "batch": "batch size",
    "steps": "Gibbs steps a batch",
}
LABELS = ["skgen", "scikit-learn"]


def cost(label, task, rounds):
    """Microseconds a row and memory, MB; None where the fit cannot run."""
    with Worker() as worker:
        task = {"data": "random bits", **task}
        replies = fresh_fits(worker, label, task, rounds)
    if "skipped" in replies[-1]:
        return None
    seconds = np.median([reply["seconds"] for reply in replies])
    n_bytes = replies[0]["memory"] + 4 * task["rows"] * task["features"]
    return 1e6 * seconds / task["rows"], n_bytes / 1e6


def measure(sizes, rounds):
    """Costs by name of what is changed and label: pairs of a value and a cost."""
    costs = {}
    for name, (values, *_) in sizes.items():
        for value in values:
            for label in LABELS:
                if name == "steps" and label == "scikit-learn" and value > 1:
                    continue  # it has no such parameter
                found = cost(label, BASE | {name: value}, rounds)
                if found:
                    costs.setdefault((name, label), []).append((value, *found))
                    print(name, value, label, "{:.1f} µs, {:.0f} MB".format(*found))
    return costs


def plot(costs, sizes, path):
    """Draw a column for each number that is changed, with slopes to compare to."""
    fig, axes = plt.subplots(
        2, len(sizes), figsize=(15, 6), sharex="col", sharey="row", layout="constrained"
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
        column[-1].set_xticks(values, [f"{v:,}" for v in values], fontsize="small")
        column[-1].xaxis.minorticks_off()
        column[-1].set_xlabel(TITLES[name])
    axes[0, 0].set_ylabel("time a row and epoch, µs")
    axes[1, 0].set_ylabel("X and memory of a fit, MB")
    fig.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(), help="folder")
    parser.add_argument("--quick", action="store_true", help="two values each, 1 round")
    args = parser.parse_args()
    sizes = SWEEPS
    if args.quick:
        args.rounds = 1
        sizes = {name: (values[:2], *rest) for name, (values, *rest) in SWEEPS.items()}

    costs = measure(sizes, args.rounds)
    rows = [["changed", "to", "what", "µs a row", "memory, MB"]]
    for (name, label), found in costs.items():
        rows += [
            [TITLES[name], f"{value:,}", label, f"{time:.1f}", f"{memory:.0f}"]
            for value, time, memory in found
        ]
    caption = (
        "Cost of training an RBM on random bits; unless changed, {rows:,} rows of "
        "{features} features, {hidden} hidden units, batches of {batch}, {steps} "
        "Gibbs step. Times are medians of {rounds} epochs; memory is X and the peak "
        "of what a fit takes besides."
    ).format(rounds=args.rounds, **BASE)
    show("cost_curves", caption, rows, args.output)
    plot(costs, sizes, args.output / "cost_curves.png")


if __name__ == "__main__":
    main()
