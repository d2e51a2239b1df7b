"""Log-likelihood of MNIST by BernoulliVAE, as a function of the time of training.

The networks are those of Burda, Grosse & Salakhutdinov (2016), with the widths
784-200-200-50 in the encoder and the reverse in the decoder. The bits of the training
images are redrawn from the grey values in every epoch, and those of the test images
are drawn once. The result is the importance-weighted bound with 5000 draws per row on
all 10,000 test images, for which the paper reports -86.76 nats after 3280 epochs.

    python examples/benchmarks/vae_mnist_likelihood.py --data mnist.npz

Without `--data` (an .npz with X_train and X_test, uint8) MNIST is downloaded from
OpenML. The learning curve is computed on 500 test images with 500 draws; the time for
this is not counted.
"""

import argparse
import platform
import time
from pathlib import Path

import torch
from mnist_images import mnist
from skorch.callbacks import Callback

import skgen
from skgen import BernoulliVAE
from skgen.vae import importance_weighted_bound

# Images and draws for one point of the learning curve.
N_IMAGES, N_DRAWS = 500, 500


class Curve(Callback):
    """Record the time of training and the likelihood of some test images."""

    def __init__(self, X, every):
        self.X = X
        self.every = every

    def on_train_begin(self, *_, **__):
        self.points_, self.not_counted_, self.began_ = [], 0.0, time.perf_counter()

    def on_epoch_end(self, net, **_):
        epoch = net.history[-1, "epoch"]
        if epoch % self.every and epoch != net.max_epochs:
            return
        now = time.perf_counter()
        seconds = now - self.began_ - self.not_counted_
        net.module_.eval()
        with torch.inference_mode():
            x = torch.from_numpy(self.X).to(net.device)
            generator = torch.Generator(device=net.device).manual_seed(0)
            bound = importance_weighted_bound(
                net.module_, x, N_DRAWS, generator=generator
            )
        self.points_.append((epoch, seconds, bound.mean().item()))
        print("epoch {}: {:.0f} s, {:.2f} nats".format(*self.points_[-1]), flush=True)
        self.not_counted_ += time.perf_counter() - now


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npz with X_train, X_test of MNIST")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--activation", default="silu")
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--draws", type=int, default=5000, help="per test image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write a table here as .rst")
    args = parser.parse_args()

    X_train, X_test = mnist(args.data)
    curve = Curve(X_test[:: len(X_test) // N_IMAGES], every=max(1, args.epochs // 15))
    vae = BernoulliVAE(
        n_components=50,
        hidden_layer_sizes=(200, 200),
        activation=args.activation,
        binarize="sample",
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        learning_rate_schedule="one_cycle",
        weight_decay=args.weight_decay,
        n_iter=args.epochs,
        precision=args.precision,
        callbacks=[curve],
        random_state=args.seed,
    ).fit(X_train)
    points = dict(vae.net_.callbacks_)["Curve"].points_

    began = time.perf_counter()
    log_p = vae.log_likelihood(X_test, args.draws, random_state=args.seed)
    seconds = time.perf_counter() - began
    error = log_p.std() / len(log_p) ** 0.5
    lines = [
        f"{args.epochs} epochs in {points[-1][1]:.0f} s on {vae.device_}, "
        f"{torch.get_num_threads()} threads, {platform.machine()}; {args.activation}, "
        f"mini-batches of {args.batch_size}, one cycle of the learning rate with the "
        f"maximum {args.learning_rate:g}, weight decay {args.weight_decay:g}, "
        f"{args.precision}, seed {args.seed}; skgen {skgen.__version__}, torch "
        f"{torch.__version__}.",
        f"Test images: {log_p.mean():.2f} nats per image by the importance-weighted "
        f"bound with {args.draws} draws (standard error over images: {error:.2f}), "
        f"computed in {seconds:.0f} s; ELBO {vae.score(X_test):.2f}. "
        f"Training images: ELBO {vae.score(X_train[:10_000]):.2f}. "
        f"{vae.active_units_.sum()} of {vae.n_components} latent variables are active.",
    ]
    print("\n".join(lines))
    if args.output:
        rows = "".join(f"   {e}, {s:.0f}, {p:.2f}\n" for e, s, p in points)
        header = f"epoch, seconds, bound on {N_IMAGES} images with {N_DRAWS} draws"
        table = f".. csv-table::\n   :header: {header}\n\n{rows}"
        args.output.write_text("\n\n".join([*lines, table]))


if __name__ == "__main__":
    main()
