"""Speed of small models, for which the fixed time of a step or of a call counts."""

from itertools import product

import numpy as np
from _contestants import KINDS
from _report import show
from _rounds import ratio

# (hidden units, batch size), for the digits of scikit-learn
RBM_SIZES = [(16, 10), (64, 10), (100, 10), (256, 10), (100, 100)]
# Those of scikit-learn by default, and fewer: the fixed time of a fit counts more.
RBM_EPOCHS = [2, 10]
# By (hidden units, batch size): minimal ratios of the speeds of skgen and scikit-learn
# with and without centering.
RBM_TARGETS = {
    (16, 10): (1.3, 1.6),
    (64, 10): (1.3, 1.6),
    (100, 10): (1.3, 1.6),
    (256, 10): (1.8, 2.3),
    (100, 100): (1.3, None),
}
# (width of the hidden layers, batch size, epochs): a fit takes about a second.
VAE_SIZES = [(64, 32, 40), (256, 128, 80), (256, 1000, 120)]
DIGITS = {"data": "grey digits", "rows": 1797, "features": 64}
LEAST = 0.85  # speed of skgen beside a bare loop


def columns(speeds, label, than):
    """Format time in µs of a step, and ratios of speeds to those of others."""
    if isinstance(speeds[label], str):
        return [speeds[label], *[""] * len(than)]
    ratios = [ratio(speeds, label, other) for other in than]
    found = ["" if r is None else f"{r:.2f}" for r in ratios]
    return [f"{1e6 / np.median(speeds[label]):,.1f}", *found]


def small_rbm(bench):
    """Measure the training of small RBMs with one thread."""
    than = ["scikit-learn", "lean loop"]
    of = [f"vs {other}" for other in than]
    rows = [["hidden, batch, epochs", "implementation", "µs per step", *of]]
    rounds = bench.rounds_of_short_runs
    for (hidden, batch), epochs in product(RBM_SIZES, RBM_EPOCHS):
        task = DIGITS | {"hidden": hidden, "batch": batch, "epochs": epochs}
        task["times"] = 1 if bench.quick else 10 // epochs
        contest = ("small rbm", None, task)
        speeds = bench.measure([contest], threads=1, rounds=rounds)
        rows += [
            [f"{hidden}, {batch}, {epochs}", label, *columns(speeds, label, than)]
            for label in KINDS["small rbm"]
        ]
        if epochs == RBM_EPOCHS[0]:
            small_rbm_targets(bench, (hidden, batch), speeds)
    caption = (
        "Training of an RBM on the digits of scikit-learn (1797 rows, 64 features in "
        "[0, 1], float32 unless stated otherwise) for 2 and for 10 epochs by PCD-1, "
        "with one thread: time of a fit by the number of its steps, medians of "
        f"{rounds} rounds, and ratios of speeds. The default of skgen is the centered "
        "gradient."
    )
    show("small_rbm", caption, rows, bench.output, threads=1)


def small_rbm_targets(bench, size, speeds):
    """Compare ratios of speeds of short fits with the targets."""
    default, uncentered = RBM_TARGETS[size]
    for label, other, least in [
        ("skgen, default", "scikit-learn", default),
        ("skgen, centered=False", "scikit-learn", uncentered),
        ("skgen, centered=False", "lean loop", LEAST),
    ]:
        if least:
            what = "digits, {} hidden, batch {}: ".format(*size) + f"{label} / {other}"
            bench.target(what, f"≥ {least:g}", ratio(speeds, label, other))


def small_vae(bench):
    """Measure the training of small VAEs with one thread."""
    rows = [["hidden, batch, epochs", "implementation", "µs per step", "vs bare loop"]]
    for width, batch, epochs in VAE_SIZES:
        epochs = epochs // 10 if bench.quick else epochs
        task = DIGITS | {"hidden": width, "batch": batch, "epochs": epochs}
        speeds = bench.measure([("small vae", None, task)], threads=1)
        rows += [
            [
                f"{width}, {batch}, {epochs}",
                label,
                *columns(speeds, label, ["bare loop"]),
            ]
            for label in KINDS["small vae"]
        ]
        what = f"VAE of digits, width {width}, batch {batch}: skgen / bare loop"
        bench.target(what, f"≥ {LEAST:g}", ratio(speeds, "skgen", "bare loop"))
    caption = (
        "Training of a Gaussian VAE with one hidden layer, 16 latent variables and a "
        "learned noise variance on the digits of scikit-learn, with one thread: time "
        f"of a fit by the number of its steps, medians of {bench.rounds} rounds."
    )
    show("small_vae", caption, rows, bench.output, threads=1)


def single_row(bench):
    """Measure the time of a call with one row, with one thread and with all cores."""
    rows = [["operation", "threads", "skgen, µs", "scikit-learn, µs", "ratio of times"]]
    task = {"data": "random bits", "features": 784, "rows": bench.rows(500)}
    task |= {"hidden": 1024, "grey": False}
    rounds = bench.rounds_of_short_runs
    for method, threads in product(("transform", "gibbs"), (1, None)):
        contest = (f"one row, {method}", None, task | {"times": 50})
        speeds = bench.measure([contest], threads=threads, rounds=rounds)
        times = [columns(speeds, k, [])[0] for k in ("skgen", "scikit-learn")]
        found = ratio(speeds, "scikit-learn", "skgen")
        shown = "" if found is None else f"{found:.2f}"
        rows.append([method, str(threads or "default"), *times, shown])
        if threads == 1:
            what = f"one row, {method}: time of skgen / scikit-learn"
            bench.target(what, "≤ 2", found)
    for grey, what in [(False, "bits"), (True, "grey values")]:
        contest = ("one row, score_samples", ["skgen"], task | {"times": 5})
        contest[2]["grey"] = grey
        speeds = bench.measure([contest], threads=1, rounds=rounds)
        time = columns(speeds, "skgen", [])[0]
        rows.append([f"score_samples of {what}", "1", time, "", ""])
        what = f"one row of {what}, score_samples: milliseconds"
        bench.target(what, "≤ 10", 1e3 / np.median(speeds["skgen"]))
    caption = (
        "Time of a call with one row of 784 features, by an RBM with 1024 hidden "
        "units. score_samples of skgen is exact, unlike that of scikit-learn. Medians "
        f"of {rounds} rounds."
    )
    show("single_row", caption, rows, bench.output)
