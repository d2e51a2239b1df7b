import numpy as np
import pytest
from sklearn.base import BaseEstimator

from skgen.plotting import LatentDisplay

POINTS = np.array([[0.0, 1], [2, 3], [4, 5], [6, 7]])


class Linear(BaseEstimator):
    """Latent variables are the columns; images are one pixel, or shifted ones."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def get_feature_names_out(self):
        return np.array([f"z{i}" for i in range(self.n_features_in_)], dtype=object)

    def transform(self, X, y=0):
        return X + np.reshape(y, (-1, 1))

    def inverse_transform(self, Z, y=None):
        weights = 100.0 ** np.arange(Z.shape[1])
        shift = 0 if y is None else np.reshape(y, (len(Z), -1)).sum(axis=1)
        return (Z @ weights + shift)[:, np.newaxis]


@pytest.fixture
def model():
    return Linear().fit(np.ones((1, 3)))


def offsets(display):
    return [np.asarray(points.get_offsets()).tolist() for points in display.points_]


def test_points_of_the_components_that_are_asked_for(model):
    X = np.arange(12.0).reshape(4, 3)
    display = LatentDisplay.from_estimator(model, X, components=(2, 0))
    assert offsets(display) == [X[:, [2, 0]].tolist()]
    assert display.ax_.get_xlabel() == "latent variable 2"
    assert display.ax_.get_ylabel() == "latent variable 0"
    assert display.ax_.get_legend() is None
    given = LatentDisplay.from_estimator(model, X, conditions=[0, 10, 20, 30])
    np.testing.assert_array_equal(given.points[:, 0], [0, 13, 26, 39])


@pytest.mark.parametrize("y", [[1, 0, 1, 1], ["b", "a", "b", "b"], [1.0, 0, 1, 1]])
def test_each_class_has_a_colour_and_a_marker(y):
    display = LatentDisplay(POINTS, y=y).plot()
    assert offsets(display) == [[[2, 3]], [[0, 1], [4, 5], [6, 7]]]
    first, second = display.points_
    assert first.get_facecolor().tolist() != second.get_facecolor().tolist()
    assert len(first.get_paths()[0].vertices) != len(second.get_paths()[0].vertices)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == [str(label) for label in np.unique(y)]


@pytest.mark.parametrize("n", [8, 10, 20])
def test_classes_beyond_the_colours_differ(n):
    display = LatentDisplay(np.ones((n, 2)), y=np.arange(n)).plot()
    looks = {
        (*points.get_facecolor()[0], points.get_paths()[0].vertices.tobytes())
        for points in display.points_
    }
    assert len(looks) == n


@pytest.mark.parametrize("y", [[0.5, 1, 2, 3], np.arange(30)])
def test_values_have_a_scale(y):
    display = LatentDisplay(np.ones((len(y), 2)), y=y).plot(cmap="magma")
    (points,) = display.points_
    np.testing.assert_array_equal(points.get_array(), y)
    assert points.get_cmap().name == "magma"
    assert display.ax_.get_legend() is None
    assert len(display.figure_.axes) == 2


def test_the_plane_of_the_decoder(model):
    display = LatentDisplay.from_decoder(
        model, components=(1, 2), n_steps=3, limits=(-1, 1), origin=[0.5, 9, 9]
    )
    # z1 increases to the right and z2 upwards; z0 is that of the origin.
    z1, z2 = np.meshgrid([-1, 0, 1], [1, 0, -1])
    drawn = np.ma.filled(display.im_.get_array(), np.nan)
    np.testing.assert_array_equal(drawn[::2, ::2], 0.5 + 100 * z1 + 10_000 * z2)
    # Five pixels, of which the first and the last have their centers at the limits.
    np.testing.assert_allclose(display.im_.get_extent(), [-1.25, 1.25, -1.25, 1.25])
    assert display.ax_.get_xlabel() == "latent variable 1"


def test_centers_of_wide_images():
    images = np.ones((4, 6))
    display = LatentDisplay(images=images, image_shape=(2, 3), limits=(0, 1)).plot()
    height, width = np.ma.getdata(display.im_.get_array()).shape
    assert (height, width) == (5, 7)
    left, right, bottom, top = display.im_.get_extent()
    pixel = (right - left) / width, (top - bottom) / height
    np.testing.assert_allclose([left + 1.5 * pixel[0], right - 1.5 * pixel[0]], [0, 1])
    np.testing.assert_allclose([bottom + pixel[1], top - pixel[1]], [0, 1])


def test_the_plane_in_colour():
    images = np.array([[0, 2, 4.0]] * 4)
    display = LatentDisplay(images=images, image_shape=(1, 1, 3)).plot(vmin=0, vmax=4)
    drawn = np.ma.getdata(display.im_.get_array())
    np.testing.assert_array_equal(drawn[0, 0], [0, 0.5, 1, 1])
    assert drawn[1, 1, 3] == 0  # the gap
    grey = LatentDisplay(images=images[:, :1], image_shape=(1, 1)).plot(vmin=-1, vmax=3)
    assert grey.im_.get_clim() == (-1, 3)


def test_the_condition_of_all_images(model):
    plain = LatentDisplay.from_decoder(model, n_steps=2).images
    for condition, shift in [(5, 5), ([5, 6], 11)]:
        display = LatentDisplay.from_decoder(model, n_steps=2, conditions=condition)
        np.testing.assert_allclose(display.images - plain, shift)


def test_points_over_images(model):
    display = LatentDisplay.from_decoder(model, n_steps=2)
    over = LatentDisplay.from_estimator(model, POINTS[:, [0, 1, 1]], ax=display.ax_)
    assert list(over.ax_.images) == [display.im_]
    assert over.im_ is None
    both = LatentDisplay(POINTS, images=display.images, image_shape=(1, 1)).plot()
    assert both.im_ is not None
    assert offsets(both) == [POINTS.tolist()]


@pytest.mark.parametrize("components", [(0, 0), (0, 3), (-1, 0), (0,), 0, (0, 1, 2)])
def test_components_that_are_not_there(model, components):
    with pytest.raises(ValueError, match=r"components=.*two different.*two of 0 to 2"):
        LatentDisplay.from_estimator(model, np.ones((4, 3)), components=components)
    with pytest.raises(ValueError, match=r"components=.*two different.*two of 0 to 2"):
        LatentDisplay.from_decoder(model, components=components)


def test_one_latent_variable():
    model = Linear().fit(np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"1 components.*n_components of at least 2"):
        LatentDisplay.from_estimator(model, np.ones((4, 1)))


def test_wrong_shapes(model):
    with pytest.raises(ValueError, match="neither points nor images"):
        LatentDisplay().plot()
    with pytest.raises(ValueError, match=r"points of shape \(4, 3\)"):
        LatentDisplay(np.ones((4, 3))).plot()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LatentDisplay(POINTS, y=[0, 1]).plot()
    with pytest.raises(ValueError, match=r"y of shape \(4, 2\).*y\[:, 0\]"):
        LatentDisplay(POINTS, y=POINTS).plot()
    with pytest.raises(ValueError, match="3 images, but expected a square"):
        LatentDisplay(images=np.ones((3, 1)), image_shape=(1, 1)).plot()
    with pytest.raises(ValueError, match=r"origin of shape \(2,\).*\(3,\)"):
        LatentDisplay.from_decoder(model, origin=[0, 0])
    for limits in [(1, 0), (0, 0), 3, ("a", "b"), (0, 1, 2)]:
        with pytest.raises(ValueError, match=r"limits=.*smaller one first"):
            LatentDisplay.from_decoder(model, limits=limits)
    with pytest.raises(ValueError, match="n_steps=0"):
        LatentDisplay.from_decoder(model, n_steps=0)
