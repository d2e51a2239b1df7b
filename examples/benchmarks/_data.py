"""The data of a task, which every process of a benchmark loads for itself."""

from functools import cache

import numpy as np


@cache
def load(kind, n_rows, n_features, path):
    """Load rows of data, float32. They are cached, as many tasks use the same data."""
    if kind == "digits":
        from sklearn.datasets import load_digits

        digits = (load_digits().data > 8).astype(np.float32)
        return np.tile(digits, (-(-n_rows // len(digits)), 1))[:n_rows]
    if kind == "grey digits":
        from sklearn.datasets import load_digits

        return (load_digits().data[:n_rows] / 16).astype(np.float32)
    if kind == "random bits":
        X = np.empty((n_rows, n_features), np.float32)
        rng = np.random.default_rng(0)
        for part in np.array_split(X, 100):  # so that peak memory is X
            part[:] = rng.integers(0, 2, part.shape, dtype=np.uint8)
        return X
    if kind == "random normal":
        rng = np.random.default_rng(0)
        return rng.standard_normal((n_rows, n_features), dtype=np.float32)
    images = np.load(path)["X_train"][:n_rows].reshape(n_rows, -1)
    if kind == "grey MNIST":
        return images.astype(np.float32) / 255
    return (images > 127).astype(np.float32)


def data(task):
    names = ("data", "rows", "features", "path")
    return load(*(task.get(name) for name in names))
