"""Measures of samples, against closed forms and for real rows against real rows."""

import numpy as np
import pytest
from scipy.stats import energy_distance as energy_distance_of_scipy
from sklearn.linear_model import LogisticRegression

from skgen.metrics import (
    classifier_two_sample_test,
    energy_distance,
    null_distribution,
    precision_recall,
)

RNG = np.random.RandomState(0)
X, Y = RNG.standard_normal((2, 300, 3))


def test_energy_distance_in_one_dimension():
    """That of scipy is its root, with the pairs of each row with itself."""
    x, y = X[:, :1], 0.5 + Y[:, :1]
    n = len(x)
    same = [np.abs(a - a.T).sum() / n**2 for a in (x, y)]
    with_itself = energy_distance(x, y) + sum(same) / (n - 1)
    expected = energy_distance_of_scipy(x[:, 0], y[:, 0]) ** 2
    assert with_itself == pytest.approx(expected, rel=1e-9)


def test_energy_distance_is_of_all_pairs():
    x, y = X[:4], Y[:3]
    between = np.mean([np.linalg.norm(a - b) for a in x for b in y])
    within = [
        np.mean(
            [
                np.linalg.norm(a[i] - a[j])
                for i in range(len(a))
                for j in range(len(a))
                if i != j
            ]
        )
        for a in (x, y)
    ]
    assert energy_distance(x, y) == pytest.approx(2 * between - sum(within))


def test_energy_distance_of_equal_laws_has_mean_zero():
    values = null_distribution(energy_distance, X, n_repeats=40, random_state=0)
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(40)
    assert energy_distance(X, Y + 0.5) > 4 * values.std()


def test_classifier_of_equal_laws_guesses():
    auc = classifier_two_sample_test(X, Y, random_state=0)
    assert auc == pytest.approx(0.5, abs=0.1)  # about four standard errors


def test_classifier_against_the_closed_form():
    """Of two Gaussians at a distance d: the AUC is Phi(d / sqrt 2)."""
    auc = classifier_two_sample_test(
        X, Y + np.array([1, 0, 0]), classifier=LogisticRegression(), random_state=0
    )
    assert auc == pytest.approx(0.7602, abs=0.06)
    assert classifier_two_sample_test(X, Y + 9, random_state=0) > 0.99


def test_same_seed_same_number():
    one, other = (
        classifier_two_sample_test(X, Y, random_state=3, n_folds=2) for _ in range(2)
    )
    assert one == other


def test_precision_recall_of_samples_without_variety():
    few = X[:1] + 0.01 * Y
    precision, recall = precision_recall(X, few)
    assert precision == 1
    assert recall < 0.05
    assert precision_recall(few, X) == (recall, precision)


def test_precision_recall_of_samples_with_too_much():
    precision, recall = precision_recall(X, 10 * Y)
    assert precision < 0.1
    assert recall > 0.9


def test_precision_recall_by_hand():
    x, y = np.array([[0.0], [1.0], [3.0]]), np.array([[-0.5], [1.9], [9.0]])
    # Radii of the first neighbour: 1, 1, 2 and 2.4, 2.4, 7.1.
    precision, recall = precision_recall(x, y, n_neighbors=1)
    assert precision == pytest.approx(2 / 3)
    assert recall == 1


def test_null_distribution():
    seen = []

    def measure(a, b):
        seen.append((len(a), len(b)))
        assert len(np.unique(np.concatenate([a, b]), axis=0)) == len(X)
        return a.mean()

    values = null_distribution(measure, X, n_repeats=3, share=0.3, random_state=0)
    assert values.shape == (3,)
    assert seen == [(90, 210)] * 3
    assert len(set(values)) == 3


@pytest.mark.parametrize("function", [energy_distance, precision_recall])
def test_bad_data(function):
    with pytest.raises(ValueError, match="3 features and Y with 2"):
        function(X, Y[:, :2])
    with pytest.raises(ValueError, match="minimum of"):
        function(X[:1], Y)
    with pytest.raises(ValueError, match="NaN"):
        function(np.full((9, 3), np.nan), Y)


@pytest.mark.parametrize("unit", [2.0**1000, 2.0**-1000])
def test_units_that_squares_leave(unit):
    X, Y = np.random.RandomState(0).standard_normal((2, 40, 3))
    assert energy_distance(unit * X, unit * Y) == unit * energy_distance(X, Y)
    assert precision_recall(unit * X, unit * Y) == precision_recall(X, Y)


@pytest.mark.parametrize("offset", [1e7, 1e9])
def test_an_offset_of_both_sets_changes_nothing(offset):
    x, y = np.round(X, 3), np.round(0.5 + Y, 3)
    moved = x + offset, y + offset
    assert energy_distance(*moved) == pytest.approx(energy_distance(x, y), rel=1e-4)
    np.testing.assert_allclose(
        precision_recall(*moved), precision_recall(x, y), atol=0.01
    )
