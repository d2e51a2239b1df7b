"""Speed of training: BernoulliRBMGPU, scikit-learn's BernoulliRBM, a bare loop.

All three run PCD-1 without centering on MNIST, or the 8 x 8 digits, thresholded at
1/2, so that the work is the same. Rounds are interleaved; what is printed are
medians over rounds of rows a second, and of the ratio within each round.

    python examples/benchmarks/rbm_training_speed.py --data mnist.npz

Without `--data` (an .npz with X_train, uint8) MNIST comes from OpenML.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM

import skgen
from skgen import BernoulliRBMGPU

# (data, hidden units, batch size, rows)
SIZES = [
    ("digits", 100, 10, 10_000),
    ("MNIST", 256, 10, 10_000),
    ("MNIST", 256, 100, 20_000),
    ("MNIST", 500, 100, 20_000),
    ("MNIST", 1024, 512, 20_000),
]


def mnist(path, n_rows):
    """The first rows of MNIST, zeros and ones, float32."""
    if path is None:
        from sklearn.datasets import fetch_openml

        X = fetch_openml("mnist_784", as_frame=False).data
    else:
        X = np.load(path)["X_train"].reshape(-1, 784)
    return (X[:n_rows] > 127).astype(np.float32)


def bare_loop(X, n_hidden, batch, lr=0.1):
    """PCD-1 with nothing around it; the yardstick.

    Data and chains share one product, 16-bit random bits, updates in place.
    """
    generator = torch.Generator().manual_seed(0)
    X = torch.from_numpy(X)
    W = torch.randn(n_hidden, X.shape[1], generator=generator) * 0.01
    b, c = torch.zeros(X.shape[1]), torch.zeros(n_hidden)
    h = torch.zeros(batch, n_hidden)

    def bits(p):
        words = torch.empty((p.numel() + 3) // 4, dtype=torch.int64)
        words.random_(-(2**63), None, generator=generator)
        u = words.view(torch.uint16)[: p.numel()].view(p.shape).float()
        return u.lt_(p * 2.0**16)

    order = torch.randperm(len(X), generator=generator)
    for start in range(0, len(X), batch):
        v = X[order[start : start + batch]]
        n = len(v)
        v_neg = bits(torch.sigmoid_(torch.addmm(b, h, W)))
        states = torch.cat([v, v_neg])
        p = torch.sigmoid_(torch.addmm(c, states, W.T))
        h = bits(p[n:])
        p[:n].mul_(1 / n)
        p[n:].mul_(-1 / batch)
        W.addmm_(p.T, states, alpha=lr)
        b.add_(v.mean(0) - v_neg.mean(0), alpha=lr)
        c.add_(p.sum(0), alpha=lr)
    return W


def contestants(n_hidden, batch):
    """Functions that train for one epoch on X, by name."""
    same = {"n_components": n_hidden, "batch_size": batch, "n_iter": 1}

    def ours(**params):
        model = BernoulliRBMGPU(device="cpu", random_state=0, **same, **params)
        return lambda X: model.fit(X)

    return {
        "skgen": ours(centered=False),
        "bare loop": lambda X: bare_loop(X, n_hidden, batch),
        "scikit-learn": lambda X: BernoulliRBM(random_state=0, **same).fit(X),
        "skgen, centered": ours(),
        "skgen, momentum": ours(centered=False, momentum=0.5),
    }


def measure(X, n_hidden, batch, rounds):
    """Seconds of every contestant, shape (rounds, n_contestants)."""
    runs = contestants(n_hidden, batch)
    for run in runs.values():
        run(X[: 3 * batch])
    seconds = np.empty((rounds, len(runs)))
    for i in range(rounds):
        for j, run in enumerate(runs.values()):
            began = time.perf_counter()
            run(X)
            seconds[i, j] = time.perf_counter() - began
    return list(runs), seconds


def table(rows):
    """A table in reStructuredText."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    line = "  ".join("=" * w for w in widths)
    text = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
    return "\n".join([line, text[0], line, *text[1:], line])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npz with X_train of MNIST")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the table here as .rst")
    args = parser.parse_args()

    digits = (load_digits().data > 8).astype(np.float32)
    data = {"digits": np.tile(digits, (6, 1)), "MNIST": mnist(args.data, 20_000)}
    rows = [
        ["data, hidden, batch", "what", "rows/s", "vs bare loop", "vs scikit-learn"]
    ]
    for name_of_data, n_hidden, batch, n_rows in SIZES:
        X = data[name_of_data][:n_rows]
        names, seconds = measure(X, n_hidden, batch, args.rounds)
        column = {name: seconds[:, j] for j, name in enumerate(names)}
        rows += [
            [
                f"{name_of_data}, {n_hidden}, {batch}",
                name,
                f"{n_rows / np.median(column[name]):,.0f}",
                f"{np.median(column['bare loop'] / column[name]):.2f}",
                f"{np.median(column['scikit-learn'] / column[name]):.2f}",
            ]
            for name in names
        ]
        print(table([rows[0], *rows[-len(names) :]]), flush=True)
    about = (
        f"Medians of {args.rounds} interleaved rounds of one epoch; "
        f"{torch.get_num_threads()} threads, {platform.machine()}; skgen "
        f"{skgen.__version__}, scikit-learn {sklearn.__version__}, torch "
        f"{torch.__version__}. PCD-1, float32."
    )
    print(about)
    if args.output:
        args.output.write_text(f"{about}\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()
