"""Diffusion models: held-out likelihood, samples and speed.

``python examples/benchmarks/diffusion.py [part ...]`` with the parts digits, cancer,
moons, ring, samples, plateau, speed, mnist and file. Everything runs on one thread, and
times are seconds of the processor. Part "mnist" takes ``--data``, a file of numpy with
arrays X_train and X_test of grey levels from 0 to 255. Part "file" takes ``--train``
and ``--test``, files of numpy with the rows of a table such as POWER or MINIBOONE,
which have to be downloaded and standardised before.
"""

import argparse
import copy
import pickle
import time
import warnings
from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_moons
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from skgen import DiffusionModel, GaussianVAE
from skgen.metrics import (
    classifier_two_sample_test,
    energy_distance,
    null_distribution,
    precision_recall,
)

CENTERS = 2 * np.stack(
    [np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1
)
# Passes over MNIST: about 15 minutes on one thread.
MNIST_EPOCHS = 4


def ring(n_rows, seed, spread=0.1):
    """A ring of 8 Gaussians."""
    rng = np.random.RandomState(seed)
    means = CENTERS[rng.randint(8, size=n_rows)]
    return means + spread * rng.standard_normal((n_rows, 2))


def ring_log_density(x, spread=0.1):
    square = np.square(x[:, None] - CENTERS).sum(2) / (2 * spread**2)
    return np.log(np.exp(-square).mean(1)) - np.log(2 * np.pi * spread**2)


def digits():
    """The digits with uniform noise of the width of a grey level."""
    rng = np.random.RandomState(0)
    X = load_digits().data
    X = (X + rng.uniform(size=X.shape))[rng.permutation(len(X))]
    return X[:1437], X[1437:]


def standardised(X):
    train, test = train_test_split(X, test_size=0.2, random_state=0)
    mean, std = train.mean(0), train.std(0)
    return (train - mean) / std, (test - mean) / std


def cancer():
    return standardised(load_breast_cancer().data)


def moons():
    return tuple(make_moons(10_000, noise=0.1, random_state=seed)[0] for seed in (0, 1))


DATA = {
    "digits": digits,
    "cancer": cancer,
    "moons": moons,
    "ring": lambda: (ring(10_000, 0), ring(10_000, 1)),
}


def timed(function):
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def likelihood(name, train, test, **options):
    """Held-out nats by the flow and by the bound, with the defaults or some options."""
    model = DiffusionModel(random_state=0, **options)
    _, seconds = timed(lambda: model.fit(train))
    (log_p, error), of_flow = timed(
        lambda: model.log_likelihood(test, return_error=True)
    )
    bound, of_bound = timed(lambda: model.score_samples(test))
    print(
        f"{name}: flow {log_p.mean():.3f} +- {log_p.std() / len(test) ** 0.5:.3f}, "
        f"error of its solver {error.mean():.4f} (largest {error.max():.3f}), "
        f"bound {bound.mean():.3f}; fit {seconds:.1f} s, {model.n_iter_} epochs, "
        f"flow {of_flow:.1f} s, bound {of_bound:.1f} s",
        flush=True,
    )
    return model


def report_likelihood(name):
    train, test = DATA[name]()
    model = likelihood(name, train, test)
    if name == "digits":
        options = {"architecture": "conv", "image_shape": (8, 8)}
        likelihood("digits, convolutions", train, test, **options)
    if name == "ring":
        likelihood("ring, n_iter=700", train, test, n_iter=700)
        print(f"  truth {ring_log_density(test).mean():.3f}")
        for sampler, n_steps in (("heun", 50), ("sde", 50), ("sde", 200)):
            x = model.sample(10_000, sampler=sampler, n_steps=n_steps, random_state=0)
            nearest = np.linalg.norm(x[:, None] - CENTERS, axis=2)
            counts = np.bincount(nearest.argmin(1), minlength=8)
            print(
                f"  samples by {n_steps} steps of {sampler!r}: {(counts > 0).sum()} "
                f"modes with {counts} rows, within 2 and 3 sd "
                f"{(nearest.min(1) < 0.2).mean():.4f} (ideal 0.8647) and "
                f"{(nearest.min(1) < 0.3).mean():.4f} (ideal 0.9889)"
            )


def samples():
    """Measures of samples of two tables, beside those of other models."""
    for name, X in (("cancer", load_breast_cancer().data), ("wine", load_wine().data)):
        train, test = standardised(X)
        models = {
            "diffusion": DiffusionModel(random_state=0),
            "mixture": GaussianMixture(4 if name == "cancer" else 2, random_state=0),
            "GaussianVAE": GaussianVAE(8, random_state=0),
        }
        for kind, model in models.items():
            model.fit(train)
            if kind == "mixture":
                drawn = model.sample(len(test))[0]
            else:
                drawn = model.sample(len(test), random_state=0)
            print_measures(f"{name}, {kind}", test, drawn)
        for kind, draw in PEERS.items():
            try:
                drawn = draw(train, len(test))
            except ImportError as error:
                print(f"{name}, {kind}: not measured ({error})")
            else:
                print_measures(f"{name}, {kind}", test, drawn)
        both = np.concatenate([train, test])
        for measure in (energy_distance, auc, precision_recall):
            null = null_distribution(
                partial(of_as_many_rows, measure=measure, n_rows=len(test)),
                both,
                random_state=0,
            )
            print(f"{name}, real against real: {measure.__name__} {null.mean(0)}")


def forest_diffusion(train, n_samples):
    from ForestDiffusion import ForestDiffusionModel

    np.random.seed(0)
    model = ForestDiffusionModel(train, n_t=20, duplicate_K=20, n_jobs=1)
    return model.generate(batch_size=n_samples)


def tvae(train, n_samples):
    import pandas as pd
    from ctgan import TVAE

    model = TVAE(epochs=300, cuda=False)
    model.set_random_state(0)
    model.fit(pd.DataFrame(train, columns=[f"x{i}" for i in range(train.shape[1])]))
    return model.sample(n_samples).to_numpy()


# Of other packages, if they are installed: forestdiffusion and ctgan.
PEERS = {"ForestDiffusion": forest_diffusion, "TVAE": tvae}


def of_as_many_rows(X, Y, *, measure, n_rows):
    return measure(X[:n_rows], Y[:n_rows])


def auc(X, Y):
    return classifier_two_sample_test(X, Y, random_state=0)


def print_measures(name, test, drawn):
    near = precision_recall(test, drawn)
    print(
        f"{name}: energy distance {energy_distance(test, drawn):.3f}, "
        f"AUC {auc(test, drawn):.3f}, precision {near.precision:.2f}, "
        f"recall {near.recall:.2f}",
        flush=True,
    )


def plateau():
    """The bound of the ring after 500 steps, at three seeds; a Gaussian has -3.54."""
    X = ring(10_000, 0)
    for seed in range(3):
        model = DiffusionModel(
            n_iter=13, early_stopping=False, random_state=seed
        )  # 40 mini-batches an epoch
        model.fit(X)
        flow = model.log_likelihood(ring(1000, 1)).mean()
        print(f"seed {seed}: flow {flow:.2f} after 520 steps", flush=True)


def mnist(path):
    """Bits per dimension of images of 28 x 28 pixels, and samples in a file."""
    with np.load(path) as file:
        tables = [file[name].astype(np.float64) for name in ("X_train", "X_test")]
    rng = np.random.RandomState(0)
    train, test = (
        X.reshape(len(X), -1) + rng.uniform(size=(len(X), 784)) for X in tables
    )
    model = DiffusionModel(
        architecture="conv",
        image_shape=(28, 28),
        hidden_layer_sizes=(16, 32, 64),
        n_iter=MNIST_EPOCHS,
        random_state=0,
    )
    _, seconds = timed(lambda: model.fit(train))
    with open("mnist_diffusion.pickle", "wb") as file:
        pickle.dump(model, file)
    few = test[:40]
    (log_p, error), of_flow = timed(
        lambda: model.log_likelihood(few, return_error=True)
    )
    in_bits = 1 / (784 * np.log(2))
    print(
        f"MNIST, bits per dimension: flow {-log_p.mean() * in_bits:.3f} +- "
        f"{log_p.std() * in_bits / len(few) ** 0.5:.3f}, error of its solver "
        f"{error.mean() * in_bits:.4f}, bound {-model.score(few) * in_bits:.3f}; "
        f"fit {seconds:.0f} s, flow {of_flow:.0f} s",
        flush=True,
    )
    np.save("mnist_samples.npy", model.sample(40, random_state=0))


class PlainEpochs(Callback):
    """Run an epoch of a plain loop after each epoch of a fit, and time both."""

    def __init__(self, X):
        self.x = torch.from_numpy((X - X.mean(0)) / X.std(0))
        self.seconds = []

    def on_train_begin(self, net, **kwargs):  # noqa: ARG002
        """Copy the network, of which the plain loop trains another one."""
        self.network = copy.deepcopy(net.module_.network).train()
        self.average = copy.deepcopy(self.network)
        parameters = list(self.network.parameters())
        self.optimizer = torch.optim.AdamW(parameters, fused=True)
        self.generator = torch.Generator().manual_seed(0)
        self.begin = time.process_time()

    def on_epoch_end(self, net, **kwargs):  # noqa: ARG002
        """Take the time of the epoch that has ended, and of a plain one."""
        ours = time.process_time() - self.begin
        _, theirs = timed(self.plain_epoch)
        self.seconds.append((ours, theirs))
        self.begin = time.process_time()

    def plain_epoch(self):
        """Train for an epoch as a loop of one's own does."""
        for rows in self.x[torch.randperm(len(self.x))].split(256):
            t = torch.rand(len(rows), 1) * np.pi / 2
            z = torch.randn_like(rows)
            u, target = t.cos() * rows + t.sin() * z, t.sin() * rows - t.cos() * z
            f = self.network(u, t[:, 0] / (np.pi / 2), generator=self.generator)
            loss = (f - target).square().sum(1).mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            average = list(self.average.parameters())
            with torch.no_grad():
                torch._foreach_lerp_(average, list(self.network.parameters()), 1e-3)


def speed():
    """Training against a plain loop, and 10,000 samples of two features.

    Epochs of both alternate within one fit, and times are medians of 100. All
    mini-batches have 256 rows: smaller ones, at the end of an epoch, would be used
    twice by the package alone.
    """
    X = digits()[0][:1280].astype(np.float32)
    plain = PlainEpochs(X)
    options = {"early_stopping": False, "random_state": 0, "callbacks": [plain]}
    DiffusionModel(n_iter=101, **options).fit(X)
    ours, theirs = np.median(plain.seconds[1:], axis=0)
    n_steps = len(X) // 256
    print(
        f"step of training {1e3 * ours / n_steps:.1f} ms, of a plain loop "
        f"{1e3 * theirs / n_steps:.1f} ms, ratio {theirs / ours:.2f}"
    )
    small = DiffusionModel(n_iter=1, early_stopping=False).fit(ring(1000, 0))
    seconds = min(timed(lambda: small.sample(10_000, n_steps=18))[1] for _ in range(3))
    print(f"10,000 samples of two features in 18 steps: {seconds:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = [*DATA, "samples", "plateau", "speed", "mnist", "file"]
    parser.add_argument("parts", nargs="*", default=parts[:-2], choices=parts)
    parser.add_argument("--data")
    parser.add_argument("--train")
    parser.add_argument("--test")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    others = {"samples": samples, "plateau": plateau, "speed": speed}
    for part in options.parts:
        if part in DATA:
            report_likelihood(part)
        elif part == "mnist":
            mnist(options.data)
        elif part == "file":
            likelihood("file", np.load(options.train), np.load(options.test))
        else:
            others[part]()


if __name__ == "__main__":
    main()
