"""The start of the training of a VAE of real values: networks and noise."""

from typing import Any, NamedTuple

import numpy as np
import torch

from skgen.base._standardization import (
    LEAST_NOISE,
    noise_floor,
    spread_rows,
    sums_of_powers,
)
from skgen.training import RowSource
from skgen.training._rows import spread_index
from skgen.vae._incomplete_start import completed
from skgen.vae._linear_start import least_squares, probabilistic_pca

# Size of the table from which principal components are computed: a second of work.
_MOST_NUMBERS = 2**22
# Factors of initial weights beside a linear map: of the last layers, and of those that
# read latents which join later.
_START, _START_OF_OTHERS = 0.3, 0.03


class Start(NamedTuple):
    """What training starts from, beside the parameters of the networks.

    Attributes
    ----------
    noise_variance : ndarray of shape (n_features,) or float
        Variances of the noise of standardised features, or one for all.
    floor : ndarray of shape (n_features,) or float
        Their least values.
    n_used : int or None
        Number of latents that a linear start uses; None where there is none.
    """

    noise_variance: Any
    floor: Any
    n_used: int | None


def start_of(
    networks: Any,
    rows: RowSource,
    y: np.ndarray | None = None,
    *,
    noise: float | None,
    per_feature: bool,
    shortcut: bool,
    linear: bool,
    factors: tuple[np.ndarray, np.ndarray] | None = None,
) -> Start:
    """Set the parameters of networks, and estimate the noise, before training.

    Parameters
    ----------
    networks : nn.ModuleDict
        Modules "encoder" and "decoder", with random parameters; changed in place.
    rows : RowSource of shape (n_samples, n_features)
        Standardised data, in which NaN may mark what is missing.
    y : ndarray of shape (n_samples, n_conditions) or None
        What the model is conditioned on, if anything.
    noise : float or None
        A noise variance that is given, one for all features; None means that it is
        learned.
    per_feature : bool
        Whether each feature has a learned noise variance of its own.
    shortcut : bool
        Whether the networks have a linear map beside them, which then starts at
        probabilistic PCA: of the data, or of what its regression on conditions leaves.
    linear : bool
        Whether the networks are linear: they cannot learn single rows by heart, and
        the noise variance has no lower limit but that of rounding.
    factors : tuple of (ndarray, ndarray) or None
        Loadings and noise variances of a linear model of an incomplete table; None
        where nothing is missing.

    Returns
    -------
    start : Start
        Variances and the number of latents in use.
    """
    n_features = rows.shape[1]
    floor = np.full(n_features, LEAST_NOISE)
    if per_feature and not linear:
        floor = noise_floor(rows)
    n_used = None
    if shortcut:
        n_most = max(1, _MOST_NUMBERS // n_features)
        x, weight = spread_rows(rows, n_most)
        if factors is not None:
            x = completed(x, *factors)
        regression = None
        if y is not None:
            conditions = y[spread_index(len(rows), n_most)]
            regression = least_squares(x, conditions, weight)
            x = regression.residuals(x, conditions)
        if weight is not None:
            x *= np.sqrt(weight)[:, None]
        encoder, decoder = networks["encoder"], networks["decoder"]
        n_latents = encoder.shortcut.out_features // 2
        pca = probabilistic_pca(x, n_latents, noise, floor)
        pca.set_(encoder.shortcut, decoder.shortcut, regression)
        _shrink(encoder, decoder, pca.n_used, n_latents)
        variance, floor, n_used = pca.noise_variance, pca.floor, pca.n_used
    else:
        squares, _, counts = sums_of_powers(rows)
        variance = squares / counts
    if noise is not None:
        return Start(noise, LEAST_NOISE, n_used)
    if per_feature:
        return Start(np.maximum(variance, floor), floor, n_used)
    return Start(max(float(variance.mean()), LEAST_NOISE), LEAST_NOISE, n_used)


def _shrink(encoder: Any, decoder: Any, n_used: int, n_latents: int) -> None:
    """Make networks that stand beside a linear map small at the start of training.

    Parameters
    ----------
    encoder, decoder : WithShortcut
        The networks, changed in place.
    n_used : int
        Number of latents that the linear map uses. One more reaches the network of the
        decoder in full, the others hardly: they join later.
    n_latents : int
        Number of latents, which are followed by conditions.
    """
    with torch.no_grad():
        for network in (encoder.network, decoder.network):
            network[-1].weight.mul_(_START)
        decoder.network[0].weight[:, n_used + 1 : n_latents].mul_(_START_OF_OTHERS)
