"""Log-likelihood of MNIST by BernoulliRBMGPU, with both ends of a bracket.

500 hidden units, bits drawn anew from the grey values in every epoch; of the test
images they are drawn once. Persistent contrastive divergence with one Gibbs step, a
learning rate that falls linearly to 0, and a little weight decay. log Z is bracketed
by annealing from independent bits and back. Annealing may be repeated on a machine
that was kept (`--model`). Salakhutdinov & Murray (2008) have -86.34
nats for a machine of this size trained by CD-25.

    python examples/benchmarks/rbm_mnist_likelihood.py --data mnist.npz

Without `--data` (an .npz with X_train and X_test, uint8) MNIST comes from OpenML. What
was tried, and what it gave, is in docs/benchmarks.rst.
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
from skgen.rbm._callbacks import LogLikelihood


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npz with X_train, X_test of MNIST")
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=560)
    parser.add_argument("--batch-size", type=int, default=200, help="and chains")
    parser.add_argument("--learning-rate", type=float, default=0.2)
    parser.add_argument("--weight-decay", type=float, default=4e-5)
    parser.add_argument("--gibbs-steps", type=int, default=1)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--chains", type=int, default=100, help="of annealing")
    parser.add_argument("--temperatures", type=int, default=100_000)
    parser.add_argument("--curve", action="store_true", help="watch the likelihood")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="keep the machine here, or take it")
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
        f"batches of {rbm.batch_size} and as many chains, {rbm.n_gibbs_steps} Gibbs "
        f"step, learning rate {rbm.learning_rate:g} falling linearly to 0, weight "
        f"decay {rbm.weight_decay:g}, {rbm.precision}, seed {rbm.random_state}; skgen "
        f"{skgen.__version__}, torch {torch.__version__}.",
        f"Test images, nats an image: {log_p.mean():.2f}, bracket [{lower:.2f}, "
        f"{upper:.2f}] of 95 % confidence (and a standard error over images of "
        f"{error:.2f}); training images {train:.2f}. Annealing with {args.chains} "
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
