import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from skgen import BernoulliRBMGPU
from skgen.plotting import ImageGridDisplay


@pytest.fixture
def images():
    """Five images of 2 × 3 pixels, no two pixels alike."""
    return np.arange(30.0).reshape(5, 6)


def drawn(display):
    """What is in the axes, with NaN where nothing is drawn."""
    return np.ma.filled(display.im_.get_array(), np.nan)


def rendered(display):
    """The colour on the canvas at the centre of each pixel of the grid."""
    display.figure_.canvas.draw()
    canvas = np.asarray(display.figure_.canvas.buffer_rgba())
    rows, columns = drawn(display).shape[:2]
    centres = [(c, r) for r in range(rows) for c in range(columns)]
    x, y = display.ax_.transData.transform(centres).T.astype(int)
    return canvas[len(canvas) - 1 - y, x].reshape(rows, columns, 4)


def test_the_grid_holds_each_image_upright_and_row_by_row(images):
    grid = drawn(ImageGridDisplay(images, image_shape=(2, 3)).plot(n_columns=3))
    nan = np.nan
    expected = [
        [0, 1, 2, nan, 6, 7, 8, nan, 12, 13, 14],
        [3, 4, 5, nan, 9, 10, 11, nan, 15, 16, 17],
        [nan] * 11,
        [18, 19, 20, nan, 24, 25, 26, nan, nan, nan, nan],
        [21, 22, 23, nan, 27, 28, 29, nan, nan, nan, nan],
    ]
    np.testing.assert_array_equal(grid, expected)


def test_the_canvas_shows_the_grid_from_the_top_left(images):
    display = ImageGridDisplay(images, image_shape=(2, 3)).plot(
        n_columns=3, cmap="viridis"
    )
    colours, grid = rendered(display), drawn(display)
    ink = ~np.isnan(grid)
    expected = mpl.colormaps["viridis"](grid[ink] / 29, bytes=True)
    np.testing.assert_allclose(colours[ink].astype(int), expected, atol=1)
    gap = mpl.colors.to_rgba_array("lightgray")[0] * 255
    np.testing.assert_allclose(colours[~ink], np.tile(gap, ((~ink).sum(), 1)), atol=1)


@pytest.mark.parametrize(
    ("n_images", "n_columns", "shape"),
    [
        (1, None, (1, 1)),
        (4, None, (2, 2)),
        (5, None, (2, 3)),
        (10, None, (3, 4)),
        (3, 1, (3, 1)),
        (3, 8, (1, 3)),
    ],
)
def test_grid_shape(n_images, n_columns, shape):
    X = np.ones((n_images, 4))
    grid = drawn(ImageGridDisplay.from_array(X, n_columns=n_columns))
    assert grid.shape == tuple(3 * n - 1 for n in shape)
    assert (~np.isnan(grid)).sum() == X.size


def test_colour_limits(images):
    def limits(**params):
        display = ImageGridDisplay(images - 10, image_shape=(2, 3)).plot(**params)
        return display.im_.get_clim()

    assert limits() == (-10, 19)
    assert limits(vmin=-100) == (-100, 19)
    assert limits(symmetric=True) == (-19, 19)
    assert limits(symmetric=True, vmax=5) == (-19, 5)
    small = ImageGridDisplay(images.astype(np.uint8), image_shape=(2, 3))
    assert small.plot(symmetric=True).im_.get_clim() == (-29, 29)


def test_default_colours(images):
    display = ImageGridDisplay(images, image_shape=(2, 3))
    assert display.plot().im_.get_cmap().name == "gray_r"
    assert display.plot(symmetric=True).im_.get_cmap().name == "RdBu_r"
    assert display.plot(symmetric=True, cmap="bwr").im_.get_cmap().name == "bwr"


def test_zero_filters_are_drawn_in_the_middle_of_the_scale():
    display = ImageGridDisplay.from_array(np.zeros((1, 4)), symmetric=True)
    low, high = display.im_.get_clim()
    assert low == -high < 0


def test_plot_draws_on_given_axes_and_does_not_touch_the_images(images):
    before = images.copy()
    figure, axes = plt.subplots(ncols=2)
    display = ImageGridDisplay(images, image_shape=(2, 3))
    assert display.plot(ax=axes[1], title="Five") is display
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert axes[1].get_title() == "Five"
    assert len(axes[0].images) == 0
    assert plt.get_fignums() == [figure.number]
    np.testing.assert_array_equal(images, before)


def test_from_array_infers_squares_and_takes_lists_and_bools():
    display = ImageGridDisplay.from_array([[True, False, False, True]])
    assert display.image_shape == (2, 2)
    np.testing.assert_array_equal(drawn(display), [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    "estimator",
    [
        BernoulliRBMGPU(n_components=3, n_iter=1, random_state=0),
        PCA(n_components=3, random_state=0),
    ],
)
def test_from_components(estimator):
    estimator.fit(np.random.RandomState(0).rand(20, 6))
    display = ImageGridDisplay.from_components(
        estimator, image_shape=(2, 3), n_columns=1, title="Filters"
    )
    limit = np.abs(estimator.components_).max()
    np.testing.assert_allclose(display.im_.get_clim(), (-limit, limit))
    grid = drawn(display).reshape(-1, 3)[[0, 1, 3, 4, 6, 7]]
    np.testing.assert_array_equal(grid, estimator.components_.reshape(6, 3))
    assert display.ax_.get_title() == "Filters"


def test_from_components_can_draw_the_strongest_only():
    model = BernoulliRBMGPU()
    model.components_ = np.array([[1.0, 0], [0, -3], [2, 0], [0, 0]])
    model.intercept_hidden_, model.intercept_visible_ = np.zeros(4), np.zeros(2)
    display = ImageGridDisplay.from_components(model, image_shape=(1, 2), n_images=2)
    np.testing.assert_array_equal(display.images, [[0, -3], [2, 0]])


@pytest.mark.parametrize(
    ("image_shape", "message"),
    [
        (None, r"6 columns.*square.*Pass image_shape=\(height, width\)"),
        ((2, 2), r"image_shape=\(2, 2\).*product is 6"),
        ((-2, -3), r"image_shape=\(-2, -3\).*product is 6"),
        ((6,), r"image_shape=\(6,\).*product is 6"),
        (6, r"image_shape=6, but expected"),
        ((1.5, 4), r"image_shape=\(1.5, 4\)"),
    ],
)
def test_bad_image_shape(images, image_shape, message):
    with pytest.raises(ValueError, match=message):
        ImageGridDisplay.from_array(images, image_shape=image_shape)


def test_images_that_are_not_rows():
    with pytest.raises(ValueError, match=r"shape \(5, 2, 3\).*reshape"):
        ImageGridDisplay(np.ones((5, 2, 3)), image_shape=(2, 3)).plot()
    with pytest.raises(ValueError, match="Expected 2D array"):
        ImageGridDisplay.from_array(np.ones(4))


@pytest.mark.parametrize("value", [0, -1, 2.0, "3"])
def test_bad_counts(images, value):
    with pytest.raises(ValueError, match=r"n_columns=.*at least 1, or None"):
        ImageGridDisplay(images, image_shape=(2, 3)).plot(n_columns=value)
    with pytest.raises(ValueError, match=r"n_images=.*at least 1, or None"):
        ImageGridDisplay.from_components(
            PCA(2).fit(images), image_shape=(2, 3), n_images=value
        )


def test_from_components_of_an_estimator_without_them():
    class Other(BaseEstimator):
        def fit(self, X, y=None):
            self.fitted_ = True
            return self

    with pytest.raises(NotFittedError):
        ImageGridDisplay.from_components(BernoulliRBMGPU())
    with pytest.raises(TypeError, match=r"Got a Other without components_.*from_array"):
        ImageGridDisplay.from_components(Other().fit([[0]]))


@pytest.mark.parametrize("last", [False, True])
def test_colours_come_first_or_last(last):
    shape = (2, 4, 3) if last else (3, 2, 4)
    X = np.arange(48.0).reshape(2, 24)
    display = ImageGridDisplay.from_array(X, image_shape=shape, n_columns=1)
    colours = rendered(display)[..., :3]
    for image, top in zip(X, (0, 3), strict=True):
        image = (
            image.reshape(shape) if last else image.reshape(shape).transpose(1, 2, 0)
        )
        np.testing.assert_allclose(colours[top : top + 2], image / 47 * 255, atol=1)
    gap = mpl.colors.to_rgba_array("lightgray")[0, :3] * 255
    np.testing.assert_allclose(colours[2], np.tile(gap, (4, 1)), atol=1)


def test_limits_of_colours():
    X = np.array([[0.0, 0.5, 1.0, -1.0, 2.0, 0.25]])
    display = ImageGridDisplay.from_array(X, image_shape=(1, 2, 3), vmin=0, vmax=1)
    expected = np.array([[[0, 0.5, 1], [0, 1, 0.25]]]) * 255
    np.testing.assert_allclose(rendered(display)[..., :3], expected, atol=1)


def test_one_channel_is_no_colour():
    X = np.arange(4.0)[np.newaxis]
    for shape in [(1, 2, 2), (2, 2, 1)]:
        display = ImageGridDisplay.from_array(X, image_shape=shape)
        np.testing.assert_array_equal(drawn(display), [[0, 1], [2, 3]])


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 1, 1, 8), (3, 2, 3), (8, -1, -1)])
def test_bad_shapes_in_colour(shape):
    with pytest.raises(ValueError, match=r"image_shape=.*product is 8.*for colours"):
        ImageGridDisplay.from_array(np.ones((1, 8)), image_shape=shape)


class Half(BaseEstimator):
    """Its reconstructions are half the images."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X / 4

    def inverse_transform(self, H):
        return 2 * H


class Reconstructs(Half):
    def reconstruct(self, X, y=0):
        return X + y


def test_a_reconstruction_is_below_its_image():
    X = np.arange(1.0, 6.0)[:, np.newaxis]
    model = Half().fit(X)
    display = ImageGridDisplay.from_reconstructions(model, X, n_columns=3)
    nan = np.nan
    expected = [[1, 2, 3], [0.5, 1, 1.5], [4, 5, nan], [2, 2.5, nan]]
    np.testing.assert_array_equal(drawn(display)[::2, ::2], expected)
    assert display.im_.get_clim() == (0.5, 5)
    one = ImageGridDisplay.from_reconstructions(model, X[:2])
    np.testing.assert_array_equal(drawn(one)[::2, ::2], [[1, 2], [0.5, 1]])
    many = ImageGridDisplay.from_reconstructions(model, np.ones((12, 1)))
    assert drawn(many).shape == (7, 19)


def test_reconstruct_comes_before_transform_and_takes_conditions():
    X = np.array([[1.0], [2.0]])
    model = Reconstructs().fit(X)
    display = ImageGridDisplay.from_reconstructions(model, X, 10)
    np.testing.assert_array_equal(drawn(display)[::2, ::2], [[1, 2], [11, 12]])


def test_reconstructions_of_what_cannot_reconstruct():
    with pytest.raises(NotFittedError):
        ImageGridDisplay.from_reconstructions(PCA(), np.ones((2, 4)))
    with pytest.raises(TypeError, match=r"Got a LinearRegression.*method transform"):
        ImageGridDisplay.from_reconstructions(LinearRegression(), np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"n_columns=0.*at least 1, or None"):
        ImageGridDisplay.from_reconstructions(Half().fit(0), [[1.0]], n_columns=0)
