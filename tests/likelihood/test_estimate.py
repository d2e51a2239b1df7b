"""Averages of weights, against Gaussians, where everything is known."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats

from skgen.likelihood import CONFIDENCE, LogPartition, bennett, log_mean_exp
from skgen.likelihood._estimate import _highest_mode, _upper_limit


def gaussian_work(log_ratio, sigma, shape, seed=0):
    """Log weights of both directions that obey Crooks' relation exactly.

    Forward ones are normal of mean L - sigma^2 / 2, reverse ones of mean
    L + sigma^2 / 2: the ratio of the densities at x is exp(x - L).
    """
    rng = np.random.RandomState(seed)
    up = log_ratio - sigma**2 / 2 + sigma * rng.normal(size=shape)
    down = log_ratio + sigma**2 / 2 + sigma * rng.normal(size=shape)
    return torch.tensor(up), torch.tensor(down)


def test_bennett_solves_its_equation():
    up, down = gaussian_work(3.0, 2.0, (1, 50))

    def excess(L):
        left = (1 / (1 + np.exp(L - up.numpy()))).sum()
        return left - (1 / (1 + np.exp(down.numpy() - L))).sum()

    root = optimize.brentq(excess, -20, 20)
    assert bennett(up, down).item() == pytest.approx(root, abs=1e-10)


def test_bennett_is_right_where_exponential_averages_are_not():
    many = [gaussian_work(3.0, 5.0, (1, 2000), seed) for seed in range(50)]
    best = [bennett(up, down).item() for up, down in many]
    low = [log_mean_exp(up).item() for up, _ in many]
    high = [-log_mean_exp(-down).item() for _, down in many]
    assert np.mean(best) == pytest.approx(3, abs=0.1)
    assert np.mean(low) < 2
    assert np.mean(high) > 4


def test_bennett_of_several_steps_of_the_ladder():
    parts = [
        gaussian_work(L, 1.0, (1, 4, 25), seed=i) for i, L in enumerate((0, 5, -9))
    ]
    up, down = (torch.cat(x) for x in zip(*parts, strict=True))
    alone = torch.cat([bennett(*part) for part in parts])
    torch.testing.assert_close(bennett(up, down), alone)


def test_bennett_of_equal_models():
    """All weights are 1: the ratio is that, without error."""
    x = torch.full((1, 1, 10), 2.5)
    result = LogPartition.bracket(1.0, x, x, method="ais")
    assert result.estimate == result.lower == result.upper == 3.5
    assert result.standard_error == 0
    assert result.effective_sample_size == pytest.approx(10)


def test_log_mean_exp():
    x = torch.tensor([[1.0, 2.0, -500.0], [800.0, 800.0, 800.0]])
    expected = [math.log((math.exp(1) + math.exp(2)) / 3), 800.0]
    np.testing.assert_allclose(log_mean_exp(x), expected)
    assert log_mean_exp(x).dtype == torch.float64


# Repetitions of an estimate.
REPETITIONS = pytest.mark.parametrize(
    "n", [pytest.param(300, marks=pytest.mark.slow), 100]
)


@REPETITIONS
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(1, 1, 200), (4, 5, 40)])
def test_standard_error_is_calibrated(sigma, shape, n):
    """Over n repetitions, beside the variance of Bennett by quadrature.

    Power: with 100, a standard error that is 0.6 or 1.7 times the true one is rejected
    with probability above 0.99, and the quadrature sees 20 % in any case.
    """
    z, errors = [], []
    for seed in range(n):
        up, down = gaussian_work(3.0, sigma, shape, seed)
        result = LogPartition.bracket(0.0, up, down, method="ais")
        errors.append(result.standard_error)
        z.append((result.estimate - 3 * shape[0]) / result.standard_error)
    # A standard deviation from 300 draws is known to 4 %, from 100 to 7 %.
    assert np.std(z) == pytest.approx(1, abs=0.17 * math.sqrt(300 / n))
    assert abs(np.mean(z)) < 4.5 / np.sqrt(n)
    n_draws = shape[1] * shape[2]
    expected = math.sqrt(shape[0] * bennett_variance(sigma, n_draws))
    assert np.median(errors) == pytest.approx(expected, rel=0.1)


def bennett_variance(sigma, n):
    """Bennett (1976), equation 10, for Gaussian work and n draws of each side."""

    def overlap(x):
        p = stats.norm.logpdf(x, -(sigma**2) / 2, sigma)
        q = stats.norm.logpdf(x, sigma**2 / 2, sigma)
        return np.exp(p + q - np.logaddexp(p, q))

    reach = 10 * sigma + sigma**2
    total = integrate.quad(overlap, -reach, reach, limit=500)[0]
    return (1 / total - 2) / n


@REPETITIONS
@pytest.mark.parametrize("conservative", [False, True])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_bracket_holds_the_truth_as_often_as_stated(sigma, conservative, n):
    """At least so: both ends err on the safe side. n repetitions, 4.5 sigma.

    Power: with 100, brackets that hold the truth with probability 0.67 (those of half
    the width) are rejected with probability above 0.9999.
    """
    inside = 0
    for seed in range(n):
        up, down = gaussian_work(3.0, sigma, (1, 1, 100), seed)
        result = LogPartition.bracket(
            7.0, up, down, method="ais", conservative=conservative
        )
        assert result.lower <= result.estimate <= result.upper
        inside += result.lower <= 10 <= result.upper
    assert inside / n > CONFIDENCE - 4.5 * math.sqrt(0.95 * 0.05 / n)


def test_bracket_is_wide_where_directions_disagree():
    """Weights of a forward run that missed a mode, and of a reverse run of it."""
    up, _ = gaussian_work(0.0, 0.3, (1, 1, 100))
    _, down = gaussian_work(10.0, 0.3, (1, 1, 100))
    result = LogPartition.bracket(0.0, up, down, method="ais")
    assert result.lower < 0.1
    assert result.upper > 9.9


def test_a_conservative_bracket_holds_with_modes_in_wrong_proportions():
    """Forward sees a mode of mass e^-4; half of the reverse chains are in it."""
    up, light = gaussian_work(-4.0, 0.3, (1, 1, 100))
    _, heavy = gaussian_work(4.0, 0.3, (1, 1, 100))
    down = torch.where(torch.arange(100) < 50, light, heavy + 4)
    rash, conservative = (
        LogPartition.bracket(0.0, up, down, method="ais", conservative=c)
        for c in (False, True)
    )
    assert rash.upper < -3
    assert conservative.lower < 0 < conservative.upper


def test_effective_sample_size_by_its_definition():
    up, down = gaussian_work(0.0, 1.0, (3, 2, 20))
    w = np.exp(up.sum(0).numpy().ravel())
    result = LogPartition.bracket(0.0, up, down, method="trajectory")
    expected = w.sum() ** 2 / (w**2).sum()
    assert result.effective_sample_size == pytest.approx(expected)
    assert result.method == "trajectory"


def test_result_is_frozen_and_exact_ones_have_no_error():
    result = LogPartition.exact(5.0)
    assert (result.lower, result.estimate, result.upper) == (5.0, 5.0, 5.0)
    assert result.standard_error == 0
    assert result.effective_sample_size == math.inf
    with pytest.raises(AttributeError):
        result.estimate = 6.0


def test_a_conservative_bracket_takes_the_half_that_knows_more():
    """A quarter of the reverse chains in the heavy mode: the mean of all is too low."""
    up, light = gaussian_work(-4.0, 0.3, (1, 1, 100))
    _, heavy = gaussian_work(4.0, 0.3, (1, 1, 100))
    down = torch.where(torch.arange(100) < 25, heavy + 1, light)
    assert down.mean() < -0.5
    result = LogPartition.bracket(0.0, up, down, method="ais", conservative=True)
    assert result.lower < 0 < result.upper


@pytest.mark.parametrize("conservative", [False, True])
@pytest.mark.parametrize("n_chains", [2, 3, 4, 5])
def test_few_chains(n_chains, conservative):
    up, down = gaussian_work(0.0, 1.0, (1, 1, n_chains))
    result = LogPartition.bracket(
        0.0, up, down, method="ais", conservative=conservative
    )
    assert math.isfinite(result.standard_error)
    assert -math.inf < result.lower < result.upper < math.inf


def upper_end(y):
    """The larger upper end of both halves, and the interval of a mean over groups.

    Groups of five where the variance of y is below one, and of one above five.
    """
    size = 5 if y.var() < 1 else 1
    ends = []
    for half in np.split(y, 2):
        groups = half.reshape(-1, size)
        each = np.log(size) - special.logsumexp(-groups, axis=1)
        ends.append(each.mean() + stats.norm.ppf(0.975) * stats.sem(each))
    return max(ends)


@pytest.mark.parametrize("sigma", [0.8, 3.0])
@pytest.mark.parametrize("conservative", [False, True])
def test_ends_are_those_of_intervals_of_95_percent(conservative, sigma):
    up, down = gaussian_work(3.0, sigma, (1, 1, 400), seed=1)
    result = LogPartition.bracket(
        2.0, up, down, method="ais", conservative=conservative
    )
    w, y = np.exp(up.numpy().ravel()), down.numpy().ravel()
    quantile = stats.norm.ppf(0.975)
    low = np.log(w.mean()) - quantile * stats.sem(w) / w.mean()
    if sigma < 1:
        assert result.lower == pytest.approx(2 + low, abs=1e-5)
    if conservative:
        high = upper_end(y)
    else:
        w = np.exp(-y)
        high = -np.log(w.mean()) + quantile * stats.sem(w) / w.mean()
    if sigma < 1 or conservative:
        assert result.upper == pytest.approx(2 + high, abs=1e-5)


def test_groups_of_chains_take_most_of_the_bias():
    """Its mean is half a variance of y above the ratio; groups of five, a tenth."""
    _, down = gaussian_work(0.0, 0.9, (1, 1, 100_000), seed=2)
    each = 0.5 * 0.9**2
    grouped = LogPartition.bracket(0.0, -down, down, method="ais", conservative=True)
    assert 0.05 < grouped.upper < 0.3 * each


@pytest.mark.parametrize("gap", [2.0, 4.0, 12.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_conservative_bracket_of_modes_that_are_mixed_at_random(gap, seed):
    """A mode of mass 1/2 that has e^-gap in the base: reverse chains have 1/4 in it.

    Forward chains are in it as often as the base is. The log of the ratio is 0.
    """
    rng = np.random.default_rng(seed)
    base = math.exp(-gap)
    ratio = np.log([0.5 / base, 0.5 / (1 - base)])
    modes = (rng.random((2, 200)) > [[base], [0.25]]).astype(int)
    up, down = torch.tensor(ratio[modes] + 0.3 * rng.normal(size=(2, 200)))
    result = LogPartition.bracket(
        0.0,
        up[None, None] - 0.045,
        down[None, None] + 0.045,
        method="ais",
        conservative=True,
    )
    assert result.lower < 0 < result.upper


def test_modes_in_wrong_proportions_are_in_the_bracket():
    """Half of the reverse chains are in the light one of two modes, in A 1 of 2000.

    The weights of a mode of mass p, that annealing from the base reaches with
    probability q, are p / q; by the mean of all chains the bracket would be too low.
    """
    generator = torch.Generator().manual_seed(0)
    mass = torch.tensor([1 - 5e-4, 5e-4], dtype=torch.float64)
    reached = torch.tensor([0.2, 0.8], dtype=torch.float64)
    noise = 0.2 * torch.randn(2, 100, generator=generator, dtype=torch.float64)
    of_modes = (mass / reached).log()  # log Z is 0
    down = of_modes[torch.arange(100) % 2] + noise[0] + 0.02
    up = of_modes[1] + noise[1] - 0.02  # none of 100 forward chains found the heavy one
    result = LogPartition.bracket(
        0.0, up[None, None], down[None, None], method="ais", conservative=True
    )
    assert result.lower < 0 < result.upper
    assert _upper_limit(down) < 0


@pytest.mark.parametrize("law", ["normal", "exponential", "uniform"])
def test_a_single_mode_is_not_divided(law):
    rng = np.random.default_rng(0)
    n_divided = 0
    for _ in range(300):
        y = torch.from_numpy(3 * getattr(rng, law)(size=50))
        n_divided += len(_highest_mode(y)) < 50
    assert n_divided <= (45 if law == "exponential" else 3)
    two = torch.from_numpy(np.r_[rng.normal(size=70), 9 + rng.normal(size=30)])
    assert len(_highest_mode(two)) == 30
    assert len(_highest_mode(two[:5])) == 5  # too few to tell
