"""R-hat and effective sample size, against formulas in numpy and against ArviZ."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from scipy.special import ndtri
from scipy.stats import rankdata

from skgen import BernoulliRBMGPU
from skgen.diagnostics import effective_sample_size, split_r_hat

RNG = np.random.RandomState


def autoregressive(phi, shape, seed=0):
    noise = RNG(seed).normal(size=(shape[0] + 500, shape[1]))
    return lfilter([1], [1, -phi], noise, axis=0)[500:]


CHAINS = {
    "independent": RNG(0).normal(size=(500, 4)),
    "odd": autoregressive(0.3, (301, 3)),
    "mixing slowly": autoregressive(0.95, (400, 4)),
    "alternating": autoregressive(-0.7, (400, 4)),
    "apart": autoregressive(0.5, (200, 4)) + np.eye(4)[3],
    "spreads": autoregressive(0.5, (200, 4)) * [1, 1, 1, 3],
    "drift": RNG(1).normal(size=(200, 2)) + np.linspace(0, 2, 200)[:, None],
    "bits": (autoregressive(0.6, (300, 5)) > 0.3).astype(float),
    "one chain": autoregressive(0.6, (100, 1)),
    "short": RNG(2).normal(size=(8, 2)),
    "heavy": np.tan(RNG(3).uniform(-1.5, 1.5, size=(300, 4))),
}


def halves(x):
    n = len(x) // 2
    return [chain[part] for chain in x.T for part in (slice(0, n), slice(-n, None))]


def scores(chains):
    values = np.concatenate(chains)
    z = ndtri((rankdata(values) - 0.375) / (len(values) + 0.25))
    return np.split(z, len(chains))


def plain_r_hat(chains):
    n = len(chains[0])
    within = np.mean([c.var(ddof=1) for c in chains])
    between = n * np.var([c.mean() for c in chains], ddof=1)
    return np.sqrt(((n - 1) / n * within + between / n) / within)


def r_hat(x):
    """Section 4 of the paper, in the words of the paper."""
    parts = halves(x)
    median = np.median(np.concatenate(parts))
    folded = [abs(c - median) for c in parts]
    return max(plain_r_hat(scores(parts)), plain_r_hat(scores(folded)))


def ess(x):
    """Section 3.2, with each autocovariance as a sum of products."""
    chains = scores(halves(x))
    m, n = len(chains), len(chains[0])

    def covariance(t):
        d = [c - c.mean() for c in chains]
        return np.mean([(c[: n - t] * c[t:]).sum() / n for c in d])

    within = np.mean([c.var(ddof=1) for c in chains])
    total = within * (n - 1) / n + np.var([c.mean() for c in chains], ddof=1)
    rho = [1.0] + [1 - (within - covariance(t)) / total for t in range(1, n)]
    tau, least, last = -1.0, math.inf, 2 * ((n - 1) // 2 - 1)
    for t in range(0, last + 1, 2):
        pair = rho[t] + rho[t + 1]
        if pair <= 0 or t == last:
            tau += max(rho[t], 0)
            break
        least = min(least, pair)
        tau += 2 * least
    return m * n / max(tau, 1 / np.log10(m * n))


@pytest.mark.parametrize("name", CHAINS)
def test_formulas_of_the_paper(name):
    x = CHAINS[name]
    assert split_r_hat(x) == pytest.approx(r_hat(x), rel=1e-9)
    assert effective_sample_size(x) == pytest.approx(ess(x), rel=1e-9)


@pytest.mark.filterwarnings("ignore::Warning")  # of ArviZ itself
@pytest.mark.parametrize("name", CHAINS)
def test_arviz(name):
    arviz = pytest.importorskip("arviz")
    x = CHAINS[name]
    if x.shape[1] == 1:
        return  # which ArviZ refuses
    if len(x) % 2:  # ArviZ leaves out the last step, and not the middle one
        x = x[:-1]
    assert split_r_hat(x) == pytest.approx(float(arviz.rhat(x.T)), rel=1e-6)
    expected = float(arviz.ess(x.T, method="bulk"))
    assert effective_sample_size(x) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, -0.5])
def test_a_process_whose_autocorrelation_is_known(phi):
    """tau = (1 + phi) / (1 - phi)."""
    x = autoregressive(phi, (5000, 8))
    expected = x.size * (1 - phi) / (1 + phi)
    assert effective_sample_size(x) == pytest.approx(expected, rel=0.12)
    assert abs(split_r_hat(x) - 1) < 0.01


def test_chains_that_have_not_mixed_are_seen():
    assert split_r_hat(CHAINS["apart"]) > 1.05
    assert split_r_hat(CHAINS["spreads"]) > 1.05
    assert split_r_hat(CHAINS["drift"]) > 1.05
    assert effective_sample_size(CHAINS["apart"]) < 0.1 * CHAINS["apart"].size


def test_monotone_maps_change_nothing():
    x = CHAINS["mixing slowly"]
    assert effective_sample_size(np.exp(x)) == effective_sample_size(x)


def test_an_observable_that_does_not_vary():
    assert math.isnan(split_r_hat(np.ones((50, 3))))
    assert math.isnan(effective_sample_size(np.ones((50, 3))))
    assert math.isnan(split_r_hat(np.tile([0.0, 1.0], (50, 1))))


def test_what_is_no_trace():
    for bad in (np.ones(50), np.ones((7, 3)), np.ones((9, 3, 2))):
        with pytest.raises(ValueError, match=r"expected \(n_steps, n_chains\) with"):
            split_r_hat(bad)
        with pytest.raises(ValueError, match=r"expected \(n_steps, n_chains\) with"):
            effective_sample_size(bad)
    with pytest.raises(ValueError, match="not finite"):
        split_r_hat(np.full((9, 2), np.nan))


def test_an_rbm_that_does_not_mix():
    """Two modes that chains do not leave, and independent units, which mix at once."""

    def trace(weight):
        model = BernoulliRBMGPU(2, random_state=0, device="cpu")
        model.components_ = np.full((2, 6), weight)
        model.intercept_hidden_ = np.full(2, -3.0 * weight)
        model.intercept_visible_ = np.full(6, -weight)
        v = np.repeat([[0.0], [1.0]], 3, axis=0) * np.ones(6)
        states = []
        for _ in range(200):
            v = model.gibbs(v)
            states.append(v.mean(axis=1))
        return np.array(states)

    torch.manual_seed(0)
    assert split_r_hat(trace(0.0)) < 1.03
    assert effective_sample_size(trace(0.0)) > 600
    assert split_r_hat(trace(6.0)) > 1.5
    assert effective_sample_size(trace(6.0)) < 30
