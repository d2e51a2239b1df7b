"""What a model is conditioned on: kinds of columns, their numbers, their law."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skgen.base._conditions import ConditionLaw, Conditions, Labels, Values


def kinds(y, kind="auto"):
    return [type(column) for column in Conditions.of(y, kind).columns]


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (["a", "b"], [Labels]),
        ([True, False], [Labels]),
        ([0, 1, 2], [Labels]),
        (np.array([0, 1], dtype=np.uint8), [Labels]),
        ([0.0, 1.0], [Values]),
        (np.float32([0.5, 1.0]), [Values]),
        (np.array([1, 2], dtype=object), [Labels]),
        (np.array([1.5, 2], dtype=object), [Values]),
        (np.array([True, 2], dtype=object), [Labels]),
        ([["a", 1.5], ["b", 2]], [Labels, Values]),
        ([[1.5, 0.0], [2, 1.0]], [Values, Values]),
        ([[1], [2]], [Labels]),
        (np.arange(30), [Labels]),
    ],
)
def test_kinds_of_columns(y, expected):
    assert kinds(y) == expected
    assert kinds(y, "labels") == [Labels] * len(expected)


def test_kinds_of_the_columns_of_a_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "name": ["a", "b", "a"],
            "size": [1.5, 2.5, 0.0],
            "count": [1, 2, 1],
            "grade": pandas.Categorical([3, 1, 3]),
            "flag": [True, False, True],
        }
    )
    conditions = Conditions.of(frame, "auto")
    expected = [Labels, Values, Labels, Labels, Labels]
    assert [type(column) for column in conditions.columns] == expected
    numbers = conditions.numbers(frame)
    assert numbers.tolist()[1] == [1, 2.5, 1, 0, 0]
    assert conditions.originals(numbers).tolist() == frame.to_numpy().tolist()
    assert kinds(frame["grade"]) == [Labels]
    assert kinds(frame["size"]) == [Values]


def test_many_integers_are_values_and_the_user_is_told():
    with pytest.warns(UserWarning, match="31 distinct integers in column 0"):
        assert kinds(np.arange(31)) == [Values]
    assert kinds(np.arange(31), "values") == [Values]
    assert kinds(np.arange(31), "labels") == [Labels]


def test_networks_see_bits_and_standard_scores():
    rng = np.random.RandomState(0)
    labels, values = rng.choice(["x", "y", "z"], 50), rng.normal(5, 3, 50)
    y = np.empty((50, 2), dtype=object)
    y[:, 0], y[:, 1] = labels, values
    conditions = Conditions.of(y, "auto")
    numbers = conditions.numbers(y)
    found = conditions.estimated(numbers, None).encoded(numbers)
    bits = OneHotEncoder(sparse_output=False).fit_transform(labels[:, None])
    scores = StandardScaler().fit_transform(values[:, None])
    np.testing.assert_allclose(found, np.hstack([bits, scores]), atol=1e-12)
    assert conditions.width == 4
    # With weights, as if rows were repeated.
    weight = rng.randint(0, 3, 50)
    weighted = conditions.estimated(numbers, weight).columns[1]
    expected = StandardScaler().fit(values[:, None], sample_weight=weight)
    assert weighted.location == pytest.approx(expected.mean_[0])
    assert weighted.scale == pytest.approx(expected.scale_[0])


@pytest.mark.parametrize(
    "values", [[3.0, 3.0], [0.1] * 7, [1e300, -1e300], [1e-300, 0]]
)
def test_scales_are_finite_and_positive(values):
    column = Values().estimated(np.array(values), None)
    encoded = column.encoded(np.array(values))
    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() <= 1 + 1e-9


@pytest.mark.parametrize(
    "y", [["b", "a", "b"], [3, 1, 3], [True, False, True], [0.5, 1.5, 0.5]]
)
def test_what_the_user_has_comes_back(y):
    for table in (np.array(y), np.array(y)[:, None]):
        conditions = Conditions.of(table, "auto")
        back = conditions.originals(conditions.numbers(table))
        assert back.dtype == table.dtype
        np.testing.assert_array_equal(back, table)


def test_one_condition_or_several():
    conditions = Conditions.of(np.array([["a", 1.5], ["b", 2.0]], dtype=object), "auto")
    for one in (["b", 2], ("b", 2.0), np.array(["b", 2.0], dtype=object), [["b", 2]]):
        assert conditions.numbers_of_some(one).tolist() == [[1, 2]]
    assert conditions.numbers_of_some([["b", 2], ["a", 0]]).tolist() == [[1, 2], [0, 0]]
    single = Conditions.of(["a", "b"], "auto")
    assert single.numbers_of_some("b").tolist() == [[1]]
    assert single.numbers_of_some(["b", "a"]).tolist() == [[1], [0]]
    assert single.numbers_of_some([["b"]]).tolist() == [[1]]


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (["a", None], "missing labels"),
        (np.array(["a", np.nan], dtype=object), "missing labels"),
        (np.array(["a", 1], dtype=object), "labels of several types"),
        (np.zeros((2, 2, 2)), "shape"),
        ([], "at least one"),
        (np.zeros((3, 0)), "at least one"),
        ("a", "shape"),
    ],
)
def test_bad_conditions(y, match):
    with pytest.raises(ValueError, match=match):
        Conditions.of(y, "auto")


def test_conditions_that_do_not_fit():
    conditions = Conditions.of([["a", 1.5], ["b", 2]], "auto")
    with pytest.raises(ValueError, match="y with 1 columns, but expected 2"):
        conditions.numbers(["a", "b"])
    with pytest.raises(ValueError, match="the label 'c', but expected one of"):
        conditions.numbers([["c", 1.5]])
    with pytest.raises(ValueError, match="y contains NaN"):
        conditions.numbers([["a", np.nan]])
    with pytest.raises(ValueError, match="could not convert"):
        conditions.numbers([["a", "many"]])


# The law of y


def test_law_counts_conditions():
    numbers = np.array([[1.0, 0], [0, 2], [1, 0], [1, 1]])
    law = ConditionLaw.of(numbers, None)
    assert law.numbers.tolist() == [[0, 2], [1, 0], [1, 1]]
    np.testing.assert_allclose(np.exp(law.log_probability), [0.25, 0.5, 0.25])
    weighted = ConditionLaw.of(numbers, np.array([0.5, 2, 0.5, 1]))
    np.testing.assert_allclose(np.exp(weighted.log_probability), [0.5, 0.25, 0.25])
    both = law.merged(weighted)
    np.testing.assert_allclose(both.weight, [3, 3, 2])


def test_few_conditions_stand_for_many_by_their_quantiles():
    rng = np.random.RandomState(0)
    values = rng.gamma(2.0, size=(5000, 1))
    weight = rng.uniform(size=5000)
    law = ConditionLaw.of(values, weight)
    few = law.at_most(64)
    assert len(few.numbers) == 64
    assert few.weight.sum() == pytest.approx(weight.sum())
    p = np.exp(few.log_probability)
    for power in (1, 2):
        expected = np.average(values[:, 0] ** power, weights=weight)
        assert p @ few.numbers[:, 0] ** power == pytest.approx(expected, rel=0.03)
    # A condition of half of the rows keeps its half.
    heavy = ConditionLaw.of(np.r_[np.zeros(5000), values[:, 0]][:, None], None)
    few = heavy.at_most(64)
    assert np.exp(few.log_probability[0]) == pytest.approx(0.5, abs=0.02)


def test_averages_are_over_all_labels_and_some_values():
    labels = Conditions.of(np.arange(200).astype(str), "auto")
    law = ConditionLaw.of(np.arange(200.0)[:, None], None)
    assert law.averaged(labels) is law
    assert len(law.averaged(Conditions.of(np.arange(200.0), "auto")).numbers) == 64


def test_a_class_without_rows_has_no_probability():
    law = ConditionLaw.of(np.array([[0.0], [2.0], [2.0]]), None)
    np.testing.assert_allclose(law.class_prior(4), [1 / 3, 0, 2 / 3, 0])


def test_columns_of_a_frame_are_compared_by_name():
    y = pd.DataFrame({"p": [0.1, 0.2, 0.3], "q": [5.0, 6.0, 8.0]})
    conditions = Conditions.of(y, "auto")
    with pytest.raises(ValueError, match=r"columns \['q', 'p'\], but expected \['p', "):
        conditions.numbers(y[["q", "p"]])
    np.testing.assert_array_equal(conditions.numbers(y), y)
    np.testing.assert_array_equal(conditions.numbers(y.to_numpy()), y)


def test_a_sparse_y_is_refused():
    with pytest.raises(TypeError, match="Got a sparse y, but expected"):
        Conditions.of(sp.csr_array(np.eye(3)), "auto")
