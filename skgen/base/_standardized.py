"""StandardizedMixin: estimators that see data in standard units."""

from typing import Any

import numpy as np
import torch

from skgen.base._fitting import State
from skgen.base._standardization import Standardization
from skgen.training._rows import is_read_by_blocks, row_source


class StandardizedMixin:
    """Mixin of estimators of real values that work in units with variances of 1.

    The units are an entry ``_units`` of the state; None means those of X. It comes
    before `BaseGenerator` among the base classes.
    """

    _units: Standardization | None = None

    @property
    def _data_dtype(self) -> Any:
        # It is centered before it is rounded.
        return [np.float64, np.float32]

    def _training_rows(self: Any, X: Any, state: State) -> Any:
        X = super()._training_rows(X, state)  # type: ignore[misc]
        rows, units = row_source(X), state.get("_units")
        if units is None:
            return X
        dtype = getattr(torch, str(self._dtype))
        if is_read_by_blocks(X):
            return units.of_rows(rows, bounded=True, dtype=dtype)
        return units.of_array(rows, dtype)

    def _validate_data(self, X: Any) -> Any:
        rows = row_source(super()._validate_data(X))  # type: ignore[misc]
        return rows if self._units is None else self._units.of_rows(rows, bounded=False)

    @property
    def _sample_dtype(self: Any) -> np.dtype:
        return self._dtype if self._units is None else np.dtype(self._units.dtype)

    def _in_units_of_data(self, x: np.ndarray) -> np.ndarray:
        return x if self._units is None else self._units.undo(x)

    def _log_scale_of(self, X: Any) -> float | np.ndarray:
        return 0.0 if self._units is None else self._units.log_scale_of(X.source)
