"""Binary units against enumeration, and units of another kind in the same code.

Gaussian visible units are defined here, with an RBM of them whose distribution is a
mixture of 2^n_hidden Gaussians in closed form. Chains are compared with its mean and
covariance in units of standard errors, which are exact: the fourth moments of the
mixture are known as well.
"""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM, all_states
from scipy import stats
from scipy.special import expit, logsumexp
from torch import nn

from skgen.rbm import (
    RBM,
    ContrastiveDivergence,
    TemperedRBM,
    log_partition_exact,
    log_partition_trajectory,
)
from skgen.rbm._partition_annealed import annealed_log_weights
from skgen.rbm._scaled import log_partition_of_independent_units
from skgen.rbm._units import BernoulliUnits, Units, draw_independent
from skgen.rbm._workspace import ComputeParameters, Workspace
from skgen.sampling import RandomBits, gibbs
from skgen.training import Batch

BIASES = np.array([-1.5, 0.0, 0.3, 2.0])
OTHER_BIASES = np.array([0.5, -1.0, 0.3, 3.0])
INPUTS = np.array([[-30.0, -1.0, 0.0, 0.5], [2.0, 20.5, -0.25, 700.0]])
STATES = np.array([0.0, 1.0])


@pytest.fixture
def units():
    return BernoulliUnits(torch.tensor(BIASES))


@pytest.fixture
def others():
    return BernoulliUnits(torch.tensor(OTHER_BIASES))


def weights_of_states(inputs):
    """Log weights x u of both states, on a new last axis."""
    return np.asarray(inputs)[..., None] * STATES


def test_energy(units):
    u = all_states(4)
    expected = [-sum(b * s for b, s in zip(BIASES, row, strict=True)) for row in u]
    np.testing.assert_allclose(units.energy(torch.tensor(u)), expected, atol=1e-14)


def test_energy_difference(units, others):
    u = torch.tensor(all_states(4))
    expected = units.energy(u) - others.energy(u)
    got = units.energy_difference(others, u)
    np.testing.assert_allclose(got, expected, atol=1e-14)
    np.testing.assert_allclose(others.energy_difference(units, u), -expected)


def test_energy_difference_of_close_biases_is_exact():
    """In float32, where the difference of two energies would be 0 or far off."""
    bias = torch.full((100,), 1.0)
    step = 2.0**-23
    u = torch.ones(1, 100)
    one, other = BernoulliUnits(bias), BernoulliUnits(bias + step)
    assert one.energy_difference(other, u).item() == 100 * step
    assert (one.energy(u) - other.energy(u)).item() != 100 * step


def test_log_partition(units):
    got = units.log_partition(torch.tensor(INPUTS)).numpy()
    assert got.shape == INPUTS.shape
    np.testing.assert_allclose(
        got, logsumexp(weights_of_states(INPUTS), axis=-1), rtol=1e-14
    )


def test_log_partition_is_that_of_energies(units):
    """The input of the other layer is the total input without the bias."""
    total = np.zeros_like(INPUTS)
    for i, j in np.ndindex(INPUTS.shape):
        states = np.zeros((2, 4))
        states[1, j] = 1
        energies = units.energy(torch.tensor(states)).numpy()
        coupled = units.coupled(torch.tensor(states)).numpy()[:, j]
        total[i, j] = logsumexp(-energies + (INPUTS[i, j] - BIASES[j]) * coupled)
    got = units.log_partition(torch.tensor(INPUTS))
    np.testing.assert_allclose(got, total, rtol=1e-12)


def test_mean_is_in_place(units):
    weights = weights_of_states(INPUTS)
    p = np.exp(weights - logsumexp(weights, axis=-1, keepdims=True))
    inputs = torch.tensor(INPUTS)
    got = units.mean_(inputs)
    assert got is inputs
    np.testing.assert_allclose(got, p @ STATES, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("source", ["generator", "bits"])
@pytest.mark.parametrize("out", ["new", "other", "mean"])
def test_sample(units, generator, source, out):
    """Joint states of three units, chi-square; wrong means are rejected."""
    p = np.array([0.1, 0.5, 0.8])
    mean = torch.tensor(p).repeat(20_000, 1)
    into = {"new": None, "other": torch.empty_like(mean), "mean": mean}[out]
    noise = generator if source == "generator" else RandomBits(generator)
    got = units.sample(mean, generator=noise, out=into)
    assert into is None or got is into
    assert got.dtype == mean.dtype
    counts = np.bincount((got.numpy() @ [4, 2, 1]).astype(int), minlength=8)
    assert counts.sum() == 20_000

    def pvalue(p):
        law = np.prod(np.where(all_states(3) == 1, p, 1 - p), axis=1)
        return stats.chisquare(counts, 20_000 * law).pvalue

    assert pvalue(p) > 1e-3
    assert pvalue(p + np.array([0.03, 0, 0])) < 1e-6
    # Inputs that were not turned into means would be seen.
    assert pvalue(expit(p)) < 1e-6


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_interpolation_is_of_energies(units, others, t):
    u = torch.tensor(all_states(4))
    middle = units.interpolate(others, t)
    assert isinstance(middle, BernoulliUnits)
    expected = (1 - t) * units.energy(u) + t * others.energy(u)
    np.testing.assert_allclose(middle.energy(u), expected, atol=1e-14)
    # Those at the ends stay what they were.
    np.testing.assert_array_equal(units.bias, BIASES)
    np.testing.assert_array_equal(others.bias, OTHER_BIASES)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_scaled(units, beta):
    u = torch.tensor(all_states(4))
    got = units.scaled(beta)
    assert isinstance(got, BernoulliUnits)
    np.testing.assert_allclose(got.energy(u), beta * units.energy(u), atol=1e-14)
    np.testing.assert_array_equal(units.bias, BIASES)


def test_with_bias(units, others):
    u = torch.tensor(all_states(4))
    got = units.with_bias(others.bias)
    assert isinstance(got, BernoulliUnits)
    np.testing.assert_array_equal(got.energy(u), others.energy(u))
    np.testing.assert_array_equal(units.bias, BIASES)


def test_bits_are_coupled_as_they_are(units):
    u = torch.tensor(all_states(4))
    np.testing.assert_array_equal(units.coupled(u), u)


def test_draw_independent(units, generator):
    """Against the energies: P(u) is proportional to exp(-U(u))."""
    n = 20_000
    got = draw_independent(units, n, generator=generator).numpy()
    u = all_states(4)
    log_weight = -units.energy(torch.tensor(u)).numpy()
    counts = np.bincount((got @ [8, 4, 2, 1]).astype(int), minlength=16)
    p = np.exp(log_weight - logsumexp(log_weight))
    assert stats.chisquare(counts, n * p).pvalue > 1e-3
    assert stats.chisquare(counts, np.full(16, n / 16)).pvalue < 1e-6
    np.testing.assert_array_equal(units.bias, BIASES)


class GaussianUnits(Units):
    """Units with U(v) = sum (v - c)^2 / 2 s^2, which enter interactions as v / s^2."""

    def __init__(self, bias, variance):
        super().__init__(bias)
        self.variance = variance

    def energy(self, states):
        return ((states - self.bias) ** 2 / (2 * self.variance)).sum(1)

    def energy_difference(self, other, states):
        return self.energy(states) - other.energy(states)

    def log_partition(self, inputs):
        log_norm = 0.5 * torch.log(2 * torch.pi * self.variance)
        return log_norm + (inputs**2 - self.bias**2) / (2 * self.variance)

    def mean_(self, inputs):
        return inputs

    def sample(self, mean, *, generator, out=None):
        if isinstance(generator, RandomBits):
            generator = generator.generator
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
        return torch.add(mean, noise * self.variance.sqrt(), out=out)

    def interpolate(self, other, t):
        # Of the same variance, up to a constant in the energy.
        return self.with_bias(torch.lerp(self.bias, other.bias, t))

    def with_bias(self, bias):
        return type(self)(bias, self.variance)

    def scaled(self, beta):
        return type(self)(self.bias, self.variance / beta)

    def coupled(self, states):
        return states / self.variance


class UnitsWithoutNoise(GaussianUnits):
    """The wrong twin: every state is the mean."""

    def sample(self, mean, *, generator, out=None):
        return mean.clone() if out is None else out.copy_(mean)


class UnitsCoupledAsBits(GaussianUnits):
    """The wrong twin: v instead of v / s^2."""

    def coupled(self, states):
        return states


class GaussianBernoulliRBM(RBM):
    """Gaussian visible and binary hidden units."""

    def __init__(self, weight, hidden_bias, visible_bias, variance, kind=GaussianUnits):
        super().__init__(weight)
        self.hidden_bias = nn.Parameter(hidden_bias)
        self.visible_bias = nn.Parameter(visible_bias)
        self.register_buffer("variance", variance)
        self.kind = kind

    @property
    def visible(self):
        return self.kind(self.visible_bias, self.variance)

    @property
    def hidden(self):
        return BernoulliUnits(self.hidden_bias)


class Moments(NamedTuple):
    """Mean and covariance, and standard errors of them from one draw."""

    mean: np.ndarray
    covariance: np.ndarray
    mean_error: np.ndarray
    covariance_error: np.ndarray


class Mixture:
    """The distribution of v, one Gaussian for each hidden state, in numpy."""

    def __init__(self, n_visible, n_hidden, seed, scale=0.8):
        rng = np.random.RandomState(seed)
        self.W = rng.normal(0, scale, (n_hidden, n_visible))
        self.b, self.c = rng.normal(size=n_hidden), rng.normal(size=n_visible)
        self.variance = rng.uniform(0.3, 2.0, n_visible)
        self.H = all_states(n_hidden)
        shift = self.H @ self.W
        terms = (self.c * shift + shift**2 / 2) / self.variance
        log_weight = self.H @ self.b + terms.sum(1)
        log_norm = n_visible / 2 * np.log(2 * np.pi) + np.log(self.variance).sum() / 2
        self.log_z = logsumexp(log_weight) + log_norm
        self.log_weight = log_weight - logsumexp(log_weight)
        self.centers = self.c + shift

    def model(self, kind=GaussianUnits):
        arrays = self.W, self.b, self.c, self.variance
        return GaussianBernoulliRBM(*map(torch.tensor, arrays), kind=kind)

    def log_density(self, v):
        std = np.sqrt(self.variance)
        each = stats.norm.logpdf(v[:, None], self.centers, std).sum(-1)
        return logsumexp(each + self.log_weight, axis=1)

    @property
    def moments(self):
        p, s2 = np.exp(self.log_weight), self.variance
        mean = p @ self.centers
        d = self.centers - mean
        second = d[:, :, None] * d[:, None] + np.diag(s2)
        covariance = np.einsum("h,hij->ij", p, second)
        # <x_i^2 x_j^2> around the mean, of independent x_i given h.
        square = d**2 + s2
        fourth = square[:, :, None] * square[:, None]
        i = np.arange(len(s2))
        fourth[:, i, i] = d**4 + 6 * d**2 * s2 + 3 * s2**2
        variance = np.einsum("h,hij->ij", p, fourth) - covariance**2
        return Moments(
            mean, covariance, np.sqrt(np.diag(covariance)), np.sqrt(variance)
        )

    def distance(self, v):
        """Largest error of mean and covariance, in standard errors."""
        exact, root_n = self.moments, np.sqrt(len(v))
        z = np.abs(v.mean(0) - exact.mean) / (exact.mean_error / root_n)
        deviation = v - exact.mean
        covariance = deviation.T @ deviation / len(v)
        errors = exact.covariance_error / root_n
        return max(z.max(), (np.abs(covariance - exact.covariance) / errors).max())

    def draws(self, n, seed):
        """Independent draws of v and of the hidden state of each."""
        rng = np.random.RandomState(seed)
        h = rng.choice(len(self.H), size=n, p=np.exp(self.log_weight))
        noise = rng.normal(size=(n, len(self.c))) * np.sqrt(self.variance)
        return self.centers[h] + noise, self.H[h]


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
    assert distance(UnitsCoupledAsBits) > 20


@pytest.mark.parametrize("factor_dtype", [None, torch.bfloat16])
def test_compute_parameters_take_gaussian_units(mixture, factor_dtype):
    """To rounding: with factors in bfloat16, three of 2^-9 in each term of a sum.

    The logistic function shrinks errors by a factor of 4 at least.
    """
    model, v = mixture.model(), torch.tensor(points(mixture))
    h = torch.tensor(mixture.H)
    parameters = ComputeParameters(model, factor_dtype)
    parameters.update_()
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
        workspace = Workspace(small.model(kind), 5, N_CHAINS, factor_dtype=None)
        workspace.data.fill_(7.0)
        h = torch.tensor(states)
        workspace.run_chains_(h, n_steps, RandomBits(generator))
        assert (workspace.data == 7.0).all()
        assert (n_steps > 1) == (not torch.equal(h, torch.tensor(states)))
        return small.distance(workspace.chain_ends.numpy())

    assert distance(GaussianUnits) < 4.5
    assert distance(UnitsWithoutNoise) > 20
    # One draw of v given h does not depend on what v is coupled by.
    assert n_steps == 1 or distance(UnitsCoupledAsBits) > 20


def test_draw_independent_gaussian_units(generator):
    """Those of no hidden unit: normal around the biases."""
    bias, variance = torch.tensor([-1.0, 2.0]), torch.tensor([0.5, 3.0])
    units = GaussianUnits(bias, variance)
    v = draw_independent(units, 20_000, generator=generator).numpy()
    for column, c, s2 in zip(v.T, bias.numpy(), variance.numpy(), strict=True):
        assert stats.kstest(column, "norm", (c, np.sqrt(s2))).pvalue > 1e-3
        assert stats.kstest(column, "norm", (c, s2)).pvalue < 1e-6


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

    arrays = small.W, small.b, small.c, small.variance
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


@pytest.mark.parametrize("centered", [False, True])
def test_gradient_of_gaussian_units_in_equilibrium(centered):
    """Contrastive divergence sees s(v): the gradient of W and of both biases.

    Persistent chains are draws of the model; the tolerance is 6 standard errors,
    estimated from ten parts. With v in place of s(v) each column of W is off by the
    variance of its unit.
    """
    mixture, n = Mixture(4, 3, seed=7), 200_000
    v, _ = mixture.draws(n, 1)
    _, h = mixture.draws(n, 2)
    data = torch.tensor(v) + 1.0

    def gradient(part, units=None):
        model = mixture.model()
        if units is not None:
            type(model).visible = units
        offsets = None, None
        if centered:
            offsets = torch.full((4,), 0.3).double(), torch.full((3,), 0.4).double()
        objective = ContrastiveDivergence(torch.tensor(h[part]), *offsets)
        generator = torch.Generator().manual_seed(0)
        objective.fill_gradients_(model, Batch(data[part]), generator=generator)
        by_w, by_c, by_b = (-p.grad for p in model.parameters())
        if centered:  # back to plain coordinates, as biases and weights are coupled
            mu, lam = objective.visible_offset, objective.hidden_offset
            db, dc = by_b + by_w.T @ lam, by_c + by_w @ mu
            by_w = by_w + torch.outer(lam, db) + torch.outer(dc, mu)
            by_b, by_c = db, dc
        return torch.cat([by_w.flatten(), by_c, by_b]).numpy()

    parts = np.array([gradient(slice(k, None, 10)) for k in range(10)])
    mean, error = parts.mean(0), parts.std(0, ddof=1) / 10**0.5
    model = mixture.model()
    log_p = -model.free_energy(data).mean() - differentiable_log_z(model, mixture)
    log_p.backward()
    exact = torch.cat([p.grad.flatten() for p in model.parameters()]).numpy()
    assert (np.abs(mean - exact) < 6 * error + 1e-12).all()
    wrong = exact[:12].reshape(3, 4) * mixture.variance
    assert np.abs((mean[:12] - wrong.ravel()) / error[:12]).max() > 20


def differentiable_log_z(model, mixture):
    """Log of the mass of the mixture, by the parameters of a model."""
    H = torch.tensor(mixture.H)
    shift, c = H @ model.weight, model.visible_bias
    each = ((c * shift + shift**2 / 2) / model.variance).sum(1)
    return torch.logsumexp(H @ model.hidden_bias + each, 0)
