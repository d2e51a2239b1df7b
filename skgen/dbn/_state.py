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
# Standard deviation of the weights of hidden units that start without a meaning.
_SMALL_WEIGHT = 0.01


def sizes_of(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return the numbers of hidden units of fitted layers."""
    return tuple(len(layer["components_"]) for layer in layers)


def check_sizes(layers: Sequence[Layer], sizes: Sequence[int]) -> int:
    """Check that a fit can go on from fitted layers.

    Parameters
    ----------
    layers : sequence of dict
        The fitted layers.
    sizes : sequence of int
        Numbers of hidden units of the fit.

    Returns
    -------
    n_kept : int
        Number of layers that stay as they are, because others are added to them; 0 if
        there is none to be added.

    Raises
    ------
    ValueError
        If the sizes of fitted layers are others, or layers are added to a network that
        was trained as a whole.
    """
    fitted = sizes_of(layers)
    if fitted == tuple(sizes) or not fitted:
        return 0
    if fitted == tuple(sizes)[: len(fitted)] and not is_fine_tuned(layers):
        return len(fitted)
    tuned = " that were fine-tuned" if is_fine_tuned(layers) else ""
    more = "" if tuned else "or that with further layers, "
    raise ValueError(
        f"Got hidden_layer_sizes={tuple(sizes)}, but the fit goes on from layers_ "
        f"of {fitted} hidden units{tuned}. Set hidden_layer_sizes={fitted}, {more}"
        "or fit with warm_start=False."
    )


def is_fine_tuned(layers: Sequence[Layer]) -> bool:
    """Whether q has parameters of its own."""
    return RECOGNITION[0] in layers[0]


def tied_start(below: Layer, n_hidden: int, rng: np.random.RandomState) -> Layer:
    r"""Make the machine below upside down, as a start of the next one.

    With as many hidden units as the machine below has visible ones, the network has the
    law of that machine, and the bound is tight. Further units start with small weights,
    and hardly change that. With fewer hidden units, the most variable visible ones
    become them, and each of the others stands at its mean :math:`\mu_i` over the data,
    as in :math:`\log(1 + e^{b_i + h \cdot W_i}) \approx \mu_i\, h \cdot W_i +
    \text{const}`.

    Parameters
    ----------
    below : dict
        The fitted machine below.
    n_hidden : int
        Number of hidden units of the next machine.
    rng : RandomState
        Source of randomness of the chains and of small weights.

    Returns
    -------
    layer : dict
        Parameters, and chains if there are any. It is empty where the visible units of
        the machine below are real.
    """
    if "noise_variance_" in below:
        return {}
    W, mean = below["components_"], np.asarray(below["mean_"])
    n_kept = min(n_hidden, W.shape[1])
    by_variance = np.argsort(-mean * (1 - mean), kind="stable")
    kept, others = np.sort(by_variance[:n_kept]), by_variance[n_kept:]
    of_others = (W[:, others] @ mean[others]).astype(W.dtype)
    more = rng.normal(scale=_SMALL_WEIGHT, size=(n_hidden - n_kept, len(W)))
    bias = below["intercept_visible_"][kept]
    layer = {
        "components_": np.concatenate([W[:, kept].T, more.astype(W.dtype)]),
        "intercept_hidden_": np.pad(bias, (0, len(more))),
        "intercept_visible_": below["intercept_hidden_"] + of_others,
    }
    if "h_samples_" in below:
        h = below["h_samples_"]
        p = expit(h @ layer["components_"].T + layer["intercept_hidden_"])
        layer["h_samples_"] = (rng.uniform(size=p.shape) < p).astype(h.dtype)
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
