"""Data of known distribution, to test generative models on."""

from itertools import product
from math import log1p, sqrt
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from skgen.base._python_scalars import python_arguments

# Lattices up to this many sites are drawn from the table of all states.
_MAX_ENUMERATED = 16
# The critical temperature of the infinite lattice, 2 / log(1 + sqrt(2)).
_CRITICAL = 2 / log1p(sqrt(2))

_COMMON: dict[str, Any] = {
    "n_samples": [Interval(Integral, 1, None, closed="left"), None],
    "random_state": ["random_state"],
}


@validate_params(
    {**_COMMON, "size": [Interval(Integral, 1, 16, closed="both")]},
    prefer_skip_nested_validation=True,
)
@python_arguments
def make_bars_and_stripes(
    size: int = 4, *, n_samples: int | None = None, random_state: Any = None
) -> np.ndarray:
    r"""Generate images whose rows are all equal, or whose columns are.

    Each row of a square image is on or off (stripes), or each column is (bars);
    all :math:`2 \cdot 2^n` choices are equally likely. The images that are all
    on and all off are both bars and stripes, and so twice as likely as others
    (MacKay, 2003, section 43.2).

    Parameters
    ----------
    size : int, default=4
        Side n of the images, at most 16.
    n_samples : int or None, default=None
        Number of images drawn; None means each of the choices once.
    random_state : int, RandomState instance or None, default=None
        Determines which images are drawn.

    Returns
    -------
    X : ndarray of shape (n_samples, size * size)
        Images, zeros and ones. The best mean log-likelihood of the full set is
        :math:`-(n + 1) \log 2 + 2^{1 - n} \log 2` nats.

    Examples
    --------
    >>> from skgen.datasets import make_bars_and_stripes
    >>> make_bars_and_stripes(3).shape
    (16, 9)
    """
    lines = _all_states(size)
    stripes = np.repeat(lines[:, :, None], size, axis=2)
    X = np.concatenate([stripes, stripes.transpose(0, 2, 1)])
    return _draw(X.reshape(len(X), -1), n_samples, random_state)


@validate_params(
    {**_COMMON, "n_bits": [Interval(Integral, 3, 16, closed="both")]},
    prefer_skip_nested_validation=True,
)
@python_arguments
def make_labelled_shifter(
    n_bits: int = 8, *, n_samples: int | None = None, random_state: Any = None
) -> np.ndarray:
    r"""Generate patterns beside their shifts, and which shift it was.

    A pattern of random bits, the same pattern moved to the left by one bit, not at
    all, or to the right, cyclically, and three bits of which one says which. All
    :math:`3 \cdot 2^n` choices are equally likely (Hinton & Sejnowski, 1986).

    Parameters
    ----------
    n_bits : int, default=8
        Bits n of a pattern, 3 to 16.
    n_samples : int or None, default=None
        Number of samples drawn; None means each of the choices once.
    random_state : int, RandomState instance or None, default=None
        Determines which samples are drawn.

    Returns
    -------
    X : ndarray of shape (n_samples, 2 * n_bits + 3)
        Pattern, shifted pattern, and the label, zeros and ones. All choices
        differ: the best mean log-likelihood of the full set is
        :math:`-\log (3 \cdot 2^n)` nats.

    Examples
    --------
    >>> from skgen.datasets import make_labelled_shifter
    >>> make_labelled_shifter().shape
    (768, 19)
    """
    patterns = _all_states(n_bits)
    parts = [
        np.hstack(
            [
                patterns,
                np.roll(patterns, shift, axis=1),
                np.tile(label, (len(patterns), 1)),
            ]
        )
        for shift, label in zip((-1, 0, 1), np.eye(3), strict=True)
    ]
    return _draw(np.concatenate(parts), n_samples, random_state)


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "size": [Interval(Integral, 3, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "n_sweeps": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
@python_arguments
def make_ising(
    n_samples: int = 1000,
    *,
    size: int = 4,
    temperature: float = _CRITICAL,
    n_sweeps: int = 200,
    random_state: Any = None,
) -> np.ndarray:
    r"""Generate configurations of the two-dimensional Ising model.

    Spins :math:`s_i = \pm 1` on a periodic square lattice, without a field, of

    .. math:: p(s) = \frac{1}{Z} e^{-E(s) / T}, \qquad
              E(s) = -\sum_{\langle i j \rangle} s_i s_j,

    where the sum is over pairs of neighbours. Up to 4 x 4 sites the samples are
    drawn from the table of all states. Beyond, each is the end of a Markov chain
    of its own, of cluster updates (Swendsen & Wang, 1987), which mix fast at the
    critical temperature too.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of configurations; they are independent.
    size : int, default=4
        Sites L along each side, at least 3.
    temperature : float, default=2.269185
        Temperature T in units of the coupling. The default is the critical one of
        the infinite lattice, 2 / log(1 + √2).
    n_sweeps : int, default=200
        Cluster updates of the whole lattice a sample, from random spins. Only for
        lattices larger than 4 x 4.
    random_state : int, RandomState instance or None, default=None
        Determines the configurations.

    Returns
    -------
    X : ndarray of shape (n_samples, size * size)
        Configurations row by row of the lattice, as bits
        :math:`x_i = (1 + s_i) / 2`.

    Examples
    --------
    >>> from skgen.datasets import make_ising
    >>> make_ising(10, temperature=2.0, random_state=0).shape
    (10, 16)
    """
    rng = check_random_state(random_state)
    if size**2 <= _MAX_ENUMERATED:
        return _ising_by_table(n_samples, size, temperature, rng)
    return _ising_by_clusters(n_samples, size, temperature, n_sweeps, rng)


def _all_states(n: int) -> np.ndarray:
    return np.array(list(product([0.0, 1.0], repeat=n)))


def _draw(X: np.ndarray, n_samples: int | None, random_state: Any) -> np.ndarray:
    if n_samples is None:
        return X
    return X[check_random_state(random_state).randint(len(X), size=n_samples)]


def _neighbours(size: int) -> np.ndarray:
    """Bonds of the periodic lattice, each once; shape (2 * size**2, 2)."""
    sites = np.arange(size**2).reshape(size, size)
    pairs = [(sites, np.roll(sites, -1, axis=axis)) for axis in (0, 1)]
    return np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs])


def _ising_by_table(
    n_samples: int, size: int, temperature: float, rng: np.random.RandomState
) -> np.ndarray:
    X = _all_states(size**2)
    i, j = _neighbours(size).T
    spins = 2 * X - 1
    energy = -np.einsum("nb,nb->n", spins[:, i], spins[:, j])
    p = np.exp(-(energy - energy.min()) / temperature)
    return X[rng.choice(len(X), size=n_samples, p=p / p.sum())]


def _ising_by_clusters(
    n_samples: int,
    size: int,
    temperature: float,
    n_sweeps: int,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Swendsen-Wang updates of all samples at once.

    Neighbours of equal spin are bound with probability 1 - exp(-2 / T), and each
    cluster of bound sites gets a new spin. The lattices of all samples are one
    graph, of which no two are connected.
    """
    n_sites = size**2
    first = n_sites * np.arange(n_samples)[:, None]
    i, j = ((first + side).ravel() for side in _neighbours(size).T)
    bits = rng.randint(2, size=n_samples * n_sites)
    for _ in range(n_sweeps):
        bound = rng.uniform(size=len(i)) < -np.expm1(-2 / temperature)
        bound &= bits[i] == bits[j]
        graph = coo_array(
            (np.ones(bound.sum(), dtype=bool), (i[bound], j[bound])),
            shape=(len(bits), len(bits)),
        )
        n_clusters, cluster = connected_components(graph, directed=False)
        bits = rng.randint(2, size=n_clusters)[cluster]
    return bits.reshape(n_samples, n_sites).astype(np.float64)
