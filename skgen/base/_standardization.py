"""The units in which a model of real values sees data, and bounds for bad cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from skgen.base._validation import has_gaps, warn
from skgen.training import RowSource
from skgen.training._rows import Index, spread_index, to_tensor

# A value this many robust standard deviations from the median of its column is taken
# for a fault.
_OUTLIER = 100.0
# The interquartile range of a normal distribution, in standard deviations.
_QUARTILES = 1.3489795003921634
# The upper quartile of the distances from its mean, likewise.
_UPPER_DISTANCE = 1.1503493803760079
# Rows from which quartiles are estimated, and with fewer of which they are not.
_MOST_ROWS, _LEAST_ROWS = 2000, 12
# Numbers of a block of rows that is worked on at a time.
_BLOCK_SIZE = 2**20
# The root mean square of standardised rows above which their units are wrong ones.
_OTHER_UNITS = 10
# The least noise variance, as a share of the variance of a column.
LEAST_NOISE = 1e-6
# The largest standard deviation that float32, in which a model is trained, can square,
# and the smallest that float64 can.
_LARGEST, _SMALLEST = 1e18, 1e-150


@dataclass(frozen=True)
class Standardization:
    """Location and scale of each feature, and bounds of what is plausible.

    A model works in units in which the features have mean 0 and variance 1, or a mean
    variance of 1. Numbers are centered in double precision before they are rounded to
    another one.

    Attributes
    ----------
    location : ndarray of shape (n_features,)
        Means.
    scale : ndarray of shape (n_features,)
        Standard deviations, or one number for all features.
    bounds : tuple of (ndarray, ndarray) or None
        The least and the largest plausible value of each feature: in training, and in
        front of the encoder, other values are replaced by them. None means that all
        values are plausible.
    dtype : str
        Dtype of the data.
    """

    location: np.ndarray
    scale: np.ndarray
    bounds: tuple[np.ndarray, np.ndarray] | None = None
    dtype: str = "float64"

    @property
    def has_one_scale(self) -> bool:
        """Whether all features are divided by the same number."""
        return bool((self.scale == self.scale[0]).all())

    @property
    def log_scale(self) -> float:
        """Sum of the logs of the scales: what a density in units of X is less by."""
        return float(np.log(self.scale).sum())

    def log_scale_of(self, rows: RowSource) -> float | np.ndarray:
        """Return the same for rows in the units of X: of what is observed of each."""
        if not has_gaps(rows):
            return self.log_scale
        X: Any = rows.X  # type: ignore[attr-defined]
        return ~np.isnan(X) @ np.broadcast_to(np.log(self.scale), X.shape[1])

    def undo(self, x: np.ndarray) -> np.ndarray:
        """Convert standardised numbers to the units of X, in their dtype."""
        return (x * self.scale + self.location).astype(x.dtype)

    def of_rows(
        self, rows: RowSource, *, bounded: bool, dtype: torch.dtype | None = None
    ) -> "StandardizedRows":
        """Return the source of standardised rows.

        Parameters
        ----------
        rows : RowSource of shape (n_samples, n_features)
            Rows in the units of X.
        bounded : bool
            Whether implausible values are replaced by the bounds.
        dtype : torch.dtype or None
            Dtype of the rows; None means that of X.

        Returns
        -------
        rows : StandardizedRows of shape (n_samples, n_features)
            The rows.
        """
        return StandardizedRows(rows, self, bounded=bounded, dtype=dtype)

    def of_array(self, rows: RowSource, dtype: torch.dtype) -> np.ndarray:
        """Return standardised rows, within the bounds, as a new array."""
        out = torch.empty(rows.shape, dtype=dtype)
        start = 0
        for block in blocks(self.of_rows(rows, bounded=True, dtype=dtype)):
            out[start : start + len(block)] = block
            start += len(block)
        return out.numpy()


class StandardizedRows(RowSource):
    """Standardised rows of another source, made when they are asked for.

    Parameters
    ----------
    source : RowSource of shape (n_samples, n_features)
        Rows in the units of X.
    units : Standardization
        Location, scale and bounds.
    bounded : bool
        Whether implausible values are replaced by the bounds.
    dtype : torch.dtype or None
        Dtype of the rows; None means that of the source.
    """

    def __init__(
        self,
        source: RowSource,
        units: Standardization,
        *,
        bounded: bool,
        dtype: torch.dtype | None = None,
    ):
        self.source, self.units = source, units
        self.shape, self.device = source.shape, source.device
        self.dtype = dtype or source.dtype
        self.weight, self.rows_a_block = source.weight, source.rows_a_block
        self._location = _tensor(units.location)
        self._scale = _tensor(units.scale)
        self._bounds = None
        if bounded and units.bounds is not None:
            self._bounds = [_tensor(bound) for bound in units.bounds]

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:
        """Return some rows, standardised."""
        rows = self.source.gather(index)
        x = rows.to(torch.float64)
        own = x if x is not rows else None  # data is not to be changed
        if self._bounds is not None:
            x = own = torch.clamp(x, *self._bounds, out=own)
        return torch.sub(x, self._location, out=own).div_(self._scale).to(self.dtype)


def estimate_units(
    rows: RowSource, *, per_feature: bool, names: Any, bounded: bool = True
) -> Standardization:
    """Estimate location, scale and bounds from data.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Data.
    per_feature : bool
        Whether each feature has a scale of its own, its standard deviation. Otherwise
        all have one, the root of their mean variance.
    names : sequence of str or None
        Names of the features, for a warning.
    bounded : bool
        Whether implausible values are looked for. Pixels of images are as dark as each
        other, but some of them in few images.

    Returns
    -------
    units : Standardization
        The units.

    Raises
    ------
    ValueError
        If the numbers are too large to be squared in single precision.

    Warns
    -----
    UserWarning
        If a value is implausible: more than 100 robust standard deviations away from
        the median of its feature, by the interquartile range.
    """
    scaler, extremes = _moments(rows)
    check_columns_known(extremes[0] <= extremes[1], names)
    bounds = _plausible_bounds(rows, extremes, names) if bounded else None
    if bounds is not None:
        scaler, _ = _moments(rows, bounds)
    scale = scaler.scale_
    largest = np.abs(extremes).max()
    finite = np.isfinite(scaler.var_).all() and largest <= np.finfo(np.float32).max
    if not finite or scale.max() > _LARGEST:
        raise ValueError(
            f"Got X with values up to {largest:.3g}, too large for dtype('float32'), "
            "in which the model is trained, but expected standard deviations of at "
            f"most {_LARGEST:g}, whose squares it can hold. Choose a larger unit, or "
            "scale X by sklearn.preprocessing.StandardScaler."
        )
    if not per_feature:
        common = np.sqrt(scaler.var_.mean())
        # 1 for constant data, and for what is smaller than rounding.
        constant = (scaler.var_ == 0) | (scale**2 != scaler.var_) & (scale == 1)
        scale = np.full_like(scale, 1.0 if constant.all() else common)
    dtype = str(rows.dtype).removeprefix("torch.")
    return Standardization(scaler.mean_, np.maximum(scale, _SMALLEST), bounds, dtype)


def noise_floor(rows: RowSource) -> np.ndarray:
    r"""Least noise variance that the rows of a table can tell, of each feature.

    .. math:: \sigma^2_{\min} = \frac{\langle x^4 \rangle}{n \langle x^2 \rangle^2}
              \langle x^2 \rangle

    It is the kurtosis over the number of rows, as a share of the variance: the square
    of the relative standard error with which n rows determine the variance itself, up
    to 1/n. For normal features it is 3/n. A feature that is constant but for a few rows
    has a kurtosis of the order of n, and its noise is of the order of its variance: no
    network that learns these few rows by heart makes other rows infinitely unlikely.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Standardised data.

    Returns
    -------
    floor : ndarray of shape (n_features,)
        The least noise variance, between 1e-6 and 1 times the variance; 1e-6 for
        constant features.
    """
    squares, fourths, counts = sums_of_powers(rows)
    share = fourths / np.where(squares == 0, 1, squares) ** 2
    return np.clip(share, LEAST_NOISE, 1.0) * np.where(
        squares == 0, 1, squares / counts
    )


def sums_of_powers(rows: RowSource) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum squares, fourth powers and ones of what is known, times weights, float64."""
    squares, fourths = np.zeros((2, rows.shape[1]))
    counts = np.zeros(rows.shape[1])
    for block, weight in _weighted_blocks(rows):
        x = block.to(torch.float64).square().numpy()
        by = np.ones(len(x)) if weight is None else weight
        missing = np.isnan(x)
        if missing.any():
            x[missing] = 0
            counts += by @ ~missing
        else:
            counts += len(x) if weight is None else by.sum()
        squares += by @ x
        fourths += by @ np.square(x)
    return squares, fourths, counts


def warn_of_other_units(rows: RowSource, units: Standardization, names: Any) -> None:
    """Warn of columns that vary far more than where the units were estimated.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        New rows, in the units of X.
    units : Standardization
        Location and scale by which a model goes on to see them.
    names : sequence of str or None
        Names of the columns.
    """
    squares, _, counts = sums_of_powers(units.of_rows(rows, bounded=True))
    size = np.sqrt(squares / np.maximum(counts, 1))
    far = np.flatnonzero(size > _OTHER_UNITS)
    if not len(far):
        return
    worst = far[np.argsort(-size[far])[:5]].tolist()
    which = worst if names is None else [str(names[i]) for i in worst]
    warn(
        f"Got X whose columns {which} have values that are on average more than "
        f"{_OTHER_UNITS} standard deviations from the mean, by the mean and standard "
        "deviation of the rows that were fitted first. The model keeps these units, in "
        "which it learns slowly and may be wrong. Call fit, or begin partial_fit with "
        "representative rows, such as the first 1000."
    )


def check_columns_known(known: np.ndarray, names: Any) -> None:
    """Raise an error that names the columns of which no value is known.

    Parameters
    ----------
    known : ndarray of shape (n_features,), dtype=bool
        Whether a value of the column is known.
    names : sequence of str or None
        Names of the columns.

    Raises
    ------
    ValueError
        If one is not.
    """
    unknown = np.flatnonzero(~known)
    if not len(unknown):
        return
    which = unknown.tolist() if names is None else [names[i] for i in unknown]
    raise ValueError(
        f"Got X with nothing but NaN in columns {which}, but expected at least one "
        "known value of each in the rows that are trained on. Drop these columns."
    )


def blocks(rows: RowSource) -> Iterator[Tensor]:
    """Iterate over all rows, as many at a time as stay in the cache."""
    return rows.blocks(max(1, _BLOCK_SIZE // rows.shape[1]))


def spread_rows(rows: RowSource, n_rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return up to `n_rows` rows, spread evenly, in double precision; and weights."""
    index = spread_index(len(rows), n_rows)
    x = rows.gather(torch.from_numpy(index)).to(torch.float64).cpu().numpy()
    return x, None if rows.weight is None else rows.weight[index]


def _tensor(x: np.ndarray) -> Tensor:
    return to_tensor(x, torch.device("cpu"))


def _weighted_blocks(rows: RowSource) -> Any:
    return rows.weighted_blocks(max(1, _BLOCK_SIZE // rows.shape[1]))


def _moments(
    rows: RowSource, bounds: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[StandardScaler, np.ndarray]:
    """Mean and variance of each feature, and its extremes, (2, n_features)."""
    scaler = StandardScaler()
    low, high = np.full((2, rows.shape[1]), [[np.inf], [-np.inf]])
    for block, weight in _weighted_blocks(rows):
        x = block.cpu().numpy().astype(np.float64)
        if bounds is not None:
            x = np.clip(x, *bounds)
        low = np.fmin(low, np.fmin.reduce(x, axis=0))
        high = np.fmax(high, np.fmax.reduce(x, axis=0))
        with np.errstate(over="ignore", invalid="ignore"):  # see `estimate_units`
            scaler.partial_fit(x, sample_weight=weight)
    return scaler, np.stack([low, high])


def _plausible_bounds(
    rows: RowSource, extremes: np.ndarray, names: Any
) -> tuple[np.ndarray, np.ndarray] | None:
    """Least and largest plausible values; None where all are plausible."""
    if len(rows) < _LEAST_ROWS:
        return None
    sample, _ = spread_rows(rows, _MOST_ROWS)
    with np.errstate(over="ignore"):
        median, spread = _robust_spread(sample)
        reach = _OUTLIER * spread
        bad = (spread > 0) & (np.abs(extremes - median) > reach).any(axis=0)
    if not bad.any():
        return None
    low, high = np.full((2, rows.shape[1]), [[-np.inf], [np.inf]])
    counts, least, most = _plausible_extremes(rows, bad, median, reach)
    low[bad], high[bad] = least, most
    distance = np.abs(extremes - median)[:, bad].max(axis=0) / spread[bad]
    _warn_of_bad_cells(np.flatnonzero(bad), counts, distance, names)
    return low, high


def _robust_spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation of what is known of each column.

    Where half of the values or more are equal, as in counts with many zeros, quartiles
    tell nothing of the others: there it is by the distances of these from that value.
    """
    lower, median, upper = _quartiles(x)
    spread = (upper - lower) / _QUARTILES
    equal = (x == median).sum(axis=0)
    for column in np.flatnonzero(equal >= 0.5 * (~np.isnan(x)).sum(axis=0)):
        distance = np.abs(x[:, column] - median[column])
        distance = distance[distance > 0]  # not NaN either
        if len(distance) >= _LEAST_ROWS:
            upper_distance = np.percentile(distance, 75) / _UPPER_DISTANCE
            spread[column] = max(spread[column], upper_distance)
    return median, spread


def _quartiles(x: np.ndarray) -> np.ndarray:
    """Quartiles of what is known of each column, (3, n_features); NaN of too few."""
    share = [25, 50, 75]
    missing = np.isnan(x)
    if not missing.any():
        return np.percentile(x, share, axis=0)
    quartiles = np.full((3, x.shape[1]), np.nan)
    enough = (~missing).sum(axis=0) >= _LEAST_ROWS
    quartiles[:, enough] = np.nanpercentile(x[:, enough], share, axis=0)
    return quartiles


def _plausible_extremes(
    rows: RowSource, bad: np.ndarray, median: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of values out of reach, and the extremes of the others."""
    counts, low = np.zeros(bad.sum(), dtype=int), np.full(bad.sum(), np.inf)
    high = -low
    for block in blocks(rows):
        x = block.cpu().numpy()[:, bad].astype(np.float64)
        within = np.abs(x - median[bad]) <= reach[bad]
        counts += (~within & ~np.isnan(x)).sum(axis=0)
        low = np.minimum(low, np.where(within, x, np.inf).min(axis=0))
        high = np.maximum(high, np.where(within, x, -np.inf).max(axis=0))
    return counts, low, high


def _warn_of_bad_cells(
    columns: np.ndarray, counts: np.ndarray, distance: np.ndarray, names: Any
) -> None:
    worst = np.argsort(-distance)[:5]
    parts = []
    for i in worst:
        name = f"column {columns[i]}"
        if names is not None:
            name += f" ({names[columns[i]]!r})"
        parts.append(
            f"{name} has {counts[i]} up to {distance[i]:.2g} robust standard "
            "deviations from its median"
        )
    more = len(columns) - len(worst)
    warn(
        f"Got X with implausible values: {'; '.join(parts)}"
        f"{f'; and {more} columns more' if more else ''}. In training they are "
        "replaced by the largest or smallest plausible value of their column. Check "
        "them; for a heavy tail, transform the column by its logarithm or by "
        "sklearn.preprocessing.QuantileTransformer."
    )
