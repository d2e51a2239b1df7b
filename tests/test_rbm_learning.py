"""What training reaches, by exact enumeration and beside scikit-learn."""

import numpy as np
import pytest
from oracles import bars_and_stripes, log_likelihood_by_visible
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM

from skgen import BernoulliRBMGPU

PATTERNS = bars_and_stripes(3)
# 16 equally likely draws, of which all-on and all-off come twice.
OPTIMUM = (12 * np.log(1 / 16) + 4 * np.log(2 / 16)) / 16
X = load_digits().data / 16


def likelihood_after_6000_updates(n_components, centered, seed):
    """Mean log-likelihood in nats; lr 0.1 falling to 0, 128 chains, k = 2."""
    model = BernoulliRBMGPU(
        n_components,
        batch_size=128,
        n_chains=128,
        n_gibbs_steps=2,
        n_iter=600,
        learning_rate_schedule="linear",
        centered=centered,
        random_state=seed,
    ).fit(np.tile(PATTERNS, (80, 1)))
    params = model.components_, model.intercept_hidden_, model.intercept_visible_
    return log_likelihood_by_visible(*params, PATTERNS).mean()


def test_optimum_of_bars_and_stripes():
    assert pytest.approx(-2.5993, abs=1e-4) == OPTIMUM


@pytest.mark.parametrize("seed", range(3))
def test_bars_and_stripes(seed):
    assert -2.72 < likelihood_after_6000_updates(24, True, seed) < OPTIMUM


def test_the_centered_gradient_helps():
    """By about 0.13 nats, with a spread of 0.02 over seeds."""
    centered, plain = (
        np.mean([likelihood_after_6000_updates(16, c, seed) for seed in (0, 1)])
        for c in (True, False)
    )
    assert centered > plain + 0.05


@pytest.mark.parametrize("seed", range(2))
def test_pseudo_likelihood_at_defaults_is_at_least_that_of_scikit_learn(seed):
    ours = BernoulliRBMGPU(random_state=seed).fit(X)
    theirs = BernoulliRBM(random_state=seed).fit(X)
    score = ours.score(X)
    ours.components_ = theirs.components_
    ours.intercept_hidden_ = theirs.intercept_hidden_
    ours.intercept_visible_ = theirs.intercept_visible_
    assert score >= ours.score(X)
