"""What a model is conditioned on: labels and values, and the numbers of both."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from sklearn.utils._missing import is_pandas_na, is_scalar_nan

from skgen.base._encoded_conditions import EncodedConditions, OneHot, Scaled
from skgen.base._intake import taken_in
from skgen.base._validation import warn

# Integers of up to so many distinct values are labels, unless the user says otherwise.
_MOST_LABELS = 30
# Conditions of the training data that are kept, and over which an average is taken
# where values are among them.
_MOST_KEPT, _MOST_AVERAGED = 10_000, 64


@dataclass(frozen=True)
class Labels:
    """A column of labels. Its numbers are indices of classes, and become bits.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    """

    classes: np.ndarray

    @property
    def width(self) -> int:
        """Number of inputs of a network."""
        return len(self.classes)

    def numbers(self, column: Any) -> np.ndarray:
        """Return the index of each label, float64, shape (n_samples,)."""
        index = {label: i for i, label in enumerate(self.classes.tolist())}
        labels = np.asarray(column).tolist()
        unknown = [label for label in labels if label not in index]
        if unknown:
            raise ValueError(
                f"Got y with the label {unknown[0]!r}, but expected one of those seen "
                f"in fit: {_listed(self.classes)}. Fit with rows of all labels; in a "
                "search or cross-validation, pass cv=StratifiedKFold()."
            )
        return np.array([index[label] for label in labels], dtype=np.float64)

    def originals(self, numbers: np.ndarray) -> np.ndarray:
        """Undo `numbers`."""
        return self.classes[numbers.astype(np.int64)]

    def estimated(self, numbers: np.ndarray, weight: Any) -> "Labels":
        """Return the column as it is: bits have a unit."""
        return self

    def encoded(self, numbers: np.ndarray) -> np.ndarray:
        """Return one bit for each class, shape (n_samples, n_classes)."""
        return (numbers[:, None] == np.arange(self.width)).astype(np.float64)

    def as_torch(self) -> OneHot:
        """Make a module of it: labels that are numbers, or else their indices."""
        are_numbers = self.classes.dtype.kind in "iufb"
        numbers = self.classes if are_numbers else np.arange(self.width)
        return OneHot(torch.from_numpy(numbers.astype(np.float64)))


@dataclass(frozen=True)
class Values:
    """A column of real values, which are standardised in float64.

    Attributes
    ----------
    location : float
        Their mean.
    scale : float
        Their standard deviation; 1 for a constant column.
    """

    location: float = 0.0
    scale: float = 1.0

    width = 1

    def numbers(self, column: Any) -> np.ndarray:
        """Return the values, float64, shape (n_samples,)."""
        table = np.asarray(column).reshape(-1, 1)
        return check_array(table, dtype=np.float64, input_name="y")[:, 0]

    def originals(self, numbers: np.ndarray) -> np.ndarray:
        """Return the values as they are."""
        return numbers

    def estimated(self, numbers: np.ndarray, weight: Any) -> "Values":
        """Return the column with the location and scale of training data."""
        location = np.average(numbers, weights=weight)
        deviation = numbers - location
        largest = np.abs(deviation).max()
        # Of numbers whose squares may be too large or too small for float64.
        unit = largest if largest > 0 else 1.0
        scale = unit * np.sqrt(np.average((deviation / unit) ** 2, weights=weight))
        rounding = 1e-12 * max(abs(location), np.finfo(np.float64).tiny)
        return Values(float(location), float(scale) if scale > rounding else 1.0)

    def encoded(self, numbers: np.ndarray) -> np.ndarray:
        """Return the standardised values, shape (n_samples, 1)."""
        return ((numbers - self.location) / self.scale)[:, None]

    def as_torch(self) -> Scaled:
        """Make a module of it."""
        return Scaled(self.location, self.scale)


@dataclass(frozen=True)
class Conditions:
    """The columns of y.

    Methods know three forms of y: what the user passes; a table of numbers, one for
    each column (float64, of labels their indices); and what networks take, one input
    for each class of a label and one for each value.

    Attributes
    ----------
    columns : tuple of Labels or Values
        The columns.
    one_dimensional : bool
        Whether the user passes a vector.
    names : tuple of str or None
        Names of the columns, if the user passes a DataFrame in which all have one.
    """

    columns: tuple[Labels | Values, ...]
    one_dimensional: bool
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, y: Any, kind: str) -> "Conditions":
        """Read what each column of y is.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_columns)
            Conditions of training data.
        kind : {"auto", "labels", "values"}
            What they are. "auto" takes floats for values, integers of up to 30
            distinct ones for labels, and everything else for labels.

        Returns
        -------
        conditions : Conditions
            Its columns.

        Raises
        ------
        ValueError
            If there are no rows or columns, or labels cannot be sorted.
        """
        columns, one_dimensional = _columns(y)
        read = tuple(_read(column, kind, i) for i, column in enumerate(columns))
        return cls(read, one_dimensional, _names(y))

    @property
    def width(self) -> int:
        """Number of inputs of a network."""
        return sum(column.width for column in self.columns)

    @property
    def classes(self) -> np.ndarray | None:
        """The labels, if y is one column of them."""
        column = self.columns[0]
        single = len(self.columns) == 1 and isinstance(column, Labels)
        return column.classes if single else None  # type: ignore[union-attr]

    @property
    def has_values(self) -> bool:
        """Whether a column is one of values."""
        return any(isinstance(column, Values) for column in self.columns)

    def numbers(self, y: Any) -> np.ndarray:
        """Return the numbers of y, float64, shape (n_samples, n_columns)."""
        columns, _ = _columns(y)
        if len(columns) != len(self.columns):
            raise ValueError(
                f"Got y with {len(columns)} columns, but expected {len(self.columns)}, "
                "as in fit."
            )
        names = _names(y)
        if names and self.names and names != self.names:
            raise ValueError(
                f"Got y with the columns {list(names)}, but expected "
                f"{list(self.names)}, in this order, as in fit."
            )
        pairs = zip(self.columns, columns, strict=True)
        return np.stack([column.numbers(values) for column, values in pairs], axis=1)

    def numbers_of_some(self, y: Any) -> np.ndarray:
        """Return the numbers of one condition or several, at least one row."""
        if np.ndim(y) == 0:
            y = [y]
        if np.ndim(y) == 1 and len(self.columns) > 1:
            table = np.empty((1, len(y)), dtype=object)
            table[0] = list(y)
            y = table
        return self.numbers(y)

    def originals(self, numbers: np.ndarray) -> np.ndarray:
        """Return conditions as the user passes them, of numbers."""
        pairs = zip(self.columns, numbers.T, strict=True)
        columns = [column.originals(values) for column, values in pairs]
        if self.one_dimensional:
            return columns[0]
        kinds = {column.dtype for column in columns}
        table = np.empty(
            numbers.shape, dtype=kinds.pop() if len(kinds) == 1 else object
        )
        for i, column in enumerate(columns):
            table[:, i] = column
        return table

    def estimated(self, numbers: np.ndarray, weight: Any) -> "Conditions":
        """Return the columns with what is estimated from training data."""
        pairs = zip(self.columns, numbers.T, strict=True)
        columns = tuple(column.estimated(values, weight) for column, values in pairs)
        return replace(self, columns=columns)

    def encoded(self, numbers: np.ndarray) -> np.ndarray:
        """Return the inputs of networks, float64, shape (n_samples, width)."""
        pairs = zip(self.columns, numbers.T, strict=True)
        return np.hstack([column.encoded(values) for column, values in pairs])

    def as_torch(self) -> EncodedConditions:
        """Make a module that encodes numbers as `encoded` does."""
        return EncodedConditions([column.as_torch() for column in self.columns])


@dataclass(frozen=True)
class ConditionLaw:
    """The distribution p(y) of the training data: conditions and their frequencies.

    Attributes
    ----------
    numbers : ndarray of shape (n_kept, n_columns)
        Numbers of distinct conditions, sorted; at most 10,000, which are the quantiles
        of all of them.
    weight : ndarray of shape (n_kept,)
        How often each was seen.
    """

    numbers: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray, weight: np.ndarray | None) -> "ConditionLaw":
        """Count conditions of shape (n_samples, n_columns), with weights if given."""
        distinct, inverse = np.unique(numbers, axis=0, return_inverse=True)
        counts = np.bincount(inverse.ravel(), weights=weight, minlength=len(distinct))
        return cls(distinct, counts.astype(np.float64)).at_most(_MOST_KEPT)

    def merged(self, other: "ConditionLaw") -> "ConditionLaw":
        """Return the distribution of what both have seen."""
        numbers = np.concatenate([self.numbers, other.numbers])
        return ConditionLaw.of(numbers, np.concatenate([self.weight, other.weight]))

    def at_most(self, n_kept: int) -> "ConditionLaw":
        """Return up to so many conditions: if there are more, quantiles of them."""
        if len(self.numbers) <= n_kept:
            return self
        total = np.cumsum(self.weight)
        at = (np.arange(n_kept) + 0.5) / n_kept * total[-1]
        chosen, counts = np.unique(np.searchsorted(total, at), return_counts=True)
        return ConditionLaw(self.numbers[chosen], counts * (total[-1] / n_kept))

    def averaged(self, conditions: Conditions) -> "ConditionLaw":
        """Return what averages over y are taken over: all labels, or 64 quantiles."""
        return self.at_most(_MOST_AVERAGED) if conditions.has_values else self

    @property
    def log_probability(self) -> np.ndarray:
        """Log-probability of each condition in nats, shape (n_kept,)."""
        return np.log(self.weight / self.weight.sum())

    def class_prior(self, n_classes: int) -> np.ndarray:
        """Return the frequencies of all classes, if y is one column of labels."""
        index = self.numbers[:, 0].astype(np.int64)
        return np.bincount(index, self.weight, n_classes) / self.weight.sum()

    def sample(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Draw conditions with replacement, numbers of shape (n_samples, n_columns)."""
        share = self.weight / self.weight.sum()
        return self.numbers[rng.choice(len(share), size=n_samples, p=share)]


def _columns(y: Any) -> tuple[list[Any], bool]:
    """Split y into columns; and whether it is a vector."""
    y = taken_in(y, name="y")
    if hasattr(y, "tocsr"):
        raise TypeError("Got a sparse y, but expected a dense one. Call toarray.")
    if hasattr(y, "iloc") and np.ndim(y) == 2:  # a DataFrame: each has its own dtype
        columns, one_dimensional = [y.iloc[:, i] for i in range(y.shape[1])], False
    else:
        table = y if hasattr(y, "dtype") else np.asarray(y)
        if not hasattr(y, "dtype") and table.ndim == 2 and table.dtype.kind in "SU":
            table = np.asarray(y, dtype=object)  # numbers beside strings stay numbers
        one_dimensional = np.ndim(table) == 1
        if np.ndim(table) not in (1, 2):
            raise ValueError(
                f"Got y of shape {np.shape(table)}, but expected (n_samples,) or "
                "(n_samples, n_columns)."
            )
        columns = [table] if one_dimensional else list(np.asarray(table).T)
    if not columns or not len(columns[0]):
        raise ValueError(f"Got y of shape {np.shape(y)}, but expected at least one.")
    return columns, one_dimensional


def _names(y: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of a DataFrame; None without them."""
    columns = getattr(y, "columns", None)
    if columns is None or np.ndim(y) != 2:
        return None
    names = tuple(columns)
    return names if all(isinstance(name, str) for name in names) else None


def _read(column: Any, kind: str, position: int) -> Labels | Values:
    """Say what a column is."""
    numbers = None
    if str(column.dtype) != "category":
        numbers = _as_numbers(np.asarray(column))
    if kind == "auto":
        kind = _kind_of(numbers, position)
    if kind == "values":
        return Values()
    return Labels(_distinct(np.asarray(column)))


def _as_numbers(column: np.ndarray) -> np.ndarray | None:
    """Return a column of integers or floats as such; None if it is no such column."""
    if column.dtype.kind == "O":
        kinds = {type(value) for value in column.tolist()}
        if any(kind is bool or issubclass(kind, np.bool_) for kind in kinds):
            return None
        if all(issubclass(kind, int | np.integer) for kind in kinds):
            return column.astype(np.int64)
        if all(issubclass(kind, int | float | np.number) for kind in kinds):
            return column.astype(np.float64)
    return column if column.dtype.kind in "iuf" else None


def _kind_of(numbers: np.ndarray | None, position: int) -> str:
    if numbers is None:
        return "labels"
    if numbers.dtype.kind == "f":
        return "values"
    n_distinct = len(np.unique(numbers))
    if n_distinct <= _MOST_LABELS:
        return "labels"
    warn(
        f"Got y with {n_distinct} distinct integers in column {position}, which are "
        f"taken for values, as there are more than {_MOST_LABELS}. Pass them as "
        "floats, or as strings if they are labels, or set y_kind."
    )
    return "values"


def _distinct(column: np.ndarray) -> np.ndarray:
    """Return the sorted labels of a column."""
    if any(
        value is None or is_scalar_nan(value) or is_pandas_na(value)
        for value in column.tolist()
    ):
        raise ValueError(
            "Got y with missing labels (NaN or None), but expected a label for each "
            "row. Fill them, for example with a label of their own, or drop the rows."
        )
    try:
        return np.unique(column)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in column})
        raise ValueError(
            f"Got y with labels of several types ({', '.join(kinds)}), which cannot be "
            "sorted. Pass labels of one type, such as strings."
        ) from error


def _listed(classes: np.ndarray) -> str:
    shown = ", ".join(repr(label) for label in classes[:10].tolist())
    return shown + (f", … ({len(classes)} in all)" if len(classes) > 10 else "")
