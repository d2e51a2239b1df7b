"""Models between two, against enumeration."""

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of, oracle_of

from skgen.rbm._scaled import ScaledRBM, TemperedRBM
from skgen.rbm._units import BernoulliUnits


def assert_same(scaled, model, oracle):
    """Both conditionals and the free energy, at all states."""
    v, h = torch.tensor(oracle.V), torch.tensor(oracle.H)
    with torch.no_grad():
        for method, x in [
            ("hidden_mean", v),
            ("visible_mean", h),
            ("free_energy", v),
        ]:
            np.testing.assert_allclose(
                getattr(scaled, method)(x), getattr(model, method)(x), rtol=1e-12
            )


def test_scaled_model_is_the_one_of_scaled_weights():
    oracle = EnumeratedRBM.random(4, 3, seed=1)
    b, c = torch.linspace(-1, 1, 4).double(), torch.linspace(0, 2, 3).double()
    scaled = ScaledRBM(module_of(oracle), 0.3, BernoulliUnits(b), BernoulliUnits(c))
    assert_same(scaled, module_of(oracle_of(scaled, oracle)), oracle)


def test_tempered_model_at_one_is_the_model():
    oracle = EnumeratedRBM.random(4, 3, seed=1)
    model = module_of(oracle)
    base = BernoulliUnits(torch.ones(4, dtype=torch.float64))
    tempered = TemperedRBM(model, base, 1.0)
    assert_same(tempered, model, oracle)


def test_a_path_interpolates_energies():
    oracle = EnumeratedRBM.random(4, 3, seed=1)
    zero = torch.zeros(4).double(), torch.zeros(3).double()
    biases = torch.ones(4).double(), torch.ones(3).double() * 2
    start = ScaledRBM(module_of(oracle), 0.2, *map(BernoulliUnits, zero))
    end = ScaledRBM(module_of(oracle), 1.0, *map(BernoulliUnits, biases))
    middle = start.interpolate(end, 0.25)
    assert middle.beta == pytest.approx(0.4)
    np.testing.assert_allclose(middle.visible.bias, 0.25 * biases[0])
    np.testing.assert_allclose(middle.hidden.bias, 0.25 * biases[1])
