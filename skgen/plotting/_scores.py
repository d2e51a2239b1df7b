"""ScoreDisplay: how the scores of data, held-out data and samples are distributed."""

from typing import Any

import numpy as np

from skgen.plotting._common import check_fitted_with, line_looks, new_axes


class ScoreDisplay:
    """Histograms of scores: of data, of held-out data and of samples of a model.

    If a model is good, the three agree. Data that score higher than held-out data
    show overfitting, and samples whose scores lie elsewhere than those of held-out
    data show that the model is not the law of the data. Scores that agree are no
    proof of a good model: a model may miss a part of the data and score well on the
    rest.

    It is recommended to use :func:`from_estimator` to create one: it draws it at
    once. All parameters are stored as attributes.

    Parameters
    ----------
    scores : dict of str to ndarray of shape (n_rows,)
        Scores of the rows of each set, by its label.

    Attributes
    ----------
    lines_ : list of matplotlib Polygon
        Outlines of the histograms, in the order of `scores`.
    ax_ : matplotlib Axes
        Axes with the histograms.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    skgen.metrics.classifier_two_sample_test : A test of samples against data.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from skgen import GaussianRBM
    >>> from skgen.plotting import ScoreDisplay
    >>> X_train, X_test = train_test_split(load_iris().data, random_state=0)
    >>> model = GaussianRBM(n_components=8, n_iter=20, random_state=0).fit(X_train)
    >>> display = ScoreDisplay.from_estimator(model, X_train, X_test=X_test)
    >>> {label: len(scores) for label, scores in display.scores.items()}
    {'data': 112, 'held-out data': 38, 'samples': 112}
    >>> plt.close("all")
    """

    def __init__(self, scores: dict[str, Any]) -> None:
        self.scores = scores

    def plot(
        self, *, bins: Any = 30, title: str | None = None, ax: Any = None
    ) -> "ScoreDisplay":
        """Draw one histogram for each set, normalised, with a line at its mean.

        Parameters
        ----------
        bins : int, str or array-like, default=30
            Bins, as for `numpy.histogram_bin_edges` of all scores together.
        title : str or None, default=None
            Title of the axes.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ScoreDisplay
            This display, which now has `lines_`, `ax_` and `figure_`.
        """
        sets = {label: _checked(label, values) for label, values in self.scores.items()}
        if not sets:
            raise ValueError(
                "Got no scores, but expected those of at least one set of rows. Pass "
                "scores={'data': model.score_samples(X)}, or use from_estimator."
            )
        ax = new_axes(self, ax)
        edges = np.histogram_bin_edges(np.concatenate(list(sets.values())), bins)
        self.lines_ = []
        for (label, values), look in zip(sets.items(), line_looks(), strict=False):
            mean = values.mean()
            _, _, outlines = ax.hist(
                values,
                edges,
                density=True,
                histtype="step",
                linewidth=1.5,
                label=f"{label}: mean {mean:.4g}",
                **look,
            )
            self.lines_ += outlines
            ax.axvline(mean, linewidth=1, **look)
        ax.set(xlabel="score (nats per row)", ylabel="density of rows")
        if title is not None:
            ax.set_title(title)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        X_test: Any = None,
        y_test: Any = None,
        n_samples: int | None = None,
        random_state: Any = None,
        **plot_params: Any,
    ) -> "ScoreDisplay":
        """Draw the scores of data, of held-out data and of samples.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator with `score_samples` and `sample`, of this package or,
            such as :class:`sklearn.mixture.GaussianMixture`, of another one.
        X : array-like of shape (n_rows, n_features)
            Data, in general those of training.
        y : array-like of (n_rows,) or (n_rows, n_conditions) or None, default=None
            Conditions of X, for a conditional model, whose samples have the same
            conditions.
        X_test : array-like of shape (n_test_rows, n_features) or None, default=None
            Held-out data.
        y_test : array-like or None, default=None
            Conditions of `X_test`, for a conditional model.
        n_samples : int or None, default=None
            Number of samples; None means as many as X has rows, and 0 none. With
            conditions the number is that of y, unless it is 0.
        random_state : int, RandomState instance or None, default=None
            Seed of the samples, if `sample` of the estimator takes one; None means
            that of the estimator.
        **plot_params : dict
            Parameters of :func:`plot`.

        Returns
        -------
        ScoreDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator has no `score_samples` or `sample`.
        ValueError
            If scores are not finite.
        """
        check_fitted_with(estimator, "score_samples", "sample")

        def score(rows: Any, conditions: Any) -> np.ndarray:
            """Score rows, given their conditions if there are any."""
            given = () if conditions is None else (conditions,)
            return np.asarray(estimator.score_samples(rows, *given))

        scores = {"data": score(X, y)}
        if X_test is not None:
            scores["held-out data"] = score(X_test, y_test)
        if n_samples is None or n_samples > 0:
            params = {} if random_state is None else {"random_state": random_state}
            if y is None:
                samples = estimator.sample(n_samples or len(scores["data"]), **params)
            else:
                samples = estimator.sample(y=y, **params)
            # scikit-learn's mixtures return the components that were drawn, too.
            samples = samples[0] if isinstance(samples, tuple) else samples
            scores["samples"] = score(samples, y)
        return cls(scores).plot(**plot_params)


def _checked(label: str, values: Any) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"Got scores of {label!r} of shape {values.shape}, but expected (n_rows,), "
            "a score for each row. Use score_samples, not score."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(
            f"Got {bad.sum()} scores of {label!r} that are not finite, but expected "
            "numbers. Look at these rows: the model gives them no density."
        )
    return values
