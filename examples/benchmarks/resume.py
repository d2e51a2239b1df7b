"""The time of a checkpoint of `Resume`, beside that of an epoch.

    python examples/benchmarks/resume.py

The data are random bits of the size of MNIST: the times do not depend on the values.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from _report import about, table

from skgen import BernoulliRBMGPU, BernoulliVAE
from skgen.callbacks import Resume

N_EPOCHS = 5
MODELS = {
    "RBM 784 x 500": BernoulliRBMGPU(500, batch_size=100, n_iter=N_EPOCHS),
    "RBM 784 x 1024": BernoulliRBMGPU(1024, batch_size=512, n_iter=N_EPOCHS),
    "VAE 784-512-16": BernoulliVAE(
        16, hidden_layer_sizes=(512,), architecture="mlp", n_iter=N_EPOCHS
    ),
}


class TimedResume(Resume):
    """Measure how long checkpoints take; the copies of a net share the list."""

    def __init__(self, dirname):
        super().__init__(dirname)
        self.seconds = []

    def on_epoch_end(self, net, **kwargs):
        begin = time.perf_counter()
        super().on_epoch_end(net, **kwargs)
        self.seconds.append(time.perf_counter() - begin)


def measure(model, X):
    """Return medians: seconds of an epoch and of a checkpoint; and its megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        resume = TimedResume(folder)
        model.set_params(callbacks=[resume], random_state=0).fit(X)
        sizes = [path.stat().st_size for path in Path(folder).glob("*.skgen")]
    epochs = [row["dur"] for row in model.history_[1:]]
    return median(epochs), median(resume.seconds), max(sizes) / 1e6


def main():
    X = (np.random.default_rng(0).random((60_000, 784)) < 0.2).astype(np.float32)
    lines = [["model", "epoch, s", "checkpoint, s", "share", "MB"]]
    for name, model in MODELS.items():
        epoch, checkpoint, size = measure(model, X)
        share = f"{100 * checkpoint / epoch:.2f} %"
        lines.append([name, f"{epoch:.2f}", f"{checkpoint:.3f}", share, f"{size:.1f}"])
        print("  ".join(lines[-1]), flush=True)
    print(f"\n{table(lines)}\n\n{about()}")


if __name__ == "__main__":
    main()
