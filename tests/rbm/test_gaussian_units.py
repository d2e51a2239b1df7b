"""Gaussian visible units, and an RBM of them, against mixtures of Gaussians.

The distribution of v is a mixture of 2^n_hidden Gaussians in closed form. Chains are
compared with its mean and covariance in units of standard errors, which are exact: the
fourth moments of the mixture are known as well.
"""

import numpy as np
import pytest
import torch
from gaussian_rbm_helpers import (
    Mixture,
    UnitsCoupledAsBits,
    UnitsWithoutNoise,
    UnitsWithVarianceForDeviation,
)
from oracles import EnumeratedRBM
from scipy import stats
from scipy.special import logsumexp

from skgen.rbm import (
    GaussianBernoulliRBM,
    GaussianContrastiveDivergence,
    GaussianUnits,
    TemperedRBM,
    log_partition_exact,
    log_partition_trajectory,
)
from skgen.rbm._gaussian_objective import NaturalParameters
from skgen.rbm._partition_annealed import annealed_log_weights
from skgen.rbm._scaled import log_partition_of_independent_units
from skgen.rbm._units import BernoulliUnits, draw_independent
from skgen.rbm._workspace import Workspace
from skgen.sampling import RandomBits, gibbs
from skgen.training import Batch


@pytest.fixture(params=[(4, 3), (1, 1), (6, 5), (3, 3)])
def mixture(request):
    return Mixture(*request.param, seed=7)


@pytest.fixture
def small():
    return Mixture(4, 3, seed=7)


N_CHAINS = 100_000


def points(mixture, n=50):
    return np.random.RandomState(0).normal(0, 3, (n, len(mixture.c)))


def test_mixture_by_quadrature():
    """The oracle: log Z and the moments of one visible unit, on a grid of v."""
    mixture = Mixture(1, 3, seed=5)
    v = np.linspace(-30, 30, 20_001)
    energy = (v[:, None] - mixture.c) ** 2 / (2 * mixture.variance)
    coupled = v[:, None] / mixture.variance * (mixture.H @ mixture.W)[:, 0]
    log_joint = -energy + coupled + mixture.H @ mixture.b
    log_p, step = logsumexp(log_joint, axis=1), v[1] - v[0]
    assert logsumexp(log_p) + np.log(step) == pytest.approx(mixture.log_z, abs=1e-10)
    p = np.exp(log_p - mixture.log_z) * step
    mean = p @ v
    d = v - mean
    expected = mean, p @ d**2, np.sqrt(p @ d**2), np.sqrt(p @ d**4 - (p @ d**2) ** 2)
    for got, e in zip(mixture.moments, expected, strict=True):
        np.testing.assert_allclose(np.squeeze(got), e, rtol=1e-9)


def test_oracle_draws_have_its_moments(small):
    assert small.distance(small.draws(N_CHAINS, seed=1)[0]) < 4.5


def test_gaussian_energy_is_that_of_the_free_energy(mixture):
    """The sum over h of exp(-E)."""
    model, v = mixture.model(), torch.tensor(points(mixture))
    h = torch.tensor(mixture.H)
    with torch.no_grad():
        energies = [model.energy(v, state.expand(len(v), -1)) for state in h]
        total = torch.stack(energies).neg().logsumexp(0)
        np.testing.assert_allclose(total, -model.free_energy(v), rtol=1e-12)


def test_gaussian_energy_by_hand(mixture):
    v = points(mixture, 8)
    h = mixture.H[np.arange(8) % len(mixture.H)]
    potential = ((v - mixture.c) ** 2 / (2 * mixture.variance)).sum(1)
    coupled = np.einsum("nj,ji,ni->n", h, mixture.W, v / mixture.variance)
    energy = mixture.model().energy(torch.tensor(v), torch.tensor(h)).detach()
    np.testing.assert_allclose(energy, potential - h @ mixture.b - coupled, rtol=1e-12)


def test_gaussian_log_partition_exact(mixture):
    with torch.no_grad():
        assert abs(log_partition_exact(mixture.model()) - mixture.log_z) < 1e-10


def test_gaussian_free_energy_is_that_of_the_mixture(mixture):
    model, v = mixture.model(), points(mixture)
    with torch.no_grad():
        log_z = log_partition_exact(model)
        log_density = -model.free_energy(torch.tensor(v)).numpy() - log_z
        wrong = -mixture.model(UnitsCoupledAsBits).free_energy(torch.tensor(v)).numpy()
    np.testing.assert_allclose(log_density, mixture.log_density(v), rtol=1e-10)
    assert np.abs(wrong - log_z - mixture.log_density(v)).max() > 0.01


def test_gaussian_conditionals(mixture):
    """P(h | v) by Bayes' rule over the mixture, and the centers of the Gaussians."""
    model, v = mixture.model(), points(mixture)
    std = np.sqrt(mixture.variance)
    log_joint = stats.norm.logpdf(v[:, None], mixture.centers, std).sum(-1)
    log_joint += mixture.log_weight
    p_h = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
    with torch.no_grad():
        hidden = model.hidden_mean(torch.tensor(v))
        visible = model.visible_mean(torch.tensor(mixture.H))
        np.testing.assert_array_equal(model(torch.tensor(v)), hidden)
    np.testing.assert_allclose(hidden, p_h @ mixture.H, atol=1e-12)
    np.testing.assert_allclose(visible, mixture.centers, atol=1e-12)


@pytest.mark.parametrize("start", ["law", "zeros"])
def test_gibbs_chains_of_gaussian_units(small, generator, start):
    """Moments of the last states: 14 z-scores, at most 4.5 with probability 0.9999.

    Chains from the law must keep it; those from zeros must find it in 60 steps.
    Without noise, or coupled as bits, they are tens of standard errors away.
    """
    v = torch.zeros(N_CHAINS, 4, dtype=torch.float64)
    if start == "law":
        v = torch.tensor(small.draws(N_CHAINS, seed=1)[0])
    n_steps = 2 if start == "law" else 60

    def distance(kind):
        with torch.no_grad():
            after = gibbs(small.model(kind), v, n_steps, generator=generator)
        assert after.shape == v.shape
        return small.distance(after.numpy())

    assert distance(GaussianUnits) < 4.5
    assert distance(UnitsWithoutNoise) > 20
    assert start == "zeros" or distance(UnitsWithVarianceForDeviation) > 20
    assert distance(UnitsCoupledAsBits) > 20


@pytest.mark.parametrize("factor_dtype", [None, torch.bfloat16])
def test_compute_parameters_take_gaussian_units(mixture, factor_dtype):
    """To rounding: with factors in bfloat16, three of 2^-9 in each term of a sum.

    The logistic function shrinks errors by a factor of 4 at least.
    """
    model, v = mixture.model(), torch.tensor(points(mixture))
    h = torch.tensor(mixture.H)
    parameters = NaturalParameters(model, factor_dtype)
    hidden = parameters.hidden_mean(v, out=v.new_empty(len(v), h.shape[1]))
    visible = parameters.visible_mean(h, out=h.new_empty(len(h), v.shape[1]))
    rounding = 1e-12 if factor_dtype is None else 2.0**-7
    with torch.no_grad():
        weight = model.weight.abs()
        bound = rounding * (model.visible.coupled(v).abs() @ weight.T) / 4 + 1e-12
        assert ((hidden - model.hidden_mean(v)).abs() <= bound).all()
        # Coupled as bits, they would be further away.
        wrong = mixture.model(UnitsCoupledAsBits).hidden_mean(v)
        assert ((wrong - hidden).abs() > 2 * bound).any()
        bound = rounding * (h @ weight) + 1e-12
        assert ((visible - model.visible_mean(h)).abs() <= bound).all()


@pytest.mark.parametrize("n_steps", [1, 3])
def test_chains_of_a_workspace_take_gaussian_units(small, generator, n_steps):
    """From hidden states of the law, visible states of the law; other rows stay."""
    _, states = small.draws(N_CHAINS, seed=1)

    def distance(kind):
        model = small.model()
        parameters = NaturalParameters(model, None)
        parameters.visible = kind(model.visible_bias.detach(), model.variance.detach())
        workspace = Workspace(parameters, 5, N_CHAINS)
        workspace.data.fill_(7.0)
        h = torch.tensor(states)
        workspace.run_chains_(h, n_steps, RandomBits(generator))
        assert (workspace.data == 7.0).all()
        assert (n_steps > 1) == (not torch.equal(h, torch.tensor(states)))
        return small.distance(workspace.chain_ends.numpy())

    assert distance(GaussianUnits) < 4.5
    assert distance(UnitsWithoutNoise) > 20
    assert distance(UnitsWithVarianceForDeviation) > 20


def test_natural_parameters_follow_the_model(mixture):
    """After a change of weights and variances in place, as by a training step."""
    model, v = mixture.model(), torch.tensor(points(mixture))
    parameters = NaturalParameters(model, None)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3)
        out = v.new_empty(len(v), len(mixture.b))
        parameters.update_()
        expected = model.hidden_mean(v)
        np.testing.assert_allclose(parameters.hidden_mean(v, out=out), expected)
        assert torch.allclose(parameters.visible.variance, model.variance)


def test_draw_independent_gaussian_units(generator):
    """Those of no hidden unit: normal around the biases."""
    bias, variance = torch.tensor([-1.0, 2.0]), torch.tensor([0.5, 3.0])
    units = GaussianUnits(bias, variance)
    v = draw_independent(units, 20_000, generator=generator).numpy()
    for column, c, s2 in zip(v.T, bias.numpy(), variance.numpy(), strict=True):
        assert stats.kstest(column, stats.norm(c, np.sqrt(s2)).cdf).pvalue > 1e-3
        assert stats.kstest(column, stats.norm(c, s2).cdf).pvalue < 1e-6


def test_tempered_model_of_gaussian_units(small):
    """Independent units at 0, the model at 1, in between the formula."""
    model, v = small.model(), points(small)
    base = model.visible.with_bias(torch.linspace(-1, 1, 4, dtype=torch.float64))
    with torch.no_grad():
        for beta in (0.0, 0.4, 1.0):
            tempered = TemperedRBM(model, base, beta)
            c = (1 - beta) * base.bias.numpy() + beta * small.c
            inputs = beta * (v / small.variance @ small.W.T + small.b)
            expected = ((v - c) ** 2 / (2 * small.variance)).sum(1)
            expected = expected - np.logaddexp(0, inputs).sum(1)
            np.testing.assert_allclose(
                tempered.free_energy(torch.tensor(v)), expected, rtol=1e-12
            )
            mean = tempered.visible_mean(torch.tensor(small.H))
            np.testing.assert_allclose(mean, c + beta * small.H @ small.W, atol=1e-12)
    bits = TemperedRBM(model, base, 0.0)
    log_z0 = 0.5 * np.log(2 * np.pi * small.variance).sum() + 3 * np.log(2)
    assert log_partition_of_independent_units(bits) == pytest.approx(log_z0, rel=1e-12)


def test_estimates_of_log_z_take_gaussian_units(small, generator):
    """Weights of annealing, and ratios along a trajectory of replicas."""
    model = small.model()
    base = model.visible.with_bias(torch.tensor(small.moments.mean))
    with torch.no_grad():
        models = [TemperedRBM(model, base, k / 20) for k in range(21)]
        v = draw_independent(base, 20_000, generator=generator)
        log_w = annealed_log_weights(models, v, generator=generator)
        result = log_partition_trajectory(
            [model], base, n_chains=200, n_steps=100, generator=generator
        )
    log_z0 = log_partition_of_independent_units(models[0])
    w, ratio = log_w.exp().numpy(), np.exp(small.log_z - log_z0)
    error = w.std() / np.sqrt(len(w))
    assert abs(w.mean() - ratio) < 4 * error
    assert error < 0.02 * ratio
    assert result.lower <= small.log_z <= result.upper
    assert result.upper - result.lower < 0.6


def test_binary_rbm_of_the_same_parameters_is_another_model(small):
    """The units alone make the difference: with binary ones it is that of bits."""
    oracle = EnumeratedRBM(small.W, small.b, small.c)

    class Binary(GaussianBernoulliRBM):
        @property
        def visible(self):
            return BernoulliUnits(self.visible_bias)

    arrays = small.W, small.b, small.c, np.log(small.variance)
    model = Binary(*map(torch.tensor, arrays))
    v = torch.tensor(oracle.V)
    with torch.no_grad():
        assert abs(log_partition_exact(model) - oracle.log_z) < 1e-10
        energies = -model.free_energy(v) - oracle.log_z
    np.testing.assert_allclose(energies, oracle.log_p_v, atol=1e-10)
    assert abs(small.log_z - oracle.log_z) > 0.1


def test_exact_partition_function_enumerates_the_binary_layer():
    """Also where it is the larger one: visible units that are real have no states."""
    mixture = Mixture(3, 5, seed=7)
    with torch.no_grad():
        assert log_partition_exact(mixture.model()) == pytest.approx(mixture.log_z)


@pytest.mark.parametrize("offsets", [None, (0.0, 0.4), (0.3, 0.4)])
def test_step_of_gaussian_units_in_equilibrium(offsets):
    """The direction of a step, by the gradient that autograd has of the mixture.

    Persistent chains are draws of the model; the tolerance is 6 standard errors,
    estimated from ten parts. The gradient itself, which is that direction over the
    variances, is rejected; so is that of the variances without one of its terms.
    """
    mixture, n = Mixture(4, 3, seed=7), 200_000
    v, _ = mixture.draws(n, 1)
    _, h = mixture.draws(n, 2)
    data = torch.tensor(v) * 1.2 + 1.0
    mu, lam = (None, None) if offsets is None else offsets

    def direction(part):
        model = mixture.model()
        means = None, None
        if offsets is not None:
            means = torch.full((4,), mu).double(), torch.full((3,), lam).double()
        objective = GaussianContrastiveDivergence(torch.tensor(h[part]), *means)
        generator = torch.Generator().manual_seed(0)
        objective.fill_gradients_(model, Batch(data[part]), generator=generator)
        by_w, by_b, by_c, by_z = (-p.grad for p in model.parameters())
        if offsets is not None:  # back to plain coordinates
            l, m = objective.hidden_offset, objective.visible_offset  # noqa: E741
            c, b = by_c + by_w.T @ l, by_b + by_w @ m
            by_w = by_w + torch.outer(l, c) + torch.outer(b, m)
            by_b, by_c = b, c
        return torch.cat([by_w.flatten(), by_b, by_c, by_z]).numpy()

    parts = np.array([direction(slice(k, None, 10)) for k in range(10)])
    mean, error = parts.mean(0), parts.std(0, ddof=1) / 10**0.5
    model = mixture.model()
    log_p = -model.free_energy(data).mean() - differentiable_log_z(model, mixture)
    log_p.backward()
    by_w, by_b, by_c, by_z = (p.grad.numpy() for p in model.parameters())
    s2 = mixture.variance
    if mu:  # the hidden biases move with the weights, which are over variances
        by_z = by_z + mu * (by_b @ mixture.W) / s2
    exact = np.r_[(by_w * s2).ravel(), by_b, by_c * s2, 0.3 * by_z]
    assert (np.abs(mean - exact) < 6 * error + 1e-12).all()
    wrong = np.r_[by_w.ravel(), by_b, by_c, by_z]
    assert (np.abs(mean - wrong) > 20 * error)[:12].any()
    assert (np.abs(mean - wrong) > 20 * error)[-4:].any()
    for missing in (by_c * mixture.c, (by_w * mixture.W).sum(0)):
        assert (np.abs(mean[-4:] - exact[-4:] - 0.3 * missing) > 10 * error[-4:]).any()


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_interpolation_of_other_variances_is_of_energies(t):
    """Up to a constant; the model of two, with the interaction of both."""
    one, other = Mixture(4, 3, seed=1), Mixture(4, 3, seed=2)
    models = one.model(), other.model()
    v = torch.tensor(points(one))
    h = torch.tensor(one.H[np.arange(len(v)) % 8])
    with torch.no_grad():
        middle = models[0].interpolate(models[1], t)
        expected = torch.lerp(*(m.energy(v, h) for m in models), t)
        difference = middle.energy(v, h) - expected
        np.testing.assert_allclose(difference, difference[0].item(), atol=1e-9)
        units = models[0].visible.interpolate(models[1].visible, t)
        expected = torch.lerp(*(m.visible.energy(v) for m in models), t)
        difference = units.energy(v) - expected
        np.testing.assert_allclose(difference, difference[0].item(), atol=1e-10)


def test_energy_difference_of_close_centers_is_exact():
    """In float32, where the difference of two energies would be 0 or far off."""
    variance, step = torch.full((100,), 1e-4), 2.0**-23
    one = GaussianUnits(torch.full((100,), 1.0), variance)
    other = one.with_bias(one.bias + step)
    v = torch.full((1, 100), 2.0)
    exact = 100 * step / 1e-4 * (1 - step / 2)
    assert one.energy_difference(other, v).item() == pytest.approx(exact, rel=1e-5)
    assert other.energy_difference(one, v).item() == pytest.approx(-exact, rel=1e-5)
    assert (one.energy(v) - other.energy(v)).item() != pytest.approx(exact, rel=1e-3)


def test_energy_difference_of_other_variances(mixture):
    one, other = mixture.model().visible, Mixture(len(mixture.c), 1, seed=3).model()
    v = torch.tensor(points(mixture))
    with torch.no_grad():
        expected = one.energy(v) - other.visible.energy(v)
        got = one.energy_difference(other.visible, v)
    np.testing.assert_allclose(got, expected)


def test_scaled_potential(mixture):
    units, v = mixture.model().visible, torch.tensor(points(mixture))
    with torch.no_grad():
        np.testing.assert_allclose(units.scaled(0.3).energy(v), 0.3 * units.energy(v))


def test_bias_of_a_mean():
    units = GaussianUnits(torch.zeros(2), torch.ones(2))
    mean, inputs = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    bias = units.bias_given_input(mean, inputs)
    np.testing.assert_array_equal(units.mean_(bias + inputs), mean)
    np.testing.assert_array_equal(units.mean_(units.bias_of_mean(mean)), mean)
    bits = BernoulliUnits(torch.zeros(2))
    p = torch.tensor([0.2, 0.9])
    np.testing.assert_allclose(bits.mean_(bits.bias_of_mean(p)), p, rtol=1e-6)
    assert bits.bias_given_input(p, inputs) is None


def differentiable_log_z(model, mixture):
    """Log of the mass of the mixture up to (2 pi)^(D/2), by a model's parameters."""
    H = torch.tensor(mixture.H)
    shift, c = H @ model.weight, model.visible_bias
    each = ((c * shift + shift**2 / 2) / model.variance).sum(1)
    log_z = torch.logsumexp(H @ model.hidden_bias + each, 0)
    return log_z + model.log_variance.sum() / 2
