"""The enumerated partition function against brute force over both layers."""

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of

from skgen.rbm import _partition_exact as _exact
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._partition_exact import log_partition_exact


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 8), (8, 1), (5, 5)])
@pytest.mark.parametrize("scale", [0.1, 3.0])
@pytest.mark.parametrize("block", [2**22, 40])
def test_brute_force(shape, scale, block, monkeypatch):
    # 40: chunks of a few states.
    monkeypatch.setattr(_exact, "_BLOCK_OF_THREAD", block)
    oracle = EnumeratedRBM.random(*shape, seed=4, scale=scale)
    with torch.no_grad():
        assert abs(log_partition_exact(module_of(oracle)) - oracle.log_z) < 1e-10


def test_independent_units():
    # Without weights Z factorises: 2^n times the product of (1 + e^b).
    b = np.linspace(-2, 2, 30)
    model = BernoulliRBM(
        torch.zeros(12, 30, dtype=torch.float64),
        torch.zeros(12).double(),
        torch.tensor(b),
    )
    with torch.no_grad():
        expected = 12 * np.log(2) + np.logaddexp(0, b).sum()
        assert abs(log_partition_exact(model) - expected) < 1e-10


def test_too_large_a_model():
    model = BernoulliRBM(torch.zeros(26, 40), torch.zeros(26), torch.zeros(40))
    with pytest.raises(ValueError, match=r"40 and 26 units.*at most 25"):
        log_partition_exact(model)
