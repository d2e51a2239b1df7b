"""Fitting the base of an energy model to data: a Gaussian, or a mixture of them."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skgen.base._covariance import directions_of
from skgen.base._standardization import spread_rows
from skgen.training import RowSource
from skgen.training._row_order import numbers_of_rows

# Numbers of the table that a mixture is fitted to, and the least rows of it.
_MOST_NUMBERS, _LEAST_ROWS = 2**21, 1000
# Rows for each component that is tried, and below which there is a single one.
_ROWS_A_COMPONENT, _ROWS_OF_A_MIXTURE = 20, 100
# Components that "auto" tries, with covariances of all features and of each alone.
_FULL, _DIAGONAL = (2, 4, 8, 16), (8, 32)
# Features up to which components have full covariances.
_MOST_CORRELATED = 64
# The least variance in any direction, as a share of that of a feature.
_LEAST_VARIANCE = 1e-5
# Features of which the least standard deviation is at least this share of the largest
# have the same units, more or less.
_EVEN = 0.5
# The least unit of a feature, as a share of the mean.
_LEAST_UNIT = 1e-2
# Share of the rows by which "auto" chooses.
_HELD_OUT = 5

# log_weight, mean and factor of a `GaussianMixtureDensity`, float64.
BaseState = dict[str, np.ndarray]


def fit_base(
    rows: RowSource, base: Any, covariance_type: str, seed: int, scale: np.ndarray
) -> BaseState:
    """Fit the base to standardised rows.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Standardised rows.
    base : "auto", "gaussian" or int
        What it is; an integer is the number of components of a mixture.
    covariance_type : {"auto", "full", "diag"}
        Covariances of the components.
    seed : int
        Seed of where the components start.
    scale : ndarray of shape (n_features,)
        Standard deviations of the features in their own units, in which components may
        start as well: those of pixels are the same, and what hardly varies counts less.

    Returns
    -------
    state : dict of str to ndarray
        Parameters of a `GaussianMixtureDensity`.
    """
    gaussian = _gaussian(rows, covariance_type != "diag")
    if base == "gaussian":
        return gaussian
    n_features = rows.shape[1]
    X, weight = spread_rows(rows, max(_LEAST_ROWS, _MOST_NUMBERS // n_features))
    # All copies of a row are in the same part: held-out ones favour narrow components.
    number = numbers_of_rows(X)
    n_distinct = int(number.max()) + 1
    kinds = _kinds(base, covariance_type, n_distinct, n_features)
    if not kinds:
        return gaussian
    relative = np.maximum(scale / np.sqrt(np.square(scale).mean()), _LEAST_UNIT)
    even = relative.min() > _EVEN * relative.max()
    units = [np.ones(n_features)] + [relative] * (not even)
    tried = [(*kind, unit) for kind in kinds for unit in units]
    best = tried[0]
    if base == "auto" or (len(tried) > 1 and n_distinct > _HELD_OUT):
        is_held_out = number % _HELD_OUT == _HELD_OUT // 2
        few, others = (
            _repeated(X[part], None if weight is None else weight[part])
            for part in (~is_held_out, is_held_out)
        )
        scores = [
            _mixture(few * unit, n, kind, seed).score(others * unit)
            + np.log(unit).sum()
            for n, kind, unit in tried
        ]
        best = tried[int(np.argmax(scores))]
        if base == "auto" and max(scores) <= _score(gaussian, others):
            return gaussian
    n, kind, unit = best
    return _state(_mixture(_repeated(X, weight) * unit, n, kind, seed), unit)


def _kinds(
    base: Any, covariance_type: str, n_rows: int, n_features: int
) -> list[tuple[int, str]]:
    """Numbers of components and types of covariance to try."""
    if base != "auto":
        n = min(int(base), n_rows)
        types = [covariance_type]
        if covariance_type == "auto":
            types = ["full", "diag"][n_features > _MOST_CORRELATED :]
        return [(n, kind) for kind in types] if n_rows > 1 else []
    kinds = [(n, "full") for n in _FULL if n_features <= _MOST_CORRELATED]
    kinds += [(n, "diag") for n in _DIAGONAL if n_features > 2]
    most = n_rows // _ROWS_A_COMPONENT if n_rows >= _ROWS_OF_A_MIXTURE else 0
    wanted = {"auto": {"full", "diag"}}.get(covariance_type, {covariance_type})
    return [(n, kind) for n, kind in kinds if n <= most and kind in wanted]


def _gaussian(rows: RowSource, correlated: bool) -> BaseState:
    spread, basis = directions_of(rows, correlated=correlated)
    mean, factor = np.zeros((1, len(spread))), spread[None]
    if basis is not None:
        covariance = (basis * spread**2) @ basis.T
        factor = np.linalg.cholesky(covariance)[None]
    return {"log_weight": np.zeros(1), "mean": mean, "factor": factor}


def _score(state: BaseState, X: np.ndarray) -> float:
    """Mean log-density of a single Gaussian."""
    factor, n = state["factor"][0], X.shape[1]
    if factor.ndim == 1:
        z, log_det = X / factor, np.log(factor).sum()
    else:
        z, log_det = np.linalg.solve(factor, X.T).T, np.log(np.diag(factor)).sum()
    square = np.square(z).sum(axis=1).mean()
    return float(-square / 2 - log_det - n * np.log(2 * np.pi) / 2)


def _mixture(X: np.ndarray, n: int, kind: str, seed: int) -> GaussianMixture:
    model = GaussianMixture(
        min(n, len(X)),
        covariance_type=kind,
        reg_covar=_LEAST_VARIANCE,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # What is left to be learnt, the network learns.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X)


def _state(model: GaussianMixture, unit: np.ndarray) -> BaseState:
    """Parameters of a mixture of rows times a unit, without it."""
    covariances = model.covariances_
    if model.covariance_type == "full":
        factor = np.linalg.cholesky(covariances)
    else:
        factor = np.sqrt(covariances)
    log_weight = np.log(np.maximum(model.weights_, 1e-300))
    if model.covariance_type == "full":
        factor = factor / unit[:, None]
    else:
        factor = factor / unit
    return {"log_weight": log_weight, "mean": model.means_ / unit, "factor": factor}


def _repeated(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Repeat rows in proportion to their weights, at most twice as many in all."""
    if weight is None:
        return X
    ends = np.cumsum(weight) / np.sum(weight) * 2 * len(X)
    counts = np.diff(np.round(ends).astype(int), prepend=0)
    return X.repeat(counts, axis=0)
