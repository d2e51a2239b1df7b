"""ConditionsMixin: what all models of data given labels and values do with y."""

from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils._param_validation import StrOptions

from skgen.base._capabilities import ConditionalMixin
from skgen.base._conditions import ConditionLaw, Conditions
from skgen.base._encoded_conditions import EncodedConditions
from skgen.base._fitting import State
from skgen.training import RowSource


# Its `fit` requires y, and those of the other models do not.
class ConditionsMixin(ConditionalMixin):
    """Mixin of models of p(x | y) for labels, values, or columns of both.

    It reads what y is, keeps its distribution in the training data, and gives the
    trained model one input for each label and value. It comes before `BaseGenerator`
    among the base classes.
    """

    y_kind: str

    _conditional_constraints: ClassVar[dict] = {
        "y_kind": [StrOptions({"auto", "labels", "values"})]
    }
    _conditional_state: ClassVar[tuple[str, ...]] = ("_conditions", "_law")

    _conditions: Conditions
    _law: ConditionLaw

    @property
    def _n_conditions(self) -> int:
        return self._conditions.width

    @property
    def _n_columns_of_y(self) -> int:
        return len(self._conditions.columns)

    def _torch_conditions(self) -> EncodedConditions:
        return self._conditions.as_torch()

    def _encoded(self, y: Any, X: Any) -> np.ndarray:
        """Inputs of networks for the conditions of valid data, float64."""
        return self._conditions.encoded(self._validate_conditions(y, X))

    def _numbers_to_sample(self, y: Any, n_samples: int) -> np.ndarray:
        """Numbers of the conditions that samples are asked for, one row for each."""
        numbers = self._conditions.numbers_of_some(y)
        if len(numbers) == 1:
            return numbers.repeat(n_samples, axis=0)
        if n_samples not in (1, len(numbers)):
            raise ValueError(
                f"Got y with {len(numbers)} conditions and n_samples={n_samples}, but "
                "expected one condition, or one for each sample. Leave out n_samples "
                "for one sample a condition."
            )
        return numbers

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, np.ndarray]:
        if reset:
            self._require_conditions(y)
            self._conditions = Conditions.of(y, self.y_kind)
        return super()._validate_training_data(X, y, reset=reset)

    def _validate_conditions(self, y: Any, X: Any) -> np.ndarray:
        self._require_conditions(y)
        numbers = self._conditions.numbers(y)
        check_consistent_length(X, numbers)
        return numbers

    def _initial_state(self, rows: RowSource, y: np.ndarray, state: State) -> State:
        parent: Any = super()
        if state:
            conditions = state["_conditions"]
        else:
            conditions = self._conditions.estimated(y, rows.weight)
        new = parent._initial_state(rows, conditions.encoded(y), state)
        return {**new, "_conditions": conditions}

    def _state_of_conditions(
        self, y: np.ndarray, weight: np.ndarray | None, state: State
    ) -> State:
        law = ConditionLaw.of(y, weight)
        return {"_law": state["_law"].merged(law) if state else law}

    def _training_conditions(self: Any, y: np.ndarray, state: State) -> np.ndarray:
        return state["_conditions"].encoded(y).astype(self._dtype)

    def _finalise(self, rows: RowSource, y: np.ndarray, *, partial: bool) -> None:
        parent: Any = super()
        parent._finalise(rows, self._conditions.encoded(y), partial=partial)
