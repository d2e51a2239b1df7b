"""ImageGridDisplay: rows of an array as a grid of images."""

from math import ceil, isqrt, sqrt
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted


class ImageGridDisplay:
    """Grid of images, one for each row of an array.

    It is recommended to use :func:`from_array` or :func:`from_components` to
    create one: they draw it at once. All parameters are stored as attributes.

    Parameters
    ----------
    images : ndarray of shape (n_images, height * width)
        Images, each of them a row of pixels from the top left to the right.
    image_shape : tuple of (int, int)
        Height and width of an image.

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
    >>> plt.close("all")
    """

    def __init__(self, images: Any, *, image_shape: tuple[int, int]) -> None:
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
            Colours; None means "RdBu_r" if `symmetric`, else "gray_r".
        vmin, vmax : float or None, default=None
            Limits of the colour scale; None means the least and the greatest of
            all pixels, or what `symmetric` says.
        title : str or None, default=None
            Title of the axes.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        ImageGridDisplay
            This display, which now has `im_`, `ax_` and `figure_`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        images = np.asarray(self.images, dtype=float)
        image_shape = _check_image_shape(images, self.image_shape)
        if n_columns is None:
            n_columns = ceil(sqrt(len(images)))
        _check_positive("n_columns", n_columns, "a grid that is about square")
        if symmetric:
            limit = np.abs(images).max() or 1.0  # all zero: any limit will do
            vmin = -limit if vmin is None else vmin
            vmax = limit if vmax is None else vmax
        else:
            vmin = images.min() if vmin is None else vmin
            vmax = images.max() if vmax is None else vmax
        if cmap is None:
            cmap = "RdBu_r" if symmetric else "gray_r"
        if ax is None:
            _, ax = plt.subplots()
        grid = _tile(images, image_shape, n_columns)
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
        cls, X: Any, *, image_shape: tuple[int, int] | None = None, **plot_params: Any
    ) -> "ImageGridDisplay":
        """Draw each row of an array as an image.

        Parameters
        ----------
        X : array-like of shape (n_images, height * width)
            Images, such as data or what `sample` returns.
        image_shape : tuple of (int, int) or None, default=None
            Height and width of an image; None means square images.
        **plot_params : dict
            Parameters of :func:`plot`.

        Returns
        -------
        ImageGridDisplay
            The display, drawn.
        """
        X = check_array(X, input_name="X")
        if image_shape is None:
            side = isqrt(X.shape[1])
            if side**2 != X.shape[1]:
                raise ValueError(
                    f"Got X with {X.shape[1]} columns, which is no square number, but "
                    "expected square images. Pass image_shape=(height, width)."
                )
            image_shape = (side, side)
        return cls(X, image_shape=image_shape).plot(**plot_params)

    @classmethod
    def from_components(
        cls,
        estimator: Any,
        *,
        n_images: int | None = None,
        image_shape: tuple[int, int] | None = None,
        symmetric: bool = True,
        **plot_params: Any,
    ) -> "ImageGridDisplay":
        """Draw the learned filters of an estimator: the rows of its `components_`.

        Parameters
        ----------
        estimator : estimator instance
            Fitted estimator with `components_` of shape (n_components,
            height * width), of this package or of scikit-learn.
        n_images : int or None, default=None
            Number of filters to draw: those of the largest norm, the largest
            first. None means all, in their order.
        image_shape : tuple of (int, int) or None, default=None
            Height and width of an image; None means square images.
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
            _check_positive("n_images", n_images, "all filters")
            norm = np.linalg.norm(components, axis=1)
            components = components[np.argsort(-norm, kind="stable")[:n_images]]
        return cls.from_array(
            components,
            image_shape=image_shape,
            symmetric=symmetric,
            **plot_params,
        )


def _check_positive(name: str, value: Any, default: str) -> None:
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"Got {name}={value!r}, but expected an integer of at least 1, or None for "
            f"{default}."
        )


def _check_image_shape(images: np.ndarray, image_shape: Any) -> tuple[int, int]:
    if images.ndim != 2 or 0 in images.shape:
        raise ValueError(
            f"Got images of shape {images.shape}, but expected (n_images, height * "
            "width), none of them 0. Reshape them by images.reshape(n_images, -1)."
        )
    n_pixels = images.shape[1]
    try:
        height, width = (int(side) for side in image_shape)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1 or height * width != n_pixels:
        raise ValueError(
            f"Got image_shape={image_shape!r}, but expected a height and a width whose "
            f"product is {n_pixels}, the number of columns of the images. Pass "
            "image_shape=(height, width)."
        )
    return height, width


def _tile(images: np.ndarray, image_shape: tuple[int, int], n_columns: int) -> Any:
    """Put images row by row into one array, with NaN between them."""
    height, width = image_shape
    n_columns = min(n_columns, len(images))
    n_rows = ceil(len(images) / n_columns)
    # Each image has a line of NaN below and to the right of it.
    grid = np.full((n_rows * (height + 1), n_columns * (width + 1)), np.nan)
    for i, image in enumerate(images):
        row, column = divmod(i, n_columns)
        top, left = row * (height + 1), column * (width + 1)
        grid[top : top + height, left : left + width] = image.reshape(image_shape)
    return grid[:-1, :-1]
