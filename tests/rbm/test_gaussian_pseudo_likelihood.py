"""The pseudo-likelihood of Gaussian units against mixtures and scipy's quadrature."""

import numpy as np
import pytest
import torch
from gaussian_rbm_helpers import Mixture
from scipy.integrate import quad

from skgen.rbm import GaussianBernoulliRBM, _gaussian_pseudo_likelihood
from skgen.rbm._gaussian_objective import GaussianTrainingLoss
from skgen.rbm._gaussian_pseudo_likelihood import (
    gaussian_pseudo_log_likelihood,
    log_conditionals,
)

# The error of the trapezoidal rule, times some units.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-7}


def score(model, v, **params):
    with torch.no_grad():
        return gaussian_pseudo_log_likelihood(model, torch.tensor(v), **params).numpy()


def states(mixture, n=30):
    """Draws of the model, points around it, and some that are far off."""
    rng = np.random.RandomState(1)
    around = rng.normal(0, 3, (n, len(mixture.c)))
    far = around[:4] * np.array([[10], [100], [-1e3], [1e4]])
    return np.concatenate([mixture.draws(n, 2)[0], around, far])


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 4.0, 40.0, 1000.0])
@pytest.mark.parametrize("shape", [(6, 5), (1, 9), (8, 1), (3, 11)])
def test_definition(shape, scale):
    """From weights that do nothing to thousands of standard deviations apart."""
    mixture = Mixture(*shape, seed=3, scale=scale)
    v = states(mixture)
    expected = mixture.log_conditionals(v).sum(1)
    np.testing.assert_allclose(score(mixture.model(), v), expected, **TOLERANCE)
    # Without the noise's own normalisation it would be another number.
    wrong = expected + np.log(mixture.variance).sum() / 2
    assert np.abs(score(mixture.model(), v) - wrong).max() > 0.02


def test_quadrature_of_higher_order():
    """With 40 hidden units, whose mixture is too large to enumerate."""
    rng = np.random.RandomState(0)
    n, m = 3, 40
    W, b, c = rng.normal(0, 1, (m, n)), rng.normal(size=m), rng.normal(size=n)
    s2 = rng.uniform(0.3, 2, n)
    v = rng.normal(0, 2, (4, n))
    model = GaussianBernoulliRBM(*map(torch.tensor, (W, b, c, np.log(s2))))

    def log_f(x):
        return (
            -((x - c) ** 2 / (2 * s2)).sum() + np.logaddexp(0, b + W @ (x / s2)).sum()
        )

    for x, got in zip(v, score(model, v), strict=True):
        expected = 0.0
        for i in range(n):

            def f(t, i=i, x=x):
                return np.exp(log_f(np.r_[x[:i], t, x[i + 1 :]]) - log_f(x))

            reach = np.abs(W[:, i]).sum() + 10
            mass = quad(f, -reach, reach, limit=2000, epsabs=0, epsrel=1e-10)[0]
            expected -= np.log(mass)
        assert got == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_MOST_INTERVALS", 1),
        ("_TILE_OF_CPU", 1),
        ("_TILE_OF_CPU", 10**9),
        ("_LARGEST_FACTOR", 0.0),
        ("_FACTORS_A_LOG", 1),
        ("_NEGLIGIBLE", 1e9),
    ],
)
def test_ways_to_the_same_result(monkeypatch, name, value):
    """In stages, in small blocks, factor by factor, and with no interval left out."""
    mixture = Mixture(4, 6, seed=5, scale=6.0)
    v = states(mixture)
    expected = score(mixture.model(), v)
    monkeypatch.setattr(_gaussian_pseudo_likelihood, name, value)
    np.testing.assert_allclose(score(mixture.model(), v), expected, **TOLERANCE)


def test_intervals_left_out_would_be_missed(monkeypatch):
    """If more of the density than nothing were left out, the tests would see it."""
    mixture = Mixture(4, 6, seed=5, scale=6.0)
    v = states(mixture)
    expected = score(mixture.model(), v)
    monkeypatch.setattr(_gaussian_pseudo_likelihood, "_NEGLIGIBLE", 1.0)
    assert np.abs(score(mixture.model(), v) - expected).max() > 1e-4


def test_a_mode_far_away_is_found():
    """Two centers 500 standard deviations apart, of equal mass, seen from one."""
    W, s2 = np.array([[500.0]]), np.array([1.0])
    c, b = np.array([0.0]), np.array([-(500.0**2) / 2])
    model = GaussianBernoulliRBM(*map(torch.tensor, (W, b, c, np.log(s2))))
    got = score(model, np.array([[0.0], [500.0]]))
    np.testing.assert_allclose(got, -0.5 * np.log(2 * np.pi) - np.log(2), atol=1e-7)


def test_float32():
    mixture = Mixture(6, 8, seed=2)
    v = states(mixture)[:60]
    got = score(mixture.model().float(), v.astype(np.float32))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, score(mixture.model(), v), rtol=1e-4)


def test_some_units_estimate_all():
    mixture = Mixture(6, 5, seed=3)
    v, units = states(mixture), [4, 1]
    expected = mixture.log_conditionals(v)[:, units].mean(1) * 6
    got = score(mixture.model(), v, units=torch.tensor(units))
    np.testing.assert_allclose(got, expected, **TOLERANCE)


def test_each_row_may_have_a_unit_of_its_own():
    mixture = Mixture(6, 5, seed=3, scale=2.0)
    v, std = mixture.draws(6, 0)[0], np.sqrt(mixture.variance)
    a = torch.tensor(v / mixture.variance @ mixture.W.T + mixture.b)
    slopes = torch.tensor(mixture.W.T / std[:, None])
    z = torch.tensor(np.diag((v - mixture.c) / std).copy())
    got = log_conditionals(a, slopes, z).numpy() - np.log(std)
    np.testing.assert_allclose(got, np.diag(mixture.log_conditionals(v)), **TOLERANCE)


def test_parameters_that_are_not_finite():
    """Those of a training that diverges: no number, and no memory without end."""
    a, z = torch.zeros(3, 2).double(), torch.zeros(3).double()
    for slope in (np.inf, np.nan):
        slopes = torch.tensor([[1.0, slope]]).double()
        assert log_conditionals(a, slopes, z).isnan().all()
    huge = torch.tensor([[1e5, -1e6]]).double()
    assert log_conditionals(a, huge, z).isfinite().all()


@pytest.mark.parametrize("weighted", [False, True])
def test_training_loss_is_right_on_average(weighted):
    """Over the turns of its units, of all rows."""
    mixture = Mixture(5, 4, seed=1)
    v = torch.tensor(mixture.draws(4, 0)[0])
    weight = torch.tensor([1.0, 2.0, 0.5, 0.5]).double() if weighted else None
    loss, found = GaussianTrainingLoss(v), []
    loss._flips = lambda: (0.0, 16)  # 4 rows and every second unit, then the others
    with torch.no_grad():
        for _ in range(20):
            n_rows, value = loss.mean_of(mixture.model(), v, weight)
            assert float(n_rows) == 4
            found.append(value.item())
    each = -mixture.log_conditionals(v.numpy()).sum(1)
    expected = np.average(each, weights=None if weight is None else weight.numpy())
    assert len(set(found)) > 1 or len(v[0]) == 5
    assert np.mean(found) == pytest.approx(expected, rel=1e-7)
