"""GenerativeImputer beside scikit-learn's conventions, and DataFrames."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from skgen import DiffusionModel, GaussianVAE
from skgen.impute import GenerativeImputer
from skgen.impute._columns import categorical_column, numeric_column

LINEAR = GaussianVAE(2, hidden_layer_sizes=(), n_iter=60, device="cpu")


def quick(**params):
    return GenerativeImputer(**({"estimator": LINEAR, "random_state": 0} | params))


def correlated(n_rows=80, seed=0):
    """Three columns with one factor, and where cells are missing."""
    rng = np.random.RandomState(seed)
    factor = rng.normal(size=(n_rows, 1))
    X = factor * [1.0, -2.0, 3.0] + 0.3 * rng.normal(size=(n_rows, 3))
    return X, rng.uniform(size=X.shape) < 0.25


X, MISSING = correlated()
V = np.where(MISSING, np.nan, X)


def test_check_estimator(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    imputer = quick(estimator=clone(LINEAR).set_params(n_iter=5))
    results = check_estimator(imputer, on_fail=None, on_skip=None)
    assert len(results) > 35
    assert [
        (r["check_name"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


def test_another_mark_of_what_is_missing():
    marked = np.where(MISSING, -99.0, X)
    filled = quick(missing_values=-99).fit_transform(marked)
    np.testing.assert_array_equal(filled, quick().fit_transform(V))
    with pytest.raises(ValueError, match="NaN"):
        quick(missing_values=-99).fit(V)
    with pytest.raises(ValueError, match="array, but expected a number"):
        quick(missing_values="?").fit(V)
    for mark in (None, np.nan):
        objects = np.where(MISSING, mark, X.astype(object))
        same = quick(missing_values=mark).fit_transform(objects)
        np.testing.assert_array_equal(same, filled)


def test_integers_are_filled_with_integers_of_their_range():
    whole = np.round(4 * X).astype(int)
    marked = np.where(MISSING, -99, whole)
    filled = quick(missing_values=-99).fit_transform(marked)
    np.testing.assert_array_equal(filled, np.round(filled))
    known = np.where(MISSING, np.nan, whole)
    assert (filled >= np.nanmin(known, axis=0)).all()
    assert (filled <= np.nanmax(known, axis=0)).all()
    real = quick().fit_transform(known)
    np.testing.assert_array_equal(
        np.clip(np.round(real), np.nanmin(known, axis=0), np.nanmax(known, axis=0)),
        filled,
    )
    assert not (real == np.round(real)).all()


def test_estimates_of_integers_beyond_their_range():
    column = numeric_column(np.array([0.0, 3.0, np.nan]), whole=True)
    estimates = np.array([[5.2], [-1.0], [1.4]])
    np.testing.assert_array_equal(column.decode(estimates), [3, 0, 1])


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("names", [None, ["a", "b", "c", "d"]])
def test_indicator_and_empty_features_as_in_scikit_learn(keep, names):
    """Columns, their names and the values of empty ones are those of IterativeImputer.

    What has values in `transform` alone is dropped, or kept as it is.
    """
    data = np.insert(V, 1, np.nan, axis=1)
    new = data[:20].copy()
    new[3, 1] = 5.0
    new[4] = np.nan
    if names is not None:
        pandas = pytest.importorskip("pandas")
        data, new = (pandas.DataFrame(d, columns=names) for d in (data, new))
    params = {"add_indicator": True, "keep_empty_features": keep}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = quick(**params).fit(data)
        filled = ours.transform(new)
    theirs = SimpleImputer(**params).fit(data)
    np.testing.assert_array_equal(
        ours.get_feature_names_out(), theirs.get_feature_names_out()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs.transform(new)
    known = ~np.isnan(np.asarray(new, float))
    known = known if keep else np.delete(known, 1, axis=1)
    assert filled.shape == expected.shape
    assert filled.dtype == expected.dtype
    n = known.shape[1]
    np.testing.assert_array_equal(filled[:, n:], expected[:, n:])
    np.testing.assert_array_equal(filled[:, :n][known], expected[:, :n][known])
    if keep:
        np.testing.assert_array_equal(filled[:, 1], expected[:, 1])
        iterative = IterativeImputer(keep_empty_features=True, tol=1)
        iterative = iterative.fit_transform(np.array(data))
        np.testing.assert_array_equal(iterative[:20, 1], np.zeros(20))


def test_a_column_without_known_values_in_a_fold():
    data = np.column_stack([V, np.full(len(V), np.nan)])
    data[:40, 3] = np.arange(40)
    regression = make_pipeline(quick(), LinearRegression())
    scores = cross_val_score(regression, data, X @ [1, 1, 1], cv=2, error_score="raise")
    assert (scores > 0.6).all()


def test_nothing_to_learn():
    """Columns of one value, and of none."""
    data = np.array([[1.0, np.nan, 2], [np.nan, np.nan, 2], [1, np.nan, np.nan]])
    filled = quick().fit_transform(data)
    np.testing.assert_array_equal(filled, [[1, 2]] * 3)
    assert quick().fit_transform(data[:, [1]]).shape == (3, 0)
    assert quick(keep_empty_features=True).fit_transform(data[:, [1]]).tolist() == [
        [0],
        [0],
        [0],
    ]


def test_limits_of_filled_values():
    free = quick().fit(V)
    filled = free.transform(V)
    low, high = -0.5, [0.1, 1.0, 1.5]
    limited = quick(min_value=low, max_value=high).fit_transform(V)
    expected = np.where(MISSING, np.clip(filled, low, high), V)
    np.testing.assert_array_equal(limited, expected)
    assert not np.array_equal(limited, filled)
    far = np.array([[30.0, np.nan, np.nan]])
    ranges = np.nanmin(V, axis=0), np.nanmax(V, axis=0)
    observed = quick(min_value="observed", max_value="observed").fit(V)
    np.testing.assert_array_equal(
        observed.transform(far)[:, 1:], np.clip(free.transform(far), *ranges)[:, 1:]
    )
    assert (np.abs(free.transform(far)[:, 1:]) > np.abs(ranges[0][1:])).any()
    np.testing.assert_array_equal(free.data_min_, ranges[0])
    np.testing.assert_array_equal(free.data_max_, ranges[1])
    with pytest.raises(ValueError, match=r"min_value above max_value.*\[1\]"):
        quick(min_value=[0, 2, 0], max_value=1).fit(V)
    with pytest.raises(ValueError, match=r"min_value of shape \(2,\)"):
        quick(min_value=[0, 2]).fit(V)


def test_limits_of_what_the_model_sees():
    """Ten robust deviations: of the quartiles, or of tails where these are longer."""
    values = np.append(np.random.RandomState(0).normal(size=4000), [1e6, np.nan])
    column = numeric_column(values, whole=False)
    np.testing.assert_allclose(column.limits, [-10, 10], atol=0.8)
    assert column.encode(values)[-2, 0] == column.limits[1]
    assert column.high == 1e6
    heavy = np.append(np.zeros(900), np.random.RandomState(0).normal(size=100) * 50)
    assert np.abs(numeric_column(heavy, whole=False).limits).min() > 100
    rare = np.append(np.zeros(999), 1.0)
    assert numeric_column(rare, whole=False).limits == (-np.inf, np.inf)


# DataFrames


@pytest.fixture
def frame():
    """Columns of each kind, all of one factor, and where cells are missing."""
    rng = np.random.RandomState(1)
    factor = rng.normal(size=200)
    level = np.digitize(factor, [-0.7, 0.7])
    complete = pd.DataFrame(
        {
            "real": factor + 0.2 * rng.normal(size=200),
            "single": (2 * factor).astype(np.float32),
            "whole": pd.array(np.round(3 * factor).astype(int), dtype="Int64"),
            "level": pd.Categorical(
                np.array(["low", "middle", "high"])[level],
                categories=["low", "middle", "high", "never"],
                ordered=True,
            ),
            "text": np.where(factor > 0, "plus", "minus"),
            "flag": pd.array(factor > 0, dtype="boolean"),
        },
        index=np.arange(1000, 1200),
    )
    missing = rng.uniform(size=complete.shape) < 0.2
    return complete, complete.mask(missing), missing


def test_a_frame_keeps_its_dtypes_and_is_filled_by_what_was_seen(frame):
    complete, incomplete, missing = frame
    imputer = quick(estimator=clone(LINEAR).set_params(n_components=4, n_iter=300))
    filled = imputer.set_output(transform="pandas").fit_transform(incomplete)
    assert filled.dtypes.equals(incomplete.dtypes)
    assert filled.index.equals(complete.index)
    assert not filled.isna().any(axis=None)
    known = ~missing
    assert (filled.astype(object) == complete.astype(object)).to_numpy()[known].all()
    for i, name in enumerate(complete.columns):
        gaps = missing[:, i]
        seen = set(incomplete[name].dropna())
        if name in ("whole", "level", "text", "flag"):
            assert set(filled[name]) <= seen
        if name in ("level", "text", "flag"):
            right = (filled[name] == complete[name])[gaps].mean()
            assert right > 0.75, name
    error = filled.real - complete.real
    assert error[missing[:, 0]].abs().mean() < 0.5 * complete.real.abs().mean()
    first = imputer.transform(incomplete.iloc[:1])
    assert first.equals(filled.iloc[:1])


def test_a_frame_gives_an_array_unless_set_output_asks_for_a_frame(frame):
    _, incomplete, _ = frame
    imputer = quick().fit(incomplete)
    array = imputer.transform(incomplete)
    assert isinstance(array, np.ndarray)
    assert array.dtype == object
    as_frame = imputer.set_output(transform="pandas").transform(incomplete)
    others = [0, 2, 3, 4, 5]  # numbers of single precision are rounded in the frame
    assert (array == as_frame.to_numpy(object))[:, others].all()
    numbers = quick().fit(incomplete[["real", "whole"]])
    assert numbers.transform(incomplete[["real", "whole"]]).dtype == np.float64
    draws = imputer.impute_multiple(incomplete, 2, random_state=0)
    assert [type(d) for d in draws] == [type(as_frame)] * 2
    assert draws[0].dtypes.equals(incomplete.dtypes)


def test_indicator_of_a_frame(frame):
    _, incomplete, missing = frame
    imputer = quick(add_indicator=True).set_output(transform="pandas")
    filled = imputer.fit_transform(incomplete)
    assert list(filled.columns) == list(imputer.get_feature_names_out())
    np.testing.assert_array_equal(filled.iloc[:, 6:], missing)


def test_a_category_that_was_not_seen_stays(frame):
    _, incomplete, _ = frame
    imputer = quick().set_output(transform="pandas").fit(incomplete)
    new = incomplete.iloc[:2].assign(text=["new", None])
    filled = imputer.transform(new)
    assert filled.text.iloc[0] == "new"
    assert filled.text.iloc[1] in ("plus", "minus")


def test_a_mark_in_a_frame(frame):
    _, incomplete, _ = frame
    marked = incomplete.assign(text=incomplete.text.fillna("?"))
    imputer = quick(missing_values="?").set_output(transform="pandas")
    expected = quick().set_output(transform="pandas").fit_transform(incomplete)
    assert imputer.fit_transform(marked).equals(expected)


def test_columns_that_cannot_be_filled(frame):
    _, incomplete, _ = frame
    imputer = quick().fit(incomplete)
    with (
        pytest.raises(TypeError, match="column 3 had categories"),
        pytest.warns(UserWarning, match="valid feature names"),
    ):
        imputer.transform(V[:, [0, 1, 2, 0, 1, 2]])
    with pytest.raises(TypeError, match="'real' with values that are no numbers"):
        imputer.transform(incomplete.assign(real="a"))
    dates = incomplete.assign(real=pd.Timestamp("2020-01-01"))
    with pytest.raises(TypeError, match="'real' of dtype datetime64"):
        quick().fit(dates)
    with pytest.raises(ValueError, match="infinity in column 'real'"):
        quick().fit(incomplete.assign(real=np.inf))
    with pytest.raises(ValueError, match="0 sample"):
        quick().fit(incomplete.iloc[:0])
    with pytest.raises(ValueError, match="feature names"):
        imputer.transform(incomplete.rename(columns={"real": "other"}))


def test_a_column_of_a_frame_without_known_values(frame):
    _, incomplete, _ = frame
    empty = incomplete.assign(real=np.nan, text=None)
    dropped = quick().set_output(transform="pandas").fit_transform(empty)
    assert list(dropped.columns) == ["single", "whole", "level", "flag"]
    imputer = quick(keep_empty_features=True).set_output(transform="pandas")
    kept = imputer.fit_transform(empty)
    assert (kept.real == 0).all()
    assert kept.text.isna().all()


# What marks missing values, and columns of other kinds


@pytest.mark.parametrize("mark", [0, 1, 0.0])
@pytest.mark.parametrize("dtype", [bool, "boolean", object, "category"])
def test_a_number_marks_no_boolean(mark, dtype):
    frame = pd.DataFrame({"x": X[:, 0], "flag": X[:, 1] > 0})
    frame["flag"] = frame["flag"].astype(dtype)
    frame.loc[::5, "x"] = mark
    imputer = quick(missing_values=mark).set_output(transform="pandas")
    filled = imputer.fit_transform(frame)
    pd.testing.assert_series_equal(filled["flag"], frame["flag"])
    assert (filled["x"][::5] != mark).all()


def test_numbers_beside_a_mark_of_text_are_numbers():
    frame = pd.DataFrame(V, columns=list("abc"))
    marked = frame.astype(object).where(frame.notna(), "?")
    plain, imputer = quick().fit(frame), quick(missing_values="?").fit(marked)
    np.testing.assert_allclose(imputer.data_min_, plain.data_min_)
    np.testing.assert_allclose(
        imputer.transform(marked).astype(float), plain.transform(frame)
    )


def test_numbers_in_the_place_of_categories_are_refused():
    frame = pd.DataFrame({"x": X[:, 0], "kind": np.where(X[:, 1] > 0, "a", "b")})
    imputer = quick().fit(frame)
    with pytest.raises(TypeError, match=r"'kind' of dtype float64.*categories, as in"):
        imputer.transform(frame.assign(kind=1.5))
    gaps = imputer.transform(frame.assign(kind=np.nan))
    assert set(gaps[:, 1]) <= {"a", "b"}


def test_limits_of_integers_are_integers():
    frame = pd.DataFrame({"x": X[:, 0], "n": np.arange(80)}).astype({"n": "Int64"})
    frame.loc[::4, "n"] = pd.NA
    limited = quick(min_value=[-9, 20.5], max_value=[9, 60.5])
    filled = limited.set_output(transform="pandas").fit_transform(frame)
    assert filled["n"].dtype == "Int64"
    assert filled["n"][::4].between(21, 60).all()
    with pytest.raises(ValueError, match="without an integer between"):
        quick(min_value=[-9, 20.2], max_value=[9, 20.8]).fit(frame)


def test_sparse_columns_become_dense():
    frame = pd.DataFrame(V, columns=list("abc"))
    sparse = frame.astype({"a": pd.SparseDtype(float, np.nan)})
    imputer = quick().set_output(transform="pandas").fit(frame)
    filled = imputer.transform(sparse)
    np.testing.assert_allclose(filled, imputer.transform(frame))


def test_multiple_imputations_are_in_the_container_of_transform():
    imputer = quick().set_output(transform="pandas").fit(V)
    for table in imputer.impute_multiple(V, 2):
        assert list(table.columns) == list(imputer.transform(V).columns)


def test_a_model_that_learns_from_no_gaps_is_refused():
    model = DiffusionModel(n_iter=1, early_stopping=False)
    with pytest.raises(TypeError, match="estimator=DiffusionModel, whose fit takes no"):
        quick(estimator=model).fit(V)


def test_many_categories_take_little_time_to_encode():
    """All of 2000 at once; one by one it would be four million comparisons."""
    names = np.array([f"id {i}" for i in range(2000)], dtype=object)
    column = categorical_column(names)
    code = column.encode(np.append(names, [None, "other"]))
    np.testing.assert_array_equal(code[:2000].argmax(1), np.argsort(np.argsort(names)))
    assert np.isnan(code[2000:]).all()
