"""Replica exchange against enumerated laws.

Chi-square tests at level 1e-3; wrong swaps are rejected at 1e-9 or less.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM, independent_bits
from rbm_helpers import module_of
from scipy import stats

from skgen.rbm._scaled import TemperedRBM
from skgen.rbm._units import BernoulliUnits
from skgen.sampling import (
    bernoulli,
    build_ladder,
    free_energy_differences,
    gibbs,
    metropolis_hastings,
    swap_neighbours_,
    tempering,
)

N = 100_000
ALPHA = 1e-3


@pytest.fixture
def ladder():
    """Two models of three visible units, and their tables."""
    oracles = [EnumeratedRBM.random(3, 2, seed=s, scale=1.5) for s in (1, 2)]
    return oracles, [module_of(oracle) for oracle in oracles]


def test_swap_is_in_detailed_balance(ladder):
    """pi(x, y) a(x, y) = pi(y, x) a(y, x) for all pairs of states, to 1e-12."""
    oracles, models = ladder
    i, j = (k.ravel() for k in np.meshgrid(range(8), range(8)))
    x, y = (torch.tensor(oracles[0].V[k]) for k in (i, j))
    with torch.no_grad():
        there = free_energy_differences(*models, x, y).acceptance.numpy()
        back = free_energy_differences(*models, y, x).acceptance.numpy()
    log_p, log_q = (oracle.log_p_v for oracle in oracles)
    np.testing.assert_allclose(
        np.exp(log_p[i] + log_q[j]) * there,
        np.exp(log_p[j] + log_q[i]) * back,
        rtol=1e-12,
    )
    # And it is the rule of Metropolis, the largest rates that obey it.
    ratio = np.exp(log_p[j] + log_q[i] - log_p[i] - log_q[j])
    np.testing.assert_allclose(there, np.minimum(1, ratio), rtol=1e-12)


def test_swaps_happen_as_often_as_they_should(ladder, generator):
    oracles, models = ladder
    V = torch.tensor(oracles[0].V)
    ratio = oracles[0].log_p_v - oracles[1].log_p_v
    x, y = np.argsort(ratio)[[5, 3]]
    v = V[[x, y]][:, None].repeat(1, N, 1)
    with torch.no_grad():
        found = swap_neighbours_(models, v, 0, generator=generator)
    p = np.exp(ratio[y] - ratio[x])
    assert 0.02 < p < 0.98
    np.testing.assert_allclose(found.acceptance, p)
    swapped = (v[0] == V[y]).all(1)
    assert stats.binomtest(int(swapped.sum()), N, p).pvalue > ALPHA
    assert torch.equal(swapped, (v[1] == V[x]).all(1))


def swap_on_energies_of_the_last_model(models, v, generator):
    """A wrong swap: the ratio of the last model's law alone."""
    up = models[1].free_energy(v[0]) - models[1].free_energy(v[1])
    u = torch.rand(up.shape, generator=generator, dtype=up.dtype)
    swap = u < (-up).exp()
    v.copy_(torch.where(swap[None, :, None], v.flip(0), v))


def p_values_after(swap, oracles, generator):
    """Start in equilibrium, swap once, and compare the law of each replica."""
    rng = np.random.RandomState(0)
    v = torch.stack(
        [torch.tensor(o.V[rng.choice(8, size=N, p=np.exp(o.log_p_v))]) for o in oracles]
    )
    with torch.no_grad():
        swap(v)
    return [
        stats.chisquare(
            np.bincount(o.index(end.numpy()), minlength=8), np.exp(o.log_p_v) * N
        ).pvalue
        for o, end in zip(oracles, v, strict=True)
    ]


def test_swap_leaves_both_laws_invariant(ladder, generator):
    oracles, models = ladder
    values = p_values_after(
        lambda v: swap_neighbours_(models, v, 0, generator=generator),
        oracles,
        generator,
    )
    assert min(values) > ALPHA


def test_a_wrong_swap_is_rejected(ladder, generator):
    oracles, models = ladder
    values = p_values_after(
        lambda v: swap_on_energies_of_the_last_model(models, v, generator),
        oracles,
        generator,
    )
    assert min(values) < 1e-9


def test_pairs_of_each_parity(ladder, generator):
    models = [*ladder[1], *ladder[1], ladder[1][0]]
    v = torch.zeros(5, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        assert swap_neighbours_(models, v, 0, generator=generator).up.shape == (2, 3)
        assert swap_neighbours_(models, v, 1, generator=generator).up.shape == (2, 3)
        alone = swap_neighbours_(models[:1], v[:1], 0, generator=generator)
    assert alone.up.shape == (0, 3)


def two_modes(weight=8.0, n=12, log_odds=1.0):
    """All off or all on, joined by one hidden unit: no Gibbs step crosses.

    P(h = 1) has the given log odds.
    """
    W = np.full((1, n), weight)
    b = np.full(n, -weight / 2)
    softplus = np.logaddexp(0, [weight / 2, -weight / 2])
    c = log_odds - n * (softplus[0] - softplus[1])
    return EnumeratedRBM(W, [c], b)


def on(v):
    return int((v.mean(-1) > 0.5).sum())


@pytest.mark.parametrize("base", [0.0, -0.5])
def test_two_far_modes(generator, base):
    """Plain chains stay in the mode where they start; a ladder weighs them."""
    oracle = two_modes()
    model = module_of(oracle)
    p_on = oracle.p_h[1]
    assert p_on == pytest.approx(1 / (1 + np.exp(-1)))
    n_chains = 800
    base_bias = torch.full((12,), base, dtype=torch.float64)
    models = [
        TemperedRBM(model, BernoulliUnits(base_bias), beta)
        for beta in np.linspace(0, 1, 9)
    ]
    with torch.no_grad():
        v = bernoulli(
            torch.sigmoid(base_bias).expand(n_chains, -1), generator=generator
        )
        plain = gibbs(model, v, 500, generator=generator)
        ends = tempering(
            models, v.expand(9, -1, -1), 500, generator=generator, kernel=gibbs
        )
    assert stats.binomtest(on(ends[-1]), n_chains, p_on).pvalue > ALPHA
    assert stats.binomtest(on(plain), n_chains, p_on).pvalue < 1e-9


def test_law_of_every_replica(generator):
    """Chi-square over all states, for a model of 4 + 3 units."""
    oracle = EnumeratedRBM.random(4, 3, seed=5, scale=3.0)
    model = module_of(oracle)
    W, c, b = oracle.params
    b0 = np.array([0.5, -0.5, 1.0, 0.0])
    betas = [0.0, 0.4, 0.7, 1.0]
    models = [
        TemperedRBM(model, BernoulliUnits(torch.tensor(b0)), beta) for beta in betas
    ]
    n = 40_000
    v = torch.zeros(4, n, 4, dtype=torch.float64)
    with torch.no_grad():
        ends = tempering(models, v, 40, generator=generator)
    for beta, end in zip(betas, ends, strict=True):
        exact = EnumeratedRBM(beta * W, beta * c, (1 - beta) * b0 + beta * b)
        counts = np.bincount(exact.index(end.numpy()), minlength=16)
        law = np.exp(exact.log_p_v)
        assert stats.chisquare(counts, law * n).pvalue > ALPHA


def test_start_is_not_changed(ladder, generator):
    v = torch.zeros(2, 5, 3, dtype=torch.float64)
    with torch.no_grad():
        tempering(ladder[1], v, 4, generator=generator)
    assert not v.any()


def test_any_energy_and_kernel(generator):
    """Energies of two bits without hidden units, moved by Metropolis-Hastings."""

    class Coupled:
        def __init__(self, strength):
            self.strength = strength

        def free_energy(self, v):
            return -self.strength * (2 * v[:, 0] - 1) * (2 * v[:, 1] - 1)

    def kernel(model, v, n_steps, *, generator):
        return metropolis_hastings(model.free_energy, v, n_steps, generator=generator)

    models = [Coupled(s) for s in (0.0, 1.0, 2.0)]
    v = torch.ones(3, 20_000, 2)
    ends = tempering(models, v, 60, generator=generator, kernel=kernel)
    for model, end in zip(models, ends, strict=True):
        p = 1 / (1 + np.exp(-2 * model.strength))
        same = int((end[:, 0] == end[:, 1]).sum())
        assert stats.binomtest(same, 20_000, p).pvalue > ALPHA
        assert stats.binomtest(int(end[:, 0].sum()), 20_000, 0.5).pvalue > ALPHA


def built_ladder(oracle, base, n_chains, generator, **kwargs):
    base_bias = torch.full((len(oracle.b),), base, dtype=torch.float64)
    model = module_of(oracle)
    with torch.no_grad():
        p = torch.sigmoid(base_bias).expand(n_chains, -1)
        return build_ladder(
            [lambda beta: TemperedRBM(model, BernoulliUnits(base_bias), beta)],
            bernoulli(p, generator=generator),
            generator=generator,
            **kwargs,
        )


# Four standard deviations over seeds.
@pytest.mark.parametrize(("base", "error"), [(0.0, 0.015), (-1.0, 0.12)])
def test_a_ladder_spreads_chains_over_modes_by_their_mass(generator, base, error):
    """Resampling does it; the same ladder without it is far off."""
    oracle = two_modes(log_odds=2.0)
    models, v = built_ladder(oracle, base, 20_000, generator)
    share = on(v[-1]) / 20_000
    # Chains have common ancestors: the error is larger than that of a binomial.
    assert share == pytest.approx(oracle.p_h[1], abs=error)
    betas = [m.beta for m in models]
    assert betas[0] == 0
    assert betas[-1] == 1
    assert all(a < b for a, b in pairwise(betas))
    assert len(v) == len(models)
    with torch.no_grad():
        plain = v[0]
        for model in models:
            plain = gibbs(model, plain, 5, generator=generator)
    assert abs(on(plain) / 20_000 - oracle.p_h[1]) > 2 * error


def test_neighbours_have_the_overlap_that_was_asked_for(generator):
    oracle = EnumeratedRBM.random(6, 5, seed=0, scale=2.0)
    models, v = built_ladder(oracle, 0.0, 5000, generator, overlap=0.6)
    assert len(models) > 3
    with torch.no_grad():
        for lower, upper, states in zip(models, models[1:], v, strict=False):
            w = (lower.free_energy(states) - upper.free_energy(states)).exp()
            share = (w.sum() ** 2 / (w**2).sum() / len(w)).item()
            assert share > 0.55
            assert upper is models[-1] or share < 0.66


def test_paths_are_followed_one_by_one(generator):
    """Two halves of one path make the same ladder as the whole."""
    oracle = EnumeratedRBM.random(6, 5, seed=0, scale=4.0)
    model = module_of(oracle)
    bias = torch.zeros(6, dtype=torch.float64)
    paths = [
        lambda t: TemperedRBM(model, BernoulliUnits(bias), t / 2),
        lambda t: TemperedRBM(model, BernoulliUnits(bias), (1 + t) / 2),
    ]
    v = bernoulli(torch.full((5000, 6), 0.5, dtype=torch.float64), generator=generator)
    with torch.no_grad():
        models, states = build_ladder(paths, v, generator=generator)
        whole, _ = build_ladder(
            [lambda t: TemperedRBM(model, BernoulliUnits(bias), t)],
            v,
            generator=generator,
        )
    betas = [m.beta for m in models]
    assert betas == sorted(betas)
    assert betas[-1] == 1
    assert 0.5 in betas
    assert 0 <= len(models) - len(whole) <= 1
    assert len(states) == len(models)


def test_independent_bits_at_the_start_of_a_ladder():
    """TemperedRBM at 0 is what `build_ladder` is told to start from."""
    oracle = EnumeratedRBM.random(3, 2, seed=1)
    p = np.array([0.2, 0.5, 0.9])
    bias = torch.logit(torch.tensor(p))
    first = TemperedRBM(module_of(oracle), BernoulliUnits(bias), 0.0)
    with torch.no_grad():
        log_p = -first.free_energy(torch.tensor(oracle.V)).numpy()
    law = np.exp(log_p) / np.exp(log_p).sum()
    np.testing.assert_allclose(law, independent_bits(p), rtol=1e-12)


def test_a_ladder_passes_a_jump_by_its_smallest_step(generator):
    """Free energies that jump at t = 1/2: no step is small enough for the overlap."""

    class Jump:
        def __init__(self, t):
            self.t = t

        def free_energy(self, v):
            return 50.0 * (v[:, 0] if self.t > 0.5 else 1 - v[:, 0])

    def stay(model, v, n_steps, *, generator):
        return torch.rand(v.shape, generator=generator, dtype=v.dtype)

    v = torch.rand(500, 1, generator=generator, dtype=torch.float64)
    models, _ = build_ladder([Jump], v, generator=generator, kernel=stay)
    positions = np.array([model.t for model in models])
    assert positions[-1] == 1
    assert np.diff(positions).min() >= 2.0**-9
    assert len(models) < 25
