"""How much faster several processes train than one, and what they spend on averages.

    python examples/benchmarks/several_processes.py --processes 2

The mini-batch of all processes together stays the same. Each process has one thread, as
torchrun sets it. Times are medians over epochs and rounds. What is expected is the time
of one process for its part of the mini-batch, and that of averaging as many numbers as
the model has parameters over all processes.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

import numpy as np
from _report import about, table

N_EPOCHS = 4
N_ROWS = 8000
BATCH_SIZES = (125, 250, 500, 1000, 2000, 4000)


def models(batch_size):
    """Models by name."""
    from skgen import BernoulliRBMGPU, BernoulliVAE

    options = {"n_iter": N_EPOCHS, "random_state": 0, "batch_size": batch_size}
    yield "RBM 784 x 500", BernoulliRBMGPU(500, **options)
    networks = {"hidden_layer_sizes": (512,), "architecture": "mlp"}
    yield "VAE 784-512-16", BernoulliVAE(16, **networks, **options)


def child():
    """Fit in this process, which is one of several; the first prints the times."""
    from skgen.parallel import data_parallel

    X = (np.random.default_rng(0).random((N_ROWS, 784)) < 0.2).astype(np.float32)
    with data_parallel() as processes:
        for batch_size in BATCH_SIZES:
            for name, model in models(batch_size):
                model.fit(X)
                epoch = median(row["dur"] for row in model.history_[1:])
                parameters = [p.detach() for p in model.net_.module_.parameters()]
                averages = seconds_of_averages(processes, parameters)
                if processes.rank == 0:
                    found = [name, batch_size, epoch * batch_size / N_ROWS, averages]
                    print(json.dumps(found), flush=True)


def seconds_of_averages(processes, tensors):
    """Return the seconds that the average of some tensors over processes takes."""
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        processes.average_([tensor.clone() for tensor in tensors], 1.0)
        times.append(time.perf_counter() - begin)
    return median(times)


def measure(n):
    """Return the seconds of a step by n processes, and of averages, by model."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={n}", __file__, "--child"]
    ended = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line for line in ended.stdout.splitlines() if line.startswith("[")]
    return {(name, size): times for name, size, *times in map(json.loads, lines)}


def milliseconds(found, key, which):
    """Return the median over rounds of one of the times, in milliseconds."""
    return 1e3 * median(one[key][which] for one in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child()
        return
    n, found = args.processes, {1: [], args.processes: []}
    for _ in range(args.rounds):
        for count, replies in found.items():
            replies.append(measure(count))
    names = ["one process, ms", f"{n} processes, ms", "expected, ms", "averages, ms"]
    lines = [["model", "mini-batch", *names, "speed-up", "efficiency"]]
    for name, batch_size in sorted(found[1][0]):
        key, part = (name, batch_size), (name, batch_size // n)
        alone = milliseconds(found[1], key, 0)
        together = milliseconds(found[n], key, 0)
        averages = milliseconds(found[n], key, 1)
        numbers = [alone, together, np.nan, averages, alone / together]
        numbers.append(numbers[-1] / n)
        if part in found[1][0]:
            numbers[2] = milliseconds(found[1], part, 0) + averages
        cells = ["" if np.isnan(number) else f"{number:.2f}" for number in numbers]
        lines.append([name, str(batch_size), *cells])
    print(f"{table(lines)}\n\n{about()}")


if __name__ == "__main__":
    main()
