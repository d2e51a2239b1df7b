"""Log-likelihood of MNIST by BernoulliRBMGPU, with a lower and an upper bound.

The model has 500 hidden units. The bits of the training images are redrawn from the
grey values in every epoch, and those of the test images are drawn once. The model is
trained by persistent contrastive divergence with one Gibbs step, a learning rate that
falls linearly to 0, and a small weight decay. log Z is bracketed by annealing in both
directions between independent units and the model. Annealing can be repeated on a
stored model (`--model`). Salakhutdinov & Murray (2008) report -86.34 nats for a model
of this size trained by CD-25.

    python examples/benchmarks/rbm_mnist_likelihood.py --data mnist.npz

Without `--data` (an .npz with X_train and X_test, uint8) MNIST is downloaded from
OpenML. docs/benchmarks.rst lists the results of other settings.
"""

import argparse
import platform
import time
from pathlib import Path

import joblib
import numpy as np
import torch
from mnist_images import mnist

import skgen
from skgen import BernoulliRBMGPU
from skgen.callbacks import LogLikelihood


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npz with X_train, X_test of MNIST")
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=560)
    parser.add_argument("--batch-size", type=int, default=200, help="also of chains")
    parser.add_argument("--learning-rate", type=float, default=0.2)
    parser.add_argument("--weight-decay", type=float, default=4e-5)
    parser.add_argument("--gibbs-steps", type=int, default=1)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--chains", type=int, default=100, help="of annealing")
    parser.add_argument("--temperatures", type=int, default=100_000)
    parser.add_argument("--curve", action="store_true", help="record the likelihood")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="store or load the model")
    parser.add_argument("--output", type=Path, help="write the results here as .rst")
    args = parser.parse_args()

    X_train, X_test = mnist(args.data)
    watch = LogLikelihood(every=max(1, args.epochs // 10))
    rbm = BernoulliRBMGPU(
        args.hidden,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        learning_rate_schedule="linear",
        weight_decay=args.weight_decay,
        n_gibbs_steps=args.gibbs_steps,
        n_iter=args.epochs,
        binarize="sample",
        precision=args.precision,
        callbacks=[watch] if args.curve else None,
        random_state=args.seed,
    )
    if args.model and args.model.exists():
        rbm, seconds = joblib.load(args.model)
    else:
        began = time.perf_counter()
        rbm.fit(X_train)
        seconds = time.perf_counter() - began
        if args.model:
            joblib.dump((rbm, seconds), args.model)
    began = time.perf_counter()
    log_z = rbm.log_partition_function(
        "ais", n_chains=args.chains, n_temperatures=args.temperatures
    )
    annealed = time.perf_counter() - began
    lower, upper = (ends.mean() for ends in rbm.log_likelihood_bounds(X_test))
    log_p = rbm.log_likelihood(X_test)
    error = log_p.std() / len(log_p) ** 0.5
    train = rbm.log_likelihood(X_train[:10_000]).mean()
    lines = [
        f"{rbm.n_components} hidden units, {rbm.n_iter} epochs in {seconds:.0f} s on "
        f"{rbm.device_}, {torch.get_num_threads()} threads, {platform.machine()}; "
        f"mini-batches of {rbm.batch_size} and as many chains, {rbm.n_gibbs_steps} "
        f"Gibbs step, learning rate {rbm.learning_rate:g} falling linearly to 0, "
        f"weight decay {rbm.weight_decay:g}, {rbm.precision}, seed "
        f"{rbm.random_state}; skgen {skgen.__version__}, torch {torch.__version__}.",
        f"Test images: {log_p.mean():.2f} nats per image, bracket [{lower:.2f}, "
        f"{upper:.2f}] with 95 % confidence (standard error over images: {error:.2f}). "
        f"Training images: {train:.2f} nats per image. Annealing with {args.chains} "
        f"chains and {args.temperatures} temperatures in each direction took "
        f"{annealed:.0f} s: log Z = {log_z.estimate:.2f}, standard error "
        f"{log_z.standard_error:.2f}, effective sample size "
        f"{log_z.effective_sample_size:.0f}.",
    ]
    if "train_log_likelihood" in rbm.history_[-1]:
        rows = rbm.history_[:, ("epoch", "train_log_likelihood")]
        table = "".join(f"   {e}, {x:.2f}\n" for e, x in rows if not np.isnan(x))
        lines.append(f".. csv-table::\n   :header: epoch, training images\n\n{table}")
    print("\n".join(lines))
    if args.output:
        args.output.write_text("\n\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
