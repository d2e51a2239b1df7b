"""The MNIST data set for the benchmarks in this folder."""

import numpy as np


def mnist(path):
    """Load training and test images in [0, 1], float32, one per row."""
    if path is None:
        from sklearn.datasets import fetch_openml

        X = fetch_openml("mnist_784", as_frame=False).data
        parts = X[:60_000], X[60_000:]
    else:
        arrays = np.load(path)
        parts = arrays["X_train"], arrays["X_test"]
    return [part.reshape(len(part), -1).astype(np.float32) / 255 for part in parts]


def mnist_labels(path):
    """Load the labels of training and test images, strings or integers."""
    if path is None:
        from sklearn.datasets import fetch_openml

        y = fetch_openml("mnist_784", as_frame=False).target
        return [y[:60_000], y[60_000:]]
    arrays = np.load(path)
    return [arrays["y_train"], arrays["y_test"]]
