"""The start of a machine from the one below, by enumeration."""

import numpy as np
import pytest
from dbn_helpers import EnumeratedDBN
from oracles import EnumeratedRBM

from skgen.dbn._state import tied_start


def layer_of(machine):
    """The fitted state of a machine whose data has its law."""
    mean = np.exp(machine.log_p_v) @ machine.V
    return {
        "components_": machine.W,
        "intercept_hidden_": machine.c,
        "intercept_visible_": machine.b,
        "h_samples_": np.tile(machine.H[-1:], (500, 1)),
        "mean_": mean,
    }


def started(machine, n_hidden, **changes):
    layer = tied_start(layer_of(machine), n_hidden, np.random.RandomState(0)) | changes
    parameters = (
        layer["components_"],
        layer["intercept_hidden_"],
        layer["intercept_visible_"],
    )
    return layer, EnumeratedDBN([machine, EnumeratedRBM(*parameters)])


def gap(machine, net):
    """The mean over the data of what the bound is below the likelihood, in nats."""
    return np.exp(machine.log_p_v) @ (machine.log_p_v - net.bound)


@pytest.mark.parametrize("n_more", [0, 3])
def test_start_with_no_fewer_units_is_the_machine(n_more):
    machine = EnumeratedRBM.random(5, 3, seed=1)
    layer, net = started(machine, 5 + n_more)
    assert layer["components_"].shape == (5 + n_more, 3)
    atol = 0.05 if n_more else 1e-10
    np.testing.assert_allclose(net.bound, machine.log_p_v, atol=atol)
    # States of the hidden units are drawn given one state of the visible ones.
    p = 1 / (1 + np.exp(-layer["components_"].sum(1) - layer["intercept_hidden_"]))
    mean = layer["h_samples_"].mean(0)
    np.testing.assert_allclose(mean, p, atol=4.5 * 0.5 / np.sqrt(500))


def test_start_with_fewer_units_keeps_those_that_vary_most():
    """The others stand at their means: without that, the bound is far lower."""
    machine = EnumeratedRBM.random(6, 3, seed=2)
    machine = EnumeratedRBM(
        # Units 1 and 4 are nearly always on: they act on h as biases do.
        np.array([1, 1, 1, 1, 1, 1]) * machine.W,
        machine.c,
        machine.b + np.array([0, 6, 0, 0, 6, 0]),
    )
    layer, net = started(machine, 4)
    np.testing.assert_array_equal(layer["components_"], machine.W[:, [0, 2, 3, 5]].T)
    assert layer["h_samples_"].shape == (500, 4)
    _, forgetful = started(machine, 4, intercept_visible_=machine.c)
    assert 0 <= gap(machine, net) < 0.02
    assert gap(machine, forgetful) > 0.2


def test_no_start_from_real_values():
    layer = layer_of(EnumeratedRBM.random(3, 2)) | {"noise_variance_": np.ones(3)}
    assert tied_start(layer, 3, np.random.RandomState(0)) == {}
