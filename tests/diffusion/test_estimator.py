"""DiffusionModel: its start, what it answers, and tables of all kinds."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_iris, make_moons

from skgen import DiffusionModel
from skgen.training._row_order import canonical_order

X = load_iris().data


def small(**params):
    quick = {"hidden_layer_sizes": (16, 16), "n_iter": 3, "n_steps": 8}
    return DiffusionModel(**quick | {"random_state": 0} | params)


@pytest.fixture(scope="module")
def fitted():
    return small(n_iter=150, learning_rate=1e-2, early_stopping=False).fit(X)


# The start


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_start_is_the_gaussian_of_the_data(covariance_type):
    model = small(
        n_iter=0, early_stopping=False, covariance_type=covariance_type, t_min=1e-5
    ).fit(X)
    mean, std = X.mean(0), X.std(0)
    covariance = np.eye(4)
    if covariance_type == "full":
        shrunk = LedoitWolf(assume_centered=True).fit((X - mean) / std)
        covariance = shrunk.covariance_
    law = multivariate_normal(mean, covariance * np.outer(std, std))
    expected = law.logpdf(X)
    log_p, error = model.log_likelihood(X, n_steps=2, return_error=True)
    np.testing.assert_allclose(log_p, expected, atol=1e-6)
    np.testing.assert_allclose(error, 0, atol=1e-9)
    np.testing.assert_allclose(model.score_samples(X), expected, atol=1e-6)
    drawn = model.sample(20_000, random_state=1)
    spread = np.cov(((drawn - mean) / std).T)
    # Five standard errors.
    assert np.abs(spread - covariance).max() < 5 * np.sqrt(2 / 20_000)


def test_training_raises_the_likelihood(fitted):
    start = small(n_iter=0, early_stopping=False).fit(X)
    assert fitted.log_likelihood(X).mean() > start.log_likelihood(X).mean() + 0.1
    assert fitted.score(X) > start.score(X)


# What is fitted


def test_weights_are_the_moving_average():
    """By hand, of the weights after each step."""
    model = small(early_stopping=False, n_iter=0, ema_decay=0.6).fit(X)
    name = "last.weight"
    average = model.weights_[name].copy()
    for n in range(1, 7):
        model.partial_fit(X)
        decay = min(0.6, (n + 1) / (n + 10))
        average = decay * average + (1 - decay) * model._last_weights[name]
    np.testing.assert_allclose(model.weights_[name], average, rtol=1e-5, atol=1e-8)
    assert np.abs(model.weights_[name] - model._last_weights[name]).max() > 1e-5


def test_units_of_the_features_do_not_matter():
    factor, offset = np.array([1e3, 1e-3, 2.0, 1.0]), np.array([0, 5, -1e3, 1e4])
    one, other = small().fit(X), small().fit(X * factor + offset)
    expected = one.score_samples(X) - np.log(factor).sum()
    got = other.score_samples(X * factor + offset)
    np.testing.assert_allclose(got, expected, atol=1e-2)
    drawn = one.sample(5, random_state=1) * factor + offset
    np.testing.assert_allclose(other.sample(5, random_state=1), drawn, rtol=1e-3)


# Early stopping


def test_rows_are_held_out_of_tables_that_are_not_tiny():
    assert "valid_loss" in small().fit(X).history_[-1]
    assert "valid_loss" not in small().fit(X[:39]).history_[-1]
    assert not DiffusionModel()._stops_early(5001)
    assert DiffusionModel()._stops_early(5000)
    assert "valid_loss" in small(early_stopping=True).fit(X[:20]).history_[-1]
    assert "valid_loss" not in small(early_stopping=False).fit(X).history_[-1]


def test_partial_fit_goes_on_after_a_fit_that_held_rows_out():
    model = small().fit(X)
    model.partial_fit(X)
    assert model.n_iter_ == 4
    assert "valid_loss" not in model.history_[-1]
    model.set_params(early_stopping=True)
    with pytest.raises(ValueError, match="holds no rows out"):
        model.partial_fit(X)


@pytest.mark.parametrize(
    ("n_rows", "n_steps"), [(5, 300), (500, 1000), (100_000, 10_000)]
)
def test_number_of_steps(n_rows, n_steps):
    n_epochs = DiffusionModel()._number_of_epochs("auto", n_rows)
    n_batches = -(-n_rows // 256)
    assert n_steps <= n_epochs * n_batches < n_steps + n_batches


@pytest.mark.parametrize(("n_features", "width"), [(16, 128), (17, 256)])
def test_width_of_the_network(n_features, width):
    X = np.random.RandomState(0).standard_normal((9, n_features))
    model = DiffusionModel(n_iter=0).fit(X)
    shapes = [model.weights_[f"layers.{k}.weight"].shape for k in range(4)]
    assert shapes == [(width, n_features)] + [(width, width)] * 3


# Answers


def test_round_trip(fitted):
    fitted.set_params(n_steps=128)
    back = fitted.inverse_transform(fitted.transform(X))
    fitted.set_params(n_steps=8)
    np.testing.assert_allclose(back, X, atol=1e-4)


def test_error_is_a_third_of_the_change_from_half_as_many_steps(fitted):
    fine, error = fitted.log_likelihood(X, n_steps=16, return_error=True)
    coarse = fitted.log_likelihood(X, n_steps=8)
    np.testing.assert_allclose(error, np.abs(fine - coarse) / 3)
    np.testing.assert_array_equal(fine, fitted.log_likelihood(X, n_steps=16))


def test_warns_of_a_large_error(fitted):
    with pytest.warns(UserWarning, match=r"discretisation error of .*Pass more steps"):
        fitted.log_likelihood(X + 20 * np.array([1, -1, 1, -1]), n_steps=2)


@pytest.mark.parametrize("sampler", ["heun", "ddim", "sde"])
def test_samplers_agree(fitted, sampler):
    """On mean and variance, to what 4000 samples tell and 32 steps leave."""
    got = fitted.sample(4000, n_steps=32, sampler=sampler, random_state=0)
    other = fitted.sample(4000, n_steps=64, random_state=1)
    np.testing.assert_allclose(got.mean(0), other.mean(0), atol=0.1 * X.std(0).max())
    np.testing.assert_allclose(got.std(0), other.std(0), rtol=0.15)


def test_missing_values(fitted):
    gaps = X[::10].copy()
    gaps[:, 2] = np.nan
    filled = fitted.impute(gaps, n_draws=5, random_state=0)
    # Petal length, of standard deviation 1.8, follows from the rest.
    assert np.abs(filled[:, 2] - X[::10, 2]).mean() < 0.5
    drawn = fitted.sample(2, given=gaps, random_state=0)
    assert drawn.shape == (30, 4)
    np.testing.assert_array_equal(drawn[::2, [0, 1, 3]], gaps[:, [0, 1, 3]])
    assert (drawn[::2, 2] != drawn[1::2, 2]).all()
    np.testing.assert_array_equal(fitted.impute(X[:3]), X[:3])


# Tables of all kinds


TABLES = {
    "one row": X[:1],
    "two rows": X[:2],
    "one column": X[:, :1],
    "more columns than rows": np.random.RandomState(0).standard_normal((6, 20)),
    "constant columns": np.hstack([X, np.ones((150, 1))]),
    "all constant": np.ones((10, 3)),
    "bits": (X.mean(0) < X).astype(float),
    "equal columns": np.hstack([X, X]),
    "large numbers": X * 1e12 + 1e15,
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_all_kinds(name):
    data = TABLES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = small(n_steps=4).fit(data)
        assert np.isfinite(model.score(data))
        assert np.isfinite(model.sample(3)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # densities of what has none take many steps
        assert np.isfinite(model.log_likelihood(data)).all()


# Errors


def test_a_warm_start_keeps_the_network(fitted):
    model = small(warm_start=True).fit(X)
    for name, value in (("hidden_layer_sizes", (16, 8)), ("t_min", 0.1)):
        before = getattr(model, name)
        with pytest.raises(ValueError, match=f"Got {name}=.*goes on with {name}="):
            model.set_params(**{name: value}).fit(X)
        model.set_params(**{name: before})
    model.fit(X)
    assert model.n_iter_ == 6


def test_bad_sizes():
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(4, 0\)"):
        small(hidden_layer_sizes=(4, 0)).fit(X)


def test_what_early_stopping_watches_is_the_bound():
    """Up to the noise of eight points for each of 100 rows."""
    X = make_moons(1000, noise=0.1, random_state=0)[0].astype(np.float32)
    model = DiffusionModel(n_iter=20, early_stopping=True, random_state=0)
    model.fit(X)
    held_out = model.net_.train_split(X)[1].indices
    held_out = X[canonical_order(X)][held_out]
    last = model.history_[-1]
    best = min(row["valid_loss"] for row in model.history_)
    assert -best == pytest.approx(model.score(held_out), abs=0.1)
    assert last["valid_loss"] < model.history_[0]["valid_loss"] - 0.3


def test_more_features_than_sobol_points_have_dimensions():
    """Of independent features: as many nats for each as the Gaussian has."""
    X = np.random.RandomState(0).normal(size=(50, 21_210)).astype(np.float32)
    model = DiffusionModel(hidden_layer_sizes=8, n_iter=1, random_state=0).fit(X)
    of_gaussian = norm.logpdf(X).sum(1).mean()
    assert abs(model.score(X) - of_gaussian) < 0.03 * abs(of_gaussian)


@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 1e30), (np.float64, 1e300)])
def test_rows_whose_squares_overflow(dtype, far):
    rows = load_iris().data.astype(dtype)
    model = small(n_iter=1).fit(rows)
    rows[0, 1], rows[1] = far, np.finfo(dtype).max
    assert (model.score_samples(rows[:2]) == -np.inf).all()
    assert np.isfinite(model.score_samples(rows[2:])).all()
