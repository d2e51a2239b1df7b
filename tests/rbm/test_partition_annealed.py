"""Annealed estimates of log Z against enumeration."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of, random_rbm
from scipy import stats

from skgen.likelihood import LogPartition, log_mean_exp
from skgen.rbm._partition_annealed import annealed_log_weights, log_partition_annealed
from skgen.rbm._partition_exact import log_partition_exact
from skgen.rbm._scaled import TemperedRBM, log_partition_of_independent_units
from skgen.rbm._units import BernoulliUnits
from skgen.sampling import bernoulli


class Runs(NamedTuple):
    """Estimates of `n` models, and what is expected of them."""

    n: int
    n_chains: int
    n_temperatures: int
    n_path_steps: int
    # Brackets narrowed by this factor hold the exact value too rarely.
    too_narrow: float
    width: float
    sample_size: float


FIFTY = Runs(50, 100, 200, 300, too_narrow=1 / 5, width=0.4, sample_size=10)
FEW = Runs(24, 50, 100, 100, too_narrow=1 / 10, width=0.8, sample_size=5)


@pytest.fixture(
    scope="module",
    params=[pytest.param(FIFTY, marks=pytest.mark.slow), FEW],
    ids=lambda runs: str(runs.n),
)
def runs(request):
    return request.param


@pytest.fixture(scope="module")
def results(runs):
    """Results and exact values of so many models."""
    found = []
    for seed in range(runs.n):
        model, base_bias = random_rbm(seed)
        with torch.inference_mode():
            result = log_partition_annealed(
                model,
                BernoulliUnits(base_bias),
                n_chains=runs.n_chains,
                n_temperatures=runs.n_temperatures,
                generator=torch.Generator().manual_seed(seed),
                n_path_steps=runs.n_path_steps,
            )
            found.append((result, log_partition_exact(model)))
    return found


def test_bracket_holds_the_exact_value_as_often_as_stated(runs, results):
    """95 % of them: fewer would come with probability 0.3 %.

    Of 50 models that is 42, of 24 it is 19, which brackets that hold the exact value
    with probability 0.5 reach with probability 0.3 %.
    """
    inside = sum(r.lower <= exact <= r.upper for r, exact in results)
    assert inside >= stats.binom.ppf(0.003, runs.n, 0.95)
    # Power: brackets of a fraction of the width would fail.
    narrow = sum(
        abs(r.estimate - exact) < runs.too_narrow * (r.upper - r.lower) / 2
        for r, exact in results
    )
    assert narrow < stats.binom.ppf(0.003, runs.n, 0.95)


def test_standard_error_is_calibrated(runs, results):
    """Chi-square at level 0.2 %, and the mean of z within 3.5 standard errors.

    Power: with 50 models, a standard error of half or of twice the true one is
    rejected with probability 0.9998; with 24, with 0.97 and 0.88, one of a third or of
    three times the true one with 0.9998 and more.
    """
    z = np.array([(r.estimate - exact) / r.standard_error for r, exact in results])
    low, high = stats.chi2.ppf([0.001, 0.999], runs.n)
    assert low < np.sum(z**2) < high
    assert abs(z.mean()) < 3.5 / np.sqrt(runs.n)
    # A standard error of a third, or of three times as much, is rejected.
    assert not low < np.sum((3 * z) ** 2) < high
    assert not low < np.sum((z / 3) ** 2) < high


def test_brackets_are_narrow(runs, results):
    assert np.median([r.upper - r.lower for r, _ in results]) < runs.width
    assert min(r.effective_sample_size for r, _ in results) > runs.sample_size


def weights_of(oracle, betas, base_bias, n_chains, generator, start=None):
    model = module_of(oracle)
    bias = torch.tensor(base_bias)
    if start is None:
        start = bernoulli(torch.sigmoid(bias).expand(n_chains, -1), generator=generator)
    models = [TemperedRBM(model, BernoulliUnits(bias), beta) for beta in betas]
    with torch.no_grad():
        return annealed_log_weights(models, start, generator=generator)


def test_mean_weight_is_the_ratio_of_partition_functions(generator):
    """Also with few temperatures, where weights vary a lot."""
    oracle = EnumeratedRBM.random(5, 4, seed=3)
    base = np.array([0.5, -0.5, 1.0, 0.0, -1.0])
    log_z0 = EnumeratedRBM(np.zeros((4, 5)), np.zeros(4), base).log_z
    bits = TemperedRBM(module_of(oracle), BernoulliUnits(torch.tensor(base)), 0.0)
    assert log_partition_of_independent_units(bits) == pytest.approx(log_z0)
    log_w = weights_of(oracle, [0.0, 0.4, 0.8, 1.0], base, 400_000, generator)
    ratio = np.exp(oracle.log_z - log_z0)
    w = log_w.exp().numpy()
    assert abs(w.mean() - ratio) < 4.5 * w.std() / np.sqrt(len(w))
    assert w.std() / np.sqrt(len(w)) < 0.02 * ratio


def test_reverse_weights(generator):
    """From exact draws down to bits, the mean weight is the inverse ratio."""
    oracle = EnumeratedRBM.random(5, 4, seed=3)
    base = np.zeros(5)
    rows = np.random.RandomState(0).choice(32, size=400_000, p=np.exp(oracle.log_p_v))
    start = torch.tensor(oracle.V[rows])
    log_w = weights_of(oracle, [1.0, 0.7, 0.3, 0.0], base, None, generator, start)
    w = log_w.exp().numpy()
    ratio = np.exp(9 * np.log(2) - oracle.log_z)
    assert abs(w.mean() - ratio) < 4.5 * w.std() / np.sqrt(len(w))


def test_one_jump_is_importance_sampling():
    """No chain moves: log weights are differences of free energies, to 1e-12."""
    oracle = EnumeratedRBM.random(4, 3, seed=1, scale=3.0)
    base = np.array([0.3, 0.0, -0.2, 1.0])
    v = torch.tensor(oracle.V)
    log_w = weights_of(oracle, [0.0, 1.0], base, None, torch.Generator(), v)
    expected = oracle.log_p_v + oracle.log_z - (oracle.V @ base + 3 * np.log(2))
    np.testing.assert_allclose(log_w, expected, rtol=1e-12)


def test_forward_is_low_and_reverse_is_high_on_average(generator):
    oracle = EnumeratedRBM.random(8, 6, seed=0, scale=2.0)
    base = np.zeros(8)
    betas = np.linspace(0, 1, 5).tolist()
    exact = oracle.log_z - 14 * np.log(2)
    forward = weights_of(oracle, betas, base, 20_000, generator).view(2000, 10)
    rows = np.random.RandomState(0).choice(256, size=20_000, p=np.exp(oracle.log_p_v))
    start = torch.tensor(oracle.V[rows])
    reverse = weights_of(oracle, betas[::-1], base, None, generator, start)
    low = log_mean_exp(forward).mean().item()
    high = -log_mean_exp(reverse.view(2000, 10)).mean().item()
    assert low < exact - 0.1
    assert high > exact + 0.1


def bimodal():
    """All off or all on; the path from below leads to the lighter mode.

    P(h = 1) = 0.982, but half way up the path it is e^-8 or so, and at the end no
    chain crosses.
    """
    n, weight = 12, 8.0
    softplus = np.logaddexp(0, [weight / 2, -weight / 2])
    c = 4.0 - n * (softplus[0] - softplus[1])
    return EnumeratedRBM(np.full((1, n), weight), [c], np.full(n, -weight / 2))


def test_a_model_that_forward_annealing_gets_wrong(generator):
    """Along temperatures, forward alone is sure and wrong; the bracket is wide."""
    oracle, base = bimodal(), np.full(12, -4.0)
    bits = TemperedRBM(module_of(oracle), BernoulliUnits(torch.tensor(base)), 0.0)
    log_z0 = log_partition_of_independent_units(bits)
    betas = np.linspace(0, 1, 1001).tolist()
    up = weights_of(oracle, betas, base, 100, generator)
    w = (up - up.max()).exp()
    assert w.std() / w.mean() / 10 < 0.01
    assert log_z0 + log_mean_exp(up[None]).item() < oracle.log_z - 4
    rows = np.random.RandomState(0).choice(
        len(oracle.V), size=100, p=np.exp(oracle.log_p_v)
    )
    start = torch.tensor(oracle.V[rows])
    down = -weights_of(oracle, betas[::-1], base, None, generator, start)
    result = LogPartition.bracket(
        log_z0, up[None, None], down[None, None], method="ais", conservative=True
    )
    assert result.lower < oracle.log_z < result.upper
    assert result.upper - result.lower > 4


@pytest.mark.parametrize("n_heavy", [50, 25])
def test_bracket_holds_where_chains_know_the_heavy_mode(n_heavy, generator):
    """The same model, by chains of a training: all in that mode, or half of them."""
    oracle = bimodal()
    model, base_bias = module_of(oracle), torch.full((12,), -4.0, dtype=torch.float64)
    chains = torch.zeros(50, 12, dtype=torch.float64)
    chains[:n_heavy] = 1
    arguments = {
        "n_chains": 100,
        "n_temperatures": 1000,
        "generator": generator,
        "n_path_steps": 200,
    }
    with torch.no_grad():
        result = log_partition_annealed(
            model, BernoulliUnits(base_bias), chains=chains, **arguments
        )
        blind = log_partition_annealed(model, BernoulliUnits(base_bias), **arguments)
    assert result.lower < oracle.log_z < result.upper
    # What no chain has seen, nothing can show.
    assert blind.upper < oracle.log_z - 1


@pytest.mark.parametrize(
    ("n_steps", "n_visible", "error"),
    [pytest.param(10_000, 20, 0.01, marks=pytest.mark.slow), (500, 12, 0.05)],
)
def test_single_precision_sums_in_double(n_steps, n_visible, error):
    """Many steps in float32 stay near the exact value, as those in float64."""
    oracle = EnumeratedRBM.random(n_visible, 4, seed=0)
    results = []
    for dtype in (torch.float32, torch.float64):
        model = module_of(oracle).to(dtype)
        generator = torch.Generator().manual_seed(0)
        base = torch.zeros(n_visible, dtype=dtype)
        half = torch.full((400, n_visible), 0.5, dtype=dtype)
        v = bernoulli(half, generator=generator)
        with torch.no_grad():
            models = [
                TemperedRBM(model, BernoulliUnits(base), k / n_steps)
                for k in range(n_steps + 1)
            ]
            log_w = annealed_log_weights(models, v, generator=generator)
        assert log_w.dtype == torch.float64
        results.append(log_mean_exp(log_w[None]).item())
    exact = oracle.log_z - (n_visible + 4) * np.log(2)
    np.testing.assert_allclose(results, exact, atol=error)
