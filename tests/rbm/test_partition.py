"""Partition function and likelihood of the estimator, against enumeration."""

import dataclasses
import pickle

import numpy as np
import pytest
from oracles import EnumeratedRBM, log_likelihood_by_visible
from rbm_helpers import SMALL, assigned, rbm

from skgen import BernoulliRBMGPU
from skgen.likelihood import LogPartition

METHODS = ["exact", "ais", "trajectory"]


@pytest.fixture
def oracle():
    return EnumeratedRBM.random(6, 5, seed=11, scale=1.5)


@pytest.fixture(scope="module")
def model():
    """A trained model with a trajectory, of 64 + 12 units."""
    return rbm(12, n_iter=30, keep_trajectory=True).fit(SMALL)


@pytest.mark.parametrize(("n", "m"), [(6, 5), (4, 8), (7, 7)])
def test_exact_agrees_with_brute_force_over_both_layers(n, m):
    oracle = EnumeratedRBM.random(n, m, seed=1, scale=2.0)
    result = assigned(oracle).log_partition_function("exact")
    assert result.estimate == pytest.approx(oracle.log_z, abs=1e-10)
    assert result == LogPartition.exact(result.estimate)


@pytest.mark.parametrize("m", [pytest.param(20, marks=pytest.mark.slow), 14])
def test_exact_of_mnist_size_takes_seconds(m):
    """784 x m; against the other layer's closed form where W is 0 but one row.

    No time is measured: the other layer's 2^784 states would take for ever.
    """
    rng = np.random.RandomState(0)
    W, b = np.zeros((m, 784)), rng.normal(size=784)
    W[7] = rng.normal(size=784)
    model = assigned(EnumeratedRBM.random(2, 2))
    model.components_, model.intercept_hidden_ = W, np.zeros(m)
    model.intercept_visible_ = b
    result = model.log_partition_function()
    assert result.method == "exact"
    off, on = np.logaddexp(0, b).sum(), np.logaddexp(0, b + W[7]).sum()
    expected = (m - 1) * np.log(2) + np.logaddexp(off, on)
    assert result.estimate == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_agrees_with_enumeration(model, method):
    exact = model.log_partition_function("exact").estimate
    result = model.log_partition_function(method)
    assert isinstance(result, LogPartition)
    assert result.method == method
    assert result.lower <= exact <= result.upper
    assert abs(result.estimate - exact) <= 4 * result.standard_error
    assert result.upper - result.lower < 0.6
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.estimate = 0.0


@pytest.mark.usefixtures("short_path")
def test_auto_is_what_takes_less_time(oracle):
    assert assigned(oracle).log_partition_function().method == "exact"
    # 2^22 states of 64 units would take some seconds, few temperatures take one.
    wide = rbm(22, n_iter=1).fit(SMALL)
    assert wide.log_partition_function(n_temperatures=10).method == "ais"


@pytest.fixture
def asked_for(monkeypatch):
    """Methods by which log Z was asked for, none of which is run."""
    asked = []

    def instead(state, method, **kwargs):
        asked.append(method)
        return LogPartition.exact(0.0)

    monkeypatch.setattr("skgen.rbm._base.estimate_log_partition", instead)
    return asked


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((25, 784), "ais"),  # 3 minutes by enumeration, 13 s by annealing
        ((784, 25), "ais"),
        ((25, 26), "ais"),
        ((26, 64), "ais"),
        ((20, 784), "exact"),
        ((784, 20), "exact"),
        ((16, 3000), "exact"),
        ((3000, 12), "exact"),
        ((22, 16), "exact"),
    ],
)
def test_log_likelihood_takes_the_cheaper_way(shape, expected, asked_for):
    n_hidden, n_visible = shape
    model = rbm()
    model.components_ = np.zeros(shape)
    model.intercept_hidden_ = np.zeros(n_hidden)
    model.intercept_visible_ = np.zeros(n_visible)
    model.log_likelihood(np.zeros((1, n_visible)))
    model.log_likelihood_bounds(np.zeros((1, n_visible)))  # takes the same
    model.log_partition_function("exact")
    model.log_partition_function("ais")
    assert asked_for == [expected, "exact", "ais"]


def test_auto_depends_on_the_annealing_that_was_asked_for(asked_for):
    model = rbm(18, n_iter=1).fit(SMALL)
    for n_temperatures in (1, 2000):
        model.log_partition_function(n_chains=10, n_temperatures=n_temperatures)
    model.components_ = np.zeros((21, 64))
    model.intercept_hidden_ = np.zeros(21)
    for n_temperatures in (1, 2000):
        model.log_partition_function(n_chains=10, n_temperatures=n_temperatures)
    # 18 units: less than a second in any case.
    assert asked_for == ["exact", "exact", "ais", "exact"]


def test_too_large_for_enumeration():
    wide = rbm(26, n_iter=1).fit(SMALL)
    with pytest.raises(ValueError, match=r"64 and 26 units.*at most 25.*method='ais'"):
        wide.log_partition_function("exact")


def test_no_trajectory():
    with pytest.raises(ValueError, match="Fit with keep_trajectory=True, or use"):
        rbm(4).fit(SMALL).log_partition_function("trajectory")


@pytest.mark.usefixtures("short_path")
def test_log_likelihood_is_minus_free_energy_minus_the_kept_estimate(model):
    first = model.log_partition_function("ais", n_temperatures=50)
    np.testing.assert_allclose(
        model.log_likelihood(SMALL), -model.free_energy(SMALL) - first.estimate
    )
    lower, upper = model.log_likelihood_bounds(SMALL)
    np.testing.assert_allclose(lower, -model.free_energy(SMALL) - first.upper)
    np.testing.assert_allclose(upper, -model.free_energy(SMALL) - first.lower)
    # Another call takes its place.
    model.log_partition_function("exact")
    lower, upper = model.log_likelihood_bounds(SMALL)
    np.testing.assert_array_equal(lower, upper)


def test_log_likelihood_against_enumeration(oracle):
    model = assigned(oracle)
    np.testing.assert_allclose(
        model.log_likelihood(oracle.V), oracle.log_p_v, atol=1e-10
    )
    other = log_likelihood_by_visible(*oracle.params, oracle.V)
    np.testing.assert_allclose(model.log_likelihood(oracle.V), other, atol=1e-10)


def test_what_is_kept_ends_with_the_parameters(oracle):
    model = assigned(oracle)
    model.log_likelihood(oracle.V)
    other = EnumeratedRBM.random(6, 5, seed=12)
    model.components_, model.intercept_hidden_, model.intercept_visible_ = other.params
    np.testing.assert_allclose(
        model.log_likelihood(oracle.V), other.log_p_v, atol=1e-10
    )


def test_what_is_kept_ends_with_the_next_fit():
    model = rbm(8).fit(SMALL)
    before = model.log_partition_function()
    model.partial_fit(SMALL)
    after = model.log_partition_function()
    assert before.estimate != after.estimate
    # It goes with a pickle.
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded._log_partition == model._log_partition


@pytest.mark.usefixtures("short_path")
@pytest.mark.parametrize("method", METHODS[1:])
def test_same_seed_same_estimate(model, method):
    kwargs = {"n_chains": 10, "n_temperatures": 40}
    one = model.log_partition_function(method, **kwargs)
    assert one == model.log_partition_function(method, **kwargs)
    seven = model.log_partition_function(method, random_state=7, **kwargs)
    assert seven == model.log_partition_function(method, random_state=7, **kwargs)
    assert one != seven


@pytest.mark.usefixtures("short_path")
def test_assigned_weights_without_a_fit(oracle):
    """No data, no chains of training: annealing starts at the model's biases."""
    result = assigned(oracle).log_partition_function("ais")
    assert result.lower < oracle.log_z < result.upper


@pytest.mark.usefixtures("short_path")
def test_with_parallel_tempering():
    model = rbm(8, algorithm="pt", n_iter=10).fit(SMALL)
    exact = model.log_partition_function("exact").estimate
    result = model.log_partition_function("ais")
    assert result.lower <= exact <= result.upper


@pytest.mark.parametrize(
    "bad",
    [{"method": "annealing"}, {"n_chains": 1}, {"n_temperatures": 0}],
    ids=lambda b: next(iter(b)),
)
def test_bad_arguments(model, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        model.log_partition_function(**bad)


def test_binarize_threshold():
    grey = np.random.RandomState(0).uniform(size=(200, 12))
    bits = (grey > 0.5).astype(float)
    one = BernoulliRBMGPU(4, binarize="threshold", random_state=0).fit(grey)
    two = BernoulliRBMGPU(4, random_state=0).fit(bits)
    np.testing.assert_array_equal(one.components_, two.components_)
    for method in ("transform", "score_samples", "log_likelihood", "free_energy"):
        np.testing.assert_array_equal(
            getattr(one, method)(grey), getattr(two, method)(bits)
        )


def test_binarize_sample():
    """Scores are those of bits that belong to a row; training draws them anew."""
    grey = np.random.RandomState(0).uniform(size=(200, 12))
    model = BernoulliRBMGPU(4, binarize="sample", random_state=0).fit(grey)
    energies = model.free_energy(grey)
    np.testing.assert_array_equal(energies[::-1], model.free_energy(grey[::-1]))
    states = np.array(np.meshgrid(*[[0.0, 1.0]] * 12)).reshape(12, -1).T
    possible = model.free_energy(states)
    nearest = np.abs(possible[None] - energies[:, None]).min(axis=1)
    np.testing.assert_allclose(nearest, 0, atol=1e-9)
    # Bits of probability 1/2 carry no information, and no weight is learned.
    half = np.full((500, 12), 0.5)
    learned = BernoulliRBMGPU(4, binarize="sample", n_iter=30, random_state=0).fit(half)
    coins = (np.random.RandomState(1).uniform(size=(5000, 12)) < 0.5).astype(float)
    exact = -12 * np.log(2)
    assert learned.log_likelihood(coins).mean() == pytest.approx(exact, abs=0.1)


@pytest.mark.cuda
@pytest.mark.parametrize("algorithm", ["pcd", "pt"])
def test_on_a_gpu(algorithm):
    model = rbm(12, device="cuda", keep_trajectory=True, algorithm=algorithm).fit(SMALL)
    exact = model.log_partition_function("exact").estimate
    for method in METHODS[1:]:
        result = model.log_partition_function(method)
        assert result.lower <= exact <= result.upper
    assert model.sample(10).shape == (10, 64)
    given = np.where(SMALL[:5] > 0, SMALL[:5], np.nan)
    assert model.sample(given=given, sampler="tempering").shape == (5, 64)
    assert not np.isnan(model.impute(given)).any()
