"""Thousands of inputs: each ends in a finite fit, or in an error that is explained."""

from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse as sp
from families import offered, sized
from generated import PARAMETERS, WEIGHTS, Told, tables, weight_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import skgen
from skgen import GaussianVAE, datasets, diagnostics, impute, io, metrics, plotting
from skgen.base import ConditionalMixin

ESTIMATORS = [getattr(skgen, name) for name in skgen.__all__]
# The same inputs at each run; a failure is printed with the call that makes it again.
FEW = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=40)


def make(cls, **params):
    """An estimator that takes little time."""
    quick = {"n_iter": 2, "random_state": 0, "device": "cpu", **sized(cls, 3)}
    return cls(**offered(cls, **quick, batch_size=8) | params)


def n_rows_of(X):
    shape = getattr(X, "shape", None)
    if shape is None and isinstance(X, list):
        return len(X)
    return shape[0] if shape else 1


def check(cls, X, weight="none", **params):
    """Fit, and ask a model for all that it gives."""
    n_rows = n_rows_of(X)
    if weight == "one zero" and issubclass(cls, ConditionalMixin):
        weight = "none"  # that row may be the only one of its label
    if isinstance(X, list):
        weight = "none"  # ragged lists without one of their rows are tables
    y = np.arange(n_rows) % 2 if issubclass(cls, ConditionalMixin) else None
    before = _copy(X)
    with Told() as told:
        model = make(cls, **params)
        model.fit(X, y, sample_weight=weight_of(weight, n_rows))
    assert _same(X, before), "the data of the caller has changed"
    if told.is_error:
        return False
    with Told() as told:
        rows = (X,) if y is None else (X, y)
        got = {"score": model.score_samples(*rows)}
        got["sample"] = model.sample(
            **({"y": y} if y is not None else {"n_samples": 3})
        )
        if hasattr(model, "transform"):
            got["transform"] = model.transform(X)
        _assert_finite(got)
    assert not told.is_error, f"fit takes what inference refuses: {told.error!r}"
    return True


def _assert_finite(got):
    for name, values in got.items():
        assert np.isfinite(values).all(), f"{name} is not finite: {values}"


def _copy(X):
    return X.copy() if isinstance(X, np.ndarray) or sp.issparse(X) else X


def _same(X, before):
    if sp.issparse(X):
        X, before = X.toarray(), before.toarray()
    if isinstance(X, np.ndarray):
        return X.tobytes() == before.tobytes()
    return True


by_estimator = pytest.mark.parametrize("cls", ESTIMATORS)


@by_estimator
@FEW
@given(X=tables(), weight=st.sampled_from(["none"] * 12 + WEIGHTS))
def test_tables(cls, X, weight):
    check(cls, X, weight)


@pytest.mark.slow
@by_estimator
@MANY
@given(X=tables(), weight=st.sampled_from(["none"] * 12 + WEIGHTS))
def test_many_tables(cls, X, weight):
    check(cls, X, weight)


def parameters(data, cls):
    """Draw one or two parameters that are wrong as a rule."""
    # To compile a network takes half a minute.
    names = sorted(set(cls().get_params(deep=False)) - {"compile"})
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2))
    return {name: data.draw(PARAMETERS) for name in chosen}


X = np.random.default_rng(0).random((20, 4))


@by_estimator
@FEW
@given(data=st.data())
def test_parameters(cls, data):
    check(cls, X, **parameters(data, cls))


@pytest.mark.slow
@by_estimator
@MANY
@given(data=st.data())
def test_many_parameters(cls, data):
    check(cls, X, **parameters(data, cls))


# Functions, displays, the imputer, and methods of a fitted model


@pytest.fixture(scope="module", autouse=True)
def no_window():
    plt.switch_backend("agg")


@cache
def fitted():
    """A model with all methods, of four columns."""
    return make(skgen.GaussianVAE, n_components=2).fit(X)


def _display(draw):
    """Return a function that draws a figure, and closes it."""

    def call(*args, **kwargs):
        try:
            draw(*args, **kwargs)
        finally:
            plt.close("all")

    return call


# What is called with a table, another one, and a parameter that is wrong as a rule.
CALLS = {
    "energy_distance": lambda X, Y, _: metrics.energy_distance(X, Y),
    "energy_distance of itself": lambda X, _, __: metrics.energy_distance(X, X),
    "classifier": lambda X, Y, p: metrics.classifier_two_sample_test(X, Y, n_folds=p),
    "precision_recall": lambda X, Y, p: metrics.precision_recall(X, Y, n_neighbors=p),
    "null_distribution": lambda X, _, p: metrics.null_distribution(
        metrics.energy_distance, X, n_repeats=p
    ),
    "share": lambda X, _, p: metrics.null_distribution(
        metrics.energy_distance, X, n_repeats=2, share=p
    ),
    "split_r_hat": lambda X, _, __: diagnostics.split_r_hat(X),
    "effective_sample_size": lambda X, _, __: diagnostics.effective_sample_size(X),
    "bars": lambda _, __, p: datasets.make_bars_and_stripes(p),
    "bars, samples": lambda _, __, p: datasets.make_bars_and_stripes(2, n_samples=p),
    "shifter": lambda _, __, p: datasets.make_labelled_shifter(p),
    "shifter, samples": lambda _, __, p: datasets.make_labelled_shifter(2, n_samples=p),
    "ising": lambda _, __, p: datasets.make_ising(p, size=2, n_sweeps=2),
    "ising, size": lambda _, __, p: datasets.make_ising(2, size=p, n_sweeps=2),
    "ising, temperature": lambda _, __, p: datasets.make_ising(
        2, size=2, temperature=p, n_sweeps=2
    ),
    "ising, sweeps": lambda _, __, p: datasets.make_ising(2, size=5, n_sweeps=p),
    "load": lambda X, _, p: io.load(X if isinstance(p, str) else p),
    "images": _display(
        lambda X, _, p: plotting.ImageGridDisplay.from_array(X, image_shape=p)
    ),
    "images of rows": _display(
        lambda X, _, __: plotting.ImageGridDisplay.from_array(X, image_shape=(1, 4))
    ),
    "latent": _display(
        lambda X, _, p: plotting.LatentDisplay.from_estimator(fitted(), X, components=p)
    ),
    "latent, classes": _display(
        lambda _, Y, __: plotting.LatentDisplay.from_estimator(fitted(), TABLE, Y)
    ),
    "decoder": _display(
        lambda _, __, p: plotting.LatentDisplay.from_decoder(fitted(), n_grid=p)
    ),
    "scores": _display(
        lambda X, Y, _: plotting.ScoreDisplay.from_estimator(fitted(), X, X_test=Y)
    ),
    "scores, samples": _display(
        lambda _, __, p: plotting.ScoreDisplay.from_estimator(
            fitted(), TABLE, n_samples=p
        )
    ),
    "training": _display(
        lambda _, __, p: plotting.TrainingDisplay.from_estimator(fitted(), kind=p)
    ),
    "a display of no model": _display(
        lambda X, _, p: plotting.ScoreDisplay.from_estimator(p, X)
    ),
    "impute a table": lambda X, _, __: impute.GenerativeImputer(
        GaussianVAE(n_iter=2, random_state=0), random_state=0
    ).fit_transform(X),
    "impute": lambda X, _, p: fitted().impute(X, n_importance_samples=p),
    "sample": lambda _, __, p: fitted().sample(p),
    "sample, seed": lambda _, __, p: fitted().sample(2, random_state=p),
    "transform": lambda X, _, __: fitted().transform(X),
    "inverse_transform": lambda X, _, __: fitted().inverse_transform(X),
    "score": lambda X, Y, _: fitted().score(X, sample_weight=Y),
    "log_likelihood": lambda X, _, p: fitted().log_likelihood(X, p),
}
TABLE = X
# Of what does not vary.
MAY_BE_NAN = {"split_r_hat", "effective_sample_size"}


def check_call(name, X, Y, p):
    before = _copy(X)
    with Told():
        got = CALLS[name](X, Y, p)
        if isinstance(got, float | np.ndarray) and name not in MAY_BE_NAN:
            assert np.isfinite(np.asarray(got, dtype=float)).all(), got
    assert _same(X, before), "the data of the caller has changed"


by_call = pytest.mark.parametrize("name", CALLS)


@by_call
@settings(FEW, max_examples=5)
@given(X=tables(), Y=tables(), p=PARAMETERS)
def test_calls(name, X, Y, p):
    check_call(name, X, Y, p)


@pytest.mark.slow
@by_call
@MANY
@given(X=tables(), Y=tables(), p=PARAMETERS)
def test_many_calls(name, X, Y, p):
    check_call(name, X, Y, p)
