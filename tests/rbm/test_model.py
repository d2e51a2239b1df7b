"""The RBM module against the table of all joint states."""

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of
from scipy.special import logsumexp


@pytest.fixture(params=[(5, 3, 1.0), (3, 6, 2.0), (7, 5, 0.3), (1, 1, 1.0)])
def oracle(request):
    n_visible, n_hidden, scale = request.param
    return EnumeratedRBM.random(n_visible, n_hidden, seed=3, scale=scale)


def test_energy(oracle):
    model = module_of(oracle)
    V = np.repeat(oracle.V, len(oracle.H), axis=0)
    H = np.tile(oracle.H, (len(oracle.V), 1))
    energy = model.energy(torch.tensor(V), torch.tensor(H)).detach().numpy()
    expected = -(oracle.log_joint.ravel() + oracle.log_z)
    np.testing.assert_allclose(energy, expected, atol=1e-10)


def test_free_energy(oracle):
    free_energy = module_of(oracle).free_energy(torch.tensor(oracle.V))
    np.testing.assert_allclose(
        free_energy.detach().numpy(), -(oracle.log_p_v + oracle.log_z), atol=1e-10
    )


def test_free_energy_is_exact_where_softplus_is_cut():
    # torch's softplus is linear above 20, which is off by 2e-9 there.
    total_input = 20.5
    model = module_of(EnumeratedRBM([[total_input]], [0.0], [0.0]))
    free_energy = model.free_energy(torch.ones(1, 1, dtype=torch.float64)).item()
    assert abs(free_energy + logsumexp([0.0, total_input])) < 1e-14


def test_hidden_conditional(oracle):
    p = module_of(oracle).hidden_mean(torch.tensor(oracle.V)).detach().numpy()
    np.testing.assert_allclose(p, oracle.p_h_given_v @ oracle.H, atol=1e-10)


def test_visible_conditional(oracle):
    p = module_of(oracle).visible_mean(torch.tensor(oracle.H)).detach().numpy()
    np.testing.assert_allclose(p, oracle.p_v_given_h.T @ oracle.V, atol=1e-10)
