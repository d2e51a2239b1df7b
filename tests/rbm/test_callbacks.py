"""Diagnostics during training, against what the fitted model says itself."""

import math
import pickle

import numpy as np
import pytest
from oracles import EnumeratedRBM
from sklearn.datasets import load_digits

from skgen import BernoulliRBMGPU, GaussianVAE
from skgen.callbacks import AutocorrelationTime, FreeEnergyGap, LogLikelihood
from skgen.training._row_order import canonical_order

X = (load_digits().data[:400] > 8).astype(np.float64)


def fit(callback, n_components=8, data=X, **params):
    params = {"n_iter": 3, "random_state": 0, "device": "cpu"} | params
    return BernoulliRBMGPU(n_components, callbacks=[callback], **params).fit(data)


def held_out(model, data=X):
    """The rows that the last fit held out, and those that it trained on."""
    data = data[canonical_order(data)]
    train, valid = model.net_.train_split(data)
    return data[valid.indices], data[train.indices]


def test_gaps_of_free_energies():
    model = fit(FreeEnergyGap(), precision="float64")
    valid, train = held_out(model)
    gap = model.free_energy(valid).mean() - model.free_energy(train).mean()
    assert model.history_[-1, "free_energy_gap_valid"] == pytest.approx(gap, abs=1e-9)
    level = model.free_energy(train).mean()
    v = model.inverse_transform(model.h_samples_)
    drawn = [
        model.free_energy((np.random.RandomState(s).uniform(size=v.shape) < v) * 1.0)
        for s in range(200)
    ]
    spread = np.std([d.mean() for d in drawn])
    got = model.history_[-1, "free_energy_gap_chains"]
    assert abs(got - (np.mean(drawn) - level)) < 5 * spread
    assert len(model.history_[:, "free_energy_gap_chains"]) == 3


def test_gap_grows_when_a_model_overfits():
    params = {"learning_rate": 0.2, "n_iter": 300, "batch_size": 20}
    few = fit(FreeEnergyGap(every=100), 40, X[:60], **params)
    gaps = few.history_[:, "free_energy_gap_valid"]
    assert gaps[-1] > gaps[0] + 5


def test_without_held_out_rows():
    model = fit(FreeEnergyGap(held_out=False))
    assert "free_energy_gap_valid" not in model.history_[-1]
    assert "free_energy_gap_chains" in model.history_[-1]
    assert model.net_.train_split is None
    no_chains = fit(FreeEnergyGap(), algorithm="cd")
    assert "free_energy_gap_chains" not in no_chains.history_[-1]


def test_log_likelihood_of_a_small_model_is_exact():
    model = fit(LogLikelihood(every=1, held_out=True), precision="float64")
    valid, train = held_out(model)
    row = model.history_[-1]
    assert row["train_log_likelihood"] == pytest.approx(
        model.log_likelihood(train).mean(), abs=1e-8
    )
    assert row["valid_log_likelihood"] == pytest.approx(
        model.log_likelihood(valid).mean(), abs=1e-8
    )
    assert (
        row["log_partition_lower"] == row["log_partition"] == row["log_partition_upper"]
    )


@pytest.fixture
def annealing_is_cheaper(monkeypatch):
    """As for models that are too large for the oracle of these tests."""
    asked_for = []

    def cheaper_method(*sizes, **annealing):
        asked_for.append((sizes, annealing))
        return "ais"

    monkeypatch.setattr("skgen.rbm._callbacks.cheaper_method", cheaper_method)
    return asked_for


@pytest.mark.usefixtures("short_path")
@pytest.mark.parametrize("algorithm", ["pcd", "cd", "pt"])
def test_log_likelihood_by_annealing(algorithm, annealing_is_cheaper):
    callback = LogLikelihood(every=2, n_temperatures=300)
    model = fit(callback, 16, algorithm=algorithm, n_iter=4)
    row = model.history_[-1]
    exact = model.log_partition_function("exact").estimate
    assert row["log_partition_lower"] < exact < row["log_partition_upper"]
    assert row["train_log_likelihood"] == pytest.approx(
        model.log_likelihood(X).mean(), abs=0.2
    )
    assert "valid_log_likelihood" not in row
    settings = (16, 64), {"n_chains": 100, "n_temperatures": 300}
    assert annealing_is_cheaper == [settings] * len(annealing_is_cheaper)


def test_log_likelihood_is_exact_where_that_is_cheaper():
    """2^16 states of 64 units take a twentieth of a second."""
    row = fit(LogLikelihood(), 16, n_iter=1).history_[-1]
    assert row["log_partition_lower"] == row["log_partition_upper"]


def test_epochs_between_are_nan_and_the_last_one_is_measured():
    model = fit(LogLikelihood(every=3), 4, n_iter=6)
    values = model.history_[:, "train_log_likelihood"]
    assert [math.isnan(x) for x in values] == [False, True, True, False, True, False]
    model.set_params(warm_start=True, n_iter=2).fit(X)
    values = model.history_[:, "log_partition"]
    assert not math.isnan(values[6])
    assert not math.isnan(values[7])


def test_autocorrelation_time_against_the_transition_kernel():
    """tau of the free energy, from the enumerated kernel of a small model."""
    oracle = EnumeratedRBM.random(6, 4, seed=2, scale=2.0)
    data = np.random.RandomState(0).uniform(size=(200, 6)).round()
    model = BernoulliRBMGPU(4, n_iter=1, n_chains=200, batch_size=200, random_state=0)
    model.components_, model.intercept_hidden_, model.intercept_visible_ = oracle.params
    model.set_params(
        warm_start=True,
        learning_rate=1e-12,
        n_gibbs_steps=200,
        precision="float64",
        callbacks=[AutocorrelationTime(n_steps=2000)],
    ).fit(data)
    p = np.exp(oracle.log_p_v)
    f = -oracle.log_p_v
    f = f - p @ f
    covariance, state = [], f
    for _ in range(500):
        covariance.append(p @ (f * state))
        state = oracle.transition @ state
    tau = 2 * np.sum(covariance) / covariance[0] - 1
    assert tau > 2
    got = model.history_[-1, "autocorrelation_time"]
    assert got == pytest.approx(tau, rel=0.1)


def test_autocorrelation_time_without_chains():
    model = fit(AutocorrelationTime(n_steps=50), algorithm="cd")
    assert model.history_[-1, "autocorrelation_time"] > 0


@pytest.mark.usefixtures("short_path", "annealing_is_cheaper")
@pytest.mark.parametrize(
    "callback",
    [
        FreeEnergyGap(held_out=False),
        AutocorrelationTime(),
        LogLikelihood(n_temperatures=100),
    ],
)
@pytest.mark.parametrize("binarize", ["none", "sample"])
def test_a_diagnostic_does_not_change_the_fit(callback, binarize):
    plain = BernoulliRBMGPU(
        16, n_iter=3, random_state=0, device="cpu", binarize=binarize
    ).fit(X * 0.9)
    model = fit(callback, 16, X * 0.9, binarize=binarize)
    np.testing.assert_array_equal(plain.components_, model.components_)
    pickle.loads(pickle.dumps(model)).partial_fit(X)


def test_sparse_data():
    import scipy.sparse as sp

    dense = fit(LogLikelihood(every=1, held_out=True))
    sparse = fit(LogLikelihood(every=1, held_out=True), data=sp.csr_array(X))
    name = "valid_log_likelihood"
    assert dense.history_[:, name] == sparse.history_[:, name]


@pytest.mark.parametrize(
    "callback", [FreeEnergyGap, AutocorrelationTime, LogLikelihood]
)
def test_another_model_than_an_rbm_is_an_error_that_says_so(callback):
    vae = GaussianVAE(2, n_iter=1, callbacks=[callback()])
    name = callback.__name__
    with pytest.raises(TypeError, match=f"callback {name} for the training of a VAE"):
        vae.fit(X)
