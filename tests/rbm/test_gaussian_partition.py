"""The partition function of machines of real units, against enumeration."""

import numpy as np
import pytest
import torch
from gaussian_rbm_helpers import Mixture, assigned
from scipy import stats

from skgen.rbm._partition_annealed import log_partition_annealed


def random_mixture(seed):
    """From weights that do little to modes many standard deviations apart."""
    rng = np.random.RandomState(seed)
    scale = [0.2, 0.5, 1.0, 1.5][seed % 4]
    return Mixture(rng.randint(4, 20), rng.randint(3, 10), seed=seed, scale=scale)


def annealed(mixture, generator):
    model = mixture.model()
    with torch.inference_mode():
        # Far from the mean of the model.
        base = model.visible.with_bias(model.visible_bias + 1.0)
        return log_partition_annealed(
            model, base, n_chains=60, n_temperatures=200, generator=generator
        )


def check_brackets(n_models):
    found = []
    for seed in range(n_models):
        mixture = random_mixture(seed)
        found.append((annealed(mixture, torch.Generator().manual_seed(seed)), mixture))
    inside = sum(r.lower <= m.log_z <= r.upper for r, m in found)
    assert inside >= stats.binom.ppf(0.003, n_models, 0.95)
    assert np.median([r.upper - r.lower for r, _ in found]) < 0.8
    z = np.array([(r.estimate - m.log_z) / r.standard_error for r, m in found])
    # The standard error is that of independent chains: it is of the right size, but for
    # the share of machines of which the chains may miss a mode, and the bracket fail.
    n_kept = n_models - int(0.05 * n_models)
    kept = np.sort(z**2)[:n_kept].sum()
    assert kept < stats.chi2.ppf(0.9999, n_kept)
    return kept, n_kept


def test_annealing_of_few_machines(short_path):
    check_brackets(4)


@pytest.mark.slow
def test_annealing_of_fifty_machines(short_path):
    """The bracket holds the exact value as often as stated."""
    kept, n_kept = check_brackets(50)
    assert 1.5**2 * kept > stats.chi2.ppf(0.9999, n_kept)  # a twin with smaller errors


def test_exact_and_log_likelihood():
    """In the units of X, of parameters that were assigned."""
    mixture = Mixture(6, 5, seed=4)
    model, v = assigned(mixture), mixture.draws(20, 0)[0]
    result = model.log_partition_function()
    assert result.method == "exact"
    assert result.estimate == pytest.approx(mixture.log_z, abs=1e-10)
    np.testing.assert_allclose(model.log_likelihood(v), mixture.log_density(v))
    lower, upper = model.log_likelihood_bounds(v)
    np.testing.assert_array_equal(lower, upper)


def test_bounds_of_annealing(short_path):
    mixture = Mixture(6, 5, seed=4)
    model, v = assigned(mixture), mixture.draws(20, 0)[0]
    result = model.log_partition_function(
        "ais", n_chains=50, n_temperatures=200, random_state=0
    )
    assert result.lower < mixture.log_z < result.upper
    lower, upper = model.log_likelihood_bounds(v)
    exact = mixture.log_density(v)
    assert ((lower < exact) & (exact < upper)).all()
    np.testing.assert_allclose(upper - lower, result.upper - result.lower)


def test_enumeration_is_of_hidden_units_alone(short_path):
    """Few features do not help: 30 hidden units are annealed, or refused."""
    mixture = Mixture(2, 3, seed=0)
    model = assigned(mixture)
    rng = np.random.RandomState(0)
    model.components_ = rng.normal(0, 0.01, (30, 2))
    model.intercept_hidden_ = rng.normal(size=30)
    with pytest.raises(ValueError, match="at most 25 in the smaller one"):
        model.log_partition_function("exact")
    result = model.log_partition_function(n_chains=20, n_temperatures=20)
    assert result.method == "ais"
