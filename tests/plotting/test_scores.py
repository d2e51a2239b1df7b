import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture

from skgen.plotting import ScoreDisplay


class Model(BaseEstimator):
    """A row scores its first column, plus the condition; samples are all seven."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def score_samples(self, X, y=0):
        return np.asarray(X)[:, 0] + np.asarray(y)

    def sample(self, n_samples=1, *, y=None, random_state=5):
        n_samples = n_samples if y is None else len(y)
        return np.full((n_samples, 2), float(random_state))


def test_scores_of_each_set():
    X, X_test = np.ones((6, 2)), np.zeros((4, 2))
    display = ScoreDisplay.from_estimator(Model(), X, X_test=X_test, random_state=7)
    scores = {label: values.tolist() for label, values in display.scores.items()}
    expected = {"data": [1] * 6, "held-out data": [0] * 4, "samples": [7] * 6}
    assert scores == expected


def test_number_of_samples():
    X = np.ones((6, 2))
    assert (
        len(ScoreDisplay.from_estimator(Model(), X, n_samples=3).scores["samples"]) == 3
    )
    assert list(ScoreDisplay.from_estimator(Model(), X, n_samples=0).scores) == ["data"]


def test_conditions():
    X, y = np.ones((2, 2)), np.array([10, 20])
    display = ScoreDisplay.from_estimator(Model(), X, y, X_test=X[:1], y_test=y[:1])
    assert display.scores["data"].tolist() == [11, 21]
    assert display.scores["held-out data"].tolist() == [11]
    assert display.scores["samples"].tolist() == [15, 25]


def test_histograms_share_bins_and_are_densities():
    a, b = np.arange(10.0), np.arange(20.0)
    display = ScoreDisplay({"a": a, "b": b}).plot(bins=[0, 5, 10, 20])
    heights = []
    for patch in display.lines_:
        x, y = patch.get_xy().T
        assert set(x) == {0, 5, 10, 20}
        heights.append([y[(x == left)].max() for left in (0, 5)])
    np.testing.assert_allclose(heights[0], [0.1, 0.1])
    np.testing.assert_allclose(heights[1], [0.05, 0.05])
    means = [line.get_xdata()[0] for line in display.ax_.lines]
    assert means == [4.5, 9.5]
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["a: mean 4.5", "b: mean 9.5"]


def test_sets_differ_in_more_than_colour():
    sets = dict.fromkeys("abc", np.arange(3.0))
    lines = ScoreDisplay(sets).plot().lines_
    assert len({patch.get_linestyle() for patch in lines}) == 3
    assert len({patch.get_edgecolor() for patch in lines}) == 3


def test_mixtures_of_scikit_learn():
    X = np.random.RandomState(0).normal(size=(50, 2))
    model = GaussianMixture(random_state=0).fit(X)
    display = ScoreDisplay.from_estimator(model, X)
    assert len(display.scores["samples"]) == 50


def test_errors():
    with pytest.raises(TypeError, match=r"LinearRegression.*method score_samples"):
        ScoreDisplay.from_estimator(LinearRegression(), [[1.0]])
    with pytest.raises(ValueError, match="no scores"):
        ScoreDisplay({}).plot()
    for values in [3.0, np.ones((2, 2)), []]:
        with pytest.raises(ValueError, match=r"of 'data' of shape.*score_samples"):
            ScoreDisplay({"data": values}).plot()
    with pytest.raises(ValueError, match=r"2 scores of 'data' that are not finite"):
        ScoreDisplay({"data": [1, np.nan, -np.inf]}).plot()
