"""What the displays share: axes, colours, and the step of a pipeline that is meant."""

from itertools import cycle
from typing import Any

from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

# Okabe & Ito (2008): told apart with every kind of colour vision, and in print.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#000000", "#8C8C00"),
)
LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def new_axes(display: Any, ax: Any) -> Any:
    """Return the axes to draw on, those given or those of a new figure."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1] if ax is None else ax


def line_looks() -> Any:
    """Return colours and line styles without end, for one line after another."""
    return (
        {"color": colour, "linestyle": style}
        for colour, style in zip(cycle(COLOURS), cycle(LINE_STYLES), strict=False)
    )


def check_fitted_with(estimator: Any, *methods: str) -> None:
    """Raise an error if an estimator lacks a method or is not fitted."""
    for method in methods:
        if not hasattr(estimator, method):
            raise TypeError(
                f"Got a {type(estimator).__name__}, which has no method {method}, but "
                "expected an estimator that has it. Pass a generative model, or one "
                "step of a pipeline, pipeline[-1] say."
            )
    check_is_fitted(estimator)
