"""What "auto" means in the parameters of a training that several families have."""

from math import ceil
from typing import Any, ClassVar

from skgen.training._user_callbacks import has_scheduler

# Numbers of rows between which early_stopping="auto" holds some out. Fewer are needed
# all; large tables are not learnt by heart, and gain most at the end of the schedule.
_LEAST_ROWS, _MOST_ROWS = 40, 5000


class AutomaticParameters:
    """Parameters of the training of an estimator, with "auto" replaced."""

    learning_rate_schedule: str
    early_stopping: Any
    callbacks: Any
    batch_size: Any

    # What n_iter="auto" means: so many steps for a row, at least, and at most.
    _automatic_steps: ClassVar[tuple[float, int, int]]

    def _number_of_epochs(self, n_iter: Any, n_rows: int) -> int:
        """Return the number of epochs that `n_iter` means for so many rows."""
        if n_iter != "auto":
            return int(n_iter)
        a_row, least, most = self._automatic_steps
        n_steps = min(max(a_row * n_rows, least), most)
        return ceil(n_steps / ceil(n_rows / int(self.batch_size)))

    def _stops_early(self, n_rows: int | None) -> bool:
        """Whether a fit to so many rows stops early; None means `partial_fit`."""
        if self.early_stopping != "auto":
            return bool(self.early_stopping)
        return n_rows is not None and _LEAST_ROWS <= n_rows <= _MOST_ROWS

    @property
    def _schedule(self) -> str:
        """The schedule of the learning rate, a key of `SCHEDULES`."""
        if self.learning_rate_schedule != "auto":
            return self.learning_rate_schedule
        return "constant" if has_scheduler(self.callbacks) else "linear"
