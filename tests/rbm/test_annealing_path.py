"""The path along which means change little, against enumeration."""

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of, oracle_of
from scipy.special import expit, logit

from skgen.rbm._annealing_path import moment_matched_paths
from skgen.rbm._scaled import TemperedRBM
from skgen.rbm._units import BernoulliUnits
from skgen.sampling import gibbs


def means(oracle):
    p = np.exp(oracle.log_p_v)
    return p @ oracle.V, p @ expit(oracle.V @ oracle.W.T + oracle.c)


def ends(paths):
    return [paths[0](0.0), *(path(1.0) for path in paths)]


@pytest.fixture(scope="module")
def ladder():
    """A model of units that are rarely 1, and the points of its path."""
    rng = np.random.RandomState(0)
    W = rng.normal(0, 1.5, (5, 8))
    oracle = EnumeratedRBM(W, np.full(5, -2.0), np.full(8, -1.5))
    model = module_of(oracle)
    base = torch.tensor(logit(means(oracle)[0]))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        v = torch.zeros(2000, 8, dtype=torch.float64)
        v = gibbs(model, v, 50, generator=generator)
        units = BernoulliUnits(base)
        paths = moment_matched_paths(model, units, v, n_steps=2000, generator=generator)
    return oracle, base, ends(paths)


def test_ends_are_independent_units_and_the_model(ladder):
    oracle, base, knots = ladder
    assert knots[0].beta == 0
    np.testing.assert_array_equal(knots[0].visible.bias, base)
    np.testing.assert_allclose(
        expit(knots[0].hidden.bias.numpy()), means(oracle)[1], atol=0.005
    )
    assert knots[-1].beta == 1
    np.testing.assert_array_equal(knots[-1].visible.bias.detach(), oracle.b)
    np.testing.assert_array_equal(knots[-1].hidden.bias.detach(), oracle.c)
    betas = [knot.beta for knot in knots]
    assert betas == sorted(betas)


def test_means_stay_where_they_are(ladder):
    """Here both ends have the same means; temperatures alone move them by far."""
    oracle, base, knots = ladder
    model, top = module_of(oracle), means(oracle)
    for knot in knots[:-1]:
        for mean, wanted in zip(means(oracle_of(knot, oracle)), top, strict=True):
            np.testing.assert_allclose(mean, wanted, atol=0.02)
    with torch.no_grad():
        cooled = TemperedRBM(model, BernoulliUnits(base), knots[2].beta)
        hidden = means(oracle_of(cooled, oracle))[1]
    assert abs(hidden - top[1]).max() > 0.05


def test_means_go_straight_in_their_logits(ladder):
    """From bits whose means are others."""
    oracle, _, _ = ladder
    model, base = module_of(oracle), torch.linspace(-2, 1, 8, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        v = gibbs(model, torch.zeros(2000, 8).double(), 50, generator=generator)
        units = BernoulliUnits(base)
        paths = moment_matched_paths(model, units, v, n_steps=2000, generator=generator)
    top = logit(means(oracle)[0])
    for knot in ends(paths)[1:-1]:
        wanted = (1 - knot.beta) * base.numpy() + knot.beta * top
        got = means(oracle_of(knot, oracle))[0]
        np.testing.assert_allclose(got, expit(wanted), atol=0.02)
