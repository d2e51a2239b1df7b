"""Speed and memory of skgen, of similar packages and of bare loops in PyTorch.

Every package runs in its own process. In each round, all implementations run one after
another. The tables show medians over rounds of the speed in rows per second, and of the
ratios of speeds within each round. The first run of each implementation is not counted.
Two tables compare the targets of skgen with the measured values.

    python examples/benchmarks/speed.py --data mnist.npz

Without `--data` (an .npz with X_train, uint8) MNIST is downloaded from OpenML, if it is
needed. If a package is not installed, it is skipped. The implementations are defined in
`_contestants.py`, and the bare loops in `_bare_loops.py`. `_small.py` measures small
models, and `_processes.py` what a user waits for in a new process.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from _contestants import KINDS
from _processes import first_fit, grid_search, two_processes
from _report import about, megabytes, show
from _rounds import Bench, cells, fresh_fits, ratio
from _small import single_row, small_rbm, small_vae
from _worker import Worker
from mnist_images import mnist

# (data, features, hidden units, batch size, rows)
RBM_SIZES = [
    ("digits", 64, 100, 10, 2_000),
    ("MNIST", 784, 256, 10, 2_000),
    ("MNIST", 784, 256, 100, 4_000),
    ("MNIST", 784, 500, 100, 4_000),
    ("MNIST", 784, 1024, 512, 8_192),
]
# (features, hidden units, batch size, rows, epochs), of random normal numbers. The
# estimator has at least 20 epochs by default.
GAUSSIAN_RBM_SIZES = [(64, 128, 128, 4_096, 20), (784, 500, 100, 2_000, 20)]
# A fit takes several epochs, as in practice: it validates its data only once.
RBM_EPOCHS, VAE_EPOCHS, VAE_ROWS = 5, 20, 4_000
VAE_BATCHES = [64, 256, 1024]
MEMORY_ROWS = [2_000, 20_000, 200_000]
PEERS = ["skgen", "scikit-learn", "learnergy", "rbms"]

# By (hidden units, batch size): minimal ratios of the speeds of skgen and scikit-learn,
# of skgen with bfloat16 and scikit-learn, and of skgen and the bare loop.
RBM_TARGETS = {
    (256, 10): (6.5, None, 1.0),
    (256, 100): (2.6, 3.5, 1.0),
    (500, 100): (2.3, 3.5, 1.0),
    (1024, 512): (2.4, 6.0, 0.95),
}


def step_shapes(n_visible, n_hidden, batch):
    """Return the sizes of the three products of PCD-1, for data and chains together."""
    return [
        (batch, n_hidden, n_visible),
        (2 * batch, n_visible, n_hidden),
        (n_hidden, 2 * batch, n_visible),
    ]


def training(bench):
    """Measure the training of RBMs."""
    than = ["scikit-learn", "bare loop"]
    of = [f"vs {other}" for other in than]
    sizes = "data, hidden, batch"
    rows = [[sizes, "implementation", "rows/s", *of, "share of products"]]
    square = {"shapes": [(2048, 2048, 2048)]}
    for name, n_visible, n_hidden, batch, n_rows in RBM_SIZES:
        task = {"data": name, "hidden": n_hidden, "batch": batch}
        task |= {"rows": bench.rows(n_rows), "epochs": RBM_EPOCHS}
        speeds = bench.measure([("rbm", None, task), ("products", None, square)])
        flops = 10 * n_visible * n_hidden
        for label in KINDS["rbm"]:
            row = cells(speeds, label, than)
            dtype = "bfloat16" if "bfloat16" in label else "float32"
            share = ratio(speeds, label, f"products of {dtype}")
            row.append("" if share is None else f"{share * flops:.0%}")
            rows.append([f"{name}, {n_hidden}, {batch}", label, *row])
        if name != "digits":
            training_targets(bench, (n_hidden, batch), speeds)
    caption = (
        f"Training of an RBM for {RBM_EPOCHS} epochs by PCD-1; medians of "
        f"{bench.rounds} rounds. The last column is the share of the rate of products "
        "of 2048 × 2048 matrices of the same dtype, measured in the same rounds."
    )
    show("rbm_training", caption, rows, bench.output)


def training_targets(bench, size, speeds):
    sklearn, bfloat16, bare = RBM_TARGETS[size]
    for label, other, least in [
        ("skgen", "scikit-learn", sklearn),
        ("skgen, bfloat16", "scikit-learn", bfloat16),
        ("skgen", "bare loop", bare),
        ("skgen", "learnergy", 3.0),
        ("skgen", "rbms", 1.5),
    ]:
        if least:
            what = "RBM, {} hidden, batch {}: ".format(*size) + f"{label} / {other}"
            bench.target(what, f"≥ {least:g}", ratio(speeds, label, other))


def gaussian_rbm(bench):
    """Measure the training of RBMs of real values with one thread."""
    rows = [["features, hidden, batch", "implementation", "rows/s", "vs bare loop"]]
    for n_visible, n_hidden, batch, n_rows, epochs in GAUSSIAN_RBM_SIZES:
        task = {"data": "random normal", "features": n_visible, "hidden": n_hidden}
        task |= {"batch": batch, "rows": bench.rows(n_rows), "epochs": epochs}
        speeds = bench.measure([("gaussian rbm", None, task)], threads=1)
        for label in KINDS["gaussian rbm"]:
            size = f"{n_visible}, {n_hidden}, {batch}"
            rows.append([size, label, *cells(speeds, label, ["bare loop"])])
        found = ratio(speeds, "skgen, default", "bare loop")
        bench.target(f"GaussianRBM, {size}: skgen / bare loop", "≥ 0.9", found)
    caption = (
        "Training of a Gaussian RBM with learned variances by PCD-1 on random numbers, "
        "with one thread. The bare loop does not center the gradient. Medians of "
        f"{bench.rounds} rounds."
    )
    show("gaussian_rbm", caption, rows, bench.output, threads=1)


def products(bench):
    """Measure the rate of matrix products."""
    rows = [["products", "float32, GFLOP/s", "bfloat16, GFLOP/s", "ratio"]]
    sizes = [
        (f"PCD-1, {v}, {h}, batch {n}", step_shapes(v, h, n))
        for name, v, h, n, _ in RBM_SIZES
        if name != "digits"
    ]
    for what, shapes in [("2048 × 2048", [(2048, 2048, 2048)]), *sizes]:
        speeds = bench.measure([("products", None, {"shapes": shapes})])
        names = ["products of float32", "products of bfloat16"]
        rates = [
            speeds[name]
            if isinstance(speeds[name], str)
            else f"{np.median(speeds[name]) / 1e9:,.0f}"
            for name in names
        ]
        found = ratio(speeds, *names[::-1])
        rows.append([what, *rates, "" if found is None else f"{found:.2f}"])
    caption = (
        "Rate of matrix products: of square matrices, and of the three products in a "
        "training step of an RBM, for the given numbers of visible units, hidden units "
        f"and rows of a mini-batch. Medians of {bench.rounds} rounds."
    )
    show("products", caption, rows, bench.output)


def inference(bench):
    """Measure inference by an RBM, and the additional time of monitoring a fit."""
    rows = [["operation", "skgen, rows/s", "scikit-learn, rows/s", "ratio"]]
    task = {"data": "MNIST", "hidden": 256, "batch": 100, "rows": bench.rows(10_000)}
    for kind, least, times in [("transform", 2.0, 10), ("gibbs", 3.0, 3)]:
        speeds = bench.measure([(kind, None, {**task, "times": times})])
        pair = "skgen", "scikit-learn"
        first, second = (cells(speeds, label, []) for label in pair)
        found = ratio(speeds, *pair)
        rows.append([kind, *first, *second, "" if found is None else f"{found:.2f}"])
        bench.target(f"{kind}: skgen / scikit-learn", f"≥ {least:g}", found)
    speed = bench.measure([("score_samples", ["skgen"], task)])["skgen"]
    rows.append(["score_samples, exact", f"{np.median(speed):,.0f}", "", ""])
    seconds = 10_000 / float(np.median(speed))
    bench.target("pseudo-likelihood of 10,000 rows, seconds", "≤ 4", seconds)

    task |= {"rows": bench.rows(20_000), "epochs": 5}
    speeds = bench.measure([("watching", None, task)])
    for label in KINDS["watching"]:
        rows.append([f"fit, {label}", *cells(speeds, label, []), "", ""])
        found = ratio(speeds, "plain", label)
        if label != "plain" and found:
            cost = found - 1
            rows[-1][-1] = f"{cost:+.1%} of time"
            bench.target(f"fit, {label}: share of time", "≤ 0.05", cost)
    caption = (
        "Inference by an RBM with 256 hidden units on MNIST, and fits of 5 epochs with "
        "mini-batches of 100, with and without monitoring, in training rows per "
        f"second. Medians of {bench.rounds} rounds."
    )
    show("rbm_inference", caption, rows, bench.output)


def vae(bench):
    """Measure the training of VAEs."""
    rows = [["batch", "implementation", "rows/s", "vs pythae", "vs bare loop"]]
    for batch in VAE_BATCHES:
        task = {"data": "grey MNIST", "batch": batch}
        task |= {"rows": bench.rows(VAE_ROWS), "epochs": VAE_EPOCHS}
        speeds = bench.measure([("vae", None, task)])
        for label in KINDS["vae"]:
            row = cells(speeds, label, ["pythae", "bare loop"])
            rows.append([f"{batch}", label, *row])
        targets = [("skgen", "bare loop", 0.95)]
        if batch == 1024:
            targets.append(("skgen, bfloat16", "pythae", 4.0))
        else:
            targets.append(("skgen", "pythae", 1.9))
        for label, other, least in targets:
            what = f"VAE, batch {batch}: {label} / {other}"
            bench.target(what, f"≥ {least:g}", ratio(speeds, label, other))
    caption = (
        f"Training of a VAE with the layers 784-512-16-512-784 for {VAE_EPOCHS} epochs "
        f"on {bench.rows(VAE_ROWS):,} grey images of MNIST; medians of {bench.rounds} "
        "rounds."
    )
    show("vae_training", caption, rows, bench.output)


def memory(bench):
    """Measure the peak memory of a fit in a new process."""
    rows = [["rows", "X", *PEERS]]
    for n_rows in MEMORY_ROWS[:1] if bench.quick else MEMORY_ROWS:
        row = [f"{n_rows:,}", megabytes(n_rows * 784 * 4)]
        task = {"data": "random bits", "features": 784, "rows": n_rows}
        task |= {"hidden": 256, "batch": 100}
        for label in PEERS:
            with Worker() as worker:
                reply = fresh_fits(worker, label, task)[0]
            row.append(reply.get("skipped") or megabytes(reply["memory"]))
        rows.append(row)
    caption = (
        "Peak memory of a fit in MB, in addition to the memory of the process before "
        "the fit, which holds X and the imported packages. The column X is the size of "
        "X in float32. The data has 784 features; the models have 256 hidden units and "
        "mini-batches of 100. Each fit runs in a new process, after a fit of a small "
        "model."
    )
    show("memory", caption, rows, bench.output)


# By the name of the table that compares the targets of these parts.
PARTS = {
    "summary": [training, gaussian_rbm, inference, vae, memory, products],
    "summary_small": [
        small_rbm,
        small_vae,
        single_row,
        first_fit,
        two_processes,
        grid_search,
    ],
}
NEED_MNIST = {"training", "inference", "vae"}


def summary(name, targets, output):
    """Compare targets with the measured values."""
    rows = [["quantity", "target", "measured", ""]]
    for what, bound, value in targets:
        if value is None:
            rows.append([what, bound, "not measured", ""])
            continue
        sign, limit = bound.split()
        met = value >= float(limit) if sign == "≥" else value <= float(limit)
        rows.append([what, bound, f"{value:.2f}", "" if met else "missed"])
    caption = (
        "Targets of skgen and measured values. Ratios are of speeds unless stated."
    )
    show(name, caption, rows, output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npz with X_train of MNIST")
    parser.add_argument("--rounds", type=int, default=5)
    names = [part.__name__ for parts in PARTS.values() for part in parts]
    parser.add_argument(
        "--only",
        choices=names,
        nargs="+",
        default=names,
        help="parts to run; a table of targets is written if all of its parts have run",
    )
    parser.add_argument("--output", type=Path, help="write tables to this folder")
    parser.add_argument("--quick", action="store_true", help="few rows, one round")
    args = parser.parse_args()
    args.rounds = 1 if args.quick else args.rounds

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = args.data
        if path is None and NEED_MNIST.intersection(args.only):
            path = Path(folder, "mnist.npz")
            np.savez(path, X_train=(mnist(None)[0] * 255).astype(np.uint8))
        bench = Bench(args, path)
        for name, parts in PARTS.items():
            chosen = [part for part in parts if part.__name__ in args.only]
            for part in chosen:
                part(bench)
            if bench.targets:
                # A table of some targets would replace one of all.
                output = args.output if chosen == parts else None
                summary(name, bench.targets, output)
                bench.targets.clear()
        bench.close()
    print(f"\n{about()} {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
