"""The bounds of a deep belief network, against enumeration."""

import itertools

import numpy as np
import pytest
import torch
from dbn_helpers import EnumeratedDBN, tied
from oracles import EnumeratedRBM

from skgen.dbn._bound import (
    importance_log_weights,
    importance_weighted_bound,
    variational_bound,
    variational_terms,
)

NETS = [(4, 3, 3), (3, 4, 2), (3, 2, 3, 2), (3, 2, 2, 2, 2)]


def all_draws(net):
    """All states of the layers below the top, as functions that draw them."""
    layers = [machine.H for machine in net.machines[:-1]]
    for states in itertools.product(*layers):

        def draw(k, p, states=states):
            return torch.tensor(states[k], dtype=p.dtype).expand_as(p)

        yield draw


def expected(net, model, function):
    """The mean of a function of draws over all of them, with their probabilities."""
    v = torch.tensor(net.V)
    log_q, _ = net.paths
    weights = np.exp(log_q).reshape(len(v), -1)
    values = [function(model, v, draw).detach().numpy() for draw in all_draws(net)]
    return (weights * np.array(values).T).sum(axis=1)


@pytest.mark.parametrize("sizes", NETS)
@pytest.mark.parametrize("is_untied", [False, True])
def test_terms_have_the_mean_of_the_bound(sizes, is_untied):
    net = EnumeratedDBN.random(sizes, seed=1, untied=is_untied)
    got = expected(net, net.module(untied=is_untied), variational_terms)
    np.testing.assert_allclose(got - net.machines[-1].log_z, net.bound, rtol=1e-12)


@pytest.mark.parametrize("sizes", NETS)
@pytest.mark.parametrize("is_untied", [False, True])
def test_weights_have_the_mean_of_the_likelihood(sizes, is_untied):
    net = EnumeratedDBN.random(sizes, seed=2, untied=is_untied)

    def weights(model, v, draw):
        return importance_log_weights(model, v, draw).exp()

    got = expected(net, net.module(untied=is_untied), weights)
    log_p = np.log(got) - net.machines[-1].log_z
    np.testing.assert_allclose(log_p, net.log_p_v, rtol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_bound_is_below_the_likelihood(seed):
    sizes = NETS[seed % len(NETS)]
    net = EnumeratedDBN.random(sizes, seed=seed, scale=1 + seed / 4, untied=seed > 3)
    assert np.exp(net.log_p_v).sum() == pytest.approx(1, abs=1e-12)
    assert (net.bound < net.log_p_v).all()
    # With the mean over draws for the enumerated one, too.
    model, v = net.module(), torch.tensor(net.V)
    got = variational_bound(model, v, 1000).detach().numpy() - net.machines[-1].log_z
    assert (got < net.log_p_v).all()


@pytest.mark.parametrize("sizes", [(6, 4), (3, 5)])
@pytest.mark.parametrize("n_tied", [1, 2, 3])
def test_tied_start_is_the_machine(sizes, n_tied):
    """The same law, a tight bound, and nothing random in it."""
    machine = EnumeratedRBM.random(*sizes, seed=3, scale=2.0)
    machines = [machine]
    for _ in range(n_tied):
        machines.append(tied(machines[-1]))
    net = EnumeratedDBN(machines)
    np.testing.assert_allclose(net.log_p_v, machine.log_p_v, atol=1e-10)
    v = torch.tensor(net.V)
    bound = variational_bound(net.module(), v, 2).detach().numpy() - machine.log_z
    np.testing.assert_allclose(bound, machine.log_p_v, atol=1e-10)
    generator = torch.Generator().manual_seed(0)
    weighted = importance_weighted_bound(net.module(), v, 3, generator=generator)
    log_p = weighted.detach().numpy() - machine.log_z
    np.testing.assert_allclose(log_p, machine.log_p_v, atol=1e-10)


def test_one_layer_is_exact():
    net = EnumeratedDBN.random((4, 3), seed=4)
    v = torch.tensor(net.V)
    generator = torch.Generator().manual_seed(0)
    for got in (
        variational_bound(net.module(), v, 16),
        importance_weighted_bound(net.module(), v, 5, generator=generator),
    ):
        log_p = got.detach().numpy() - net.machines[0].log_z
        np.testing.assert_allclose(log_p, net.log_p_v, atol=1e-12)


def test_more_draws_are_between_the_bound_and_the_likelihood():
    """One weight has the mean of the bound, and many come close to the likelihood."""
    net = EnumeratedDBN.random((3, 3, 3), seed=5, scale=1.5)
    model, log_z = net.module(), net.machines[-1].log_z
    n_repeats = 1000
    v = torch.tensor(net.V).repeat(n_repeats, 1)
    generator = torch.Generator().manual_seed(0)

    def mean(n_draws):
        values = importance_weighted_bound(model, v, n_draws, generator=generator)
        values = values.detach().numpy().reshape(n_repeats, -1) - log_z
        return values.mean(axis=0), values.std(axis=0) / n_repeats**0.5

    (one, error), (few, few_error), (many, _) = mean(1), mean(5), mean(100)
    assert (np.abs(one - net.bound) < 4.5 * error).all()
    assert (few > net.bound - 3 * few_error).all()
    assert (few < net.log_p_v + 3 * few_error).all()
    assert few.mean() > net.bound.mean() + 0.05
    assert (many > few).all()
    gap = net.log_p_v - net.bound
    assert (net.log_p_v - many < 0.2 * gap).all()


def test_draws_are_those_of_a_row_alone():
    net = EnumeratedDBN.random((4, 3, 3), seed=6, scale=1.5)
    model, v = net.module(), torch.tensor(net.V)
    all_rows = variational_bound(model, v, 6)
    order = torch.randperm(len(v), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(variational_bound(model, v[order], 6), all_rows[order])
    torch.testing.assert_close(variational_bound(model, v[3:4], 6), all_rows[3:4])
    # Rows differ in their draws, and draws among themselves.
    exact = torch.tensor(net.bound + net.machines[-1].log_z)
    errors = (all_rows - exact).detach()
    assert len(errors.unique()) == len(v)
    more = variational_bound(model, v, 4000).detach()
    assert (more - exact).abs().max() < 0.1 < errors.abs().max()


def test_blocks_of_rows_and_draws_make_no_difference(monkeypatch):
    net = EnumeratedDBN.random((3, 3, 2), seed=7)
    model, v = net.module(), torch.tensor(net.V)
    whole = variational_bound(model, v, 8)
    monkeypatch.setattr("skgen.dbn._bound._BLOCK", 40)
    torch.testing.assert_close(variational_bound(model, v, 8), whole)
    generator = torch.Generator().manual_seed(0)
    many = importance_weighted_bound(model, v, 3000, generator=generator).detach()
    log_p = many.numpy() - net.machines[-1].log_z
    np.testing.assert_allclose(log_p, net.log_p_v, atol=0.03)


def test_half_of_the_draws_are_opposite_to_the_others():
    """Bits of probability 1/2 have a mean of 1/2 over the two draws of a pair."""
    net = EnumeratedDBN.random((3, 4, 2), seed=8)
    net.recognition = [(0 * R, 0 * r) for R, r in net.recognition]
    model, drawn = net.module(), []
    log_partition = type(model.layers[0].visible).log_partition

    def watched(units, inputs):
        drawn.append(inputs.detach())
        return log_partition(units, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.layers[0].visible), "log_partition", watched)
        variational_bound(model, torch.tensor(net.V), 6)
    downward = drawn[::2]
    mean = (downward[0] + downward[1]) / 2
    expected = 0.5 * net.machines[0].W.sum(0) + net.machines[0].b
    np.testing.assert_allclose(mean, np.tile(expected, (24, 1)), atol=1e-12)
    assert (downward[0] - downward[1]).abs().max() > 0.1
    # Where the terms are nearly linear in the bits, the errors of a pair cancel.
    net = EnumeratedDBN.random((3, 4, 2), seed=9, scale=0.01)
    net.recognition = [(0 * R, 0 * r) for R, r in net.recognition]
    got = variational_bound(net.module(), torch.tensor(net.V), 2).detach().numpy()
    exact = net.bound + net.machines[-1].log_z
    np.testing.assert_allclose(got, exact, atol=5e-4)
