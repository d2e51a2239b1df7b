import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.utils import shuffle

from skgen.base._training_data import (
    TrainingData,
    as_repetitions,
    weighted_mean,
    without_weightless,
)

X = np.random.RandomState(0).normal(size=(20, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ([1.0, 1.0], [1, 1]),
        ([3.0, 1.0], [3, 1]),
        ([9_999.0, 1.0], [9_999, 1]),
        ([10_000.0, 1.0], None),
        ([1e300, 1.0], None),
        ([1e308, 1e308], None),
        ([0.5, 1.0], None),
    ],
)
def test_repetitions(weight, expected):
    got = as_repetitions(np.array(weight))
    assert (None if got is None else got.tolist()) == expected


def test_repetitions_of_many_rows():
    assert as_repetitions(np.full(2000, 10.0)).sum() == 20_000
    assert as_repetitions(np.full(2000, 11.0)) is None
    assert as_repetitions(None) is None


CONTAINERS = {
    "array": np.asarray,
    "list": lambda X: X.tolist(),
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_array,
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_rows_without_weight_are_dropped(kind):
    given = CONTAINERS[kind](X)
    weight = np.arange(20) % 2 * np.linspace(0.5, 1, 20)
    rows, y, left = without_weightless(given, list(range(20)), weight)
    rows = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
    np.testing.assert_array_equal(rows, X[1::2])
    assert list(y) == list(range(1, 20, 2))
    np.testing.assert_array_equal(left, weight[1::2])


def test_rows_are_not_copied_if_all_have_a_weight():
    assert without_weightless(X, X, np.ones(20))[0] is X
    assert without_weightless(X, None, None) == (X, None, None)


@pytest.mark.parametrize("weight", [0.5, np.full(20, 1e-300), np.full(20, 1e9)])
def test_equal_weights_that_repeat_no_row_are_none(weight):
    assert without_weightless(np.ones((20, 2)), None, weight)[2] is None
    zero = np.r_[0.5, 0.0, [0.5] * 18]
    assert without_weightless(np.ones((20, 2)), None, zero)[2] is None
    np.testing.assert_array_equal(
        without_weightless(np.ones((20, 2)), None, np.full(20, 3))[2], [3] * 20
    )


def test_frames_keep_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abc"))
    rows, _, _ = without_weightless(frame, None, np.arange(20) % 2)
    assert list(rows.columns) == list("abc")
    assert len(rows) == 10


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_statistics_are_weighted(container):
    weight = np.random.RandomState(1).uniform(size=20)
    data = TrainingData(container(X), None, weight, ordered=True)
    rows, _ = data.select()
    assert rows.weight.mean() == pytest.approx(1)
    expected = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(rows.column_sums() / 20, expected, rtol=1e-6)
    some, _ = data.select([3, 1, 4])
    assert some.weight.mean() == pytest.approx(1)
    x = np.concatenate([block.numpy() for block in some.blocks(2)])
    expected = np.average(x, axis=0, weights=weight[data.index[[3, 1, 4]]])
    np.testing.assert_allclose(some.column_sums() / 3, expected, rtol=1e-6)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_sums_do_not_depend_on_the_order_of_the_rows(container):
    """To the last bit."""
    many = np.random.RandomState(1).normal(size=(9000, 3)).astype(np.float32)
    sums = [
        TrainingData(container(rows), None, None, ordered=True)
        .select()[0]
        .column_sums()
        for rows in (many, shuffle(many, random_state=0))
    ]
    np.testing.assert_array_equal(*sums)
    np.testing.assert_allclose(sums[0], many.sum(0, dtype=float), rtol=1e-3)


def test_without_order_and_weights_the_data_are_those_given():
    rows, y = TrainingData(X, X, None, ordered=False).select()
    assert rows.X is y is X
    assert TrainingData(X, None, np.ones(20), ordered=False).index is None


def test_weighted_mean_is_in_double_precision():
    values = np.full(1000, 0.1, np.float32)
    assert weighted_mean(values, None) == pytest.approx(np.float32(0.1), rel=1e-12)
    big = np.array([1e308, 1e308])
    assert weighted_mean(np.array([1.0, 3.0]), big) == 2


def test_what_belongs_to_rows_is_selected_with_them():
    data = TrainingData(X, X, None, ordered=True)
    rows, y = data.select([3, 1, 4])
    np.testing.assert_array_equal(y, X[data.index[[3, 1, 4]]])
    np.testing.assert_array_equal(rows.gather(slice(None)), y)
