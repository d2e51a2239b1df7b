"""Samples by tempering, given some values, imputation, and trajectories."""

from itertools import pairwise

import numpy as np
import pytest
from oracles import EnumeratedRBM
from rbm_helpers import SMALL, assigned, rbm
from scipy import stats

from skgen.datasets import make_bars_and_stripes

PATTERNS = make_bars_and_stripes(3)


@pytest.fixture
def oracle():
    return EnumeratedRBM.random(5, 4, seed=11, scale=1.5)


@pytest.fixture(scope="module")
def with_trajectory():
    return rbm(10, n_iter=40, keep_trajectory=True, n_chains=50).fit(
        np.tile(PATTERNS, (20, 1))
    )


def p_value(oracle, samples, law=None):
    law = np.exp(oracle.log_p_v) if law is None else law
    counts = np.bincount(oracle.index(samples), minlength=len(law))
    assert counts[law == 0].sum() == 0
    return stats.chisquare(counts[law > 0], law[law > 0] * len(samples)).pvalue


def two_modes(p_on):
    """All off or all on, 12 visible units and one hidden: no Gibbs step crosses."""
    n, weight = 12, 8.0
    softplus = np.logaddexp(0, [weight / 2, -weight / 2])
    c = np.log(p_on / (1 - p_on)) - n * (softplus[0] - softplus[1])
    return EnumeratedRBM(np.full((1, n), weight), [c], np.full(n, -weight / 2))


def test_tempering_weighs_modes_that_gibbs_does_not():
    oracle = two_modes(0.3)
    model = rbm(1, n_iter=0).fit(oracle.V[[0, -1]])
    model.components_, model.intercept_hidden_, model.intercept_visible_ = oracle.params
    n = 2000
    on = {
        sampler: int((model.sample(n, sampler=sampler).mean(1) > 0.5).sum())
        for sampler in ("gibbs", "tempering")
    }
    # Chains of a block of 256 start from common ancestors: a wider error than
    # binomial is left to them.
    assert on["tempering"] / n == pytest.approx(0.3, abs=0.05)
    assert abs(on["gibbs"] / n - 0.3) > 0.1


def test_law_of_tempering(oracle):
    samples = assigned(oracle).sample(20_000, sampler="tempering", n_gibbs_steps=30)
    assert p_value(oracle, samples) > 1e-3
    warmer = EnumeratedRBM(*(a / 1.1 for a in oracle.params))
    assert p_value(warmer, samples) < 1e-6


@pytest.mark.parametrize("n", [pytest.param(20_000, marks=pytest.mark.slow), 3000])
def test_law_of_tempering_along_the_trajectory(with_trajectory, n):
    """Samples by exchange with the models kept in training have the model's law.

    Within 4.5 standard errors in the mean energy, and 5.7 in the mean of each unit.
    Samples of independent bits with the means of the data are rejected.
    """
    exact = EnumeratedRBM.of(with_trajectory)
    samples = with_trajectory.sample(n)
    energies = with_trajectory.free_energy(samples)
    table = -exact.log_p_v - exact.log_z
    p = np.exp(exact.log_p_v)
    mean, std = p @ table, np.sqrt(p @ table**2 - (p @ table) ** 2)
    assert abs(energies.mean() - mean) < 4.5 * std / np.sqrt(n)
    close = 0.02 * np.sqrt(20_000 / n)
    np.testing.assert_allclose(samples.mean(0), p @ exact.V, atol=close)
    bits = np.random.RandomState(0).uniform(size=samples.shape) < PATTERNS.mean(0)
    wrong = with_trajectory.free_energy(bits * 1.0).mean()
    assert abs(wrong - mean) > 20 * std / np.sqrt(n)


def test_the_trajectory_is_a_ladder(with_trajectory):
    trajectory = with_trajectory.trajectory_
    n_models = len(trajectory["components_"])
    assert 2 <= n_models <= 30
    assert trajectory["components_"].shape == (n_models, 10, 9)
    assert trajectory["intercept_hidden_"].shape == (n_models, 10)
    assert trajectory["intercept_visible_"].shape == (n_models, 9)
    norms = np.linalg.norm(trajectory["components_"], axis=(1, 2))
    assert norms[0] < norms[-1]
    models = [
        EnumeratedRBM(*(trajectory[name][r] for name in trajectory))
        for r in range(n_models)
    ]
    models.append(EnumeratedRBM.of(with_trajectory))
    for lower, upper in pairwise(models):
        p, q = lower.log_p_v, upper.log_p_v
        ratio = p[None] + q[:, None] - p[:, None] - q[None]
        weight = np.exp(p[:, None] + q[None])
        # Kept when it fell below 0.4: as estimated from 50 chains.
        assert np.sum(weight * np.minimum(1, np.exp(ratio))) > 0.1


@pytest.mark.parametrize("algorithm", ["pcd", "pt"])
def test_the_trajectory_goes_on_with_a_warm_fit(algorithm):
    kwargs = {"keep_trajectory": True, "algorithm": algorithm, "n_iter": 10}
    data = np.tile(PATTERNS, (10, 1))
    model = rbm(8, **kwargs).fit(data)
    before = model.trajectory_["components_"]
    model.partial_fit(data).partial_fit(data)
    after = model.trajectory_["components_"]
    assert len(after) >= len(before)
    np.testing.assert_array_equal(after[: len(before)], before)
    if algorithm == "pt":
        assert len(model.h_samples_) == len(after) + 1
    model.set_params(keep_trajectory=False, algorithm="pcd").partial_fit(data)
    assert not hasattr(model, "trajectory_")


def test_tempering_is_the_default_where_there_is_a_trajectory(with_trajectory):
    one = with_trajectory.sample(20, random_state=1)
    two = with_trajectory.sample(20, random_state=1, sampler="tempering")
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(
        one, with_trajectory.sample(20, random_state=1, sampler="gibbs")
    )
    assert with_trajectory.sample().shape == (1, 9)
    assert with_trajectory.sample(300).shape == (300, 9)


def test_a_trajectory_needs_persistent_chains():
    with pytest.raises(
        ValueError, match=r"algorithm='cd'.*Set algorithm='pcd' or 'pt'"
    ):
        rbm(algorithm="cd", keep_trajectory=True).fit(SMALL)


def test_chains_of_parallel_tempering():
    model = rbm(6, algorithm="pt", n_temperatures=4, n_chains=7).fit(SMALL)
    assert model.h_samples_.shape == (4, 7, 6)
    # Another number of temperatures starts other chains.
    model.set_params(n_temperatures=3).partial_fit(SMALL)
    assert model.h_samples_.shape == (3, 7, 6)
    model.set_params(algorithm="pcd").partial_fit(SMALL)
    assert model.h_samples_.shape == (7, 6)


# Given some values


def conditional(oracle, row):
    agree = np.isnan(row) | (row == oracle.V)
    p = np.where(agree.all(axis=1), np.exp(oracle.log_p_v), 0)
    return p / p.sum()


@pytest.mark.parametrize("sampler", ["gibbs", "tempering"])
def test_law_of_samples_given_some_values(oracle, sampler):
    row = np.array([1.0, np.nan, 0.0, np.nan, np.nan])
    n = 4000 if sampler == "tempering" else 40_000
    samples = assigned(oracle).sample(
        n, given=row[None], sampler=sampler, n_gibbs_steps=60
    )
    assert samples.shape == (n, 5)
    assert p_value(oracle, samples, conditional(oracle, row)) > 1e-3
    other = conditional(EnumeratedRBM(*(a / 1.5 for a in oracle.params)), row)
    assert p_value(oracle, samples, other) < 1e-6


def test_rows_of_given_stay_in_order(oracle):
    given = np.array([[1.0, 0, np.nan, np.nan, 1], [np.nan, 1, 1, np.nan, np.nan]])
    for sampler in ("gibbs", "tempering"):
        samples = assigned(oracle).sample(3, given=given, sampler=sampler)
        assert samples.shape == (6, 5)
        known = ~np.isnan(given).repeat(3, axis=0)
        np.testing.assert_array_equal(samples[known], given.repeat(3, axis=0)[known])
        assert set(np.unique(samples)) == {0, 1}


def test_given_grey_values_stay(oracle):
    given = np.array([[0.3, np.nan, 0.7, np.nan, np.nan]])
    sample = assigned(oracle).sample(given=given)
    np.testing.assert_array_equal(sample[0, [0, 2]], [0.3, 0.7])
    hard = assigned(oracle, binarize="threshold")
    found = hard.sample(given=given, random_state=0)
    np.testing.assert_array_equal(found[0, [0, 2]], [0.3, 0.7])
    seen = hard.sample(given=np.round(given), random_state=0)  # what the model sees
    np.testing.assert_array_equal(found[0, [1, 3, 4]], seen[0, [1, 3, 4]])


def test_nothing_given_is_a_plain_sample(oracle):
    nothing = np.full((3, 5), np.nan)
    np.testing.assert_array_equal(
        assigned(oracle).sample(given=nothing), assigned(oracle).sample(3)
    )


def test_impute_gives_conditional_means(oracle):
    rows = np.array([[1.0, np.nan, 0.0, np.nan, np.nan], [np.nan, 0.0, 1.0, 1.0, 1.0]])
    many = rows.repeat(500, axis=0)
    filled = assigned(oracle).impute(many).reshape(2, 500, 5)
    for row, estimates in zip(rows, filled, strict=True):
        exact = conditional(oracle, row) @ oracle.V
        error = estimates.std(axis=0) / np.sqrt(500)
        known = ~np.isnan(row)
        np.testing.assert_array_equal(estimates[0, known], row[known])
        off = np.abs(estimates.mean(axis=0) - exact)[~known]
        assert (off < 4.5 * error[~known]).all()
        assert (error < 0.02).all()


def test_impute_without_missing_values(oracle):
    model = assigned(oracle)
    np.testing.assert_array_equal(model.impute(oracle.V), oracle.V)
    np.testing.assert_array_equal(
        model.impute([[np.nan] * 5]), model.impute([[np.nan] * 5])
    )


@pytest.mark.parametrize("method", ["impute", "sample"])
def test_incomplete_rows_are_validated(oracle, method):
    model = assigned(oracle)

    def call(rows):
        return model.sample(given=rows) if method == "sample" else model.impute(rows)

    with pytest.raises(ValueError, match="4 features, but expected 5"):
        call([[np.nan] * 4])
    with pytest.raises(ValueError, match="infinity"):
        call([[np.inf, 0, 0, 0, 0]])
    assert call(np.array([[np.nan] * 5], dtype=np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    "bad", [{"sampler": "metropolis"}, {"n_gibbs_steps": -1}, {"given": 3}]
)
def test_sample_rejects(oracle, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        assigned(oracle).sample(**bad)
