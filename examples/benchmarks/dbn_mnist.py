"""Bound on the log-likelihood of MNIST by DeepBeliefNetwork, and its features.

The network has two layers of 500 hidden units. The bits of the training images are
redrawn from the grey values in every epoch, and those of the test images are drawn
once. The first machine is trained as in rbm_mnist_likelihood.py and bracketed for
comparison. The second one starts as the first one upside down, without the pixels that
vary least, and is trained on samples of its hidden units. Then all layers are trained
together by the variational bound. The bound is reported before and after that, at the
estimate of log Z of the top machine and at both ends of its bracket, and so is the
error of a logistic regression of the features.

Murray & Salakhutdinov (2009) estimate about -84.55 nats for a deep belief network of
two layers.

    python examples/benchmarks/dbn_mnist.py --data mnist.npz

With `--folder` the network is saved there after each of the three parts, and a part
that is there already is not trained again. Without `--data` (an .npz with X_train,
X_test, y_train and y_test, uint8) MNIST is downloaded from OpenML.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import torch
from mnist_images import mnist, mnist_labels
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen
from skgen import DeepBeliefNetwork
from skgen.io import load


def trained(model, name, X, args):
    """Train a network further, or load it; return it, and a sentence on the time."""
    path = args.folder and args.folder / f"{name.split()[0].lower()}.skgen"
    if path and path.exists():
        return load(path), "It was trained before."
    began = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - began
    if path:
        model.save(path)
    return model, f"Training took {seconds:.0f} s."


def annealed(model, args):
    """Estimate log Z of the top machine."""
    return model.log_partition_function(
        "ais", n_chains=args.chains, n_temperatures=args.temperatures, random_state=0
    )


def report(name, model, X, args):
    """Describe the bounds of a fitted network in one line."""
    log_z = annealed(model, args)
    bound = model.score_samples(X)
    few = X[:: max(1, len(X) // args.weighted_rows)]
    weighted = model.log_likelihood(few, args.importance_samples, random_state=0)
    gain = (weighted - model.score_samples(few)).mean()
    lower = bound.mean() + log_z.estimate - log_z.upper
    upper = bound.mean() + log_z.estimate - log_z.lower
    return (
        f"{name}: {bound.mean():.2f} nats per test image, [{lower:.2f}, {upper:.2f}] "
        "at the ends of the bracket of log Z (standard error over images: "
        f"{bound.std() / len(bound) ** 0.5:.2f}); {args.importance_samples} importance "
        f"samples of {len(few)} images raise it by {gain:.2f}."
    )


def error_of_features(model, X, y, args):
    """Error of a logistic regression of the features, in percent."""
    (X_train, X_test), (y_train, y_test) = X, y
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=args.C, max_iter=args.max_iter)
    )
    classifier.fit(model.transform(X_train), y_train)
    return 100 * (1 - classifier.score(model.transform(X_test), y_test))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npz of MNIST, with labels")
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--epochs", type=int, default=560, help="of the first machine")
    parser.add_argument("--upper-epochs", type=int, default=60, help="of the others")
    parser.add_argument("--fine-tune-epochs", type=int, default=30)
    parser.add_argument("--fine-tune-learning-rate", type=float, default=5e-4)
    parser.add_argument("--batch-size", type=int, default=200, help="also of chains")
    parser.add_argument("--learning-rate", type=float, default=0.2)
    parser.add_argument("--upper-learning-rate", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=4e-5)
    parser.add_argument("--chains", type=int, default=100, help="of annealing")
    parser.add_argument("--temperatures", type=int, default=20_000)
    parser.add_argument("--importance-samples", type=int, default=100)
    parser.add_argument("--weighted-rows", type=int, default=1000)
    parser.add_argument("--C", type=float, default=0.01, help="of logistic regression")
    parser.add_argument("--max-iter", type=int, default=300, help="likewise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the network there")
    parser.add_argument("--output", type=Path, help="write the results here as .rst")
    args = parser.parse_args()

    X, y = mnist(args.data), mnist_labels(args.data)
    lines = []
    model = DeepBeliefNetwork(
        args.hidden[:1],
        n_iter=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        learning_rate_schedule="linear",
        weight_decay=args.weight_decay,
        binarize="sample",
        warm_start=True,
        random_state=args.seed,
    )
    upper = {
        "hidden_layer_sizes": args.hidden,
        "n_iter": args.upper_epochs,
        "learning_rate": args.upper_learning_rate,
    }
    tuned = {
        "n_iter": 0,
        "fine_tune_iter": args.fine_tune_epochs,
        "fine_tune_learning_rate": args.fine_tune_learning_rate,
    }
    for name, params in [
        ("First machine alone", {}),
        ("Greedy layers", upper),
        ("Fine-tuned", tuned),
    ]:
        model, seconds = trained(model.set_params(**params), name, X[0], args)
        lines.append(f"{report(name, model, X[1], args)} {seconds}")
        error = error_of_features(model, X, y, args)
        lines[-1] += f" Error of a logistic regression of the features: {error:.2f} %."
        print(lines[-1], flush=True)
    lines.append(
        f"Layers of {args.hidden} hidden units, {args.epochs} epochs of the first, "
        f"{args.upper_epochs} of others and {args.fine_tune_epochs} of fine-tuning, "
        f"on {model.device_}, {torch.get_num_threads()} threads, {platform.machine()}; "
        f"seed {args.seed}; skgen {skgen.__version__}, torch {torch.__version__}, "
        f"numpy {np.__version__}."
    )
    print(lines[-1])
    if args.output:
        args.output.write_text("\n\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
