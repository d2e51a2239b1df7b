"""What every estimator promises of a fit: weights and order of rows, failures, scalars.

Runs on `--device`, as test_contract.py does, of which it is a part.
"""
# ruff: noqa: F811  (the fixtures of test_contract.py)

import pickle
import warnings
from inspect import signature

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from families import Deterministic, X, Y, args, draw, fit, in_one_phase
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import Callback, LRScheduler
from test_contract import (  # noqa: F401
    arrays,
    assert_same_state,
    fits,
    fitted,
    make,
    needs,
    pytest_generate_tests,
)
from torch.optim.lr_scheduler import StepLR

from skgen.base import ConditionalMixin, EncoderMixin
from skgen.training._rows import row_source

SHUFFLED = np.random.RandomState(1).permutation(len(X))
COUNTS = np.random.RandomState(2).randint(0, 4, len(X))
WEIGHTS = COUNTS * 0.3  # no numbers of repetitions


def take(model, rows, container=np.asarray):
    return args(model, container(X[rows]), Y[rows])


# The order of rows


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_a_fit_does_not_depend_on_the_order_of_the_rows(make, fitted, container):
    model = make().fit(*take(make(), SHUFFLED, container))
    assert_same_state(model, fitted)


@needs("early_stopping")
def test_rows_are_held_out_whatever_their_order(make):
    models = [
        make(early_stopping=True).fit(*take(make(), rows))
        for rows in (slice(None), SHUFFLED)
    ]
    assert_same_state(*models)
    assert models[0].history_[:, "valid_loss"] == models[1].history_[:, "valid_loss"]


def test_partial_fit_takes_rows_as_they_come(make):
    models = [
        make().partial_fit(*take(make(), rows)) for rows in (slice(None), SHUFFLED)
    ]
    assert_same_state(*models, equal=False)


# Weights of rows


@pytest.mark.parametrize(
    ("method", "weight"),
    [("fit", COUNTS), ("fit", WEIGHTS * 1e300), ("partial_fit", WEIGHTS)],
)
def test_rows_of_weight_zero_are_absent(make, weight, method):
    """Whatever is in them."""
    data, kept = X.copy(), weight > 0
    data[~kept] = 1e30
    given, absent = make(), make()
    getattr(given, method)(*args(given, data), sample_weight=weight)
    few = take(absent, kept)
    getattr(absent, method)(*few, sample_weight=weight[kept])
    assert_same_state(given, absent)


def test_integer_weights_are_repetitions(make):
    """Of rows that come in any order, with whatever dtype."""
    repeated = np.repeat(np.arange(len(X)), COUNTS)
    np.random.RandomState(3).shuffle(repeated)
    by_hand = make(n_iter=2).fit(*take(make(), repeated))
    sparse = make(n_iter=2).fit(*take(make(), repeated, sp.csr_array))
    assert_same_state(sparse, by_hand)
    for weight, container in [
        (COUNTS, np.asarray),
        (COUNTS.astype(np.float32), sp.csr_array),
        (COUNTS.tolist(), np.asarray),
    ]:
        weighted = make(n_iter=2)
        weighted.fit(*args(weighted, container(X)), sample_weight=weight)
        assert_same_state(weighted, by_hand)


def test_partial_fit_repeats_rows(make):
    repeated = np.repeat(np.arange(len(X)), COUNTS)
    by_hand = make().partial_fit(*take(make(), repeated))
    weighted = make().partial_fit(*args(make()), sample_weight=COUNTS)
    assert_same_state(weighted, by_hand)


def test_equal_weights_of_one_are_none(make, fitted):
    for weight in (1, np.ones(len(X)), np.float32(1)):
        model = make().fit(*args(make()), sample_weight=weight)
        assert_same_state(model, fitted)


def test_only_ratios_of_other_weights_matter(make):
    models = [
        make(n_iter=2).fit(*args(make()), sample_weight=WEIGHTS * scale)
        for scale in (1, 2.0**-40, 2.0**900)
    ]
    assert_same_state(models[0], models[1])
    assert_same_state(models[0], models[2])


@pytest.mark.parametrize(
    ("method", "weight"), [("fit", COUNTS * 1000), ("partial_fit", WEIGHTS)]
)
def test_other_weights_go_with_their_rows(make, monkeypatch, weight, method):
    """To the steps of training, with mean 1 over the rows that are trained on."""
    model, seen = make(**in_one_phase(make)), []
    start = fit(make(n_iter=0, **in_one_phase(make)))
    objective = type(start.net_.criterion_)
    step = objective.training_step

    def watched(self, model, batch, *more):
        x, w = batch.x.cpu().numpy().copy(), batch.weight.cpu().numpy()
        seen.extend(zip(x, w, strict=True))
        return step(self, model, batch, *more)

    monkeypatch.setattr(objective, "training_step", watched)
    one = getattr(model, method)(*args(model), sample_weight=weight)
    assert len(seen) == np.count_nonzero(weight) * model.n_iter_
    rows = X.astype(np.float32)
    if getattr(one, "_units", None) is not None:  # it is trained on standard ones
        rows = one._units.of_array(row_source(X), torch.float32)
    of_row = {x.tobytes(): w for x, w in zip(rows, weight, strict=True)}
    expected = [of_row[x.tobytes()] for x, _ in seen]
    got = np.array([w for _, w in seen])
    np.testing.assert_allclose(got, expected / np.mean(expected), rtol=1e-5)
    assert got.dtype == np.float32


@needs(EncoderMixin)
def test_weights_of_rows_that_say_the_same_are_felt(make):
    """Nearly all the weight on half of the rows is a fit of these, as far as it can."""
    heavy = np.where(np.arange(len(X)) % 2, 1.0, 1e-7)
    model = make(n_iter=20)
    model.fit(*args(model), sample_weight=heavy)
    half, others = take(model, slice(1, None, 2)), take(model, slice(0, None, 2))
    other = make(n_iter=20)
    other.fit(*args(other), sample_weight=heavy[::-1].copy())
    assert model.score(*half) > other.score(*half)
    assert model.score(*others) < other.score(*others)


class SameDraws(Callback):
    """Mini-batches of other sizes take other numbers to shuffle."""

    def on_batch_begin(self, net, **kwargs):
        net.generator.manual_seed(5)


@needs("n_gibbs_steps")
@pytest.mark.parametrize("algorithm", ["pcd", "pt"])
def test_a_step_on_weighted_rows_is_one_on_repeated_rows(make, algorithm):
    """Where randomness is that of chains, which do not start at rows of the data."""
    # No column is constant: the start would clip its mean, or its variance vanish.
    data = X * 0.9 + np.random.RandomState(0).uniform(0.04, 0.06, X.shape)
    assert_same_step(
        lambda: make(
            algorithm=algorithm,
            n_iter=1,
            batch_size=1000,
            n_chains=7,
            learning_rate=1.0,
            callbacks=[SameDraws()],
            **in_one_phase(make),
        ),
        data,
    )


@needs(ConditionalMixin, Deterministic)
def test_a_step_of_regression_on_weighted_rows_is_one_on_repeated_rows(make):
    assert_same_step(lambda: make(n_iter=1, batch_size=1000), X)


def assert_same_step(make, data):
    rows = np.repeat(np.arange(len(X)), COUNTS)
    by_hand = make().fit(*args(make(), data[rows], Y[rows]))
    weighted = make().fit(*args(make(), data), sample_weight=WEIGHTS)
    unweighted = make().fit(*args(make(), data))
    for name, values in arrays(by_hand).items():
        np.testing.assert_allclose(values, arrays(weighted)[name], atol=1e-5)
    assert_same_state(unweighted, by_hand, equal=False)


def test_weighted_score(fitted):
    scores = fitted.score_samples(*args(fitted)).astype(np.float64)
    data = X.copy()
    data[COUNTS == 0] = 0.5
    for weight in (COUNTS, WEIGHTS, WEIGHTS * 1e-300, WEIGHTS * 1e300):
        score = fitted.score(*args(fitted, data), sample_weight=weight)
        assert score == pytest.approx(np.average(scores, weights=COUNTS), rel=1e-12)
        assert type(score) is float


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.zeros(len(X)), "at least one non-zero number"),
        (np.ones(3), rf"sample_weight.shape == \(3,\), expected \({len(X)},\)"),
        (np.ones((len(X), 1)), "1D array"),
        (np.where(np.arange(len(X)) == 3, -1.0, 1.0), "Negative values"),
        (np.where(np.arange(len(X)) == 3, np.nan, 1.0), "sample_weight contains NaN"),
        (np.where(np.arange(len(X)) == 3, np.inf, 1.0), "sample_weight contains inf"),
    ],
    ids=["zero", "short", "2d", "negative", "nan", "inf"],
)
def test_bad_weights(make, fitted, weight, match):
    for model, method in [(make(), "fit"), (make(), "partial_fit"), (fitted, "score")]:
        with pytest.raises(ValueError, match=match):
            getattr(model, method)(*args(model), sample_weight=weight)


def test_weights_are_not_changed(make):
    weight = WEIGHTS.copy()
    make().fit(*args(make()), sample_weight=weight)
    np.testing.assert_array_equal(weight, WEIGHTS)


def test_weights_are_routed(make):
    """Through a pipeline and a search."""
    with sklearn.config_context(enable_metadata_routing=True):
        model = make().set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        model.set_partial_fit_request(sample_weight=False)
        pipeline = make_pipeline(FunctionTransformer(), model)
        search = GridSearchCV(
            pipeline,
            {model.__class__.__name__.lower() + "__learning_rate": [0.01]},
            cv=2,
        )
        search.fit(*args(model), sample_weight=COUNTS)
        best = search.best_estimator_[-1]
        direct = make(learning_rate=0.01)
        direct.fit(*args(direct), sample_weight=COUNTS)
        assert_same_state(best, direct)
        train, test = next(iter(sklearn.model_selection.KFold(2).split(X)))
        fold = make(learning_rate=0.01)
        fold.fit(*take(fold, train), sample_weight=COUNTS[train])
        score = fold.score(*take(fold, test), sample_weight=COUNTS[test])
        assert search.cv_results_["split0_test_score"] == pytest.approx(score)


# Failures


class Raises(Exception):
    pass


def raise_at(number):
    """A function that raises when it is called for the time of that number."""
    calls = []

    def count(*args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            raise Raises

    return count


def failing(method, at):
    """Make a method raise after it was called: what it did is done."""

    def fail(monkeypatch, owner):
        original, count = getattr(owner, method), raise_at(at)

        def wrapped(self, *args, **kwargs):
            result = original(self, *args, **kwargs)
            count()
            return result

        monkeypatch.setattr(owner, method, wrapped)

    return fail


def failing_later(monkeypatch, owner):
    """In the second step, or where steps run together, before they do."""
    for method in ("training_step", "training_steps"):
        failing(method, 2)(monkeypatch, owner)


FAILURES = {
    "in the first step": ("objective", failing("training_step", 1)),
    "in a later step": ("objective", failing_later),
    "in the start": ("estimator", failing("_initial_state", 1)),
    "when it is read": ("estimator", failing("_read_state", 1)),
    "at the end": ("estimator", failing("_finalise", 1)),
}


@pytest.fixture
def pair(make):
    """Two equal models that go on in the same way."""
    models = [fit(make(n_iter=1)) for _ in range(2)]
    return [m.set_params(n_iter=2).partial_fit(*args(m)) for m in models]


def assert_as_if_nothing_had_been(failed, twin, before):
    """The state, the next score, the net, and a fit that goes on."""
    assert pickle.dumps(failed) == before
    few = args(failed, X[:9])
    assert failed.score(*few) == twin.score(*few)
    for name, value in failed.net_.module_.state_dict().items():
        assert (value == twin.net_.module_.state_dict()[name]).all()
    for name, value in failed.net_.criterion_.state_dict().items():
        if hasattr(value, "shape"):
            assert (value == twin.net_.criterion_.state_dict()[name]).all()
    for model in (failed, twin):
        model.partial_fit(*args(model))
        model.partial_fit(*args(model))
    assert_same_state(failed, twin)
    assert failed.n_iter_ == twin.n_iter_


@pytest.mark.parametrize("failure", FAILURES)
def test_a_fit_that_fails_has_never_been(pair, failure, monkeypatch):
    failed, twin = pair
    owner, fail = FAILURES[failure]
    owner = type(failed.net_.criterion_) if owner == "objective" else type(failed)
    for method in ("fit", "partial_fit"):
        before = pickle.dumps(failed)
        with monkeypatch.context() as patch:
            fail(patch, owner)
            with pytest.raises(Raises):
                getattr(failed, method)(*args(failed))
        assert_as_if_nothing_had_been(failed, twin, before)


def test_bad_data_have_never_been(pair):
    failed, twin = pair
    before = pickle.dumps(failed)
    bad = X.copy()
    bad[7, 7] = np.inf
    for data in (bad, X[:, :10], X[:0]):
        with pytest.raises(ValueError, match=r"infinity|features|0 sample"):
            failed.partial_fit(*args(failed, data))
    assert_as_if_nothing_had_been(failed, twin, before)


@needs("warm_start")
def test_a_warm_fit_that_fails_has_never_been(make, monkeypatch):
    failed, twin = (fit(make(warm_start=True)) for _ in range(2))
    before = pickle.dumps(failed)
    with monkeypatch.context() as patch:
        failing_later(patch, type(failed.net_.criterion_))
        with pytest.raises(Raises):
            fit(failed)
    assert_as_if_nothing_had_been(failed, twin, before)


class Stumbles(Callback):
    stumbles = False

    def on_epoch_end(self, net, **kwargs):
        if self.stumbles and len(net.history) % 3 == 2:
            raise MemoryError


@needs("callbacks")
def test_a_callback_that_fails(make, monkeypatch):
    callbacks = [Stumbles(), LRScheduler(StepLR, step_size=1, gamma=0.5)]
    failed, twin = (fit(make(callbacks=callbacks, warm_start=True)) for _ in range(2))
    before = pickle.dumps(failed)
    monkeypatch.setattr(Stumbles, "stumbles", True)
    with pytest.raises(MemoryError):
        fit(failed)
    monkeypatch.setattr(Stumbles, "stumbles", False)
    assert_as_if_nothing_had_been(failed, twin, before)


def test_a_random_state_of_the_user_goes_back(make, monkeypatch):
    rng = np.random.RandomState(0)
    model = make(random_state=rng)
    before = rng.get_state()[1:3]
    failing("_read_state", 1)(monkeypatch, type(model))
    with pytest.raises(Raises):
        fit(model)
    np.testing.assert_equal(rng.get_state()[1:3], before)


def test_conditions_go_with_their_rows(make):
    model = make()
    if not isinstance(model, ConditionalMixin):
        return
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, Y[:-1], sample_weight=COUNTS)
    with pytest.raises(ValueError, match="requires y"):
        model.fit(X, None, sample_weight=COUNTS)


# Scalars of NumPy

PARAMETERS = {
    "learning_rate": [0.0625],
    "batch_size": [32],
    "n_iter": [2],
    "visible": ["gaussian"],
    "fine_tune_iter": [2],
    "fine_tune_learning_rate": [0.0625],
    "learning_rate_schedule": ["linear"],
    "early_stopping": [True],
    "validation_fraction": [0.25],
    "n_iter_no_change": [2],
    "tol": [0.125],
    "device": ["cpu"],
    "precision": ["float64"],
    "warm_start": [True],
    "verbose": [1],
    "random_state": [3],
    "n_components": [6],
    "y_kind": ["values"],
    "algorithm": ["cd", "pt"],
    "n_gibbs_steps": [2],
    "n_chains": [5],
    "n_temperatures": [4],
    "keep_trajectory": [False, True],
    "binarize": ["sample"],
    "centered": [False],
    "momentum": [0.5],
    "weight_decay": [0.25],
    "hidden_layer_sizes": [7, (7, 5)],
    "activation": ["tanh"],
    "architecture": ["mlp"],
    "beta": [0.5],
    "n_importance_samples": [2],
    "n_warmup_iter": [2],
    "noise_variance": [0.5, "per_feature"],
    "compile": [False],
    "dropout": [0.25],
    "covariance_type": ["diag"],
    "t_min": [0.125],
    "ema_decay": [0.5],
    "condition_dropout": [0.5],
    "n_steps": [3],
    "loss": ["wasserstein"],
    "penalty": [0.5],
    "n_critic": [2],
    "base": ["gaussian", 2],
    "base_covariance_type": ["diag"],
    "objective": ["nce", "pcd"],
    "n_noise": [2],
    "step_size": [0.25],
    "adjusted": [False],
    "temperature": [0.5],
    "buffer_size": [16],
    "reinit_fraction": [0.25],
}


def numpy_kinds(value):
    """A scalar of Python as those of NumPy; torch takes np.float64 for a float."""
    if isinstance(value, tuple):
        return [tuple(np.int64(v) for v in value)]
    kinds = {
        bool: [np.bool_],
        int: [np.int64, np.uint8],
        float: [np.float32, np.float16],
        str: [np.str_],
    }
    return [kind(value) for kind in kinds[type(value)]]


def test_every_parameter_that_may_be_a_scalar_is_tried(make):
    names = {n for n, v in make().get_params().items() if np.isscalar(v)}
    assert names - {"keep_rungs"} <= PARAMETERS.keys()


@pytest.mark.filterwarnings("ignore:Training of:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Got algorithm='cd' with noise_variance:UserWarning")
@pytest.mark.parametrize("which", [0, -1], ids=["first values", "last values"])
def test_parameters_may_be_scalars_of_numpy(make, which, capsys):
    """They give the bits that those of Python give, and stay what they are.

    All at once; `PARAMETERS` has two values where one would leave others unread.
    """
    offered = make().get_params()
    given = {
        name: values[which]
        for name, values in PARAMETERS.items()
        if offered.get(name, "deprecated") != "deprecated"
    }
    python = fit(make(**given))
    for kind in (0, -1):
        scalars = {name: numpy_kinds(value)[kind] for name, value in given.items()}
        model = fit(make(**scalars))
        assert_same_state(model, python)
        np.testing.assert_array_equal(draw(model, 3), draw(python, 3))
        assert model.score(*args(model)) == python.score(*args(python))
        assert all(model.get_params()[name] is scalars[name] for name in scalars)
        assert model.net_.batch_size == python.net_.batch_size


def test_a_search_over_an_array(make):
    grid = {"batch_size": np.array([16, 32]), "learning_rate": np.array([0.01])}
    search = GridSearchCV(make(n_iter=1), grid, cv=2, error_score="raise")
    search.fit(*args(make()))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


ARGUMENTS = {
    "sample": {"n_samples": 3, "random_state": 3, "n_gibbs_steps": 200, "n_steps": 3},
    "impute": {"n_gibbs_steps": 20, "random_state": 3, "n_steps": 3},
    "log_likelihood": {"n_importance_samples": 250, "random_state": 3, "n_steps": 8},
    "log_partition_function": {
        "method": "ais",
        "n_chains": 4,
        "n_temperatures": 5,
        "random_state": 3,
    },
}


@pytest.mark.parametrize("method", ARGUMENTS)
def test_arguments_may_be_scalars_of_numpy(fitted, method, short_path):
    if not hasattr(fitted, method):
        return
    function = getattr(fitted, method)
    known = signature(function).parameters
    given = {name: v for name, v in ARGUMENTS[method].items() if name in known}
    more = {"X": [X[:3]], "y": [Y[:3, None]]}
    data = {name: v[0] for name, v in more.items() if name in known}
    python = function(**data, **given)
    for which in (0, -1):
        scalars = {name: numpy_kinds(value)[which] for name, value in given.items()}
        np.testing.assert_equal(function(**data, **scalars), python)


# Units


def test_rows_that_vary_more_than_the_first_ones_are_said(make):
    """Units are those of the first rows; a tenth of the spread is not learned well."""
    model = make()
    narrow = 0.5 + 1e-3 * (X - 0.5)
    model.partial_fit(*args(model, narrow))
    if model._units_of(model._state()) is None:
        pytest.skip("sees the units of X")
    with pytest.warns(UserWarning, match=r"Got X whose columns \[.*first 1000"):
        model.partial_fit(*args(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make().partial_fit(*args(model)).partial_fit(*args(model, X[::-1]))


def test_errors_of_arguments_name_the_class_of_the_object(fitted):
    cls = type(fitted)
    assert "n_samples" in signature(cls.sample).parameters
    if not cls.__module__.startswith("skgen"):
        pytest.skip("validates nothing")
    with pytest.raises(InvalidParameterError, match=f"of {cls.__name__}.sample must"):
        fitted.sample(n_samples=0)
