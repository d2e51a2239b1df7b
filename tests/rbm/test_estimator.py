"""BernoulliRBMGPU beyond the contract: its parameters, attributes and methods."""

import copy
import pickle
import re

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from oracles import EnumeratedRBM, bars_and_stripes, independent_bits
from rbm_helpers import SMALL, assigned, rbm
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    Unfreezer,
)
from torch.optim.lr_scheduler import StepLR

from skgen import BernoulliRBMGPU
from skgen.rbm._state import BernoulliRBMState
from skgen.training._row_order import canonical_order


@pytest.fixture
def oracle():
    return EnumeratedRBM.random(5, 4, seed=11)


def test_defaults_are_those_of_scikit_learn():
    ours, theirs = BernoulliRBMGPU().get_params(), BernoulliRBM().get_params()
    assert {name: ours[name] for name in theirs} == theirs


# Assigned weights: every method against enumeration


def test_methods_of_assigned_weights(oracle):
    model = assigned(oracle)
    V, H = oracle.V, oracle.H
    close = {"atol": 1e-10, "rtol": 0}
    np.testing.assert_allclose(model.transform(V), oracle.p_h_given_v @ H, **close)
    np.testing.assert_allclose(
        model.inverse_transform(H), oracle.p_v_given_h.T @ V, **close
    )
    np.testing.assert_allclose(
        model.free_energy(V), -oracle.log_p_v - oracle.log_z, **close
    )
    np.testing.assert_allclose(
        model.score_samples(V), oracle.pseudo_log_likelihood(V), **close
    )
    np.testing.assert_allclose(model.log_likelihood(V), oracle.log_p_v, **close)
    assert model.score(V) == pytest.approx(oracle.pseudo_log_likelihood(V).mean())
    assert [f"bernoullirbmgpu{i}" for i in range(4)] == list(
        model.get_feature_names_out()
    )
    weight = model.net_.module_.weight.detach().numpy()
    np.testing.assert_allclose(weight, oracle.W, rtol=1e-6)


def test_weights_assigned_after_a_fit_are_used_everywhere(oracle):
    model = rbm(4).fit(oracle.V)
    model.net_  # noqa: B018, the net of the fit exists before the assignment
    model.components_, model.intercept_hidden_, model.intercept_visible_ = oracle.params
    np.testing.assert_allclose(
        model.score_samples(oracle.V), oracle.pseudo_log_likelihood(oracle.V)
    )
    np.testing.assert_allclose(
        model.net_.predict(oracle.V), model.transform(oracle.V), rtol=1e-5
    )
    model.set_params(learning_rate=1e-12).partial_fit(oracle.V)
    np.testing.assert_allclose(model.components_, oracle.W, rtol=1e-6)


def test_training_goes_on_from_assigned_weights(oracle):
    for train in ("partial_fit", "fit"):
        model = assigned(oracle, warm_start=True, learning_rate=1e-12, n_components=4)
        getattr(model, train)(oracle.V)
        np.testing.assert_allclose(model.components_, oracle.W, rtol=1e-6)
        assert model.h_samples_.shape == (10, 4)
        assert model.n_features_in_ == 5


def test_assigned_shapes_must_agree(oracle):
    model = assigned(oracle)
    model.intercept_hidden_ = np.zeros(7)
    with pytest.raises(
        ValueError, match=r"intercept_hidden_ of shape \(7,\).*expected"
    ):
        model.transform(oracle.V)
    for method in ("transform", "partial_fit"):
        with pytest.raises(ValueError, match="Got X with 3 features, but expected 5"):
            getattr(model, method)(oracle.V[:, :3])


def test_assigned_weights_may_be_integers():
    model = rbm()
    model.components_ = np.array([[1, -1], [0, 2]])
    model.intercept_hidden_, model.intercept_visible_ = np.zeros((2, 2), dtype=int)
    expected = 1 / (1 + np.exp([-1.0, 0.0]))
    np.testing.assert_allclose(model.transform([[1.0, 0.0]])[0], expected)


# Samples


def law_of_sample(model, oracle, k, n=300_000, start=None):
    """p-value of the samples' law after k steps from independent bits."""
    samples = model.sample(n, n_gibbs_steps=k, random_state=5)
    assert set(np.unique(samples)) == {0.0, 1.0}
    law = independent_bits(start) @ np.linalg.matrix_power(oracle.transition, k)
    counts = np.bincount(oracle.index(samples), minlength=len(law))
    return stats.chisquare(counts, law * n).pvalue


@pytest.mark.parametrize("k", [0, 1, 3])
def test_law_of_sample_after_k_steps(oracle, k):
    """Fresh chains start at the marginals of the data: every k has its own law."""
    model = rbm(4, n_iter=0).fit(oracle.V[1:9])
    start = np.clip(oracle.V[1:9].mean(0), 1 / 10, 9 / 10)
    model.components_, model.intercept_hidden_, model.intercept_visible_ = oracle.params
    assert law_of_sample(model, oracle, k, start=start) > 1e-3
    # Chains that started elsewhere would be seen, while they remember it.
    assert law_of_sample(model, oracle, k, start=np.full(5, 0.5)) < 1e-6


def test_law_of_sample_is_that_of_the_model(oracle):
    model = assigned(oracle)
    samples = model.sample(100_000, n_gibbs_steps=100, random_state=1)
    counts = np.bincount(oracle.index(samples), minlength=len(oracle.V))
    p = np.exp(oracle.log_p_v)
    assert stats.chisquare(counts, p * len(samples)).pvalue > 1e-3
    # Power: the law of the model at temperature 1.05 is rejected.
    warmer = EnumeratedRBM(*(a / 1.05 for a in oracle.params))
    assert stats.chisquare(counts, np.exp(warmer.log_p_v) * len(samples)).pvalue < 1e-6


def test_gibbs_is_one_step_and_draws_anew(oracle):
    model = assigned(oracle, random_state=1)
    v = np.tile(oracle.V[13], (50_000, 1))
    one, two = model.gibbs(v), model.gibbs(v)
    assert one.shape == v.shape
    assert not np.array_equal(one, two)
    for draws in (one, two):
        counts = np.bincount(oracle.index(draws), minlength=len(oracle.V))
        assert stats.chisquare(counts, oracle.transition[13] * len(v)).pvalue > 1e-3


def test_gibbs_of_one_seed():
    pairs = [(m.gibbs(SMALL), m.gibbs(SMALL)) for m in (rbm().fit(SMALL) for _ in "ab")]
    np.testing.assert_array_equal(*pairs)


def test_gibbs_gives_the_same_bits_in_the_dtype_of_the_states():
    model = rbm().fit(SMALL)
    draws = []
    for dtype in (np.float32, np.float64):
        model.random_state_ = np.random.RandomState(0)
        draws.append(model.gibbs(SMALL.astype(dtype)))
        assert draws[-1].dtype == dtype
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize(
    "bad", [{"n_samples": 0}, {"n_samples": 1.5}, {"n_gibbs_steps": -1}]
)
def test_sample_rejects(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        rbm().fit(SMALL).sample(**bad)


# Training


def test_attributes():
    model = rbm(6, batch_size=20).fit(SMALL)
    assert model.components_.shape == (6, 64)
    assert model.intercept_hidden_.shape == (6,)
    assert model.intercept_visible_.shape == (64,)
    assert model.h_samples_.shape == (20, 6)
    assert set(np.unique(model.h_samples_)) <= {0.0, 1.0}
    assert model.n_iter_ == 3
    assert model.device_ == "cpu"
    assert model.n_samples_seen_ == 300
    np.testing.assert_allclose(model.mean_, SMALL.mean(0))
    assert model.history_[:, "epoch"] == [1, 2, 3]
    assert {model.components_.dtype, model.h_samples_.dtype} == {np.dtype("float32")}
    assert rbm(6, n_chains=33).fit(SMALL).h_samples_.shape == (33, 6)
    model.set_params(algorithm="cd").fit(SMALL)
    assert not hasattr(model, "h_samples_")


def test_start_of_a_fit():
    """Given the means of the other layer, each layer has the means it should."""
    model = rbm(500, n_iter=0, precision="float64").fit(SMALL)
    mean = np.clip(SMALL.mean(0), 1 / 302, 301 / 302)
    sparse = 1 / (1 + np.exp(2))
    np.testing.assert_allclose(model.transform(mean[None]), sparse, rtol=1e-10)
    np.testing.assert_allclose(
        model.inverse_transform(np.full((1, 500), sparse))[0], mean, rtol=1e-10
    )
    assert model.components_.std() == pytest.approx(np.sqrt(8 / 564), rel=0.02)
    assert model.n_iter_ == 0


@pytest.fixture(scope="module")
def default():
    return rbm(32, n_iter=50).fit(SMALL)


@pytest.mark.parametrize(
    "params",
    [
        {"algorithm": "cd"},
        {"centered": False},
        {"n_gibbs_steps": 3},
        {"n_chains": 50},
        {"momentum": 0.5},
        {"weight_decay": 1e-3},
        {"learning_rate_schedule": "linear"},
        {"batch_size": 64},
        {"precision": "float64"},
        {"early_stopping": True},
    ],
    ids=str,
)
def test_every_parameter_trains_and_matters(params, default):
    model = rbm(32, n_iter=50, **params).fit(SMALL)
    start = rbm(32, n_iter=0).fit(SMALL).score(SMALL)
    assert model.score(SMALL) > start + 2
    assert not np.array_equal(model.components_, default.components_)


def test_weight_decay_shrinks_weights_alone():
    norms = [
        np.linalg.norm(rbm(weight_decay=decay).fit(SMALL).components_)
        for decay in (0.0, 0.1, 1.0)
    ]
    assert norms[0] > norms[1] > norms[2]
    biases = rbm(weight_decay=5.0, n_iter=20).fit(SMALL).intercept_visible_
    independent = rbm(n_iter=0).fit(SMALL).intercept_visible_
    assert np.abs(biases - independent).mean() < 0.5


def test_short_last_batch_does_not_bias():
    """One row left over, in a batch of its own, must not scale the negative phase.

    With constant data of mean 1/2 a batch has the gradient 0 in expectation, and
    biases stay near 0; divided by the rows of data, as scikit-learn does, the
    chains of 100 would push them by 100 times the learning rate at each epoch.
    """
    data = np.full((101, 6), 0.5)
    params = {"batch_size": 100, "n_iter": 20, "learning_rate": 0.1}
    ours = rbm(4, centered=False, **params).fit(data)
    assert np.abs(ours.intercept_visible_).max() < 1.0
    theirs = BernoulliRBM(4, random_state=0, **params).fit(data)
    assert np.abs(theirs.intercept_visible_).max() > 5.0


def test_partial_fit_over_chunks_learns_as_fit_does():
    model = rbm(32, learning_rate=0.05)
    for _ in range(10):
        for chunk in np.array_split(SMALL, 7):
            assert model.partial_fit(chunk) is model
    whole = rbm(32, learning_rate=0.05, n_iter=10).fit(SMALL)
    assert model.score(SMALL) == pytest.approx(whole.score(SMALL), abs=1.0)
    assert model.n_iter_ == 70
    np.testing.assert_allclose(model.mean_, SMALL.mean(0), rtol=1e-6)
    assert model.n_samples_seen_ == 3000


def test_partial_fit_is_one_pass():
    calls = []

    class Count(Callback):
        def on_batch_end(self, net, training=None, **kwargs):
            calls.append(training)

    rbm(callbacks=[Count()], n_iter=7).partial_fit(SMALL)
    assert calls == [True] * 30


def test_partial_fit_keeps_chains_and_momentum_going():
    model = rbm(momentum=0.9).partial_fit(SMALL)
    net, chains = model.net_, model.h_samples_.copy()
    model.partial_fit(SMALL)
    assert model.net_ is net
    assert not np.array_equal(chains, model.h_samples_)
    fresh, again = (
        pickle.loads(pickle.dumps(rbm(momentum=0.9).partial_fit(SMALL)))
        for _ in range(2)
    )
    again.partial_fit(SMALL)
    np.testing.assert_array_equal(again.components_, model.components_)
    fresh._training_states[""]["optimizers"] = {}
    fresh.partial_fit(SMALL)
    assert not np.array_equal(fresh.components_, model.components_)


def test_warm_start_goes_on():
    once = rbm(warm_start=True).fit(SMALL)
    before = once.score(SMALL)
    once.fit(SMALL)
    assert once.n_iter_ == 6
    assert once.score(SMALL) > before
    cold = rbm().fit(SMALL).fit(SMALL)
    assert cold.n_iter_ == 3
    with pytest.raises(ValueError, match="goes on from components_ with 8 rows"):
        once.set_params(n_components=9).fit(SMALL)


def test_parameters_changed_between_fits_are_used():
    model = rbm(warm_start=True).fit(SMALL)
    kept = model.components_.copy()
    model.set_params(learning_rate=1e-12, n_chains=7).fit(SMALL)
    np.testing.assert_allclose(model.components_, kept, atol=1e-6)
    assert model.h_samples_.shape == (7, 8)


# Early stopping and callbacks


def test_early_stopping_stops_and_restores_the_best():
    model = rbm(
        64, n_iter=200, early_stopping=True, n_iter_no_change=3, learning_rate=0.5
    ).fit(SMALL)
    losses = model.history_[:, "valid_loss"]
    assert model.n_iter_ == len(losses) < 200
    best = int(np.argmin(losses))
    assert min(losses[-3:]) > losses[best] - 1e-4
    # What is kept scores on the held-out rows as in the best epoch.
    split = next(
        (train, valid)
        for train, valid in [model.net_.train_split(np.zeros(300)[:, None])]
    )
    rows = SMALL.astype(np.float32)
    held_out = rows[canonical_order(rows)][split[1].indices]
    assert -model.score(held_out) == pytest.approx(losses[best], rel=1e-4)


def test_early_stopping_holds_the_fraction_out():
    sizes = []

    class Sizes(Callback):
        def on_train_begin(self, net, X=None, **kwargs):
            train, valid = net.get_split_datasets(X)
            sizes.append((len(train), len(valid)))

    rbm(early_stopping=True, validation_fraction=0.2, callbacks=[Sizes()]).fit(SMALL)
    assert sizes == [(240, 60)]


def test_held_out_rows_are_not_looked_at():
    """The starting point is that of the rows that are trained on alone."""
    model = rbm(early_stopping=True, n_iter=0).fit(SMALL)
    train, _ = model.net_.train_split(SMALL)
    rows = SMALL.astype(np.float32)
    seen = rows[canonical_order(rows)][train.indices]
    np.testing.assert_allclose(model.mean_, seen.mean(0), rtol=1e-6)
    assert model.n_samples_seen_ == 270


def test_early_stopping_needs_rows():
    with pytest.raises(ValueError, match="leaves no row to train on"):
        rbm(early_stopping=True).fit(SMALL[:1])


def test_callbacks_of_skorch(tmp_path):
    callbacks = [
        EarlyStopping(patience=99),
        Checkpoint(dirname=str(tmp_path)),
        LRScheduler(StepLR, step_size=1, gamma=0.5),
        EpochScoring(lambda net, X, y: net.score(X), name="pll", lower_is_better=False),
        EpochScoring(
            lambda net, X, y: float(net.predict(X).mean()),
            name="activity",
            lower_is_better=False,
        ),
        (
            "on_train",
            EpochScoring(
                lambda net, X, y: net.score(X), name="train_pll", on_train=True
            ),
        ),
        BatchScoring(lambda net, X, y: float(net.predict(X).mean()), name="batch_mean"),
    ]
    before = [
        copy.deepcopy(vars(c[1] if isinstance(c, tuple) else c)) for c in callbacks
    ]
    model = rbm(callbacks=callbacks, n_iter=4).fit(SMALL)
    after = [vars(c[1] if isinstance(c, tuple) else c) for c in callbacks]
    for b, a in zip(before, after, strict=True):
        assert b.keys() == a.keys()  # not mutated: no fitted attribute was added
    history = model.history_
    assert history[:, "event_lr"] == [0.1 / 2**i for i in range(model.n_iter_)]
    assert (tmp_path / "params.pt").exists()
    np.testing.assert_allclose(
        history[:, "pll"], [-v for v in history[:, "valid_loss"]]
    )
    assert len(history[:, "activity"]) == len(history[:, "train_pll"]) == model.n_iter_
    state = torch.load(tmp_path / "params.pt")
    assert state["weight"].shape == (8, 64)
    clone(model).fit(SMALL)


def test_one_callback_alone():
    assert "valid_loss" in rbm(callbacks=[EarlyStopping]).fit(SMALL).history_[-1]
    assert "valid_loss" not in rbm(callbacks=[LRScheduler()]).fit(SMALL).history_[-1]
    stopped = rbm(
        callbacks=[EarlyStopping(monitor="train_loss", patience=1, threshold=1e3)],
        n_iter=9,
    ).fit(SMALL)
    assert stopped.n_iter_ == 2


def test_gradient_clipping_is_obeyed():
    clipped = rbm(callbacks=[GradientNormClipping(1e-9)]).fit(SMALL)
    start = rbm(n_iter=0).fit(SMALL)
    np.testing.assert_allclose(clipped.components_, start.components_, atol=1e-7)


def test_listening_to_gradients_does_not_change_the_fit():
    class Listens(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            assert all(p.grad is not None for _, p in named_parameters)

    listened = rbm(callbacks=[Listens()], weight_decay=0.01).fit(SMALL)
    alone = rbm(weight_decay=0.01).fit(SMALL)
    np.testing.assert_allclose(listened.components_, alone.components_, atol=1e-5)


def test_bad_callbacks():
    with pytest.raises(TypeError, match="callback of type str, but expected those of"):
        rbm(callbacks=["early"]).fit(SMALL)
    with pytest.raises(ValueError, match="only one can set the learning rate"):
        rbm(callbacks=[LRScheduler()], learning_rate_schedule="linear").fit(SMALL)
    for params in ({"early_stopping": True}, {"callbacks": [EarlyStopping()]}):
        with pytest.raises(ValueError, match="partial_fit holds no rows out"):
            rbm(**params).partial_fit(SMALL)


class Interrupt(Callback):
    """Ctrl-C in the given epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("algorithm", ["pcd", "pt"])
def test_interrupt_keeps_what_was_learned(algorithm, kept):
    """Bits are those of a fit of the whole epochs, with chains and trajectory."""
    params = {"momentum": 0.5, "algorithm": algorithm, "keep_trajectory": kept}
    params |= {"n_temperatures": 3, "learning_rate": 1.0}
    some = SMALL[:100]
    model = rbm(callbacks=[Interrupt(3)], n_iter=9, **params)
    with pytest.raises(KeyboardInterrupt):
        model.fit(some)
    assert model.n_iter_ == len(model.history_) == 2
    short = rbm(n_iter=2, **params).fit(some)
    for name in ("components_", "intercept_hidden_", "h_samples_"):
        np.testing.assert_array_equal(getattr(model, name), getattr(short, name))
    if kept:
        models = short.trajectory_["components_"]
        assert len(models) > 1
        np.testing.assert_array_equal(model.trajectory_["components_"], models)
    model.set_params(callbacks=None).partial_fit(some)
    np.testing.assert_array_equal(
        model.components_, short.partial_fit(some).components_
    )
    assert model.n_iter_ == 3


# What is said


def test_verbose_says_epoch_score_and_time(capsys):
    rbm(verbose=1).fit(SMALL)
    lines = capsys.readouterr().out.splitlines()
    number = r"-?\d+\.\d+"
    for epoch, line in enumerate(lines, 1):
        assert re.fullmatch(
            rf"\[BernoulliRBMGPU\] Iteration {epoch}, pseudo-likelihood = {number}, "
            rf"time = {number}s, remaining = {number}s",
            line,
        )
    assert len(lines) == 3


@pytest.mark.parametrize(("n_rows", "n_watched"), [(600, 128), (60_000, 150)])
def test_losses_are_those_of_held_out_rows_spread_over_the_data(n_rows, n_watched):
    X = np.random.default_rng(0).integers(0, 2, (n_rows, 6)).astype(np.float32)
    callbacks = [EarlyStopping(patience=99)]
    model = rbm(callbacks=callbacks, batch_size=1000, validation_fraction=0.5).fit(X)
    held_out = model.net_.train_split(X)[1].indices
    held_out = X[canonical_order(X)][held_out]
    spread = np.linspace(0, len(held_out), n_watched, endpoint=False, dtype=int)
    score = -model.history_[-1, "valid_loss"]
    assert score == pytest.approx(model.score(held_out[spread]), rel=1e-5)
    assert score != pytest.approx(model.score(held_out), rel=1e-4)  # not of all rows


def test_verbose_in_a_terminal_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")  # a bar leaves out what has no space
    rbm(verbose=1, early_stopping=True).fit(SMALL)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(
        r"BernoulliRBMGPU: 100%.*3/3.*pseudo-likelihood=-\d.*validation=-", err
    )


PARAMETERS = {
    "weight": "components_",
    "hidden_bias": "intercept_hidden_",
    "visible_bias": "intercept_visible_",
}


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"momentum": 0.5, "weight_decay": 0.1},
        {"batch_size": 1, "n_iter": 1},
        {"batch_size": 1000},
        {"centered": False},
        {"algorithm": "cd"},
        {"algorithm": "pt", "n_temperatures": 3},
        {"keep_trajectory": True},
        {"precision": "float64"},
        {"precision": "bfloat16"},
        {"learning_rate_schedule": "linear"},
        {"early_stopping": True},
    ],
    ids=str,
)
def test_a_freezer_freezes_bits(name, params):
    start = rbm(**params | {"n_iter": 0}).fit(SMALL)
    for X in (SMALL, sp.csr_array(SMALL)):
        model = rbm(callbacks=[Freezer(name)], **params).fit(X)
        same = {
            parameter: np.array_equal(getattr(model, a), getattr(start, a))
            for parameter, a in PARAMETERS.items()
        }
        assert same == {parameter: parameter == name for parameter in PARAMETERS}
        if "trajectory_" in vars(model):
            kept = model.trajectory_[PARAMETERS[name]]
            assert (kept == getattr(start, PARAMETERS[name])).all()


class RecordWeights(Callback):
    """Keep the weights at the end of each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.weights = []

    def on_epoch_end(self, net, **kwargs):
        self.weights.append(net.module_.weight.detach().clone())


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_freezer_and_an_unfreezer_at_some_epoch(momentum):
    callbacks = [Freezer("weight", at=2), Unfreezer("weight", at=4), RecordWeights()]
    model = rbm(n_iter=5, momentum=momentum, callbacks=callbacks).fit(SMALL)
    _, _, weights = (callback for _, callback in model.net_.callbacks_[-3:])
    one, two, three, four, five = weights.weights
    assert torch.equal(one, two)
    assert torch.equal(two, three)
    assert not torch.equal(three, four)
    assert not torch.equal(four, five)


def test_all_parameters_frozen():
    start, model = rbm(n_iter=0).fit(SMALL), rbm(callbacks=[Freezer("*")]).fit(SMALL)
    for name in PARAMETERS.values():
        np.testing.assert_array_equal(getattr(start, name), getattr(model, name))


def test_a_warm_start_leaves_frozen_what_callbacks_have_frozen():
    """A Freezer acts in the first epoch of a history, which goes on."""
    model = rbm(callbacks=[Freezer("weight")], warm_start=True).fit(SMALL)
    frozen = model.components_.copy()
    model.fit(SMALL).partial_fit(SMALL)
    model.set_params(learning_rate=0.01, batch_size=20).fit(SMALL)
    np.testing.assert_array_equal(model.components_, frozen)
    # Without the callback everything learns.
    model.set_params(callbacks=None).fit(SMALL)
    assert (model.components_ != frozen).any()


def test_biases_beside_frozen_weights_reach_the_means_of_the_data():
    """The gradient of the biases is that of the likelihood at these weights."""
    rng = np.random.RandomState(0)
    X = (rng.uniform(size=(100, 4)) < [0.1, 0.9, 0.3, 0.8]).astype(np.float64)
    start = EnumeratedRBM.random(4, 3, seed=1, scale=1.5)
    model = assigned(start, batch_size=100, n_chains=1000, n_gibbs_steps=3)
    model.set_params(
        n_components=3,
        warm_start=True,
        n_iter=150,
        learning_rate=0.5,
        learning_rate_schedule="linear",
        callbacks=[Freezer("weight")],
    ).fit(X)
    found = EnumeratedRBM.of(model)
    np.testing.assert_array_equal(found.W, start.W.astype(np.float32))
    means = np.exp(found.log_p_v) @ found.V
    np.testing.assert_allclose(means, X.mean(axis=0), atol=0.01)


def test_values_outside_the_unit_interval_warn_once():
    with pytest.warns(
        UserWarning, match=r"values in \[-1, 2\].*MinMaxScaler"
    ) as record:
        rbm().fit(3 * SMALL - 1)
    assert len(record) == 1
    assert record[0].filename == __file__
    with pytest.warns(UserWarning, match=r"\[0, 4\]"):
        rbm().fit(sp.csr_array(4 * SMALL))
    rbm(binarize="threshold").fit(4 * SMALL)


def test_booleans_and_integers():
    as_float = rbm().fit(SMALL)
    for dtype in (bool, np.uint8, np.int64):
        model = rbm().fit(SMALL.astype(dtype))
        np.testing.assert_array_equal(model.components_, as_float.components_)
        assert model.transform(SMALL.astype(dtype)).dtype == np.float64


def test_fit_of_sparse_data_never_densifies_it(monkeypatch):
    largest = []
    toarray = sp.csr_array.toarray

    def spy(self, *args, **kwargs):
        largest.append(self.shape[0])
        return toarray(self, *args, **kwargs)

    monkeypatch.setattr(sp.csr_array, "toarray", spy)
    rbm().fit(sp.csr_array(SMALL))
    assert max(largest) == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", 0),
        ("learning_rate", 0.0),
        ("batch_size", 0),
        ("n_iter", -1),
        ("algorithm", "gibbs"),
        ("n_gibbs_steps", 0),
        ("n_chains", 0),
        ("n_temperatures", 1),
        ("keep_trajectory", "yes"),
        ("binarize", "round"),
        ("centered", "yes"),
        ("momentum", 1.0),
        ("weight_decay", -1.0),
        ("learning_rate_schedule", "cosine"),
        ("validation_fraction", 1.0),
        ("precision", "float16"),
        ("device", 0),
    ],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of BernoulliRBMGPU"):
        rbm(**{name: value}).fit(SMALL)


def test_bars_and_stripes_oracle():
    patterns = bars_and_stripes(2)
    assert patterns.shape == (8, 4)
    assert len(np.unique(patterns, axis=0)) == 6


@pytest.mark.parametrize("offset", [0, 16, 36])
def test_parameters_lie_where_vectors_begin(offset):
    """Wherever the arrays do: updates in place are slower elsewhere."""
    memory = np.zeros(4 * 10 * 64 + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    weights = memory[start : start + 4 * 10 * 64].view(np.float32).reshape(10, 64)
    model = BernoulliRBMGPU(10, random_state=0).fit(load_digits().data[:50] / 16)
    model.components_ = weights
    parameters = list(model.net_.module_.parameters())
    assert [p.data_ptr() % 64 for p in parameters] == [0, 0, 0]
    assert parameters[0].data_ptr() != weights.ctypes.data


@pytest.mark.parametrize("order", ["C", "F"])
def test_weights_are_read_where_they_are(order):
    """By rows, or by columns as scikit-learn keeps them: no copy for a single row."""
    W = np.asarray(np.random.RandomState(0).normal(size=(3, 5)), order=order)
    state = BernoulliRBMState(
        components_=W, intercept_hidden_=np.zeros(3), intercept_visible_=np.zeros(5)
    )
    model = state.model_to_read(torch.float64, torch.device("cpu"))
    assert np.shares_memory(model.weight.detach().numpy(), W)
    np.testing.assert_array_equal(model.weight.detach().numpy(), W)


@pytest.mark.parametrize("bias", [36.0, 40.0, 200.0])
def test_samples_of_assigned_biases_that_are_large(bias):
    """The sigmoid of 37 is 1 in float64, and its logit infinite."""
    rbm = BernoulliRBMGPU(2, device="cpu", random_state=0)
    rbm.components_ = np.array([[0.0, 1.0, -0.5], [0.0, -1.0, 0.5]])
    rbm.intercept_hidden_ = np.array([0.3, -0.2])
    rbm.intercept_visible_ = np.array([bias, -bias, 0.5])
    for sampler in ("gibbs", "tempering"):
        v = rbm.sample(200, sampler=sampler, random_state=0)
        assert (v[:, 0] == 1).all()
        assert (v[:, 1] == 0).all()
    exact = rbm.log_partition_function("exact").estimate
    found = rbm.log_partition_function("ais", random_state=0)
    assert found.lower <= exact <= found.upper


@pytest.mark.parametrize("sampler", ["gibbs", "tempering"])
def test_known_values_stay_as_they_are_with_a_threshold(sampler):
    bits = (np.random.RandomState(0).uniform(size=(60, 3)) < 0.4).astype(float)
    rbm = BernoulliRBMGPU(5, n_iter=3, binarize="threshold", random_state=0).fit(bits)
    given = np.array([[0.7, np.nan, 0.2]])
    rounded = np.array([[1.0, np.nan, 0.0]])
    for method in (
        lambda X: rbm.impute(X, random_state=0),
        lambda X: rbm.sample(given=X, sampler=sampler, random_state=0),
    ):
        filled = method(given)
        np.testing.assert_array_equal(filled[0, [0, 2]], [0.7, 0.2])
        assert filled[0, 1] == method(rounded)[0, 1]  # which the model sees
