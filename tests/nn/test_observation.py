"""Distributions of data given a decoder's output, against scipy.stats."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import minimize_scalar

from skgen.nn import BernoulliObservation, GaussianObservation

RNG = np.random.RandomState(0)
F = RNG.normal(size=(6, 4))
X = RNG.normal(size=(6, 4))
BITS = (RNG.uniform(size=(6, 4)) < 0.5).astype(float)


def tensors(*arrays):
    return [torch.tensor(a, dtype=torch.float64) for a in arrays]


@pytest.mark.parametrize("variance", [0.3, [0.1, 0.5, 1.0, 4.0]])
def test_gaussian_log_prob(variance):
    observation = GaussianObservation(*tensors(variance))
    expected = stats.norm(F, np.sqrt(variance)).logpdf(X).sum(axis=1)
    got = observation.log_prob(*tensors(X, F))
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    # one row of data beside several outputs
    got = observation.log_prob(*tensors(X[:1, None], F[None]))
    expected = stats.norm(F, np.sqrt(variance)).logpdf(X[:1]).sum(axis=1)
    np.testing.assert_allclose(got[0], expected, rtol=1e-12)


def by_differences(log_prob, f, step=1e-5):
    """Derivative of a function of each number."""
    return (log_prob(f + step) - log_prob(f - step)) / (2 * step)


@pytest.mark.parametrize("variance", [0.3, [0.1, 0.5, 1.0, 4.0]])
def test_gaussian_gradient(variance):
    scale = np.sqrt(variance)
    expected = by_differences(lambda f: stats.norm(f, scale).logpdf(X), F)
    got = GaussianObservation(*tensors(variance)).gradient(*tensors(X, F))
    np.testing.assert_allclose(got, expected, atol=1e-7)


@pytest.mark.parametrize("variance", [0.3, [0.1, 0.5, 1.0, 4.0]])
def test_gaussian_sample(variance, generator):
    """Kolmogorov-Smirnov, 20,000 draws: a scale 10 % off is rejected."""
    observation = GaussianObservation(*tensors(variance))
    f = torch.tensor(F[:1], dtype=torch.float64).expand(20_000, 4)
    x = observation.sample(f, generator=generator).numpy()
    z = (x - F[0]) / np.sqrt(variance)
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
        assert stats.kstest(1.1 * column, "norm").pvalue < 1e-4


def test_gaussian_adapts_to_the_mean_squared_error():
    x, f = tensors(X, F)
    error = (X - F) ** 2
    for start, expected in [(9.0, error.mean()), ([9.0] * 4, error.mean(axis=0))]:
        observation = GaussianObservation(*tensors(start), floor=1e-6)
        for _ in range(400):
            observation.adapt_(x, f)
        np.testing.assert_allclose(observation.variance, expected, rtol=1e-6)


def test_gaussian_floor_and_fixed_variance():
    x, _ = tensors(X, F)
    learned = GaussianObservation(*tensors(1.0), floor=0.25)
    fixed = GaussianObservation(*tensors(1.0))
    for _ in range(400):
        learned.adapt_(x, x)
        fixed.adapt_(x, x)
    assert learned.variance == pytest.approx(0.25)
    assert fixed.variance == 1.0


def best_multiple(variance, error, by):
    """The multiple of noise variances that is most likely, by search."""

    def deviance(log_c):
        v = np.exp(log_c) * variance
        return (by @ (error / v + np.log(v))).sum()

    return np.exp(minimize_scalar(deviance, tol=1e-10).x)


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("weight", [None, [0.5, 1.5, 0.1, 2.9, 1.0, 0.0]])
def test_gaussian_variances_in_proportion(weight, always):
    """All are multiplied by the same number, the most likely one, until a floor."""
    x, f = tensors(X, F)
    start = np.array([0.1, 0.5, 1.0, 4.0])
    by = np.full(6, 1 / 6) if weight is None else np.array(weight) / 6
    expected = start * best_multiple(start, (X - F) ** 2, by)

    def adapted(floor, **params):
        given = {"in_proportion": True} if always else {}
        observation = GaussianObservation(*tensors(start), floor=floor, **given)
        for _ in range(400):
            observation.adapt_(
                x, f, *tensors(*[] if weight is None else [weight]), **params
            )
        return observation.variance.numpy()

    params = {} if always else {"in_proportion": True}
    np.testing.assert_allclose(adapted(1e-6, **params), expected, rtol=1e-6)
    if not always:
        error = by @ (X - F) ** 2
        np.testing.assert_allclose(adapted(1e-6), error, rtol=1e-6)
    floor = expected[1] * 1.5
    limited = adapted(torch.tensor([floor, 0.0, 0.0, 0.0]), **params)
    assert limited[0] == pytest.approx(floor)


def test_a_mini_batch_of_much_weight_is_all_that_counts():
    """It moves the running mean to its own error, and never beyond."""
    observation = GaussianObservation(*tensors([9.0] * 4), floor=1e-6)
    weight = torch.tensor([10.0, 20.0, 300.0, 40.0, 50.0, 60.0]).double()
    observation.adapt_(*tensors(X, F), weight)
    expected = np.average((X - F) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(observation.variance, expected)


def test_bernoulli_log_prob():
    observation = BernoulliObservation()
    p = 1 / (1 + np.exp(-F))
    expected = stats.bernoulli(p).logpmf(BITS).sum(axis=1)
    np.testing.assert_allclose(
        observation.log_prob(*tensors(BITS, F)), expected, rtol=1e-12
    )
    np.testing.assert_allclose(observation.mean(*tensors(F)), p, rtol=1e-12)


def test_bernoulli_log_prob_of_grey_is_a_cross_entropy():
    grey = RNG.uniform(size=F.shape)
    p = 1 / (1 + np.exp(-F))
    expected = np.sum(grey * np.log(p) + (1 - grey) * np.log(1 - p), axis=1)
    got = BernoulliObservation().log_prob(*tensors(grey, F))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_bernoulli_gradient():
    """Of bits and of grey values, which are left as they were."""
    for x in (BITS, RNG.uniform(size=F.shape)):
        expected = by_differences(
            lambda f, x=x: (
                x * stats.logistic.logcdf(f) + (1 - x) * stats.logistic.logsf(f)
            ),
            F,
        )
        data, f = tensors(x, F)
        got = BernoulliObservation().gradient(data, f)
        np.testing.assert_allclose(got, expected, atol=1e-8)
        np.testing.assert_array_equal(data, x)
        np.testing.assert_array_equal(f, F)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bernoulli_log_prob_at_extreme_logits(dtype):
    f = torch.tensor([[200.0, -200.0]], dtype=dtype)
    observation = BernoulliObservation()
    right, wrong = torch.tensor([[1.0, 0.0]], dtype=dtype), torch.tensor([[0.0, 1.0]])
    assert observation.log_prob(right, f).item() == pytest.approx(0, abs=1e-30)
    assert observation.log_prob(wrong.to(dtype), f).item() == pytest.approx(-400)
    assert observation.gradient(right, f).abs().max().item() < 1e-30
    assert observation.gradient(wrong.to(dtype), f).tolist() == [[-1.0, 1.0]]


def test_bernoulli_log_prob_at_large_logits():
    """The log of a probability near 1 is small, and not zero."""
    f = torch.tensor([[21.0], [25.0]], dtype=torch.float64)
    got = BernoulliObservation().log_prob(torch.ones_like(f), f)
    np.testing.assert_allclose(got, stats.logistic.logcdf([21, 25]), rtol=1e-3)


def test_bernoulli_sample(generator):
    """Means of 40,000 bits within 4.5 standard errors; off by 0.02 is rejected."""
    f = torch.tensor([[-1.0, 0.0, 2.0]], dtype=torch.float64)
    p = 1 / (1 + np.exp(-f.numpy()[0]))
    x = BernoulliObservation().sample(f.expand(40_000, 3), generator=generator)
    assert set(np.unique(x)) == {0.0, 1.0}
    error = np.sqrt(p * (1 - p) / 40_000)
    assert (np.abs(x.numpy().mean(axis=0) - p) < 4.5 * error).all()
    assert (np.abs(x.numpy().mean(axis=0) - p - 0.02) > 4.5 * error).all()


def test_observe(generator):
    grey = torch.full((5, 400), 0.3)
    assert BernoulliObservation().observe(grey, generator=generator) is grey
    sampled = BernoulliObservation(sampled=True)
    anew = [sampled.observe(grey, generator=generator) for _ in range(2)]
    assert not torch.equal(*anew)
    fixed = [sampled.observe(grey, generator=None) for _ in range(2)]
    assert torch.equal(*fixed)
    for bits in (*anew, *fixed):
        assert bits.unique().tolist() == [0, 1]
        assert 0.2 < bits.mean() < 0.4


@pytest.mark.parametrize("each", [False, True])
def test_gaussian_adapts_to_the_weighted_squared_error(each):
    """A row of weight 0 has no influence, nor has a mini-batch without weight."""
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0], [50.0, 50.0]], dtype=torch.float64)
    f, weight = torch.zeros_like(x), torch.tensor([0.5, 1.5, 0.0]).double()
    start = torch.ones(2 if each else ()).double()
    expected = (np.array([0.5, 1.5]) @ x[:2].numpy() ** 2) / 2
    observation = GaussianObservation(start.clone(), floor=1e-3)
    observation.adapt_(x, f, weight)
    # The mean weight is 2/3: so much less than usual the variance moves.
    moved = (observation.variance - start).numpy() / (0.05 * 2 / 3)
    np.testing.assert_allclose(moved + 1, expected if each else expected.mean())
    observation.adapt_(x, f, torch.zeros(3).double())
    np.testing.assert_allclose((observation.variance - start) / (0.05 * 2 / 3), moved)
    same = GaussianObservation(start.clone(), floor=1e-3)
    same.adapt_(x, f, torch.ones(3).double())
    plain = GaussianObservation(start.clone(), floor=1e-3)
    plain.adapt_(x, f)
    np.testing.assert_allclose(same.variance, plain.variance)


def test_the_running_variance_is_the_weighted_one_over_mini_batches(generator):
    """Rows of weight 9.1 with error 100, one in ten; the others weigh 0.1, error 0.

    The weighted mean is 91. Were heavy mini-batches to count no more than average ones,
    it would be 52.
    """
    observation = GaussianObservation(torch.tensor(90.0).double(), floor=1e-6)
    f, seen = torch.zeros(1, 1).double(), []
    for _ in range(10_000):
        heavy = torch.rand((), generator=generator) < 0.1
        x = torch.full((1, 1), 10.0 if heavy else 0.0).double()
        observation.adapt_(x, f, torch.tensor([9.1 if heavy else 0.1]).double())
        seen.append(observation.variance.item())
    assert abs(np.mean(seen[1000:]) - 91) < 3
