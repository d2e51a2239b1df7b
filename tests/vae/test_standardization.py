"""Units, offsets, bad cells and floors of GaussianVAE."""

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from families import PLAIN
from scipy.stats import kurtosis
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.decomposition import FactorAnalysis
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from skgen import BernoulliVAE, GaussianRBM, GaussianVAE
from skgen.base._standardization import (
    Standardization,
    estimate_units,
    noise_floor,
    spread_rows,
)
from skgen.training._rows import row_source

WINE = load_wine().data
RNG = np.random.RandomState(0)
FACTORS = 10 ** RNG.uniform(-6, 6, 13)
OFFSETS = FACTORS * RNG.normal(scale=100, size=13)


def quick(**params):
    return GaussianVAE(
        **({"n_components": 4, "n_iter": 30, "random_state": 0} | params)
    )


def units_of(X, **params):
    return estimate_units(
        row_source(X), **({"per_feature": True, "names": None} | params)
    )


# Units and offsets


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_powers_of_two_change_no_bit(method):
    factors = 2.0 ** np.random.RandomState(1).randint(-20, 20, 13)
    model, other = quick(), quick()
    getattr(model, method)(WINE)
    getattr(other, method)(WINE * factors)
    np.testing.assert_array_equal(
        model.transform(WINE), other.transform(WINE * factors)
    )
    np.testing.assert_array_equal(
        model.sample(9, random_state=0) * factors, other.sample(9, random_state=0)
    )
    np.testing.assert_array_equal(
        model.noise_variance_ * factors**2, other.noise_variance_
    )
    shift = np.log(factors).sum()
    np.testing.assert_allclose(
        model.score_samples(WINE) - shift,
        other.score_samples(WINE * factors),
        rtol=1e-12,
    )


def test_units_and_offsets_of_columns_do_not_matter():
    scaled = WINE * FACTORS + OFFSETS
    model, other = quick(n_iter=100).fit(WINE), quick(n_iter=100).fit(scaled)
    assert other.score(scaled) + np.log(FACTORS).sum() == pytest.approx(
        model.score(WINE), abs=0.05
    )
    # The isotropic model is not so: it has the units of X.
    plain = quick(**PLAIN | {"n_iter": 20})
    moved = plain.fit(scaled).score(scaled) + np.log(FACTORS).sum()
    assert moved < plain.fit(WINE).score(WINE) - 1


def test_raw_tables_score_as_standardized_ones():
    scaler = StandardScaler().fit(WINE)
    raw, standard = quick().fit(WINE), quick().fit(scaler.transform(WINE))
    shift = np.log(scaler.scale_).sum()
    assert raw.score(WINE) + shift == pytest.approx(
        standard.score(scaler.transform(WINE)), abs=0.05
    )
    spread = raw.sample(5000, random_state=0).std(axis=0) / WINE.std(axis=0)
    assert (spread > 0.67).all()
    assert (spread < 1.5).all()


@pytest.mark.parametrize("noise_variance", ["per_feature", "learned"])
@pytest.mark.parametrize("offset", [1.6e9, -1.6e9])
def test_offsets_of_a_unix_time(noise_variance, offset):
    params = {"noise_variance": noise_variance, "n_iter": 60}
    model, other = quick(**params).fit(WINE), quick(**params).fit(WINE + offset)
    assert other.score(WINE + offset) == pytest.approx(model.score(WINE), abs=0.01)
    back = other.reconstruct(WINE + offset) - offset
    np.testing.assert_allclose(back, model.reconstruct(WINE), rtol=0.01, atol=1)
    drawn = other.sample(5, random_state=0) - offset
    np.testing.assert_allclose(
        drawn, model.sample(5, random_state=0), rtol=0.01, atol=1
    )


def test_samples_have_the_dtype_of_the_data():
    assert quick().fit(WINE).sample().dtype == np.float64
    single = quick().fit(WINE.astype(np.float32))
    assert single.sample().dtype == np.float32
    assert single.transform(WINE).dtype == np.float64


@pytest.mark.parametrize("kind", [GaussianVAE, GaussianRBM])
def test_sparse_and_mapped_tables_are_standardized_row_by_row(
    kind, tmp_path, monkeypatch
):
    def fitted(X):
        return kind(4, n_iter=2, random_state=0).fit(X)

    X = WINE.astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = fitted(X).transform(X)
    # A table of standardised rows is what may be too large for the memory.
    monkeypatch.setattr(Standardization, "of_array", None)
    for table in (sp.csr_array(X), mapped):
        np.testing.assert_allclose(fitted(table).transform(X), expected, atol=1e-5)
    with pytest.raises(TypeError, match="not callable"):
        fitted(X)


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_standardizing_does_not_change_the_data(dtype, bounded):
    X = WINE.astype(dtype)
    units = Standardization(OFFSETS, FACTORS, (X.min(axis=0) + 1, X.max(axis=0) - 1))
    rows = units.of_rows(row_source(X), bounded=bounded)
    got = rows.gather(slice(9)).numpy()
    np.testing.assert_array_equal(X, WINE.astype(dtype))
    clipped = np.clip(X[:9].astype(np.float64), *units.bounds) if bounded else X[:9]
    np.testing.assert_array_equal(got, ((clipped - OFFSETS) / FACTORS).astype(dtype))


def test_too_large_numbers_are_an_error_of_the_data():
    for cls in (GaussianVAE, BernoulliVAE):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for factor in (1e30, 1e38, 1e200):
                with pytest.raises(ValueError, match="X"):
                    cls(n_iter=2, random_state=0).fit(WINE * factor)
        # One column of them is enough, also if it is constant.
        for column in (WINE[:, 0] * 1e30, np.full(178, 1e39)):
            with pytest.raises(ValueError, match=r"X with values up to .* too large"):
                quick().fit(np.column_stack([WINE, column]))
    quick().fit(WINE * 1e-30)
    small = np.column_stack([WINE, WINE[:, 0] * 1e-157])
    assert units_of(small).scale[-1] ** 2 > np.finfo(np.float64).tiny
    assert quick(n_iter=3).fit(small).noise_variance_[-1] > 0


def test_a_constant_column_has_the_scale_one():
    X = np.column_stack([WINE, np.full(178, 7.0), np.full(178, 1e9 + 0.1)])
    units = units_of(X)
    np.testing.assert_array_equal(units.scale[-2:], 1)
    model = quick().fit(X)
    np.testing.assert_allclose(model.reconstruct(X)[:, -2], 7, atol=0.2)
    assert np.isfinite(model.score(X))
    assert quick(noise_variance="learned").fit(np.ones((20, 3))).score(np.ones((20, 3)))


def test_what_is_smaller_than_rounding_has_the_scale_one():
    """Of columns that vary by their last bit, and not beside others that do vary."""
    bits = 1e9 + 2.0**-23 * (RNG.uniform(size=(200, 2)) < 0.5)
    assert (bits.var(axis=0) > 0).all()
    for per_feature in (True, False):
        np.testing.assert_array_equal(units_of(bits, per_feature=per_feature).scale, 1)
    X = np.column_stack([bits[:, 0], 5.0 * RNG.normal(size=200)])
    common = units_of(X, per_feature=False).scale
    np.testing.assert_allclose(common, X[:, 1].std() / np.sqrt(2))


def test_units_are_weighted():
    X, weight = RNG.normal(size=(200, 3)) * [1, 5, 0.1], RNG.uniform(size=200)
    rows = row_source(X).select(np.arange(200), weight / weight.mean())
    units = estimate_units(rows, per_feature=True, names=None)
    mean = np.average(X, axis=0, weights=weight)
    variance = np.average((X - mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(units.location, mean)
    np.testing.assert_allclose(units.scale, np.sqrt(variance))
    x, spread = spread_rows(rows, 40)
    np.testing.assert_array_equal(x, X[::5])
    np.testing.assert_allclose(spread, (weight / weight.mean())[::5])


@pytest.mark.parametrize("block", [1, 3 * 70, 10**6])
def test_blocks_of_rows_of_any_size(block, monkeypatch):
    """Of one row, of 70, and of all."""
    monkeypatch.setattr("skgen.base._standardization._BLOCK_SIZE", block)
    X = np.random.RandomState(0).normal(size=(200, 3))
    X[[3, 80, 170], 0], X[[0, 199], 1] = [1e5, -1e6, 1e4], [-1e7, 1e3]
    with pytest.warns(UserWarning, match="implausible values") as record:
        units = units_of(X)
    message = str(record[0].message)
    assert re.search(r"column 1 has 2 up to .*; column 0 has 3 up to ", message)
    good = np.where(np.abs(X) < 100, X, np.nan)
    low, high = units.bounds
    np.testing.assert_array_equal(low[:2], np.nanmin(good, axis=0)[:2])
    np.testing.assert_array_equal(high[:2], np.nanmax(good, axis=0)[:2])
    expected = StandardScaler().fit_transform(np.clip(X, low, high))
    rows = row_source(X)
    got = units.of_array(rows, torch.float64)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    single = units.of_rows(rows, bounded=True, dtype=torch.float32)
    assert single.gather(slice(3)).dtype == torch.float32
    np.testing.assert_allclose(
        noise_floor(units.of_rows(rows, bounded=True)),
        (kurtosis(np.clip(X, low, high)) + 3) / 200,
    )


def test_undo_is_the_inverse():
    units = Standardization(OFFSETS, FACTORS)
    rows = units.of_rows(row_source(WINE), bounded=True)
    z = rows.gather(slice(None)).numpy()
    np.testing.assert_allclose(units.undo(z), WINE, rtol=1e-9, atol=1e-12)
    assert units.log_scale == pytest.approx(np.log(FACTORS).sum())


# Floors


def test_floor_is_the_kurtosis_over_the_number_of_rows():
    X = np.column_stack(
        [RNG.normal(size=500), RNG.uniform(size=500) < 0.01, np.ones(500)]
    )
    rows = units_of(X).of_rows(row_source(X), bounded=True)
    expected = (kurtosis(X[:, :2]) + 3) / 500
    np.testing.assert_allclose(noise_floor(rows)[:2], expected, rtol=1e-6)
    assert noise_floor(rows)[2] == 1e-6
    # Weights count as rows do.
    weight = RNG.randint(1, 4, 500)
    weighted = rows.source.select(np.arange(500), weight / weight.mean())
    repeated = X.repeat(weight, axis=0)
    units = units_of(repeated)
    ours = noise_floor(units.of_rows(weighted, bounded=False))[:2] * 500
    theirs = noise_floor(units.of_rows(row_source(repeated), bounded=False))[:2]
    np.testing.assert_allclose(ours, theirs * len(repeated), rtol=1e-5)


def test_floor_has_the_units_of_a_variance():
    X = RNG.normal(size=(50, 2))
    rows, scaled = row_source(X), row_source(X * [3.0, 0.01])
    np.testing.assert_allclose(noise_floor(scaled), noise_floor(rows) * [9.0, 1e-4])
    # It is no more than the variance, even if one row of little weight says it all.
    x = np.zeros((4, 1))
    x[0] = 5.0
    weight = np.array([0.04, 1.32, 1.32, 1.32])
    rows = row_source(x).select(np.arange(4), weight)
    np.testing.assert_allclose(noise_floor(rows), 0.04 * 25 / 4)


def test_independent_columns_of_any_scale_reach_factor_analysis():
    X = np.random.RandomState(0).normal(size=(1000, 3)) * [1e4, 1, 0.01]
    model = GaussianVAE(n_iter=150, random_state=0).fit(X[:700])
    best = FactorAnalysis(1).fit(X[:700]).score(X[700:])
    assert model.score(X[700:]) == pytest.approx(best, abs=0.1)
    spread = model.sample(5000, random_state=0).std(axis=0) / X.std(axis=0)
    np.testing.assert_allclose(spread, 1, atol=0.1)


def test_a_column_constant_but_for_a_few_rows_is_bounded():
    """It costs a few nats; with a floor of 1e-6 of its variance, millions."""
    rare = np.zeros(178)
    rare[[3, 50, 100, 130, 170]] = [1.0, 2.0, 5.0, 3.0, 4.0]
    X = np.column_stack([WINE, rare])
    train, test = X[:120], X[120:]
    with_it = GaussianVAE(n_iter=300, random_state=0).fit(train)
    without = GaussianVAE(n_iter=300, random_state=0).fit(train[:, :-1])
    variance = train[:, -1].var()
    assert with_it.noise_variance_[-1] >= 0.99 * variance / 3  # three rows tell it
    shift = np.log(np.sqrt(variance))
    loss = without.score(test[:, :-1]) - (with_it.score(test) + shift)
    assert loss < 10


# Bad cells


@pytest.mark.parametrize("size", [1e3, 1e4, -1e6])
def test_a_bad_cell_spoils_no_other_row(size):
    X = load_diabetes().data
    bad = X.copy()
    bad[7, 3] = size * X[:, 3].std()
    names = load_diabetes().feature_names
    pd = pytest.importorskip("pandas") if size == 1e4 else None
    table = bad if pd is None else pd.DataFrame(bad, columns=names)
    with pytest.warns(UserWarning, match=r"column 3 .*has 1 up to .* robust") as record:
        model = GaussianVAE(n_iter=100, random_state=0).fit(table)
    message = str(record[0].message)
    assert ("('bp')" in message) == (pd is not None)
    assert record[0].filename == __file__
    assert 0.5 < float(message.split("up to ")[1].split()[0]) / abs(size) < 2
    rest = np.delete(np.arange(len(X)), 7)
    seen = table if pd is None else table.iloc[rest]
    there = model.reconstruct(bad[rest] if pd is None else seen)
    assert r2_score(X[rest], there) > 0.5
    # The score is that of the cell as it is, and its row is unlikely.
    assert model.score_samples(table)[7] < model.score_samples(table)[rest].min() - 100
    # A bad cell at inference changes the features of its row by little.
    z = model.transform(table)
    assert np.abs(z[7]).max() < 3 * np.abs(z[rest]).max()


def test_the_warning_names_the_five_worst_columns():
    X = np.random.RandomState(0).normal(size=(300, 8))
    for column in range(7):
        X[: column + 1, column] = 10.0 ** (4 + column)
    names = list("abcdefgh")
    with pytest.warns(UserWarning, match="; and 2 columns more") as record:
        units_of(X, names=names)
    message = str(record[0].message)
    got = re.findall(r"column (\d) \('(.)'\) has (\d) up to \d\S*e\+(\d+)", message)
    for (column, name, count, power), i in zip(got, (6, 5, 4, 3, 2), strict=True):
        assert (int(column), name, int(count)) == (i, names[i], i + 1)
        assert abs(int(power) - 4 - i) <= 1
    assert "more" not in str(warning_of(X[:, 2:7]).message)


def warning_of(X):
    with pytest.warns(UserWarning, match="implausible") as record:
        units_of(X)
    return record[0]


@pytest.mark.filterwarnings("ignore:Got X with implausible values")
@pytest.mark.parametrize("kind", ["array", "csr", "map"])
def test_training_sees_the_bound_in_place_of_a_bad_cell(kind, tmp_path, monkeypatch):
    """All of it does, from the start to the statistics at the end."""
    means = []
    monkeypatch.setattr(
        GaussianVAE, "_set_statistics", lambda _, found, **__: means.append(found)
    )
    bad, bounded = WINE.copy(), WINE.copy()
    rest = np.delete(WINE[:, 4], 7)
    for value, bound in ((1e6, rest.max()), (-1e6, rest.min())):
        bad[7, 4], bounded[7, 4] = value, bound
        table = bad
        if kind == "csr":
            table = sp.csr_array(bad)
        elif kind == "map":
            np.save(tmp_path / "bad.npy", bad)
            table = np.load(tmp_path / "bad.npy", mmap_mode="r")
        # `fit` would take the rows in another order.
        model = quick(n_components=2).partial_fit(table).partial_fit(table)
        other = quick(n_components=2).partial_fit(bounded).partial_fit(bounded)
        for name, weight in other.weights_.items():
            np.testing.assert_allclose(model.weights_[name], weight, atol=1e-6)
        np.testing.assert_allclose(model.noise_variance_, other.noise_variance_)
        np.testing.assert_allclose(model._noise_floor, other._noise_floor)
        np.testing.assert_allclose(means[-4], means[-2], atol=1e-6)
        np.testing.assert_allclose(model.transform(table), other.transform(bounded))


def test_no_warning_of_tails_and_rare_values():
    rng = np.random.RandomState(0)
    X = np.column_stack(
        [
            rng.normal(size=3000),
            rng.lognormal(size=3000),
            rng.exponential(size=3000),
            rng.uniform(size=3000) < 0.01,
            rng.poisson(0.1, size=3000) * 1e6,
        ]
    )
    assert units_of(X).bounds is None
    assert units_of(load_iris().data[:11] * [1, 1, 1, 1e9]).bounds is None


@pytest.mark.parametrize("share", [0.4, 0.3, 0.26, 0.24, 0.1])
def test_a_column_with_many_zeros(share):
    """The others spread over a factor of 1000: a bad cell is, and they are not."""
    rng = np.random.RandomState(0)
    others = np.exp(rng.normal(6, 1.5, size=1000))
    X = np.where(rng.uniform(size=1000) < share, others, 0.0)[:, None]
    X = np.column_stack(
        [X, -X, X + 7, np.where(rng.uniform(size=1000) < 0.3, np.nan, X.T)[0]]
    )
    assert units_of(X).bounds is None
    bad = X.copy()
    bad[5] = 1e9
    with pytest.warns(UserWarning, match="implausible"):
        _, high = units_of(bad).bounds
    np.testing.assert_array_equal(high, np.nanmax(np.delete(X, 5, axis=0), axis=0))


def test_bounds_are_the_extremes_of_the_plausible():
    X = np.random.RandomState(0).normal(size=(300, 2))
    X[5, 0], X[6, 0] = 1e5, -1e7
    with pytest.warns(UserWarning, match=r"column 0 has 2 up to 9.6e\+06"):
        low, high = units_of(X).bounds
    good = np.delete(X[:, 0], [5, 6])
    assert (low[0], high[0]) == (good.min(), good.max())
    assert (low[1], high[1]) == (-np.inf, np.inf)
    with pytest.warns(UserWarning, match="implausible"):
        units = units_of(X)
    rows = units.of_rows(row_source(X), bounded=True, dtype=torch.float32)
    inside = np.clip(X, low, high)
    np.testing.assert_allclose(
        rows.gather(slice(None)), StandardScaler().fit_transform(inside), atol=1e-5
    )
