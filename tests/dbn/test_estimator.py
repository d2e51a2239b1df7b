"""DeepBeliefNetwork beyond what every estimator promises."""

import pickle

import numpy as np
import pytest
import torch
from dbn_helpers import EnumeratedDBN
from oracles import EnumeratedRBM, bars_and_stripes
from rbm_helpers import DIGITS
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.mixture import GaussianMixture
from skorch.callbacks import Callback

from skgen import BernoulliRBMGPU, DeepBeliefNetwork, GaussianRBM
from skgen.dbn._fine_tuning import FineTuning
from skgen.dbn._trainable_base import FitState
from skgen.likelihood import LogPartition
from skgen.rbm._average import ParameterAverage

BARS = bars_and_stripes(3).astype(np.float32)
FEW = DIGITS[:150]


def dbn(sizes=(6, 5), **params):
    quick = {"n_iter": 2, "batch_size": 50, "random_state": 0, "device": "cpu"}
    quick["learning_rate_schedule"] = "constant"
    return DeepBeliefNetwork(sizes, **quick | params)


@pytest.mark.parametrize(("n_rows", "expected"), [(30, 2500), (300, 834), (20_000, 20)])
def test_epochs_by_default(n_rows, expected):
    """Of each machine: 2500 steps of 100 rows, or 20 passes."""
    model = DeepBeliefNetwork()
    assert model._number_of_epochs(model.n_iter, n_rows) == expected
    assert model._number_of_epochs(7, n_rows) == 7
    assert model._schedule == "linear"


def test_defaults_on_a_table_in_raw_units():
    """The law of the columns is close to that of the data, and training is stable."""
    X = load_wine().data
    model = DeepBeliefNetwork((16, 16), visible="gaussian", random_state=0).fit(X)
    one = GaussianMixture(1, covariance_type="diag", random_state=0).fit(X)
    assert model.score(X) > one.score(X) + 1
    drawn = model.sample(500, random_state=0)
    spread = drawn.std(axis=0) / X.std(axis=0)
    assert 0.7 < spread.min() <= spread.max() < 1.4
    center = (drawn.mean(axis=0) - X.mean(axis=0)) / X.std(axis=0)
    assert np.abs(center).max() < 0.3


def enumerated(model):
    """The oracle of a fitted network of bits."""
    arrays = [
        [np.asarray(layer[name], np.float64) for name in names]
        for layer in model.layers_
        for names in [("components_", "intercept_hidden_", "intercept_visible_")]
    ]
    recognition = [
        (layer["recognition_components_"], layer["recognition_intercept_"])
        for layer in model.layers_
        if "recognition_components_" in layer
    ]
    return EnumeratedDBN([EnumeratedRBM(*a) for a in arrays], recognition or None)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_one_layer_is_the_machine(visible):
    """To the bit, and in all it answers."""
    same = {"n_iter": 3, "batch_size": 50, "random_state": 0, "device": "cpu"}
    if visible == "bernoulli":
        machine = BernoulliRBMGPU(6, learning_rate=0.1, **same)
    else:
        machine = GaussianRBM(
            6, learning_rate=0.1, learning_rate_schedule="constant", **same
        )
    machine.fit(FEW)
    model = dbn((6,), visible=visible, n_iter=3, fine_tune_iter=5).fit(FEW)
    (layer,) = model.layers_
    for name in machine._state_class.parameters:
        np.testing.assert_array_equal(layer[name], getattr(machine, name))
    assert model.n_iter_ == 3
    np.testing.assert_array_equal(model.sample(4), machine.sample(4))
    np.testing.assert_allclose(model.transform(FEW), machine.transform(FEW))
    H = model.transform(FEW)
    np.testing.assert_allclose(
        model.inverse_transform(H), machine.inverse_transform(H), rtol=1e-12
    )
    expected = machine.log_likelihood(FEW)
    for got in (
        model.score_samples(FEW),
        model.log_likelihood(FEW),
        *model.log_likelihood_bounds(FEW),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("params", [{}, {"fine_tune_iter": 3}, {"sizes": (4, 3, 3)}])
def test_scores_of_a_fit_by_enumeration(params):
    model = dbn(**{"n_iter": 20} | params).fit(BARS)
    net = enumerated(model)
    X = BARS.astype(np.float64)
    rows = X.astype(int) @ (2 ** np.arange(9)[::-1])
    log_p, bound = net.log_p_v[rows], net.bound[rows]
    score = model.score_samples(X)
    # The error of 16 draws, of which the expectation is exact.
    np.testing.assert_allclose(score, bound, atol=0.6)
    assert abs((score - bound).mean()) < 0.15
    weighted = model.log_likelihood(X, 3000)
    np.testing.assert_allclose(weighted, log_p, atol=0.1)
    lower, upper = model.log_likelihood_bounds(X)
    assert np.isposinf(upper).all()
    np.testing.assert_array_equal(lower, model.log_likelihood(X))
    log_z = model.log_partition_function()
    assert log_z.method == "exact"
    assert log_z.estimate == pytest.approx(net.machines[-1].log_z, abs=1e-5)


def test_law_of_samples():
    """Of chains and the way down; a fit of other data has another law."""
    model = dbn((5, 4), n_iter=100, learning_rate=0.3, fine_tune_iter=5).fit(BARS)
    p = np.exp(enumerated(model).log_p_v)
    samples = model.sample(4000, n_gibbs_steps=200)
    assert samples.dtype == np.float32
    index = samples.astype(int) @ (2 ** np.arange(9)[::-1])
    kept = p * 4000 > 5

    def chi2(p):
        counts = np.bincount(index, minlength=512)
        few = [counts[~kept].sum(), 4000 * p[~kept].sum()]
        observed = np.append(counts[kept], few[0])
        expected = np.append(4000 * p[kept], few[1])
        return (np.square(observed - expected) / expected).sum()

    n = kept.sum()
    assert chi2(p) < n + 4 * np.sqrt(2 * n)
    other = dbn((5, 4), n_iter=100, learning_rate=0.3, fine_tune_iter=5).fit(BARS[:8])
    assert chi2(np.exp(enumerated(other).log_p_v)) > n + 10 * np.sqrt(2 * n)
    drawn = model.sample(500, sampler="tempering")
    assert np.abs(drawn.mean(0) - p @ enumerated(model).V).max() < 0.11


def test_fine_tuning_raises_the_bound():
    """On bars and stripes, from -4.7 to above -4.2: the data allow -2.6."""
    data = np.tile(BARS, (10, 1))
    plain = dbn((8, 8), n_iter=60, batch_size=40).fit(data)
    tuned = clone(plain)
    tuned.set_params(fine_tune_iter=60, fine_tune_learning_rate=0.02).fit(data)
    assert tuned.score(BARS) > plain.score(BARS) + 0.4
    nets = [enumerated(model) for model in (plain, tuned)]
    rows = BARS.astype(int) @ (2 ** np.arange(9)[::-1])
    bounds = [net.bound[rows].mean() for net in nets]
    assert bounds[1] > bounds[0] + 0.4
    assert bounds[1] < -2.599
    losses = [r["train_loss"] for r in tuned.history_ if r["phase"] == "fine-tuning"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    # The layers before it are the same fit.
    assert tuned.history_[:120, "train_loss"] == plain.history_[:, "train_loss"]


def test_tied_start_is_the_machine_below():
    """Before the second machine is trained, the network has the law of the first."""

    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if net.phase == "layer 2":
                raise KeyboardInterrupt

    model = dbn((5, 9), n_iter=20, callbacks=[Stop()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(BARS)
    first = dbn((5,), n_iter=20).fit(BARS)
    X = BARS.astype(np.float64)
    np.testing.assert_allclose(
        model.score_samples(X), first.log_likelihood(X), atol=1e-4
    )
    assert model.n_iter_ == 20
    lower, upper = model.layers_
    assert upper["h_samples_"].shape == (50, 9)
    mean = upper["h_samples_"].mean(0)
    assert np.abs(mean - BARS.mean(0)).max() < 0.35
    np.testing.assert_array_equal(upper["components_"], lower["components_"].T)
    other = dbn((5, 8), n_iter=20, callbacks=[Stop()])
    with pytest.raises(KeyboardInterrupt):
        other.fit(BARS)
    assert other.layers_[1]["components_"].shape == (8, 5)
    assert other.score(X) < first.score(X) - 1e-3


def test_history_has_phases():
    model = dbn((4, 3, 2), n_iter=2, fine_tune_iter=3).fit(FEW)
    names = ["layer 1", "layer 2", "layer 3"]
    expected = [name for name in names for _ in range(2)] + ["fine-tuning"] * 3
    assert model.history_[:, "phase"] == expected
    assert np.isfinite(model.history_[:, "train_loss"]).all()
    assert model.n_iter_ == len(expected)
    model.partial_fit(FEW)  # all together, once
    assert model.history_[-1, "phase"] == "fine-tuning"
    assert model.n_iter_ == len(expected) + 1


def test_partial_fit_goes_through_all_phases_at_first():
    model = dbn(fine_tune_iter=3).partial_fit(FEW)
    assert model.history_[:, "phase"] == ["layer 1", "layer 2", "fine-tuning"]
    plain = dbn().partial_fit(FEW).partial_fit(FEW)
    assert plain.history_[:, "phase"] == ["layer 1", "layer 2"] * 2


def same(one, other):
    pairs = zip(one.layers_, other.layers_, strict=True)
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in pairs
    )


@pytest.mark.parametrize("fine_tune_iter", [0, 2])
def test_warm_start(fine_tune_iter):
    params = {"warm_start": True, "fine_tune_iter": fine_tune_iter}
    model, twin = dbn(**params).fit(FEW), dbn(**params).fit(FEW)
    reloaded = pickle.loads(pickle.dumps(twin))
    assert same(model.fit(FEW), reloaded.fit(FEW))
    new = ["fine-tuning"] * 2 if fine_tune_iter else ["layer 1"] * 2 + ["layer 2"] * 2
    assert model.history_[-len(new) :, "phase"] == new
    assert not same(model, twin)
    with pytest.raises(
        ValueError, match=r"Got hidden_layer_sizes=\(6, 4\), but the fit"
    ):
        model.set_params(hidden_layer_sizes=(6, 4)).fit(FEW)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("n_fitted", [1, 2])
def test_layers_are_added_to_a_fit(n_fitted, visible):
    sizes, params = (6, 5, 4), {"visible": visible, "warm_start": True}
    model = dbn(sizes[:n_fitted], **params).fit(FEW)
    before = [dict(layer) for layer in model.layers_]
    model.set_params(hidden_layer_sizes=sizes, fine_tune_iter=0).fit(FEW)
    assert [len(layer["components_"]) for layer in model.layers_] == list(sizes)
    for old, layer in zip(before, model.layers_, strict=False):
        for name, values in old.items():
            np.testing.assert_array_equal(layer[name], values)
    new = [f"layer {k + 1}" for k in range(n_fitted, 3)]
    added = FitState(layers_=[*before, *([{}] * len(new))])
    added.n_kept = n_fitted
    assert model._count_phases(added) == len(new)
    rows = list(model.history_)[2 * n_fitted :]
    assert [row["phase"] for row in rows] == [name for name in new for _ in range(2)]
    # They are trained.
    twin = dbn(sizes[:n_fitted], **params).fit(FEW)
    twin.set_params(hidden_layer_sizes=sizes, n_iter=0).fit(FEW)
    assert np.isfinite(twin.score(FEW))
    start, end = (m.layers_[-1]["components_"] for m in (twin, model))
    assert np.abs(start - end).max() > 1e-3
    # After a fine-tuning, q is not that of the machines.
    model.set_params(fine_tune_iter=1).fit(FEW)
    with pytest.raises(ValueError, match="hidden units that were fine-tuned"):
        model.set_params(hidden_layer_sizes=(*sizes, 3)).fit(FEW)


def test_fine_tuning_after_a_fit_is_that_of_one_fit():
    """But for the epochs of the machines, of which a warm start makes more."""
    model = dbn(warm_start=True).fit(FEW)
    model.set_params(fine_tune_iter=3, n_iter=0).fit(FEW)
    assert model.history_[:, "phase"][-3:] == ["fine-tuning"] * 3
    assert "recognition_components_" in model.layers_[0]
    assert "recognition_components_" not in model.layers_[1]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_failure_in_a_later_phase_changes_nothing(monkeypatch, method):
    model = dbn(fine_tune_iter=2, warm_start=True).fit(FEW)
    before = pickle.dumps(model)

    def fails(self, *args):
        raise ValueError("no")

    with monkeypatch.context() as patch:
        patch.setattr(FineTuning, "training_step", fails)
        with pytest.raises(ValueError, match="no"):
            getattr(model, method)(FEW)
    assert pickle.dumps(model) == before


def test_an_interrupt_in_the_fine_tuning_keeps_whole_epochs():
    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 7:
                raise KeyboardInterrupt

    model = dbn(fine_tune_iter=9, callbacks=[Stop()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(FEW)
    twin = dbn(fine_tune_iter=2, callbacks=[Stop()]).fit(FEW)
    assert model.n_iter_ == twin.n_iter_ == 6
    assert same(model, twin)


def test_early_stopping_is_of_each_phase():
    params = {"early_stopping": True, "n_iter_no_change": 1, "tol": 1e6}
    model = dbn(n_iter=300, fine_tune_iter=300, **params).fit(FEW)
    phases = model.history_[:, "phase"]
    counts = {name: phases.count(name) for name in phases}
    assert list(counts) == ["layer 1", "layer 2", "fine-tuning"]
    assert all(n < 100 for n in counts.values())
    assert np.isfinite(model.history_[:, "valid_loss"]).all()


@pytest.mark.parametrize("algorithm", ["cd", "pt"])
def test_other_algorithms_are_fine_tuned(algorithm):
    model = dbn(algorithm=algorithm, fine_tune_iter=2, n_chains=7).fit(FEW)
    assert model.layers_[-1]["h_samples_"].shape == (7, 5)
    assert np.isfinite(model.score(FEW))
    assert np.isfinite(model.partial_fit(FEW).score(FEW))


def test_score_of_a_row_does_not_depend_on_the_seed_of_the_estimator(
    monkeypatch, short_path
):
    few = {"n_chains": 10, "n_temperatures": 20}
    monkeypatch.setattr("skgen.dbn._base._CHEAP", few)
    model = dbn((27, 26), n_iter=1).fit(FEW)
    first = model.score_samples(FEW[:5])
    other = pickle.loads(pickle.dumps(model))
    del other._log_partition
    other.random_state = None
    np.testing.assert_array_equal(other.score_samples(FEW[:5]), first)
    log_z = model.log_partition_function(n_chains=20, n_temperatures=20)
    assert isinstance(log_z, LogPartition)
    assert log_z.method == "ais"
    shift = model.score_samples(FEW[:5]) - first
    assert np.ptp(shift) < 1e-9  # one number for all rows
    lower, _ = model.log_likelihood_bounds(FEW[:5])
    gap = model.log_likelihood(FEW[:5]) - lower
    np.testing.assert_allclose(gap, log_z.upper - log_z.estimate, rtol=1e-6)


@pytest.mark.parametrize(
    "sizes", [(), (0,), (5, -1), (2.5,), [[3]]], ids=lambda s: str(s)
)
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match="expected one or more positive integers"):
        dbn(sizes).fit(FEW)


def test_sizes_may_be_a_number_or_an_array():
    for sizes in (4, [4], np.array([4])):
        assert dbn(sizes, n_iter=1).fit(FEW).transform(FEW).shape == (150, 4)


def test_real_values_by_a_mixture():
    """Density of a fitted network of real values, in the units of X."""
    rng = np.random.RandomState(0)
    X = np.array([[3.0, -2.0], [1.0, 7.0]])[rng.randint(2, size=400)]
    X = X * [2, 0.5] + rng.normal(size=X.shape) * [0.7, 0.4]
    params = {"visible": "gaussian", "n_iter": 30, "fine_tune_iter": 3}
    model = dbn((3, 2), fine_tune_learning_rate=0.01, **params).fit(X)
    lowest, top = model.layers_
    h = EnumeratedRBM(
        *(np.asarray(top[n], float) for n in model._top._state_class.parameters)
    )
    mean = lowest["intercept_visible_"] + h.V @ lowest["components_"]
    var = lowest["noise_variance_"]
    terms = -0.5 * (np.square(X[:, None] - mean) / var + np.log(2 * np.pi * var)).sum(2)
    log_p = np.logaddexp.reduce(terms + h.log_p_v, axis=1)
    got = model.log_likelihood(X, 2000)
    np.testing.assert_allclose(got, log_p, atol=0.05)
    assert (model.score(X) - log_p.mean()) < 0.01
    samples = model.sample(2000, n_gibbs_steps=50)
    expected = np.exp(h.log_p_v) @ mean
    error = 4 * samples.std(0) / 2000**0.5
    assert (np.abs(samples.mean(0) - expected) < error).all()
    # In other units of X, the density is that by the Jacobian.
    other = clone(model).fit(X * 4)
    np.testing.assert_allclose(
        other.score_samples(X * 4), model.score_samples(X) - 2 * np.log(4), atol=1e-6
    )


def test_real_values_of_three_layers_learn():
    model = dbn((12, 8, 6), visible="gaussian", n_iter=10, batch_size=20)
    X = DIGITS[:400] * 16 + np.random.RandomState(0).uniform(size=(400, 64))
    fitted = model.fit(X)
    start = clone(model).set_params(n_iter=0).fit(X)
    assert fitted.score(X) > start.score(X) + 1.5
    assert fitted.inverse_transform(fitted.transform(X)).shape == X.shape
    assert np.abs(fitted.sample(200).mean(0) - X.mean(0)).max() < 4


def test_what_is_sampled_is_a_function_of_the_row():
    model = dbn(binarize="sample", fine_tune_iter=1).fit(FEW)
    score = model.score_samples(FEW)
    np.testing.assert_allclose(model.score_samples(FEW[3:5]), score[3:5], rtol=1e-12)
    bits = (FEW > 0.5).astype(float)
    assert not np.allclose(model.score_samples(bits), score)


def test_weights_are_felt_in_all_phases():
    heavy = np.where(np.arange(150) % 2, 1.0, 1e-7)
    params = {"n_iter": 20, "fine_tune_iter": 5}
    one = dbn(**params).fit(FEW, sample_weight=heavy)
    other = dbn(**params).fit(FEW, sample_weight=heavy[::-1].copy())
    assert one.score(FEW[1::2]) > other.score(FEW[1::2])
    assert one.score(FEW[::2]) < other.score(FEW[::2])


def test_precision_of_fine_tuning():
    for precision in ("float64", "bfloat16"):
        model = dbn(precision=precision, fine_tune_iter=1).fit(FEW)
        expected = torch.float64 if precision == "float64" else torch.float32
        assert {p.dtype for p in model.net_.module_.parameters()} == {expected}
        assert np.isfinite(model.score(FEW))


@pytest.mark.parametrize("stops", [False, True])
def test_early_stopping_keeps_one_epoch_of_real_units(monkeypatch, stops):
    """Where it has chosen an epoch, no mean over epochs takes its place."""
    concluded = []
    monkeypatch.setattr(
        ParameterAverage, "conclude_", lambda self, model: concluded.append(model)
    )
    X = np.random.RandomState(0).normal(size=(40, 2))
    dbn((3, 2), visible="gaussian", n_iter=8, early_stopping=stops).fit(X)
    assert bool(concluded) is not stops


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_a_fitted_network_is_that_of_its_layers(visible):
    """Not that of parameters that are set after the fit."""
    model = dbn(visible=visible).fit(FEW)
    expected = model.transform(FEW), model.score_samples(FEW)
    drawn = model.sample(3, random_state=0)
    other = {"bernoulli": "gaussian", "gaussian": "bernoulli"}[visible]
    for params in ({"hidden_layer_sizes": 7}, {"visible": other}):
        model.set_params(**params)
        found = model.transform(FEW), model.score_samples(FEW)
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(model.sample(3, random_state=0), drawn)
    model.set_params(hidden_layer_sizes=(6, 5))
    with pytest.raises(ValueError, match=f"visible='{other}', but the fit goes on"):
        model.set_params(warm_start=True).fit(FEW)
