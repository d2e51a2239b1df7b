"""LatentDisplay: two latent variables, of data by class and as the decoder's images."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length

from skgen.plotting._common import COLOURS, MARKERS, check_fitted_with, new_axes
from skgen.plotting._images import (
    check_positive,
    limits_of,
    paint,
    pixels_of,
    square_of,
    tile,
)

# Limits of the decoder's plane: 98 % of a standard normal prior, in each variable.
_LIMITS = (-2.33, 2.33)
_MAX_CLASSES = 20


class LatentDisplay:
    """A plane of two latent variables: points of data, or images of the decoder.

    It is recommended to use :func:`from_estimator` for points or :func:`from_decoder`
    for images: they draw at once. Both have the latent variables as axes, so that
    points can be drawn on the axes of images. All parameters are stored as attributes.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2) or None, default=None
        The two latent variables of each row of data.
    y : ndarray of shape (n_samples,) or None, default=None
        Classes, which have a colour and a marker each, or real values, which have a
        colour scale.
    images : ndarray of shape (n_steps * n_steps, n_features) or None, default=None
        Images of the decoder, row by row from the top left: the first variable
        increases from left to right, and the second from the bottom to the top.
    image_shape : tuple of int or None, default=None
        Shape of an image, as for :class:`ImageGridDisplay`.
    limits : tuple of (float, float), default=(-2.33, 2.33)
        Least and greatest value of both variables at the centers of the images.
    names : tuple of (str, str), default=("z0", "z1")
        Names of the variables.

    Attributes
    ----------
    points_ : list of matplotlib PathCollection
        The points: a collection for each class, or one for all.
    im_ : matplotlib AxesImage or None
        The images, all in one.
    ax_ : matplotlib Axes
        Axes with the plane.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    ImageGridDisplay : Images in rows, without axes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skgen import GaussianVAE
    >>> from skgen.plotting import LatentDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> vae = GaussianVAE(n_components=2, n_iter=20, random_state=0).fit(X)
    >>> display = LatentDisplay.from_estimator(vae, X, y)
    >>> len(display.points_)
    10
    >>> display = LatentDisplay.from_decoder(vae, n_steps=9)
    >>> display.images.shape
    (81, 64)
    >>> plt.close("all")
    """

    def __init__(
        self,
        points: Any = None,
        *,
        y: Any = None,
        images: Any = None,
        image_shape: Any = None,
        limits: tuple[float, float] = _LIMITS,
        names: tuple[str, str] = ("z0", "z1"),
    ) -> None:
        self.points = points
        self.y = y
        self.images = images
        self.image_shape = image_shape
        self.limits = limits
        self.names = names

    def plot(
        self,
        *,
        cmap: Any = None,
        vmin: float | None = None,
        vmax: float | None = None,
        title: str | None = None,
        scatter_kw: Any = None,
        ax: Any = None,
    ) -> "LatentDisplay":
        """Draw the images, if there are any, and the points over them.

        Parameters
        ----------
        cmap : str, matplotlib Colormap or None, default=None
            Colours of the images, or of the points if there are no images and y has
            real values. None means "gray_r" for images and "viridis" for points.
        vmin, vmax : float or None, default=None
            Limits of the colour scale of images; None means the least and the
            greatest of all pixels.
        title : str or None, default=None
            Title of the axes.
        scatter_kw : dict or None, default=None
            Parameters of `matplotlib.axes.Axes.scatter`.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        LatentDisplay
            This display, which now has `points_`, `im_`, `ax_` and `figure_`.
        """
        if self.points is None and self.images is None:
            raise ValueError(
                "Got neither points nor images, but expected one of them. Use "
                "LatentDisplay.from_estimator or LatentDisplay.from_decoder."
            )
        points = None if self.points is None else _checked(self.points, self.y)
        ax = new_axes(self, ax)
        self.im_ = (
            None if self.images is None else self._draw_images(ax, cmap, vmin, vmax)
        )
        self.points_: list[Any] = []
        if points is not None:
            point_cmap = (None if self.images is not None else cmap) or "viridis"
            self._draw_points(ax, points, {"cmap": point_cmap} | (scatter_kw or {}))
        ax.set(xlabel=self.names[0], ylabel=self.names[1])
        if title is not None:
            ax.set_title(title)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_images(self, ax: Any, cmap: Any, vmin: Any, vmax: Any) -> Any:
        images, shape = pixels_of(self.images, self.image_shape)
        n_steps = round(len(images) ** 0.5)
        if n_steps**2 != len(images):
            raise ValueError(
                f"Got {len(images)} images, but expected a square number, those of a "
                "grid in the plane. Use LatentDisplay.from_decoder."
            )
        low, high = self.limits
        step = (high - low) / (n_steps - 1) if n_steps > 1 else 1.0
        vmin, vmax = limits_of(images, vmin, vmax)
        grid = paint(tile(images, shape, n_steps), vmin, vmax)
        # The centers of the images are where their latent variables are, and a line of
        # one pixel is between them.
        y_half, x_half = (0.5 * step * side / (side + 1) for side in shape[:2])
        extent = (low - x_half, high + x_half, low - y_half, high + y_half)
        scale = {"cmap": cmap or "gray_r", "vmin": vmin, "vmax": vmax}
        im = ax.imshow(grid, extent=extent, aspect="auto", **scale)
        ax.set_facecolor("lightgray")
        return im

    def _draw_points(self, ax: Any, points: np.ndarray, params: dict[str, Any]) -> None:
        y = None if self.y is None else np.asarray(self.y)
        if y is None:
            del params["cmap"]
            look = {"s": 12, "color": COLOURS[0]}
            self.points_ = [ax.scatter(*points.T, **(look | params))]
        elif _is_continuous(y):
            self.points_ = [ax.scatter(*points.T, **({"s": 12, "c": y} | params))]
            ax.figure.colorbar(self.points_[0], ax=ax, label="y")
        else:
            del params["cmap"]
            for i, label in enumerate(np.unique(y)):
                look = {
                    "s": 14,
                    "color": COLOURS[i % len(COLOURS)],
                    "marker": MARKERS[i % len(MARKERS)],
                    "linewidths": 0,
                    "label": str(label),
                }
                self.points_.append(
                    ax.scatter(*points[y == label].T, **(look | params))
                )
            ax.legend(
                title="class",
                fontsize="small",
                loc="center left",
                bbox_to_anchor=(1.01, 0.5),
            )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: tuple[int, int] = (0, 1),
        conditions: Any = None,
        **plot_params: Any,
    ) -> "LatentDisplay":
        """Draw rows of data as points in the plane of two latent variables.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator with `transform`, of this package or of another one.
        X : array-like of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,) or None, default=None
            Classes or real values, which give the points their colours. The
            estimator does not see them.
        components : tuple of (int, int), default=(0, 1)
            The two columns of ``transform(X)``, counted from 0.
        conditions : array-like or None, default=None
            Second argument of `transform`, for a conditional model.
        **plot_params : dict
            Parameters of :func:`plot`.

        Returns
        -------
        LatentDisplay
            The display, drawn.
        """
        check_fitted_with(estimator, "transform")
        given = () if conditions is None else (conditions,)
        Z = np.asarray(estimator.transform(X, *given))
        i, j = _check_components(components, Z.shape[1])
        return cls(Z[:, [i, j]], y=y, names=_names(i, j)).plot(**plot_params)

    @classmethod
    def from_decoder(
        cls,
        estimator: Any,
        *,
        components: tuple[int, int] = (0, 1),
        n_steps: int = 15,
        limits: tuple[float, float] = _LIMITS,
        origin: Any = None,
        conditions: Any = None,
        image_shape: Any = None,
        **plot_params: Any,
    ) -> "LatentDisplay":
        """Draw what the decoder makes of a grid in the plane of two latent variables.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator with `inverse_transform`, such as a
            :class:`skgen.GaussianVAE` or :class:`sklearn.decomposition.PCA`.
        components : tuple of (int, int), default=(0, 1)
            The two latent variables of the plane, counted from 0.
        n_steps : int, default=15
            Number of images along each axis.
        limits : tuple of (float, float), default=(-2.33, 2.33)
            Range of both variables. The default has 98 % of a standard normal prior
            in each of them; for probabilities of hidden units pass (0, 1).
        origin : array-like of shape (n_components,) or None, default=None
            Values of the other variables; None means zeros.
        conditions : object or None, default=None
            The condition of all images, for a conditional model: a label, or an
            array of shape (n_conditions,).
        image_shape : tuple of int or None, default=None
            Shape of an image, as for :class:`ImageGridDisplay`; None means square
            images.
        **plot_params : dict
            Parameters of :func:`plot`.

        Returns
        -------
        LatentDisplay
            The display, drawn.
        """
        check_fitted_with(estimator, "inverse_transform")
        check_positive("n_steps", n_steps)
        low, high = _check_limits(limits)
        origin = _origin(estimator, origin)
        i, j = _check_components(components, len(origin))
        steps = np.linspace(low, high, n_steps)
        Z = np.tile(origin, (n_steps**2, 1))
        Z[:, i] = np.tile(steps, n_steps)
        Z[:, j] = np.repeat(steps[::-1], n_steps)  # the greatest is at the top
        given = () if conditions is None else (_repeat(conditions, len(Z)),)
        images = np.asarray(estimator.inverse_transform(Z, *given))
        display = cls(
            images=images,
            image_shape=image_shape or square_of(images),
            limits=(low, high),
            names=_names(i, j),
        )
        return display.plot(**plot_params)


def _is_continuous(y: np.ndarray) -> bool:
    """Whether y has values and not classes: floats, or more integers than colours."""
    if type_of_target(y, input_name="y").startswith("continuous"):
        return True
    return y.dtype.kind in "fiu" and len(np.unique(y)) > _MAX_CLASSES


def _names(i: int, j: int) -> tuple[str, str]:
    return f"latent variable {i}", f"latent variable {j}"


def _checked(points: Any, y: Any) -> np.ndarray:
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"Got points of shape {points.shape}, but expected (n_samples, 2). Choose "
            "two latent variables, points[:, [0, 1]] say, or use from_estimator with "
            "components=(0, 1)."
        )
    if y is not None:
        check_consistent_length(points, y)
        if np.ndim(y) != 1:
            raise ValueError(
                f"Got y of shape {np.shape(y)}, but expected (n_samples,). Choose one "
                "column, y[:, 0] say."
            )
    return points


def _check_components(components: Any, n_components: int) -> tuple[int, int]:
    try:
        i, j = (int(c) for c in components)
        fine = i != j and min(i, j) >= 0 and max(i, j) < n_components
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(
            f"Got components={components!r} and an estimator with {n_components} "
            "components, but expected two different ones, counted from 0. "
            + (
                f"Pass two of 0 to {n_components - 1}."
                if n_components > 1
                else "Fit a model with n_components of at least 2."
            )
        )
    return i, j


def _check_limits(limits: Any) -> tuple[float, float]:
    try:
        low, high = (float(limit) for limit in limits)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise ValueError(
            f"Got limits={limits!r}, but expected two numbers, the smaller one first. "
            "Pass limits=(-2.33, 2.33), say."
        )
    return low, high


def _origin(estimator: Any, origin: Any) -> np.ndarray:
    """Return the latent variables off the plane; zeros by default."""
    n = len(estimator.get_feature_names_out())
    if origin is None:
        return np.zeros(n)
    origin = np.asarray(origin, dtype=float)
    if origin.shape != (n,):
        raise ValueError(
            f"Got origin of shape {origin.shape}, but expected ({n},), a value for "
            "each latent variable. Pass one row of transform(X)."
        )
    return origin


def _repeat(conditions: Any, n: int) -> np.ndarray:
    """Return one condition as that of n rows."""
    conditions = np.asarray(conditions)
    return np.repeat(conditions[np.newaxis], n, axis=0)
