"""The energy score, by which a model without a density is judged."""

from collections.abc import Callable

import torch
from torch import Tensor

from skgen.sampling._quasi import sobol_normal

# Draws in each of two sets, and distances that are in memory at a time.
_N_DRAWS, _BLOCK_SIZE = 512, 2**20


def noise_of_draws(n_components: int) -> Tensor:
    """Make the noise of the fixed draws of a model.

    Parameters
    ----------
    n_components : int
        Width of the noise.

    Returns
    -------
    noise : Tensor of shape (1024, n_components)
        Two independent sets of scrambled Sobol points, one after the other, float64,
        on the CPU. They are always the same.
    """
    return torch.cat([sobol_normal(_N_DRAWS, n_components, seed) for seed in (0, 1)])


def energy_scores(x: Tensor, draws: Tensor) -> Tensor:
    r"""Negative energy score of each row against draws of a model.

    .. math:: S(x) = -\left( \langle \lVert x - Y \rVert \rangle - \frac{1}{2}
              \langle \lVert Y - Y' \rVert \rangle \right)

    for independent Y and Y' of the law of the model. Its mean over the data is
    greatest for the law of the data, and for no other (Gneiting & Raftery, 2007). Y is
    in both halves of the draws; Y and Y' in the second term are of different halves.

    Parameters
    ----------
    x : Tensor of shape (batch, n_features)
        Rows.
    draws : Tensor of shape (n_draws, n_features)
        Two independent sets of as many draws, one after the other.

    Returns
    -------
    score : Tensor of shape (batch,)
        The score of each row, in the units of x, higher is better. What a row gets
        does not depend on the others.
    """
    one, other = draws.chunk(2)
    among = _mean_distances(one, other).mean()
    return among / 2 - _mean_distances(x, draws)


def energy_scores_of_model(generator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Negative energy score of each row against the fixed draws of a generator.

    Parameters
    ----------
    generator : Generator
        Turns noise into rows.
    x : Tensor of shape (batch, n_features)
        Rows.

    Returns
    -------
    score : Tensor of shape (batch,)
        The score of each row, as by `energy_scores`.
    """
    noise = noise_of_draws(generator.n_components)  # type: ignore[attr-defined]
    return energy_scores(x, generator(noise.to(x)))


def _mean_distances(x: Tensor, draws: Tensor) -> Tensor:
    """Mean distance of each row to the draws, (batch,)."""
    n_rows = max(1, _BLOCK_SIZE // len(draws))
    # By differences: from products, rounding would depend on the number of rows.
    exactly = "donot_use_mm_for_euclid_dist"
    parts = [torch.cdist(rows, draws, compute_mode=exactly) for rows in x.split(n_rows)]
    return torch.cat([part.mean(1) for part in parts])
