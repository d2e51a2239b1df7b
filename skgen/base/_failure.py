"""A fit that fails leaves an estimator as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils import check_random_state


@contextmanager
def unchanged_on_failure(estimator: Any) -> Iterator[dict[str, Any]]:
    """Restore all attributes of an estimator where a fit fails.

    Random states, from which a fit draws in place, go back to where they were, also
    one that the user gave and still holds. Other attributes are replaced as wholes.

    Parameters
    ----------
    estimator : estimator
        The estimator.

    Yields
    ------
    before : dict
        Its attributes before the fit.
    """
    before = vars(estimator).copy()
    states = [
        (value, value.get_state())
        for value in before.values()
        # The global one is not the estimator's.
        if isinstance(value, np.random.RandomState)
        and value is not check_random_state(None)
    ]
    try:
        yield before
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        for value, state in states:
            value.set_state(state)
        raise
