"""Sums of ratios along a trajectory of models, against enumeration."""

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of, random_rbm
from scipy import stats

from skgen.rbm._partition_exact import log_partition_exact
from skgen.rbm._partition_trajectory import log_partition_trajectory, trajectory_paths
from skgen.rbm._units import BernoulliUnits

N_MODELS = 20


@pytest.fixture(scope="module")
def models():
    """Models with a weaker and a different one on the way to them."""
    found = []
    for seed in range(N_MODELS):
        model, base_bias = random_rbm(seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            weak = model.interpolate(model, 0.0)
            for p in weak.parameters():
                p *= 0.2
            detour = weak.interpolate(model, 0.6)
            detour.hidden_bias += 0.3
            result = log_partition_trajectory(
                [weak, detour, model],
                BernoulliUnits(base_bias),
                n_chains=60,
                n_steps=60,
                generator=generator,
            )
            found.append((result, log_partition_exact(model)))
    return found


def test_bracket_holds_the_exact_value_as_often_as_stated(models):
    inside = sum(r.lower <= exact <= r.upper for r, exact in models)
    assert inside >= stats.binom.ppf(0.003, N_MODELS, 0.95)
    assert np.median([r.upper - r.lower for r, _ in models]) < 0.6


def test_standard_error_is_calibrated(models):
    z = np.array([(r.estimate - exact) / r.standard_error for r, exact in models])
    low, high = stats.chi2.ppf([0.001, 0.999], N_MODELS)
    assert low < np.sum(z**2) < high
    assert abs(z.mean()) < 3.5 / np.sqrt(N_MODELS)


def test_paths_go_from_independent_units_through_every_model():
    """Energies of joint states at both ends of each path."""
    oracles = [EnumeratedRBM.random(4, 3, seed=s) for s in (1, 2)]
    bias = torch.tensor([0.5, -0.5, 1.0, 0.0], dtype=torch.float64)
    paths = trajectory_paths([module_of(o) for o in oracles], BernoulliUnits(bias))
    assert len(paths) == 2
    v = torch.tensor(oracles[0].V)
    with torch.no_grad():
        first, second = (path(1.0).free_energy(v).numpy() for path in paths)
        bottom = paths[0](0.0).free_energy(v)
        joint = paths[1](0.0).free_energy(v).numpy()
    np.testing.assert_allclose(bottom, -(v @ bias) - 3 * np.log(2))
    for got, oracle in [(first, oracles[0]), (joint, oracles[0]), (second, oracles[1])]:
        np.testing.assert_allclose(got, -oracle.log_p_v - oracle.log_z, rtol=1e-12)
