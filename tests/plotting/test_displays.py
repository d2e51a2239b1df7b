"""What holds for every display, as scikit-learn tests its own."""

import inspect
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen.plotting
from skgen import GaussianVAE
from skgen.plotting import (
    ImageGridDisplay,
    LatentDisplay,
    ScoreDisplay,
    TrainingDisplay,
)

X = load_digits().data[:60]

# How each is created from an estimator.
FROM_ESTIMATOR = {
    "ImageGridDisplay.from_reconstructions": lambda model, **params: (
        ImageGridDisplay.from_reconstructions(model, X[:4], **params)
    ),
    "LatentDisplay.from_decoder": lambda model, **params: LatentDisplay.from_decoder(
        model, n_steps=3, **params
    ),
    "LatentDisplay.from_estimator": lambda model, **params: (
        LatentDisplay.from_estimator(model, X, **params)
    ),
    "ScoreDisplay.from_estimator": lambda model, **params: ScoreDisplay.from_estimator(
        model, X, random_state=0, **params
    ),
    "TrainingDisplay.from_estimator": TrainingDisplay.from_estimator,
}
over_all = pytest.mark.parametrize("name", FROM_ESTIMATOR)


@pytest.fixture(scope="module")
def vae():
    return GaussianVAE(n_components=2, n_iter=2, random_state=0).fit(X)


def contents(ax):
    """What is drawn, in numbers."""
    parts = [np.asarray(line.get_xydata()) for line in ax.lines]
    parts += [np.ma.filled(im.get_array(), np.nan) for im in ax.images]
    parts += [np.asarray(points.get_offsets()) for points in ax.collections]
    parts += [patch.get_path().vertices for patch in ax.patches]
    return [part.ravel() for part in parts]


def test_all_displays_are_tested():
    tested = {name.split(".")[0] for name in FROM_ESTIMATOR}
    assert tested == set(skgen.plotting.__all__)


@over_all
def test_axes_are_those_given_or_new_ones(vae, name):
    figure, axes = plt.subplots(ncols=2)
    display = FROM_ESTIMATOR[name](vae, ax=axes[1], title="A title")
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert axes[1].get_title() == "A title"
    assert contents(axes[1])
    assert not contents(axes[0])
    assert plt.get_fignums() == [figure.number]
    display = FROM_ESTIMATOR[name](vae)
    assert display.figure_ is not figure
    assert display.ax_ in display.figure_.axes


@over_all
def test_it_can_be_drawn_again(vae, name):
    display = FROM_ESTIMATOR[name](vae)
    first = display.ax_
    assert display.plot() is display
    assert display.ax_ is not first
    if name.startswith("ImageGrid"):  # which does not keep the number of columns
        return
    for a, b in zip(contents(first), contents(display.ax_), strict=True):
        np.testing.assert_array_equal(a, b)


@over_all
def test_parameters_are_attributes(vae, name):
    display = FROM_ESTIMATOR[name](vae)
    for parameter in inspect.signature(type(display)).parameters:
        assert hasattr(display, parameter)


@over_all
def test_an_estimator_that_is_not_fitted(name):
    with pytest.raises(NotFittedError):
        FROM_ESTIMATOR[name](GaussianVAE())


@over_all
def test_a_pipeline_of_other_things(name):
    """The error says what to pass."""
    pipeline = make_pipeline(StandardScaler(with_std=False)).fit(X)
    if name.startswith(("ImageGrid", "Latent")):
        return  # such a pipeline transforms, and can be drawn
    with pytest.raises(TypeError, match=r"Got a Pipeline.*pipeline\[-1\]"):
        FROM_ESTIMATOR[name](pipeline)


@over_all
def test_without_matplotlib_the_error_says_what_to_install(vae, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    display = name.split(".")[0]
    with pytest.raises(ImportError, match=rf"{display}\.plot.*pip install"):
        FROM_ESTIMATOR[name](vae)


def test_import_leaves_matplotlib_out():
    code = (
        "import sys, skgen\n"
        "assert 'skgen.plotting' not in sys.modules\n"
        "import skgen.plotting\n"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
