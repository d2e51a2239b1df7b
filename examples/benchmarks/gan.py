"""GANs: modes of known mixtures, and samples of digits and tables beside other models.

``python examples/benchmarks/gan.py [part ...]`` with the parts ring, grid, wasserstein,
digits, tables and mnist. Everything runs on one thread, and times are seconds of the
processor. Part "mnist" takes ``--data``, a file of numpy with arrays X_train and X_test
of grey levels from 0 to 255, and y_train with the labels; ``--out`` is the image of
samples that it writes.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import GAN, DiffusionModel, GaussianVAE
from skgen.metrics import energy_distance, precision_recall

_ANGLES = np.arange(8) * np.pi / 4
_LINE = 2.0 * np.arange(-2, 3)
# Centers and standard deviations of the Gaussians.
MIXTURES = {
    "ring": (2 * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1), 0.02),
    "grid": (np.stack(np.meshgrid(_LINE, _LINE), -1).reshape(-1, 2), 0.05),
}
N_DRAWN = 10_000
# Seed of the rows that samples are compared with: no model sees them.
HELD_OUT = 100


def mixture_rows(name, n_rows, seed):
    """Rows of a mixture of equal Gaussians."""
    centers, spread = MIXTURES[name]
    rng = np.random.RandomState(seed)
    means = centers[rng.randint(len(centers), size=n_rows)]
    return means + spread * rng.standard_normal((n_rows, 2))


def sliced_wasserstein(X, Y, n_directions=100):
    """Mean Wasserstein-1 distance of projections of two sets of as many rows."""
    angle = np.arange(n_directions) * np.pi / n_directions
    directions = np.stack([np.cos(angle), np.sin(angle)])
    return np.abs(np.sort(X @ directions, 0) - np.sort(Y @ directions, 0)).mean()


def judge(name, Y):
    """Modes with a tenth of their share at least, share within 3 sd, sliced W1."""
    centers, spread = MIXTURES[name]
    distance = np.linalg.norm(Y[:, None] - centers, axis=2)
    near = distance.min(1) < 3 * spread
    counts = np.bincount(distance.argmin(1)[near], minlength=len(centers))
    n_modes = (counts >= 0.1 * len(Y) / len(centers)).sum()
    apart = sliced_wasserstein(mixture_rows(name, len(Y), HELD_OUT), Y)
    return (
        f"{n_modes} modes, {near.mean():.3f} within 3 sd, sliced W1 {apart:.4f}, "
        f"shares of modes {counts.min() / counts.sum():.3f} to "
        f"{counts.max() / counts.sum():.3f}"
    )


def mixture(name, **params):
    """Fits of three seeds, of 10,000 rows, with the defaults otherwise."""
    print(f"{name}, real rows: {judge(name, mixture_rows(name, N_DRAWN, 2))}")
    for seed in range(3):
        gan = GAN(**params, random_state=seed)
        _, seconds = timed(lambda: gan.fit(mixture_rows(name, 10_000, seed)))  # noqa: B023
        drawn = gan.sample(N_DRAWN, random_state=0)
        print(f"{name}, {params or ''} seed {seed}: {judge(name, drawn)}", end="; ")
        print(f"{seconds:.0f} s, {gan.n_iter_} epochs", flush=True)


def timed(function):
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def digits_rows():
    """The digits with uniform noise of the width of a grey level."""
    rng = np.random.RandomState(0)
    X = load_digits().data
    X = (X + rng.uniform(size=X.shape))[rng.permutation(len(X))]
    return X[:1437], X[1437:]


def split(X):
    train, test = train_test_split(X, test_size=0.2, random_state=0)
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def compare(name, train, test, mixture, more=()):
    """Measures of samples of several models, and of training rows."""
    models = {
        "GaussianMixture": mixture,
        "GaussianVAE": GaussianVAE(16, random_state=0),
        "DiffusionModel": DiffusionModel(random_state=0),
        "GAN": GAN(random_state=0),
        "GAN, wasserstein": GAN(loss="wasserstein", random_state=0),
        **dict(more),
    }
    rng = np.random.RandomState(0)
    several = [rng.choice(len(train), len(test), replace=False) for _ in range(5)]
    print_measures(f"{name}, real rows", test, [train[rows] for rows in several])
    for kind, model in models.items():
        _, seconds = timed(lambda: model.fit(train))  # noqa: B023
        sets = [draw(model, len(test), seed) for seed in range(5)]
        print_measures(f"{name}, {kind}", test, sets, f"; fit {seconds:.0f} s")


def draw(model, n_samples, seed):
    if isinstance(model, GaussianMixture):
        return model.set_params(random_state=seed).sample(n_samples)[0]
    return model.sample(n_samples, random_state=seed)


def print_measures(name, test, sets, more=""):
    distances = [energy_distance(test, drawn) for drawn in sets]
    both = np.mean([precision_recall(test, drawn) for drawn in sets], axis=0)
    print(
        f"{name}: energy distance {np.mean(distances):.3f} +- {np.std(distances):.3f}, "
        f"precision {both[0]:.3f}, recall {both[1]:.3f}{more}",
        flush=True,
    )


def digits():
    conv = {"architecture": "conv", "image_shape": (8, 8)}
    more = {"GAN, conv": GAN(**conv, random_state=0)}
    best = GaussianMixture(32, covariance_type="diag", random_state=0)
    compare("digits", *digits_rows(), best, more)


def tables():
    for load, n_mixed in ((load_iris, 3), (load_wine, 2), (load_breast_cancer, 4)):
        name = load.__name__.removeprefix("load_")
        mixed = GaussianMixture(n_mixed, reg_covar=1e-3, random_state=0)
        compare(name, *split(load().data), mixed)


def mnist(path, out):
    """A convolutional GAN, whose samples a classifier of the digits looks at."""
    if path is None:
        print("mnist: pass --data")
        return
    with np.load(path) as file:
        X, y, test = file["X_train"], file["y_train"], file["X_test"]
    X = X.reshape(len(X), -1).astype(np.float32)
    test = test.reshape(len(test), -1).astype(np.float32)
    gan = GAN(
        32, architecture="conv", image_shape=(28, 28), batch_size=64, n_iter=3,
        verbose=1, random_state=0,
    )  # fmt: skip
    _, seconds = timed(lambda: gan.fit(X))
    drawn = gan.sample(2000, random_state=0)
    rows = np.random.RandomState(0).permutation(len(X))[:10_000]
    scaled = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    predicted = scaled.fit(X[rows], y[rows]).predict(drawn)
    print(f"mnist: {seconds:.0f} s, classes {np.bincount(predicted, minlength=10)}")
    print_measures("mnist", test[:2000] / 255, [drawn / 255])
    print_measures("mnist, real rows", test[:2000] / 255, [X[rows[:2000]] / 255])
    if out is not None:
        from matplotlib import pyplot as plt

        images = drawn[:100].reshape(10, 10, 28, 28).transpose(0, 2, 1, 3)
        plt.imsave(out, images.reshape(280, 280), cmap="gray_r", vmin=0, vmax=255)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="all but mnist by default")
    parser.add_argument("--data", help="file of numpy with MNIST")
    parser.add_argument("--out", help="image of samples of MNIST")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    run = {
        "ring": lambda: mixture("ring"),
        "grid": lambda: [mixture("grid"), mixture("grid", n_iter=250)],
        "wasserstein": lambda: [
            mixture(name, loss="wasserstein") for name in ("ring", "grid")
        ],
        "digits": digits,
        "tables": tables,
        "mnist": lambda: mnist(options.data, options.out),
    }
    for part in options.parts or [p for p in run if p != "mnist"]:
        run[part]()


if __name__ == "__main__":
    main()
