"""Training steps on a GPU, beside the sum of their kernels and beside bare loops.

    python examples/benchmarks/gpu.py

A step of `skgen` is timed as a user has it: two fits that differ in the number of
epochs alone, and the difference of their times divided by that of their numbers of
steps. The kernels of the same steps come from the profiler of PyTorch. The bare loops
of `_bare_loops.py` run on the same GPU. Implementations take turns, and the tables show
medians over rounds. The data is random bits: the time does not depend on the values.
"""

import argparse
import time
from statistics import median

import torch
from _bare_loops import bare_rbm, bare_vae
from _report import about, table
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from skgen import BernoulliRBMGPU, BernoulliVAE

BATCHES = [10, 64, 256, 1024, 4096, 8192]
RBMS = [(784, 1024), (4096, 4096)]
RBM_PRECISIONS = ["float32", "tf32", "bfloat16"]
VAE_HIDDEN, VAE_LATENT = 512, 16
DEVICE = "cuda"


def rows_of(n_features, batch):
    """Return random bits for some mini-batches of one size."""
    n_rows = batch * max(2, min(128, 16_384 // batch))
    bits = torch.rand(n_rows, n_features, device=DEVICE) < 0.3
    return bits.float().cpu().numpy()


def rbm(n_hidden, X, batch, precision):
    """Return what trains a machine of `skgen` for some epochs."""

    def train(epochs):
        BernoulliRBMGPU(
            n_hidden,
            batch_size=batch,
            n_iter=epochs,
            learning_rate=0.01,
            precision=precision,
            device=DEVICE,
            random_state=0,
        ).fit(X)

    return train


def vae(X, batch, precision):
    """Return what trains an autoencoder of `skgen` for some epochs."""

    def train(epochs):
        BernoulliVAE(
            VAE_LATENT,
            hidden_layer_sizes=(VAE_HIDDEN,),
            architecture="mlp",
            batch_size=batch,
            n_iter=epochs,
            weight_decay=0,
            n_warmup_iter=0,
            learning_rate_schedule="constant",
            precision=precision,
            device=DEVICE,
            random_state=0,
        ).fit(X)

    return train


def bare(loop, X, *sizes):
    """Return what trains by a bare loop for some epochs."""
    on_gpu = torch.from_numpy(X).to(DEVICE)
    return lambda epochs: loop(on_gpu, *sizes, epochs)


def seconds(train, epochs):
    """Return how long a training takes."""
    torch.cuda.synchronize()
    begin = time.perf_counter()
    train(epochs)
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def epochs_for(train, n_batches, wanted):
    """Return a number of epochs that takes about as many seconds as wanted."""
    train(2)  # loads the kernels
    n = 1 + 256 // n_batches
    each = max(seconds(train, 1 + n) - seconds(train, 1), 1e-4) / n
    return 1 + max(2, round(wanted / each))


def kernels(train, n_steps):
    """Return the time of the kernels of a step in microseconds, and their number."""
    epochs, totals = 2 + 64 // n_steps, []
    for n in (1, epochs):
        with profile(activities=[ProfilerActivity.CUDA]) as record:
            train(n)
            torch.cuda.synchronize()
        events = record.key_averages()
        events = [e for e in events if e.device_type == DeviceType.CUDA]
        used = sum(e.self_device_time_total for e in events)
        totals.append((used, sum(e.count for e in events)))
    (time_1, count_1), (time_n, count_n) = totals
    steps = (epochs - 1) * n_steps
    return (time_n - time_1) / steps, (count_n - count_1) / steps


def measure(trains, n_batches, rounds, wanted):
    """Return label, microseconds of a step and of its kernels, their number."""
    epochs = {k: epochs_for(train, n_batches, wanted) for k, train in trains.items()}
    times = {label: [] for label in trains}
    for _ in range(rounds):
        for label, train in trains.items():
            more = seconds(train, epochs[label]) - seconds(train, 1)
            times[label].append(1e6 * more / ((epochs[label] - 1) * n_batches))
    rows = []
    for label, train in trains.items():
        of_kernels, number = kernels(train, n_batches)
        rows.append((label, median(times[label]), of_kernels, number))
    return rows


def show(sizes, flops, rows):
    """Print the rows of one size as soon as they are there."""
    lines = []
    for label, step, of_kernels, number in rows:
        lines.append(
            [
                *sizes,
                label,
                f"{step:.0f}",
                f"{of_kernels:.0f}",
                f"{number:.0f}",
                f"{of_kernels / step:.2f}",
                f"{flops / step / 1e6:.1f}",
                f"{rows[-1][1] / step:.2f}",
            ]
        )
        print("  ".join(lines[-1]), flush=True)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each timed fit")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs a GPU that torch can use.")
    header = ["model", "batch", "implementation", "step, µs", "kernels, µs", "kernels"]
    header += ["busy", "TFLOP/s", "bare loop / step"]
    lines = [header]
    for batch in args.batches:
        for n_visible, n_hidden in RBMS:
            X = rows_of(n_visible, batch)
            trains = {p: rbm(n_hidden, X, batch, p) for p in RBM_PRECISIONS}
            trains["bare loop"] = bare(bare_rbm, X, n_hidden, batch)
            found = measure(trains, len(X) // batch, args.rounds, args.seconds)
            flops = 10 * n_visible * n_hidden * batch
            size = f"RBM {n_visible} x {n_hidden}"
            lines += show([size, str(batch)], flops, found)
        X = rows_of(784, batch)
        trains = {p: vae(X, batch, p) for p in ("float32", "bfloat16")}
        trains["bare loop"] = bare(bare_vae, X, VAE_HIDDEN, VAE_LATENT, batch)
        found = measure(trains, len(X) // batch, args.rounds, args.seconds)
        n_weights = 2 * 784 * VAE_HIDDEN + 3 * VAE_LATENT * VAE_HIDDEN
        size = f"VAE 784-{VAE_HIDDEN}-{VAE_LATENT}"
        lines += show([size, str(batch)], 6 * n_weights * batch, found)
    print(f"\n{torch.cuda.get_device_name()}\n\n{table(lines)}\n\n{about()}")


if __name__ == "__main__":
    main()
