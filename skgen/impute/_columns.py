"""The columns of a table, and how a model of real values sees them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

# A value is brought to within this many robust standard deviations of the median of its
# column, in front of the model. There are two such deviations, from pairs of
# percentiles of a normal distribution; the larger one counts.
_REACH = 10.0
_PERCENTILES = ((25.0, 75.0, 1.349), (1.0, 99.0, 4.653))


@dataclass(frozen=True)
class Column:
    """What is known of one column.

    Attributes
    ----------
    categories : list or None
        The categories of a column that is no number.
    whole : bool
        Whether the values are integers.
    low, high : float
        The least and the largest known value; NaN where none is known, and for
        categories.
    limits : tuple of (float, float)
        Limits of what the model sees: values beyond are brought to them.
    constant_too : bool
        Whether the model sees numbers also where they do not vary, as in pickles of
        earlier versions.
    """

    categories: list | None = None
    whole: bool = False
    low: float = np.nan
    high: float = np.nan
    limits: tuple[float, float] = (-np.inf, np.inf)
    constant_too: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no value is known."""
        if self.categories is not None:
            return not self.categories
        return bool(np.isnan(self.low))

    @property
    def width(self) -> int:
        """Number of columns that the model sees: none where nothing varies."""
        if self.categories is not None:
            return len(self.categories) if len(self.categories) > 1 else 0
        return int(self.high > self.low or self.constant_too)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return what the model sees, (n_samples, width), with NaN for missing."""
        if not self.width:
            return np.empty((len(values), 0))
        if self.categories is None:
            return np.clip(values, *self.limits)[:, None]
        number = {category: i for i, category in enumerate(self.categories)}
        which = np.array([number.get(value, -1) for value in values], dtype=np.int64)
        code = np.full((len(values), self.width), np.nan)  # missing, or not seen before
        code[which >= 0] = which[which >= 0, None] == np.arange(self.width)
        return code

    def decode(self, code: np.ndarray) -> np.ndarray:
        """Return values of the column for estimates of what the model sees.

        Parameters
        ----------
        code : ndarray of shape (n_samples, width)
            Estimates.

        Returns
        -------
        values : ndarray of shape (n_samples,)
            Numbers, or categories as objects: those whose indicator is largest.
        """
        n_rows = len(code)
        if self.categories is not None:
            values = np.empty(max(1, len(self.categories)), dtype=object)
            values[: len(self.categories)] = self.categories
            return values[code.argmax(axis=1) if self.width else np.zeros(n_rows, int)]
        if self.is_empty:
            return np.zeros(n_rows)
        numbers = code[:, 0] if self.width else np.full(n_rows, self.low)
        if self.whole:
            numbers = np.clip(np.round(numbers), self.low, self.high)
        return numbers


def numeric_column(values: np.ndarray, *, whole: bool) -> Column:
    """Describe a column of numbers.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Numbers, in which NaN marks what is missing.
    whole : bool
        Whether they are integers.

    Returns
    -------
    column : Column
        Its description.
    """
    known = values[~np.isnan(values)].astype(np.float64)
    if not len(known):
        return Column(whole=whole)
    limits = -np.inf, np.inf
    median = np.median(known)
    spread = max(
        (high - low) / normal
        for (low, high), normal in (
            (np.percentile(known, p[:2]), p[2]) for p in _PERCENTILES
        )
    )
    if spread > 0:
        limits = median - _REACH * spread, median + _REACH * spread
    return Column(None, whole, float(known.min()), float(known.max()), limits)


def categorical_column(values: np.ndarray, categories: Any = None) -> Column:
    """Describe a column of categories.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Values, in which None, or NaN, marks what is missing.
    categories : sequence or None
        All categories in their order, of which those with a known value are kept. None
        means that they are sorted, as text where that is impossible.

    Returns
    -------
    column : Column
        Its description.
    """
    known = {value for value in values if value is not None and value == value}
    if categories is not None:
        return Column([c for c in categories if c in known])
    try:
        return Column(sorted(known))
    except TypeError:
        return Column(sorted(known, key=str))


def encode(columns: list[Column], table: list[np.ndarray]) -> np.ndarray:
    """Return what a model sees of a table, (n_samples, n_codes), float64."""
    parts = [c.encode(v) for c, v in zip(columns, table, strict=True)]
    return np.concatenate(parts, axis=1).astype(np.float64)


def decode(columns: list[Column], codes: np.ndarray) -> list[np.ndarray]:
    """Return the values of all columns for estimates of what a model sees."""
    ends = np.cumsum([c.width for c in columns])
    starts = ends - [c.width for c in columns]
    return [
        c.decode(codes[:, start:end])
        for c, start, end in zip(columns, starts, ends, strict=True)
    ]
