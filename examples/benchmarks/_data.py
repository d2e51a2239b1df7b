"""Data of a task, as every process of a benchmark loads it."""

from functools import cache

import numpy as np


@cache
def load(kind, n_rows, n_features, path):
    """Rows of data, float32. Tasks ask for the same data again and again."""
    if kind == "digits":
        from sklearn.datasets import load_digits

        digits = (load_digits().data > 8).astype(np.float32)
        return np.tile(digits, (-(-n_rows // len(digits)), 1))[:n_rows]
    if kind == "random bits":
        X = np.empty((n_rows, n_features), np.float32)
        rng = np.random.default_rng(0)
        for part in np.array_split(X, 100):  # so that the peak of memory is X
            part[:] = rng.integers(0, 2, part.shape, dtype=np.uint8)
        return X
    images = np.load(path)["X_train"][:n_rows].reshape(n_rows, -1)
    if kind == "grey MNIST":
        return images.astype(np.float32) / 255
    return (images > 127).astype(np.float32)


def data(task):
    names = ("data", "rows", "features", "path")
    return load(*(task.get(name) for name in names))
