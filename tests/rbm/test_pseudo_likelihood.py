"""The pseudo-likelihood against its definition, and where float32 saturates."""

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from scipy.special import log_expit

from skgen.rbm import _pseudo_likelihood
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood


@pytest.fixture(autouse=True, params=[1, 10**9], ids=["groups", "tiles"])
def rows_for_groups(request, monkeypatch):
    """Both ways of bits, whatever the number of rows."""
    monkeypatch.setattr(_pseudo_likelihood, "_LEAST_ROWS", request.param)


def score(W, c, b, v, dtype=torch.float64):
    model = BernoulliRBM(*(torch.tensor(np.array(a), dtype=dtype) for a in (W, c, b)))
    with torch.no_grad():
        return pseudo_log_likelihood(model, torch.tensor(v, dtype=dtype)).numpy()


def by_flips(W, c, b, v, units=None):
    """Free energies of every flipped row, one at a time, in float64 numpy."""

    def free_energy(v):
        return -v @ b - np.logaddexp(0, v @ W.T + c).sum(axis=1)

    total = np.zeros(len(v))
    for i in range(v.shape[1]) if units is None else units:
        flipped = v.copy()
        flipped[:, i] = 1 - flipped[:, i]
        total += log_expit(free_energy(flipped) - free_energy(v))
    return total


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("shape", [(6, 5), (4, 8), (1, 3), (5, 1)])
def test_definition(shape, scale):
    oracle = EnumeratedRBM.random(*shape, seed=1, scale=scale)
    np.testing.assert_allclose(
        score(*oracle.params, oracle.V),
        oracle.pseudo_log_likelihood(oracle.V),
        atol=1e-10,
    )


def random_rbm(n_hidden, n_visible, scale, seed=0):
    rng = np.random.RandomState(seed)
    W = rng.normal(0, scale, (n_hidden, n_visible))
    return W, rng.normal(0, 1, n_hidden), rng.normal(0, 1, n_visible)


def test_probabilities_flip_to_their_complement():
    params = random_rbm(6, 9, 1.0)
    v = np.random.RandomState(1).uniform(size=(5, 9))
    np.testing.assert_allclose(score(*params, v), by_flips(*params, v), atol=1e-10)


@pytest.mark.parametrize("scale", [0.3, 60.0])
@pytest.mark.parametrize("bits", [True, False])
def test_estimate_from_some_units(bits, scale):
    """The mean of their conditionals stands for that of all."""
    W, c, b = random_rbm(7, 40, scale)
    v = np.random.RandomState(1).uniform(size=(9, 40))
    v = (v < 0.5).astype(float) if bits else v
    units = [3, 17, 18, 39]
    model = BernoulliRBM(*(torch.tensor(a) for a in (W, c, b)))
    with torch.no_grad():
        got = pseudo_log_likelihood(model, torch.tensor(v), units=torch.tensor(units))
    np.testing.assert_allclose(got, 10 * by_flips(W, c, b, v, units), rtol=1e-10)


@pytest.mark.parametrize("n_hidden", [7, 3000])
def test_tiles_of_any_size(n_hidden):
    # More units than a tile of the block holds rows, or even columns.
    params = random_rbm(n_hidden, 150, 0.3)
    v = (np.random.RandomState(1).uniform(size=(9, 150)) < 0.5).astype(float)
    np.testing.assert_allclose(score(*params, v), by_flips(*params, v), rtol=1e-11)


@pytest.mark.parametrize("scale", [3.0, 30.0, 300.0])
def test_float32_at_saturated_units(scale):
    # Inputs of thousands: sigmoids are exactly 0 and 1, exp overflows float32.
    params = tuple(a.astype(np.float32) for a in random_rbm(20, 30, scale))
    v = (np.random.RandomState(1).uniform(size=(10, 30)) < 0.5).astype(float)
    single = score(*params, v, dtype=torch.float32)
    double = by_flips(*(a.astype(np.float64) for a in params), v)
    assert np.isfinite(single).all()
    np.testing.assert_allclose(single, double, rtol=1e-4)


def test_values_far_outside_the_unit_interval():
    params = random_rbm(4, 5, 1.0)
    v = np.arange(5.0)[None] * 1e4
    np.testing.assert_allclose(score(*params, v), by_flips(*params, v), rtol=1e-10)


@pytest.mark.parametrize("values", [[0, 1], [0, 0.5]])
@pytest.mark.parametrize("strength", [2.0, 7.0, 30.0, 70.0])
def test_products_near_the_end_of_the_range(strength, values):
    """A flip moves all inputs one way: products of many factors would overflow."""
    W, c, b = random_rbm(33, 4, 0.1)
    W[:, 0], W[:, 1] = strength, -strength
    v = np.array([[0, 0, value, 0] for value in values], dtype=float)
    single = score(W, c, b, v, dtype=torch.float32)
    np.testing.assert_allclose(single, by_flips(W, c, b, v), rtol=1e-5)
