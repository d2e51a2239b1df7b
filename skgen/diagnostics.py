"""Diagnostics of Markov chains: have they mixed, and how many draws are they worth."""

from typing import Any

import numpy as np
import torch

from skgen.sampling._diagnostics import chain_effective_sample_size
from skgen.sampling._diagnostics import split_r_hat as _split_r_hat

__all__ = ["effective_sample_size", "split_r_hat"]


def split_r_hat(x: Any) -> float:
    r"""Split R-hat of an observable of Markov chains: near 1 if they have mixed.

    It compares the variance of the means of halves of chains with the variance within
    them, of normal scores of the ranks, and likewise for the distances from the median;
    the larger one is returned, as by Vehtari, Gelman, Simpson, Carpenter & Bürkner
    (2021, Bayesian Analysis 16:667). They recommend to use draws only if it is below
    1.01.

    Parameters
    ----------
    x : array-like of shape (n_steps, n_chains)
        The observable, such as the free energy, after each step of the chains; at least
        8 steps.

    Returns
    -------
    r_hat : float
        R-hat; NaN if the observable does not vary within the chains.

    Raises
    ------
    ValueError
        If `x` has another shape, or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.diagnostics import split_r_hat
    >>> draws = np.random.RandomState(0).normal(size=(1000, 4))
    >>> round(split_r_hat(draws), 2)
    1.0
    >>> split_r_hat(draws + [0, 0, 0, 2]) > 1.2
    True
    """
    return _split_r_hat(_as_tensor(x))


def effective_sample_size(x: Any) -> float:
    r"""Effective sample size of Markov chains, for the mean of an observable.

    As many independent draws would tell as much as the chains, by the autocorrelation
    of normal scores of the ranks within and between halves of chains: "bulk-ESS" of
    Vehtari et al. (2021, Bayesian Analysis 16:667), with the cut-off of Geyer (1992).
    Chains that stay apart have few effective draws, however well each of them mixes.

    Parameters
    ----------
    x : array-like of shape (n_steps, n_chains)
        The observable, such as the free energy, after each step of the chains; at least
        8 steps.

    Returns
    -------
    ess : float
        The number of draws; NaN if the observable does not vary.

    Raises
    ------
    ValueError
        If `x` has another shape, or is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.diagnostics import effective_sample_size
    >>> draws = np.random.RandomState(0).normal(size=(1000, 4))
    >>> 3000 < effective_sample_size(draws) < 5000
    True
    >>> walks = draws.cumsum(axis=0)
    >>> effective_sample_size(walks) < 50
    True
    """
    return chain_effective_sample_size(_as_tensor(x))


def _as_tensor(x: Any) -> torch.Tensor:
    try:
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Got an observable that is no table of numbers, but expected an array of "
            f"shape (n_steps, n_chains): {error}."
        ) from error
    if not np.isfinite(array).all():
        raise ValueError(
            "Got an observable that is not finite, but expected numbers. Leave out the "
            "steps at which it has none."
        )
    return torch.tensor(array)
