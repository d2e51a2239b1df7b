"""The deep belief network as a module, against enumeration."""

import numpy as np
import torch
from dbn_helpers import EnumeratedDBN
from scipy.special import expit

from skgen.dbn._model import linear_of


def test_passes_up_and_down():
    net = EnumeratedDBN.random((4, 3, 5, 2), seed=0, untied=True)
    model = net.module()
    v = np.random.RandomState(0).uniform(size=(7, 4))
    h = v
    for R, r in [*net.recognition, (net.machines[-1].W, net.machines[-1].c)]:
        h = expit(h @ R.T + r)
    got = model.up(torch.tensor(v)).detach().numpy()
    np.testing.assert_allclose(got, h, rtol=1e-12)
    np.testing.assert_array_equal(model(torch.tensor(v)).detach().numpy(), got)
    for machine in reversed(net.machines):
        h = expit(h @ machine.W + machine.b)
    down = model.down(torch.tensor(got)).detach().numpy()
    np.testing.assert_allclose(down, h, rtol=1e-12)


def test_q_is_that_of_the_machines_unless_it_is_given():
    net = EnumeratedDBN.random((4, 3, 2), seed=1, untied=True)
    v = torch.tensor(net.V)
    machine = net.machines[0]
    tied = net.module(untied=False).inputs(0, v).detach().numpy()
    np.testing.assert_allclose(tied, net.V @ machine.W.T + machine.c, rtol=1e-12)
    R, r = net.recognition[0]
    own = net.module().inputs(0, v).detach().numpy()
    np.testing.assert_allclose(own, net.V @ R.T + r, rtol=1e-12)
    linear = linear_of(net.module().layers[0])
    np.testing.assert_allclose(linear(v).detach(), tied, rtol=1e-12)


def chi2(drawn, p):
    """Pearson's statistic of drawn states, counted by their number in the table."""
    index = drawn.numpy().astype(int) @ (2 ** np.arange(drawn.shape[1])[::-1])
    counts = np.bincount(index, minlength=len(p))
    return (np.square(counts - len(drawn) * p) / (len(drawn) * p)).sum()


def test_law_of_samples():
    """Given exact draws of the top machine; a net with its layers exchanged differs."""
    net = EnumeratedDBN.random((4, 3, 3, 2), seed=2)
    top, n = net.machines[-1], 40_000
    rng = np.random.RandomState(0)
    h = top.V[rng.choice(len(top.V), size=n, p=np.exp(top.log_p_v))]
    generator = torch.Generator().manual_seed(0)
    v = net.module().sample_down(torch.tensor(h), generator=generator).detach()
    p = np.exp(net.log_p_v)
    assert chi2(v, p) < 45  # 15 degrees of freedom: p < 1e-4
    # Twins: another order of layers, and means passed on in place of states.
    machines = [
        net.machines[0],
        net.machines[1],
        EnumeratedDBN.random((3, 2)).machines[0],
    ]
    other = np.exp(EnumeratedDBN(machines).log_p_v)
    assert chi2(v, other) > 200
    means = net.module().layers[1].visible_mean(torch.tensor(h))
    p_v = net.module().layers[0].visible_mean(means).detach()
    wrong = torch.bernoulli(p_v, generator=generator)
    assert chi2(wrong, p) > 200
