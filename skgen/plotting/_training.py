"""TrainingDisplay: what a fit recorded, by epoch."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgen.plotting._common import line_looks, new_axes

_LOSSES = ("train_loss", "valid_loss")
_TERMS = ("train_reconstruction", "train_kl")
_LABELS = {
    "train_loss": "training rows",
    "valid_loss": "held-out rows",
    "train_reconstruction": "reconstruction",
    "train_kl": "KL divergence",
}
_AXIS_LABELS = {
    "loss": "loss (nats per row)",
    "score": "score (nats per row)",
    "elbo": "terms of the ELBO (nats per row)",
}
# Entries of a history that are no measurements.
_BOOKKEEPING = {"batches", "epoch", "dur", "phase", "train_batch_count"}
_BOOKKEEPING |= {"valid_batch_count"}
_KINDS = ("loss", "score", "elbo", "diagnostics")
_REMEDIES = {
    "loss": "Call fit with n_iter of at least 1.",
    "score": "Call fit with n_iter of at least 1.",
    "elbo": "Only variational autoencoders record them: try kind='loss'.",
    "diagnostics": (
        "Pass callbacks that measure something, such as those of skgen.callbacks or "
        "skorch's EpochScoring, and fit again."
    ),
}


class TrainingDisplay:
    """What a fit recorded of its training, by epoch.

    It is recommended to use :func:`from_estimator` to create one: it draws it at
    once. All parameters are stored as attributes.

    Parameters
    ----------
    epochs : ndarray of shape (n_epochs,)
        Numbers of the epochs.
    curves : dict of str to ndarray of shape (n_epochs,)
        What was recorded, by its label; NaN where nothing was measured.
    phases : sequence of str or None, default=None
        Phase of training of each epoch, if there are several. Curves are
        interrupted where one ends, since the losses of two phases do not compare.
    ylabel : str or None, default=None
        Label of the vertical axis.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves, in the order of `curves`, each phase a line.
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    ScoreDisplay : Scores of data, held-out data and samples after the fit.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skgen import GaussianVAE
    >>> from skgen.plotting import TrainingDisplay
    >>> X = load_digits().data
    >>> vae = GaussianVAE(n_iter=20, early_stopping=True, random_state=0).fit(X)
    >>> display = TrainingDisplay.from_estimator(vae)
    >>> list(display.curves)
    ['training rows', 'held-out rows']
    >>> display = TrainingDisplay.from_estimator(vae, kind="elbo")
    >>> list(display.curves)
    ['reconstruction', 'KL divergence']
    >>> plt.close("all")
    """

    def __init__(
        self,
        *,
        epochs: Any,
        curves: dict[str, Any],
        phases: Any = None,
        ylabel: str | None = None,
    ) -> None:
        self.epochs = epochs
        self.curves = curves
        self.phases = phases
        self.ylabel = ylabel

    def plot(
        self, *, title: str | None = None, line_kw: Any = None, ax: Any = None
    ) -> "TrainingDisplay":
        """Draw one line for each curve.

        Parameters
        ----------
        title : str or None, default=None
            Title of the axes.
        line_kw : dict or None, default=None
            Parameters of `matplotlib.axes.Axes.plot`, for all lines.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        TrainingDisplay
            This display, which now has `lines_`, `ax_` and `figure_`.
        """
        epochs, curves = np.asarray(self.epochs), {}
        for name, values in self.curves.items():
            values = np.asarray(values, dtype=float)
            if values.shape != epochs.shape:
                raise ValueError(
                    f"Got the curve {name!r} of shape {values.shape}, but expected "
                    f"{epochs.shape}, a number for each epoch. Write NaN where "
                    "nothing was measured."
                )
            curves[name] = values
        parts = _phases(self.phases, len(epochs))
        ax = new_axes(self, ax)
        self.lines_ = []
        for (name, values), look in zip(curves.items(), line_looks(), strict=False):
            label, is_sparse = name, np.isfinite(values).sum() < 30
            for _, part in parts:
                # Points that are measured every tenth epoch are joined as well.
                seen = part[~np.isnan(values[part])]
                params = look | {"marker": "." if is_sparse else ""}
                params |= {"label": label} | (line_kw or {})
                self.lines_ += ax.plot(epochs[seen], values[seen], **params)
                label = "_nolegend_"  # one entry a curve, not one a phase
        for name, part in parts if len(parts) > 1 else []:
            if part[0] > 0:
                ax.axvline(epochs[part[0]] - 0.5, color="0.7", linewidth=0.8)
            ax.text(
                epochs[part].mean(),
                0.98,  # of the height
                name,
                transform=ax.get_xaxis_transform(),
                ha="center",
                va="top",
                fontsize="small",
            )
        ax.set(xlabel="epoch", ylabel=self.ylabel)
        if title is not None:
            ax.set_title(title)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, kind: Any = "loss", **plot_params: Any
    ) -> "TrainingDisplay":
        """Draw what is in the history of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator of this package, with `history_`.
        kind : {"loss", "score", "elbo", "diagnostics"} or list of str, default="loss"
            What to draw:

            - "loss" is ``train_loss``, the mean over training rows in the course of an
              epoch, and ``valid_loss``, that of held-out rows, if there are any. For
              Boltzmann machines and GANs this is not what is minimised; see
              `history_` of the estimator.
            - "score" is minus the loss: higher is better, as for `score`.
            - "elbo" has the two terms of the evidence lower bound of a variational
              autoencoder, the reconstruction and the KL divergence.
            - "diagnostics" is everything else that callbacks recorded.
            - A list has names of entries of `history_`, such as
              ["train_log_likelihood", "valid_log_likelihood"].
        **plot_params : dict
            Parameters of :func:`plot`.

        Returns
        -------
        TrainingDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator records no history.
        ValueError
            If the history does not have what is asked for.
        """
        check_is_fitted(estimator)
        history = getattr(estimator, "history_", None)
        if history is None:
            raise TypeError(
                f"Got a {type(estimator).__name__} without history_, but expected a "
                "fitted estimator of this package. Pass one step of a pipeline, "
                "pipeline[-1] say, or best_estimator_ of a search."
            )
        rows = list(history)
        names = _names(rows, kind, type(estimator).__name__)
        sign = -1 if kind == "score" else 1
        curves = {
            _LABELS.get(name, name): sign
            * np.array([row.get(name, np.nan) for row in rows])
            for name in names
        }
        phases = [row["phase"] for row in rows] if "phase" in rows[0] else None
        ylabel = _AXIS_LABELS.get(kind) if isinstance(kind, str) else None
        epochs = np.array([row["epoch"] for row in rows])
        return cls(epochs=epochs, curves=curves, phases=phases, ylabel=ylabel).plot(
            **plot_params
        )


def _names(rows: list[dict[str, Any]], kind: Any, estimator: str) -> list[str]:
    """Return the entries of a history that are asked for, in the order of recording."""
    recorded = list(dict.fromkeys(name for row in rows for name in _numbers(row)))
    if not isinstance(kind, str):
        return _listed(kind, recorded, estimator)
    if kind not in _KINDS:
        raise ValueError(
            f"Got kind={kind!r}, but expected one of {_KINDS} or a list of entries of "
            f"history_, which has {recorded}."
        )
    groups = {
        "loss": _LOSSES,
        "score": _LOSSES,
        "elbo": _TERMS,
        "diagnostics": [n for n in recorded if n not in (*_LOSSES, *_TERMS)],
    }
    names = [name for name in groups[kind] if name in recorded]
    if not names:
        raise ValueError(
            f"Got kind={kind!r}, but expected a history_ with such entries; that of "
            f"the {estimator} has {recorded}. {_REMEDIES[kind]}"
        )
    return names


def _listed(kind: Any, recorded: list[str], estimator: str) -> list[str]:
    names = list(kind) if isinstance(kind, Iterable) else [kind]
    absent = [name for name in names if name not in recorded]
    if absent or not names:
        held_out = any("valid" in str(name) for name in absent)
        raise ValueError(
            f"Got kind={kind!r}, but expected entries of history_; that of the "
            f"{estimator} has {recorded}. "
            + (
                "Set early_stopping=True, or pass a callback that uses held-out rows, "
                "so that rows are held out of training."
                if held_out
                else "Pass some of these, or one of "
                + ", ".join(map(repr, _KINDS))
                + "."
            )
        )
    return names


def _numbers(row: dict[str, Any]) -> list[str]:
    """Return the names of what was measured in an epoch."""
    return [
        name
        for name, value in row.items()
        if isinstance(value, Real | np.number)
        and not isinstance(value, bool | np.bool_)
        and name not in _BOOKKEEPING
    ]


def _phases(phases: Any, n_epochs: int) -> list[tuple[str, np.ndarray]]:
    """Split the places of the epochs where the phase changes."""
    places = np.arange(n_epochs)
    if phases is None:
        return [("", places)]
    phases = list(phases)
    if len(phases) != n_epochs:
        raise ValueError(
            f"Got phases of length {len(phases)}, but expected {n_epochs}, one for "
            "each epoch."
        )
    starts = [i for i in range(1, n_epochs) if phases[i] != phases[i - 1]]
    return [(str(phases[part[0]]), part) for part in np.split(places, starts)]
