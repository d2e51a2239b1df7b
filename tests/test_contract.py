"""What every estimator promises, by what it offers (see families.py).

Runs on `--device`: pytest --device cuda.
"""

import copy
import io
import os
import pickle
import warnings
from contextlib import contextmanager
from threading import Thread

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from families import (
    N_FEATURES,
    N_SAMPLES,
    CallableWithoutY,
    X,
    Y,
    args,
    code_width,
    draw,
    enough_to_learn,
    few_steps,
    fit,
    n_phases,
    net_args,
    offered,
    sized,
    those_with,
)
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from skorch import NeuralNet
from skorch.callbacks import EpochScoring

from skgen.base import (
    ConditionalMixin,
    DecoderMixin,
    EncoderMixin,
    ImputerMixin,
    LikelihoodMixin,
)

FURTHER_CHECKS = [
    estimator_checks.check_param_validation,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_set_output_transform_polars,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_global_set_output_transform_polars,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
    estimator_checks.check_dataframe_column_names_consistency,
    estimator_checks.check_inplace_ensure_writeable,
]
# Not called directly, as pytest would take a single class for what is marked.
needs = pytest.mark.needs.with_args
outside = pytest.mark.filterwarnings("ignore:Got X with values in:UserWarning")


def pytest_generate_tests(metafunc):
    """Run tests that take `make` over the estimators that offer what they need."""
    if "make" in metafunc.fixturenames:
        marks = metafunc.definition.iter_markers("needs")
        needs = [need for mark in marks for need in mark.args]
        classes = those_with(*needs)
        assert classes, f"nobody offers {needs}"
        metafunc.parametrize("make", classes, indirect=True, ids=lambda c: c.__name__)


@pytest.fixture
def make(request, device):
    """Make one estimator, quick to fit."""
    cls = request.param
    quick = {"n_iter": 3, "device": device, "random_state": 0, **sized(cls, 8)}
    default = cls().get_params()
    # Whole epochs are those of a longer fit, and have more than one mini-batch.
    if default.get("learning_rate_schedule") == "auto":
        quick |= {"learning_rate_schedule": "constant"}
    if default["batch_size"] > 64:
        quick |= {"batch_size": 64}
    own = offered(cls, **quick)

    def make(**params):
        return cls(**(own | params))

    return make


@pytest.fixture(scope="module")
def fits():
    """One fit per class, at the parameters of `make`."""
    return {}


@pytest.fixture
def fitted(make, fits):
    """A copy of that fit, without its net, for tests that need no fit of their own."""
    model = make()
    if type(model) not in fits:
        fits[type(model)] = fit(model)
    return copy.deepcopy(fits[type(model)])


def arrays(model):
    """The fitted arrays, those in dicts included."""
    state = {}
    for name, value in vars(model).items():
        if name.endswith("_") and not name.startswith("history"):
            parts = value if isinstance(value, list) else [value]
            for i, part in enumerate(parts):
                items = part.items() if isinstance(part, dict) else [("", part)]
                items = [(k, v) for k, v in items if isinstance(v, np.ndarray)]
                state |= {(name, i, k): v for k, v in items}
    return state


def assert_same_state(one, other, equal=True):
    state, other_state = arrays(one), arrays(other)
    assert state
    assert state.keys() == other_state.keys()
    same = [np.array_equal(state[name], other_state[name]) for name in state]
    assert all(same) if equal else not all(same)


@outside
@needs(CallableWithoutY)
def test_check_estimator(make, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    assert os.environ["SCIPY_ARRAY_API"] == "1"
    results = estimator_checks.check_estimator(
        make(n_iter=1), on_fail=None, on_skip=None
    )
    assert len(results) > 40
    assert [
        (r["check_name"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


@outside
@needs(EncoderMixin)
@pytest.mark.filterwarnings("ignore:X .*feature names:UserWarning")
@pytest.mark.parametrize("check", FURTHER_CHECKS, ids=lambda c: c.__name__)
def test_further_checks(make, check):
    estimator = make(n_iter=1)
    check(type(estimator).__name__, estimator)


def test_signatures(make):
    model = make()
    assert fit(model) is model
    assert model.partial_fit(*args(model)) is model
    assert draw(model, 5).shape == (5, N_FEATURES)
    assert draw(model).shape == (1, N_FEATURES)
    assert model.score_samples(*args(model)).shape == (N_SAMPLES,)
    assert type(model.score(*args(model))) is float
    assert isinstance(model.net_, NeuralNet)
    assert len(model.history_) == model.n_iter_ == 4 * n_phases(model)


@needs(EncoderMixin)
def test_signatures_of_an_encoder(fitted):
    H, n = fitted.transform(X), code_width(type(fitted), 8)
    assert H.shape == (N_SAMPLES, n)
    assert fitted.inverse_transform(H).shape == X.shape
    assert len(fitted.get_feature_names_out()) == n


@needs(LikelihoodMixin)
def test_signatures_of_a_likelihood(fitted):
    few = args(fitted, X[:3])
    assert fitted.log_likelihood(*few).shape == (3,)
    assert np.isfinite(fitted.log_likelihood(*few)).all()


@needs(LikelihoodMixin, "log_likelihood_bounds")
def test_bounds_hold_the_likelihood(fitted):
    few = args(fitted, X[:3])
    lower, upper = fitted.log_likelihood_bounds(*few)
    assert (lower <= fitted.log_likelihood(*few)).all()
    assert (fitted.log_likelihood(*few) <= upper).all()


@needs(ImputerMixin)
def test_signatures_of_an_imputer(fitted):
    gaps = X[:3].copy()
    gaps[:, ::2] = np.nan
    known = ~np.isnan(gaps)
    filled = fitted.impute(gaps, random_state=0)
    assert not np.isnan(filled).any()
    np.testing.assert_array_equal(filled[known], gaps[known])
    drawn = fitted.sample(2, given=gaps, random_state=0, **few_steps(fitted.sample, 5))
    assert drawn.shape == (6, N_FEATURES)
    np.testing.assert_array_equal(drawn[:, known[0]], gaps.repeat(2, 0)[:, known[0]])


def test_what_a_model_cannot_do_is_absent(make):
    methods = {
        DecoderMixin: ["inverse_transform"],
        EncoderMixin: ["transform", "get_feature_names_out"],
        LikelihoodMixin: ["log_likelihood", "log_likelihood_bounds"],
        ImputerMixin: ["impute"],
    }
    for capability, names in methods.items():
        if not isinstance(make(), capability):
            assert not any(hasattr(make(), name) for name in names)


def test_score_is_the_mean_of_score_samples(fitted):
    mean = fitted.score_samples(*args(fitted)).mean()
    assert fitted.score(*args(fitted)) == pytest.approx(mean, rel=1e-12)


def test_score_is_deterministic_and_of_each_row_alone(fitted):
    model = fitted
    scores = model.score_samples(*args(model))
    np.testing.assert_array_equal(scores, model.score_samples(*args(model)))
    order = np.random.RandomState(0).permutation(len(X))
    for rows in (order, slice(7, 9)):
        some = model.score_samples(*args(model, X[rows], Y[rows]))
        np.testing.assert_allclose(some, scores[rows], rtol=1e-12)


@needs("precision", EncoderMixin)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_inference_in_the_dtype_of_the_data(make, precision):
    model = fit(make(precision=precision))
    for dtype in (np.float32, np.float64):
        data = X.astype(dtype)
        assert model.transform(data).dtype == dtype
        assert model.inverse_transform(model.transform(data)).dtype == dtype
        assert model.score_samples(*args(model, data)).dtype == dtype
    # float64 in gives float64 mathematics, not float32 results in a wider type.
    single = model.score_samples(*args(model, X.astype(np.float32)))
    single = single.astype(np.float64)
    assert not np.array_equal(model.score_samples(*args(model)), single)


@needs("precision")
def test_precision_of_training(make):
    for precision in ("float32", "float64"):
        model = fit(make(precision=precision))
        assert {p.dtype for p in model.net_.module_.parameters()} == {
            getattr(torch, precision)
        }


def test_sparse_is_dense(make, fitted):
    """The other forms are in test_contract_data.py."""
    data = sp.csr_matrix(X)
    dense, sparse = fitted, fit(make(), data)
    assert_same_state(dense, sparse)
    scores = sparse.score_samples(*args(sparse, data))
    np.testing.assert_array_equal(dense.score_samples(*args(dense)), scores)
    if isinstance(dense, EncoderMixin):
        np.testing.assert_array_equal(dense.transform(X), sparse.transform(data))


def test_same_seed_same_bits(make, fitted):
    one, again, other = fitted, fit(make()), fit(make(random_state=1))
    assert_same_state(one, again)
    assert_same_state(one, other, equal=False)
    np.testing.assert_array_equal(draw(one, 9), draw(again, 9))
    np.testing.assert_array_equal(draw(one, 9), draw(one, 9))
    seven = draw(one, 9, random_state=7)
    np.testing.assert_array_equal(seven, draw(again, 9, random_state=7))
    assert not np.array_equal(seven, draw(one, 9, random_state=8))


@needs("verbose")
def test_watching_does_not_change_the_bits(make, fitted, capsys):
    assert_same_state(fitted, fit(make(verbose=1)))
    assert "Iteration 3" in capsys.readouterr().out


def test_global_seeds_stay(make):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    model = fit(make())
    draw(model.partial_fit(*args(model)), 3)
    model.score(*args(model))
    assert torch.equal(torch_state, torch.get_rng_state())
    for before, after in zip(numpy_state, np.random.get_state(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_random_state_instance_moves_on(make):
    rng = np.random.RandomState(0)
    one, two = fit(make(random_state=rng)), fit(make(random_state=rng))
    assert_same_state(one, two, equal=False)


def test_clone_and_params(make):
    model = fit(make(learning_rate=0.03))
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "n_iter_")


@needs(EncoderMixin)
def test_set_params_changes_the_next_fit(fitted):
    copy = clone(fitted).set_params(**sized(type(fitted), 5))
    expected = N_SAMPLES, code_width(type(fitted), 5)
    assert fit(copy).transform(X).shape == expected


def reloaded(model):
    return pickle.loads(pickle.dumps(model))


def roundtrips(model):
    yield reloaded(model)
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    yield joblib.load(buffer)


def test_pickle_and_joblib(make, device):
    model = fit(make())
    for loaded in roundtrips(model):
        assert_same_state(model, loaded)
        scores = loaded.score_samples(*args(loaded))
        np.testing.assert_array_equal(model.score_samples(*args(model)), scores)
        np.testing.assert_array_equal(draw(model, 4), draw(loaded, 4))
        if isinstance(model, EncoderMixin):
            np.testing.assert_array_equal(model.transform(X), loaded.transform(X))
            expected = model.net_.score(*net_args(model))
            if device != "cpu":  # where products depend on strides, which may differ
                expected = pytest.approx(expected, rel=1e-6)
            assert loaded.net_.score(*net_args(loaded)) == expected
        loaded.partial_fit(*args(loaded))
        assert loaded.n_iter_ == model.n_iter_ + n_phases(model)


def test_pickle_holds_no_tensor_and_no_net(make):
    model = fit(make())
    text = pickle.dumps(model, protocol=0)
    assert b"torch" not in text
    assert b"NeuralNet" not in text


@needs("callbacks")
def test_pickle_holds_no_callback(make):
    callback = EpochScoring(lambda net, X, y: net.score(X), name="unpicklable")
    model = fit(make(callbacks=[callback]))
    assert reloaded(model).callbacks is None
    assert model.callbacks == [callback]
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(clone(model))  # not fitted: its callbacks are still to come


@needs("device", EncoderMixin)
def test_loads_where_the_device_is_missing(fitted):
    model = fitted
    expected = model.transform(X)
    model.device = "cuda:77"  # nowhere
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(loaded.transform(X), expected, rtol=1e-6)
    assert draw(loaded, 2).shape == (2, N_FEATURES)
    with pytest.raises(ValueError, match="device='cuda:77', which torch cannot use"):
        fit(loaded)


@needs("device")
def test_auto_device(make, device, monkeypatch):
    assert fit(make(device="auto")).device_ == (
        "cuda" if torch.cuda.is_available() else "cpu"
    )
    assert fit(make(device=torch.device(device))).device_.startswith(device)


def test_grid_search_without_scoring(make):
    model = make(**enough_to_learn(make))
    default = model.learning_rate
    sent = reloaded(model)  # as it gets to the workers of a search
    search = GridSearchCV(
        sent, {"learning_rate": [1e-6, default]}, cv=2, error_score="raise"
    )
    search.fit(*args(make()))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_ == {"learning_rate": default}
    best = search.best_estimator_
    assert search.score(*args(best)) == best.score(*args(best))


@needs(EncoderMixin)
def test_grid_search_of_a_pipeline(make):
    digits = load_digits()
    X, y = digits.data[:200] / 16, digits.target[:200]
    search = GridSearchCV(
        make_pipeline(
            make(**sized(make, 32), n_iter=10), LogisticRegression(max_iter=1000)
        ),
        {"logisticregression__C": [100.0]},
        cv=2,
        error_score="raise",
    ).fit(X, y)
    # Chance is 0.1. The features of a conditional model are what y does not say.
    least = 0.2 if isinstance(make(), ConditionalMixin) else 0.5
    assert search.best_score_ > least


def test_cross_val_score(make):
    scores = cross_val_score(make(), *args(make()), cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


@needs(EncoderMixin)
def test_set_output_pandas(make, fitted):
    model = fit(make().set_output(transform="pandas"))
    frame = model.transform(X)
    prefix = type(model).__name__.lower()
    n = code_width(type(model), 8)
    assert list(frame.columns) == [f"{prefix}{i}" for i in range(n)]
    np.testing.assert_array_equal(frame, fitted.transform(X))


def test_feature_names(make):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"pixel{i}" for i in range(N_FEATURES)])
    model = fit(make(), frame)
    assert list(model.feature_names_in_) == list(frame.columns)
    renamed = frame.rename(columns={"pixel0": "other"})
    with pytest.raises(ValueError, match="feature names"):
        model.score_samples(*args(model, renamed))


def html_of(model):
    """Return what a notebook shows; nothing where scikit-learn itself cannot show it.

    With NumPy 2.2 and older ones, ``np.array_equal("auto", 5)`` is an error, and
    scikit-learn 1.8 compares a parameter with its default by it.
    """
    try:
        np.array_equal("auto", 5)
    except AttributeError:
        return None
    return model._repr_html_()


@needs(LikelihoodMixin)
def test_html_repr_links_to_the_documentation(fitted):
    html = html_of(fitted)
    if html is None:
        pytest.skip("scikit-learn 1.8 shows no parameters with this NumPy")
    name = type(fitted).__name__
    assert f"generated/skgen.{name}.html" in html


@pytest.mark.parametrize("way", [lambda m: m, reloaded], ids=["live", "reloaded"])
def test_looking_at_attributes_changes_nothing(make, way):
    looked_at, twin = way(fit(make())), way(fit(make()))
    for name in dir(looked_at):
        getattr(looked_at, name, None)
    repr(looked_at)
    html_of(looked_at)
    assert_same_state(
        looked_at.partial_fit(*args(looked_at)), twin.partial_fit(*args(twin))
    )


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        (np.full((5, N_FEATURES), np.nan), ValueError, "NaN"),
        (np.full((5, N_FEATURES), 1e300), ValueError, "too large for dtype"),
        (np.empty((0, N_FEATURES)), ValueError, "0 sample"),
        (np.zeros(N_FEATURES), ValueError, "Expected 2D array"),
        ([["a", "b"]], ValueError, "could not convert|dtype"),
        (None, ValueError, "Expected 2D array|None"),
    ],
    ids=["nan", "overflow", "empty", "1d", "strings", "none"],
)
def test_bad_data(make, data, error, match):
    y = Y[:5] if match == "too large for dtype" else Y  # found when all else is right
    for method in ("fit", "partial_fit"):
        with pytest.raises(error, match=match):
            getattr(make(), method)(*(data, y)[: len(args(make()))])


def test_wrong_width(fitted):
    narrow = args(fitted, X[:, :-1])
    for method in ("score_samples", "score", "partial_fit"):
        with pytest.raises(ValueError, match=f"{N_FEATURES - 1} features"):
            getattr(fitted, method)(*narrow)


@needs(EncoderMixin, LikelihoodMixin)
def test_wrong_width_of_an_encoder(fitted):
    model = fitted
    for method in ("transform", "log_likelihood"):
        with pytest.raises(ValueError, match=f"{N_FEATURES - 1} features"):
            getattr(model, method)(X[:, :-1])
    n = code_width(type(model), 8)
    match = f"Got H with {n + 1} columns, but expected {n}"
    with pytest.raises(ValueError, match=match):
        model.inverse_transform(np.zeros((2, n + 1)))


@needs("device")
def test_missing_device(make):
    for device in ("cuda:77", "no such thing"):
        with pytest.raises(ValueError, match="Use device='auto' or device='cpu'"):
            fit(make(device=device))


def test_not_fitted(make):
    for method in ("score_samples", "score"):
        with pytest.raises(sklearn.exceptions.NotFittedError):
            getattr(make(), method)(*args(make()))
    assert not hasattr(make(), "net_")
    with pytest.raises(sklearn.exceptions.NotFittedError):
        draw(make())


@needs(EncoderMixin)
def test_an_encoder_that_is_not_fitted(make):
    for method in ("transform", "inverse_transform"):
        with pytest.raises(sklearn.exceptions.NotFittedError):
            getattr(make(), method)(X)


@needs("weight_decay")
def test_failed_fit_leaves_everything_as_it_was(make):
    model = fit(make())
    kept = reloaded(model)
    model.set_params(learning_rate=10.0, weight_decay=1e6)
    with pytest.raises(
        ValueError, match=r"diverged in epoch \d+: .*Lower learning_rate"
    ):
        fit(model, X[:, :10])
    model.set_params(learning_rate=kept.learning_rate, weight_decay=0.0)
    assert model.n_features_in_ == N_FEATURES
    assert_same_state(model, kept)
    model.partial_fit(*args(model))


@needs("weight_decay")
def test_fit_that_fails_at_first_leaves_nothing(make):
    model = make(learning_rate=10.0, weight_decay=1e6)
    with pytest.raises(ValueError, match="diverged"):
        fit(model)
    assert vars(model) == vars(clone(model))


def test_read_only_memory_map(make, fitted, tmp_path):
    joblib.dump(X, tmp_path / "X")
    mapped = joblib.load(tmp_path / "X", mmap_mode="r")
    model = fit(make(), mapped)
    assert_same_state(model, fitted)
    scores = model.score_samples(*args(model, mapped))
    np.testing.assert_array_equal(scores, model.score_samples(*args(model)))


def test_data_is_not_changed(make):
    before = X.copy()
    model = fit(make())
    model.partial_fit(*args(model)).score(*args(model))
    np.testing.assert_array_equal(X, before)


def test_warns_nothing_on_good_data(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(make())
        model.score(*args(model))


# Methods that take data, of the estimators of bits.
TAKE_DATA = {
    "fit": lambda model, X: model.fit(*args(model, X)),
    "partial_fit": lambda model, X: model.partial_fit(*args(model, X)),
    "transform": lambda model, X: model.transform(X),
    "score": lambda model, X: model.score(X),
    "score_samples": lambda model, X: model.score_samples(X),
    "log_likelihood": lambda model, X: model.log_likelihood(X),
    "log_likelihood_bounds": lambda model, X: model.log_likelihood_bounds(X),
    "free_energy": lambda model, X: model.free_energy(X),
    "gibbs": lambda model, X: model.gibbs(X),
    "impute": lambda model, X: model.impute(
        with_a_gap(X), **few_steps(model.impute, 1)
    ),
    "sample": lambda model, X: model.sample(
        given=with_a_gap(X), **few_steps(model.sample, 1)
    ),
}


def with_a_gap(X):
    X = X.copy()
    X[0, 0] = np.nan
    return X


@needs("binarize")
@pytest.mark.parametrize("method", TAKE_DATA)
def test_data_outside_the_unit_interval_warns(fitted, method):
    """Once, at the line of the user; not within rounding, nor before a threshold."""
    model = fitted
    fills_in = isinstance(model, ImputerMixin)
    if not hasattr(model, method) or (method == "sample" and not fills_in):
        return

    def call(X):
        TAKE_DATA[method](model, X)

    with pytest.warns(UserWarning, match=r"Got X with values in \[0, 255\]") as record:
        call(255 * X[:20])
    code = TAKE_DATA[method].__code__
    assert [(w.filename, w.lineno) for w in record] == [(__file__, code.co_firstlineno)]
    call(X[:20] * np.float32(1.0000001))
    model.set_params(binarize="threshold")
    call(255 * X[:20])


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


CONTEXTS = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: torch.device("meta"),
    "deterministic algorithms": deterministic_algorithms,
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "saved tensors": torch.autograd.graph.save_on_cpu,
}


def answers(model):
    """What a model answers after a fit to some rows."""
    few = X[:60]
    fit(model, few, Y)
    got = [model.score_samples(*args(model, few)), draw(model, 3, random_state=0)]
    if isinstance(model, EncoderMixin):
        H = model.transform(few)
        got += [H, model.inverse_transform(H)]
    if isinstance(model, LikelihoodMixin):
        got.append(model.log_likelihood(few[:3]))
    if isinstance(model, ImputerMixin):
        steps = few_steps(model.impute, 2)
        got.append(model.impute(with_a_gap(few), random_state=0, **steps))
    model.partial_fit(*args(model, few))
    got += [p.detach().cpu().numpy() for p in model.net_.module_.parameters()]
    return got


def state_of_torch():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
    )


@pytest.fixture(scope="module")
def usual_answers():
    """Those of each class, in no context."""
    return {}


def assert_same_answers(make, context, usual_answers):
    kind = type(make())
    if kind not in usual_answers:
        usual_answers[kind] = answers(make(n_iter=1))
    with context():
        before = state_of_torch()
        got = answers(make(n_iter=1))
        assert state_of_torch() == before
    for one, other in zip(got, usual_answers[kind], strict=True):
        np.testing.assert_array_equal(one, other)


@outside
@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_the_context_of_the_caller_changes_no_bit(make, context, usual_answers):
    assert_same_answers(make, context, usual_answers)


@outside
@needs("precision")
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_the_default_dtype_changes_no_bit(make, dtype, usual_answers):
    dtype = getattr(torch, dtype)
    assert_same_answers(make, lambda: default_dtype(dtype), usual_answers)


@outside
def test_fits_in_threads_are_those_alone(make):
    """And a thread that draws from torch's own generator draws what it does alone."""
    alone = [fit(make(random_state=seed), X[:60]) for seed in range(4)]
    before, drawn = torch.get_rng_state(), []
    together = [make(random_state=seed) for seed in range(4)]
    threads = [Thread(target=fit, args=(model, X[:60])) for model in together]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        drawn.append(torch.rand(1))
    torch.set_rng_state(before)
    assert torch.equal(torch.cat(drawn), torch.cat([torch.rand(1) for _ in drawn]))
    for one, other in zip(alone, together, strict=True):
        assert_same_state(one, other)


@pytest.mark.cuda
@needs("device", "precision", EncoderMixin)
def test_gpu_and_cpu_agree(make):
    """One model, fitted on the GPU, answers alike on both."""
    model = fit(make(device="cuda", precision="float64"))
    assert model.device_.startswith("cuda")
    assert {p.device.type for p in model.net_.module_.parameters()} == {"cuda"}
    on_gpu = model.transform(X), model.score_samples(*args(model))
    model.set_params(device="cpu")
    np.testing.assert_allclose(on_gpu[0], model.transform(X), rtol=1e-9)
    np.testing.assert_allclose(on_gpu[1], model.score_samples(*args(model)), rtol=1e-9)


@pytest.mark.cuda
@needs("device", EncoderMixin)
def test_gpu_learns_as_the_cpu_does(make):
    models = [fit(make(device=d, n_iter=20)) for d in ("cpu", "cuda")]
    scores = [model.score(*args(model)) for model in models]
    assert scores[0] == pytest.approx(scores[1], rel=0.1)
