"""The fitted state of a deep belief network: one dict of arrays for each layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit

# The fitted attributes of a machine by name, and where q is its own those of q.
Layer = dict[str, Any]
RECOGNITION = ("recognition_components_", "recognition_intercept_")
# What stands in their place where q has those of the machine.
OF_MACHINE = ("components_", "intercept_hidden_")


def sizes_of(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return the numbers of hidden units of fitted layers."""
    return tuple(len(layer["components_"]) for layer in layers)


def check_sizes(layers: Sequence[Layer], sizes: Sequence[int]) -> None:
    """Check that a fit can go on from fitted layers."""
    fitted = sizes_of(layers)
    if fitted != tuple(sizes):
        raise ValueError(
            f"Got hidden_layer_sizes={tuple(sizes)}, but the fit goes on from layers_ "
            f"of {fitted} hidden units. Set hidden_layer_sizes={fitted}, or fit with "
            "warm_start=False."
        )


def is_fine_tuned(layers: Sequence[Layer]) -> bool:
    """Whether q has parameters of its own."""
    return RECOGNITION[0] in layers[0]


def tied_start(below: Layer, n_hidden: int, rng: np.random.RandomState) -> Layer:
    """Make the machine below upside down, as a start of the next one.

    With it the network has the law of the machine below, and the bound is tight.

    Parameters
    ----------
    below : dict
        The fitted machine below.
    n_hidden : int
        Number of hidden units of the next machine.
    rng : RandomState
        Source of randomness of the chains.

    Returns
    -------
    layer : dict
        Parameters, and chains if there are any. It is empty where the next machine has
        not as many hidden units as the one below has visible ones, or where these are
        real.
    """
    W = below["components_"]
    if n_hidden != W.shape[1] or "noise_variance_" in below:
        return {}
    layer = {
        "components_": np.ascontiguousarray(W.T),
        "intercept_hidden_": below["intercept_visible_"].copy(),
        "intercept_visible_": below["intercept_hidden_"].copy(),
    }
    if "h_samples_" in below:
        h = below["h_samples_"]
        mean = expit(h @ W + below["intercept_visible_"])
        layer["h_samples_"] = (rng.uniform(size=mean.shape) < mean).astype(h.dtype)
    return layer


def with_recognition(layer: Layer) -> Layer:
    """Give q parameters of its own in a layer, those of the machine at first."""
    if RECOGNITION[0] in layer:
        return layer
    names = zip(RECOGNITION, OF_MACHINE, strict=True)
    return layer | {name: layer[of_machine].copy() for name, of_machine in names}


def recognition_machine(layer: Layer) -> Layer:
    """Return the state of a machine with the parameters of q for its own."""
    names = zip(RECOGNITION, OF_MACHINE, strict=True)
    return layer | {of_machine: layer[name] for name, of_machine in names}
