"""Energy models: held-out likelihood with its bracket, and samples.

``python examples/benchmarks/energy_model.py [part ...]`` with the parts moons, ring,
digits, cancer, gaussian, pcd and mnist. Part "gaussian" is moons and ring over a single
Gaussian as the base, and part "pcd" the same by persistent chains instead of
noise-contrastive estimation. Everything runs on one thread, and times are seconds of
the processor. Part "mnist" takes ``--data``, a file of numpy with arrays X_train and
X_test of grey levels from 0 to 255.
"""

import argparse
import pickle

import numpy as np
import torch
from diffusion import DATA, print_measures, timed
from sklearn.linear_model import LogisticRegression

from skgen import EnergyModel


def report(name, **options):
    """Held-out nats with the bracket, of a fit and of a longer annealing."""
    train, test = DATA[name]()
    model = EnergyModel(random_state=0, **options)
    _, seconds = timed(lambda: model.fit(train))
    base = EnergyModel(random_state=0, **options | {"n_iter": 0}).fit(train)
    print(
        f"{name}, {options or 'defaults'}: fit {seconds:.0f} s, {model.n_iter_} "
        f"epochs; {len(model._base['mean'])} components; base {base.score(test):.3f}",
        flush=True,
    )
    print_likelihood("  of the fit", model, test)
    _, seconds = timed(lambda: model.log_partition_function(random_state=0))
    print_likelihood(f"  after {seconds:.0f} s more", model, test)
    print(f"  {model.chain_diagnostics(random_state=0)}", flush=True)
    _, seconds = timed(lambda: model.sample(len(test), random_state=0))
    print(f"  {len(test)} samples: {seconds:.1f} s", flush=True)


def print_likelihood(name, model, test):
    log_p, log_z = model.score_samples(test), model.log_partition_
    lower, upper = model.log_likelihood_bounds(test)
    print(
        f"{name}: {log_p.mean():.3f} +- {log_p.std() / len(test) ** 0.5:.3f}, bracket "
        f"{lower.mean():.3f} to {upper.mean():.3f}; log Z {log_z.estimate:.3f}, "
        f"standard error {log_z.standard_error:.3f}, effective sample size "
        f"{log_z.effective_sample_size:.0f}; constant of training "
        f"{model.log_normalizer_:.3f}",
        flush=True,
    )


def mnist(path, out):
    """A convolutional energy by persistent chains: fresh samples, and long chains.

    Grey levels are between 0 and 1, with Gaussian noise of a standard deviation of 0.1.
    """
    with np.load(path) as file:
        tables = [file[name].astype(np.float64) for name in ("X_train", "X_test")]
        y = file["y_train"]
    rng = np.random.RandomState(0)
    train, test = (
        X.reshape(len(X), -1) / 255 + 0.1 * rng.standard_normal((len(X), 784))
        for X in tables
    )
    classifier = LogisticRegression(C=0.01, max_iter=200)
    classifier.fit(train[:10_000], y[:10_000])
    options = {
        "architecture": "conv",
        "image_shape": (28, 28),
        "base": 32,
        "base_covariance_type": "diag",
        "random_state": 0,
    }
    chains = {"objective": "pcd", "buffer_size": 500, "reinit_fraction": 0.02}
    training = {"n_noise": 1, "n_iter": 2, "batch_size": 64, "verbose": 1}
    models = {
        "base": EnergyModel(n_iter=0, **options),
        "energy": EnergyModel(**training, **chains, **options),
    }
    print_measures("real rows", test[:200], test[200:400])
    for name, model in models.items():
        _, seconds = timed(lambda: model.fit(train))  # noqa: B023
        print(f"{name}: fit {seconds:.0f} s", flush=True)
        print_likelihood("  of the fit", model, test)
        if out is not None:
            with open(f"{out}_{name}.pickle", "wb") as file:
                pickle.dump(model, file)
        for n_rows, n_steps in [(200, 200), (200, 1000), (64, 10_000)]:
            drawn, seconds = timed(
                lambda: model.sample(n_rows, n_steps=n_steps, random_state=0)  # noqa: B023
            )
            counts = np.bincount(classifier.predict(drawn), minlength=10)
            energy = model.energy(drawn).mean()
            print_measures(
                f"  {n_rows} chains of {n_steps} steps, {seconds:.0f} s: classes "
                f"{counts}, energy {energy:.1f}",
                test[:200],
                drawn,
            )
            if out is not None:
                write_images(f"{out}_{name}_{n_steps}.png", drawn[:60])
            if not model.n_iter_:
                break
        print(f"  energy of held-out rows {model.energy(test[:200]).mean():.1f}")


def write_images(path, rows):
    """Write 60 images in rows of ten."""
    from matplotlib import pyplot as plt

    images = rows.reshape(6, 10, 28, 28).transpose(0, 2, 1, 3).reshape(168, 280)
    plt.imsave(path, images, cmap="gray_r", vmin=0, vmax=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ["moons", "ring", "digits", "cancer", "gaussian", "pcd", "mnist"]
    parser.add_argument("parts", nargs="*", default=parts[:-1], choices=parts)
    parser.add_argument("--data", help="file of numpy with MNIST")
    parser.add_argument("--out", help="start of the names of what mnist writes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for part in options.parts:
        if part == "digits":
            report(part, base=48, weight_decay=1.0, n_iter=300, early_stopping=False)
        elif part in DATA:
            report(part)
        elif part == "mnist":
            mnist(options.data, options.out)
        else:
            of_part = {"pcd": {"objective": "pcd", "n_steps": 10}, "gaussian": {}}[part]
            for name in ("moons", "ring"):
                report(
                    name, base="gaussian", n_iter=50, early_stopping=False, **of_part
                )


if __name__ == "__main__":
    main()
