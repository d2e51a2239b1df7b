"""ImageGridDisplay: rows of an array as a grid of images."""

from math import ceil, isqrt, prod, sqrt
from numbers import Integral
from operator import index
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from skgen.plotting._common import check_fitted_with, new_axes


class ImageGridDisplay:
    """Grid of images, one for each row of an array.

    It is recommended to use :func:`from_array`, :func:`from_components` or
    :func:`from_reconstructions` to create one: they draw it at once. All parameters
    are stored as attributes.

    Parameters
    ----------
    images : ndarray of shape (n_images, n_features)
        Images, each of them a row of pixels from the top left to the right. Pixels
        that are NaN are not drawn.
    image_shape : tuple of (int, int) or (int, int, int)
        Height and width of an image. Images in colour have a third number: (height,
        width, 3), as in matplotlib, or (3, height, width), as the `image_shape` of
        :class:`skgen.GaussianVAE`. If the last one is 3, it is that of the colours.

    Attributes
    ----------
    im_ : matplotlib AxesImage
        The grid: all images in one, with a masked line between them.
    ax_ : matplotlib Axes
        Axes with the grid.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : A display of scikit-learn, with the
        same methods.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skgen import BernoulliRBMGPU
    >>> from skgen.plotting import ImageGridDisplay
    >>> X = load_digits().data / 16
    >>> model = BernoulliRBMGPU(n_components=20, n_iter=2, random_state=0).fit(X)
    >>> display = ImageGridDisplay.from_array(model.sample(10), n_columns=5)
    >>> display.image_shape
    (8, 8)
    >>> display = ImageGridDisplay.from_components(model, title="Filters")
    >>> display = ImageGridDisplay.from_reconstructions(model, X[:5])
    >>> plt.close("all")
    """

    def __init__(self, images: Any, *, image_shape: tuple[int, ...]) -> None:
        self.images = images
        self.image_shape = image_shape

    def plot(
        self,
        *,
        n_columns: int | None = None,
        symmetric: bool = False,
        cmap: Any = None,
        vmin: float | None = None,
        vmax: float | None = None,
        title: str | None = None,
        ax: Any = None,
    ) -> "ImageGridDisplay":
        """Draw the images, row by row, on one colour scale.

        Parameters
        ----------
        n_columns : int or None, default=None
            Images in a row of the grid; None makes the grid about square.
        symmetric : bool, default=False
            Whether the colour scale is centered on zero, with limits at the
            largest magnitude. It suits signed pixels, such as weights.
        cmap : str, matplotlib Colormap or None, default=None
            Colours; None means "RdBu_r" if `symmetric`, else "gray_r". Images in
            colour do not use it.
        vmin, vmax : float or None, default=None
            Limits of the colour scale; None means the least and the greatest of
            all pixels, or what `symmetric` says. Those of images in colour are the
            values of black and of full colours.
        title : str or None, default=None
            Title of the axes.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ImageGridDisplay
            This display, which now has `im_`, `ax_` and `figure_`.
        """
        images, image_shape = pixels_of(self.images, self.image_shape)
        if n_columns is None:
            n_columns = ceil(sqrt(len(images)))
        check_positive("n_columns", n_columns, "None for a grid that is about square")
        if symmetric:
            limit = np.nanmax(np.abs(images)) or 1.0  # all zero: any limit will do
            vmin = -limit if vmin is None else vmin
            vmax = limit if vmax is None else vmax
        vmin, vmax = limits_of(images, vmin, vmax)
        if cmap is None:
            cmap = "RdBu_r" if symmetric else "gray_r"
        ax = new_axes(self, ax)
        grid = paint(tile(images, image_shape, n_columns), vmin, vmax)
        self.im_ = ax.imshow(grid, cmap=cmap, vmin=vmin, vmax=vmax)
        # The lines between the images, and the places that none fills.
        ax.set_facecolor("lightgray")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        if title is not None:
            ax.set_title(title)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_array(
        cls,
        X: Any,
        *,
        image_shape: tuple[int, ...] | None = None,
        **plot_params: Any,
    ) -> "ImageGridDisplay":
        """Draw each row of an array as an image.

        Parameters
        ----------
        X : array-like of shape (n_images, n_features)
            Images, such as data or what `sample` returns.
        image_shape : tuple of int or None, default=None
            Height and width of an image, and of colour images the number of
            channels, first or last; None means square images without colour.
        **plot_params : dict
            Parameters of :func:`plot`.

        Returns
        -------
        ImageGridDisplay
            The display, drawn.
        """
        X = check_array(X, input_name="X")
        image_shape = image_shape or square_of(X)
        return cls(X, image_shape=image_shape).plot(**plot_params)

    @classmethod
    def from_components(
        cls,
        estimator: Any,
        *,
        n_images: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        symmetric: bool = True,
        **plot_params: Any,
    ) -> "ImageGridDisplay":
        """Draw the learned filters of an estimator: the rows of its `components_`.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator with `components_` of shape (n_components,
            n_features), of this package or of scikit-learn.
        n_images : int or None, default=None
            Number of filters to draw: those of the largest norm, the largest
            first. None means all, in their order.
        image_shape : tuple of int or None, default=None
            Shape of an image, as in :func:`from_array`.
        symmetric : bool, default=True
            Whether the colour scale is centered on zero.
        **plot_params : dict
            Other parameters of :func:`plot`.

        Returns
        -------
        ImageGridDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "components_"):
            raise TypeError(
                f"Got a {type(estimator).__name__} without components_, but expected a "
                "fitted estimator that has them. Pass one step of a pipeline, "
                "pipeline[0] say, or draw what you want to see by from_array."
            )
        components = np.asarray(estimator.components_)
        if n_images is not None:
            check_positive("n_images", n_images, "None for all filters")
            norm = np.linalg.norm(components, axis=1)
            components = components[np.argsort(-norm, kind="stable")[:n_images]]
        return cls.from_array(
            components,
            image_shape=image_shape,
            symmetric=symmetric,
            **plot_params,
        )

    @classmethod
    def from_reconstructions(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        n_columns: int | None = None,
        **plot_params: Any,
    ) -> "ImageGridDisplay":
        """Draw images, and below each of them its reconstruction by an estimator.

        The reconstruction is ``estimator.reconstruct(X)``, if the estimator has this
        method, and ``estimator.inverse_transform(estimator.transform(X))`` otherwise.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator, of this package or, such as
            :class:`sklearn.decomposition.PCA`, of another one.
        X : array-like of shape (n_images, n_features)
            Images.
        y : array-like of shape (n_images,) or (n_images, n_conditions) or None
            Conditions of the images, for a conditional model.
        image_shape : tuple of int or None, default=None
            Shape of an image, as in :func:`from_array`.
        n_columns : int or None, default=None
            Images in a row of the grid; None means all, at most 10.
        **plot_params : dict
            Other parameters of :func:`plot`.

        Returns
        -------
        ImageGridDisplay
            The display, drawn: rows of originals and, below each, a row of
            reconstructions.
        """
        X = check_array(X, input_name="X")
        given = () if y is None else (y,)
        if hasattr(estimator, "reconstruct"):
            check_fitted_with(estimator, "reconstruct")
            again = estimator.reconstruct(X, *given)
        else:
            check_fitted_with(estimator, "transform", "inverse_transform")
            H = estimator.transform(X, *given)
            again = estimator.inverse_transform(H, *given)
        if n_columns is None:
            n_columns = 10
        check_positive("n_columns", n_columns, "None for at most 10")
        n_columns = min(n_columns, len(X))
        images = _in_pairs_of_rows(X, np.asarray(again), n_columns)
        display = cls(images, image_shape=image_shape or square_of(X))
        return display.plot(n_columns=n_columns, **plot_params)


def check_positive(name: str, value: Any, alternative: str = "") -> None:
    """Raise an error if a number of things is not a positive integer."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"Got {name}={value!r}, but expected an integer of at least 1"
            + (f", or {alternative}." if alternative else ".")
        )


def _in_pairs_of_rows(X: np.ndarray, again: np.ndarray, n_columns: int) -> np.ndarray:
    """Put `n_columns` rows of X, as many of `again`, and so on, below one another."""
    n_missing = -len(X) % n_columns
    full = [
        np.pad(images.astype(float), ((0, n_missing), (0, 0)), constant_values=np.nan)
        for images in (X, again)
    ]
    pairs = np.stack([images.reshape(-1, n_columns, X.shape[1]) for images in full], 1)
    return pairs.reshape(-1, X.shape[1])


def square_of(images: np.ndarray) -> tuple[int, int]:
    """Return height and width of square images without colour."""
    side = isqrt(images.shape[1])
    if side**2 != images.shape[1]:
        raise ValueError(
            f"Got images with {images.shape[1]} columns, which is no square number, "
            "but expected square images. Pass image_shape=(height, width), or (height, "
            "width, 3) for colours."
        )
    return side, side


def pixels_of(images: Any, image_shape: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return images as rows of (height, width) or (height, width, 3) numbers."""
    images = np.asarray(images, dtype=float)
    if images.ndim != 2 or 0 in images.shape:
        raise ValueError(
            f"Got images of shape {images.shape}, but expected (n_images, n_features), "
            "none of them 0. Reshape them by images.reshape(n_images, -1)."
        )
    n_pixels = images.shape[1]
    try:
        shape = tuple(index(side) for side in image_shape)
    except TypeError:
        shape = ()
    in_colour = len(shape) == 3
    if (
        len(shape) not in (2, 3)
        or min(shape) < 1
        or prod(shape) != n_pixels
        or (in_colour and not {shape[0], shape[-1]} & {1, 3})
    ):
        raise ValueError(
            f"Got image_shape={image_shape!r}, but expected integers whose product is "
            f"{n_pixels}, the number of columns of the images. Pass image_shape="
            "(height, width), or (height, width, 3) or (3, height, width) for colours."
        )
    if in_colour and shape[-1] not in (1, 3):  # the channels come first
        images = np.moveaxis(images.reshape(-1, *shape), 1, -1).reshape(len(images), -1)
        shape = (*shape[1:], shape[0])
    if shape[2:] == (1,):
        shape = shape[:2]
    return images, shape


def tile(
    images: np.ndarray, image_shape: tuple[int, ...], n_columns: int, gap: int = 1
) -> np.ndarray:
    """Put images row by row into one array, with `gap` lines of NaN between them."""
    height, width, *channels = image_shape
    n_columns = min(n_columns, len(images))
    n_rows = ceil(len(images) / n_columns)
    # Each image has its gap below and to the right of it.
    shape = (n_rows * (height + gap), n_columns * (width + gap), *channels)
    grid = np.full(shape, np.nan)
    for i, image in enumerate(images):
        row, column = divmod(i, n_columns)
        top, left = row * (height + gap), column * (width + gap)
        grid[top : top + height, left : left + width] = image.reshape(image_shape)
    return grid[: shape[0] - gap, : shape[1] - gap]


def limits_of(
    images: np.ndarray, vmin: float | None, vmax: float | None
) -> tuple[float, float]:
    """Return the limits of the colours, by default those of the pixels."""
    return (
        np.nanmin(images) if vmin is None else vmin,
        np.nanmax(images) if vmax is None else vmax,
    )


def paint(grid: np.ndarray, vmin: float, vmax: float) -> np.ndarray:
    """Scale colours, which matplotlib does not do; NaN becomes transparent."""
    if grid.ndim == 2:
        return grid
    grid = np.clip((grid - vmin) / ((vmax - vmin) or 1.0), 0, 1)
    gap = np.isnan(grid).any(axis=-1, keepdims=True)
    # The fourth number is the opacity.
    return np.concatenate([np.where(gap, 0.0, grid), ~gap], axis=-1)
