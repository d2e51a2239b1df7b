"""How much faster several processes train than one: ratios of the times of an epoch.

    python examples/benchmarks/several_processes.py --processes 1 2

The mini-batch of all processes together stays the same. Each process has one thread, as
torchrun sets it; the times are medians over epochs.
"""

import argparse
import json
import os
import subprocess
import sys
from statistics import median

import numpy as np
from _report import about, table

N_EPOCHS = 4


def models():
    """Models by name, with the mini-batches that they are measured at."""
    from skgen import BernoulliRBMGPU, BernoulliVAE

    common = {"n_iter": N_EPOCHS, "random_state": 0}
    for batch_size in (100, 1000, 4000):
        options = common | {"batch_size": batch_size}
        yield f"RBM 784 x 500, {batch_size}", BernoulliRBMGPU(500, **options)
        vae = BernoulliVAE(16, hidden_layer_sizes=(512,), architecture="mlp", **options)
        yield f"VAE 784-512-16, {batch_size}", vae


def child():
    """Fit in this process, which is one of several; the first prints the times."""
    from skgen.parallel import data_parallel

    X = (np.random.default_rng(0).random((8000, 784)) < 0.2).astype(np.float32)
    with data_parallel() as processes:
        for name, model in models():
            model.fit(X)
            if processes.rank == 0:
                seconds = median(row["dur"] for row in model.history_[1:])
                print(json.dumps([name, seconds]), flush=True)


def measure(n):
    """Return the seconds of an epoch by n processes, by model."""
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
    return dict(map(json.loads, lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child()
        return
    found = {n: [] for n in args.processes}
    for _ in range(args.rounds):
        for n in args.processes:
            found[n].append(measure(n))
    first = args.processes[0]
    names = [f"{n} processes, s" for n in args.processes]
    lines = [["model, mini-batch", *names, "speed-up", "efficiency"]]
    for model in found[first][0]:
        times = [median(one[model] for one in found[n]) for n in args.processes]
        gain = times[0] / times[-1]
        efficiency = gain * first / args.processes[-1]
        numbers = [*times, gain, efficiency]
        lines.append([model, *[f"{number:.2f}" for number in numbers]])
    print(f"{table(lines)}\n\n{about()}")


if __name__ == "__main__":
    main()
