"""Fine-tuning of a deep belief network, against enumeration."""

import copy

import numpy as np
import pytest
import torch
from dbn_helpers import EnumeratedDBN
from oracles import EnumeratedRBM, all_states
from scipy.special import logsumexp
from torch.optim import SGD

from skgen.dbn._bound import variational_terms
from skgen.dbn._fine_tuning import FineTuning, differentiable_bits
from skgen.nn import BernoulliObservation
from skgen.training._step import Batch, TrainingStep

BITS = BernoulliObservation()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def parameters_of(net):
    """All arrays of an enumerated network, in the order of its module."""
    for machine in net.machines:
        yield from machine.params
    for pair in net.recognition:
        yield from pair


def rebuilt(arrays, n_layers):
    arrays = list(arrays)
    machines = [EnumeratedRBM(*arrays[3 * k : 3 * k + 3]) for k in range(n_layers)]
    rest = arrays[3 * n_layers :]
    return EnumeratedDBN(machines, list(zip(rest[::2], rest[1::2], strict=True)))


def finite_differences(net, p_data, step=1e-5):
    """The gradient of the enumerated bound, mean over data, for each array."""
    arrays = [np.array(a) for a in parameters_of(net)]
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            ends, middle = [], array[index]
            for sign in (1, -1):
                array[index] = middle + sign * step
                ends.append(p_data @ rebuilt(arrays, len(net.machines)).bound)
            array[index] = middle
            gradient[index] = (ends[0] - ends[1]) / (2 * step)
        gradients.append(gradient)
    return gradients


def expected_gradients(net, p_data, estimator):
    """The mean gradient of the terms over all draws, less that of log Z."""
    model = net.module()
    names = [n for n, _ in model.named_parameters()]
    v = torch.tensor(net.V)
    log_q, _ = net.paths
    weights = torch.tensor(np.exp(log_q) * p_data.reshape(-1, *[1] * (log_q.ndim - 1)))
    total = torch.zeros(())
    for index in np.ndindex(weights.shape[1:]):
        states = [m.H[i] for m, i in zip(net.machines, index, strict=False)]

        def draw(k, p, states=states):
            bits = torch.tensor(states[k]).expand_as(p)
            return estimator(bits, p)

        terms = variational_terms(model, v, draw)
        total = total + (terms * weights[(slice(None), *index)]).sum()
    # As F is differentiated at draws of the top machine.
    top = net.machines[-1]
    p_h = torch.tensor(np.exp(top.log_p_v))
    free_energy = model.top.free_energy(torch.tensor(top.V))
    total = total + (p_h * free_energy).sum()
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(
        total, parameters, allow_unused=True, materialize_grads=True
    )
    return dict(zip(names, (g.detach().numpy() for g in gradients), strict=True))


def by_name(net, arrays):
    """Arrays by the names of the parameters of the module."""
    names = [name for name, _ in net.module().named_parameters()]
    return dict(zip(names, arrays, strict=True))


def plain(bits, p):
    return bits


def straight_through(bits, p):
    return bits + (p - p.detach())


@pytest.mark.parametrize("sizes", [(3, 3, 2), (3, 2, 2, 2)])
def test_gradient_of_the_bound(sizes):
    """Exact for p of q's draws; close for q, closer than straight through."""
    net = EnumeratedDBN.random(sizes, seed=3, scale=0.5, untied=True)
    p_data = np.random.RandomState(0).dirichlet(np.ones(len(net.V)))
    exact = by_name(net, finite_differences(net, p_data))
    got = expected_gradients(net, p_data, differentiable_bits)
    cruder = expected_gradients(net, p_data, straight_through)
    errors = np.zeros(2)
    for name, gradient in exact.items():
        if name.startswith("recognition"):
            errors += [np.square(x[name] - gradient).sum() for x in (got, cruder)]
            scale = np.abs(gradient).max()
            assert np.abs(got[name] - gradient).max() < 0.1 * scale + 0.01
        elif name.endswith("0.hidden_bias"):  # it takes no part with a q of its own
            assert np.abs(gradient).max() < 1e-9
        else:
            np.testing.assert_allclose(got[name], gradient, atol=1e-8)
    assert errors[0] < 0.2 * errors[1]


def test_bits_pass_on_exact_gradients_of_quadratic_functions():
    rng = np.random.RandomState(1)
    A, b = torch.tensor(rng.normal(size=(4, 4))), torch.tensor(rng.normal(size=4))
    A = A - A.diag().diag() * 0.3
    p = torch.tensor([0.2, 0.5, 0.9, 0.6], dtype=torch.float64, requires_grad=True)
    states = torch.tensor(all_states(4))

    def f(h):
        return torch.einsum("ni,ij,nj->n", h, A, h) + h @ b

    weights = torch.where(states > 0, p, 1 - p).prod(1)
    (exact,) = torch.autograd.grad((weights * f(states)).sum(), p)
    for estimator, is_exact in [(differentiable_bits, True), (straight_through, False)]:
        values = f(estimator(states, p.expand_as(states)))
        (got,) = torch.autograd.grad((weights.detach() * values).sum(), p)
        assert torch.allclose(got, exact, atol=1e-12) == is_exact


def test_bits_stay_bits_and_gradients_finite():
    logit = torch.tensor([-200.0, -20, 0, 20, 200], requires_grad=True)
    p = torch.sigmoid(logit)
    for bits in (torch.zeros(5), torch.ones(5)):
        h = differentiable_bits(bits, p)
        assert torch.equal(h, bits)
        (gradient,) = torch.autograd.grad(h.sum(), logit, retain_graph=True)
        assert (gradient.abs() <= 0.5).all()


def objective(net, n_chains=4, **params):
    n_top = len(net.machines[-1].c)
    return FineTuning(torch.zeros(n_chains, n_top).double(), BITS, **params)


def training_step(model, lr=1.0, seed=0):
    named = list(model.named_parameters())
    optimizer = SGD([p for _, p in named], lr=lr)
    return TrainingStep({"optimizer": optimizer}, named, generator=generator(seed))


def test_chains_have_the_law_of_the_top_machine():
    net = EnumeratedDBN.random((2, 3, 3), seed=4)
    model, top = net.module(), net.machines[-1]
    tuning = objective(net, n_chains=20_000, n_steps=15)
    states = tuning._run_chains(model, generator())
    for drawn, table, n in [
        (states, np.exp(top.log_p_v), 3),
        (tuning.chains, top.p_h, 3),
    ]:
        index = drawn.numpy().astype(int) @ (2 ** np.arange(n)[::-1])
        counts = np.bincount(index, minlength=len(table))
        chi2 = np.square(counts - 20_000 * table) / (20_000 * table)
        assert chi2.sum() < 25  # 7 degrees of freedom, p < 1e-3
    # One step from chains of zeros is not there yet.
    early = objective(net, n_chains=20_000)._run_chains(model, generator())
    index = early.numpy().astype(int) @ [4, 2, 1]
    expected = 20_000 * np.exp(top.log_p_v)
    assert (np.square(np.bincount(index, minlength=8) - expected) / expected).sum() > 99


def test_a_step_follows_loss_and_chains():
    net = EnumeratedDBN.random((3, 3, 2), seed=5, untied=True)
    model, tuning = net.module(), objective(net)
    twin, other = copy.deepcopy(model), copy.deepcopy(tuning)
    v = torch.tensor(net.V)
    tuning.training_step(model, Batch(v), training_step(model, lr=0.1))
    source = generator()
    loss = other.loss(twin, Batch(v), generator=source).mean()
    states = other._run_chains(twin, source)
    total = loss - twin.top.free_energy(states).mean()
    total.backward()
    for moved, start in zip(model.parameters(), twin.parameters(), strict=True):
        step = 0 if start.grad is None else 0.1 * start.grad
        torch.testing.assert_close(moved, start - step)
    torch.testing.assert_close(tuning.chains, other.chains)


def test_weights_of_rows():
    """A row of twice the weight is two, but for what is drawn; here nothing is."""
    net = EnumeratedDBN.random((3, 2, 2), seed=6, untied=True)
    for k, (R, r) in enumerate(net.recognition):
        net.recognition[k] = 0 * R, np.array([60.0, -60.0]) + 0 * r
    v = torch.tensor(net.V)[:2]
    weights = torch.tensor([[4 / 3, 2 / 3], [1, 1], [2 / 3, 4 / 3]]).double()
    moved = []
    for x, weight in [(v[[0, 0, 1]], None), *((v, w) for w in weights)]:
        model = net.module()
        batch = Batch(x, weight=weight)
        objective(net).training_step(model, batch, training_step(model))
        moved.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    repeated, weighted, equal, reverse = moved
    torch.testing.assert_close(repeated, weighted, atol=1e-6, rtol=0)
    assert (weighted - equal).abs().max() > 0.05
    torch.testing.assert_close(weighted + reverse, 2 * equal)


def test_watched_loss():
    """From the definition, with the draws of rows; of a row alone."""
    net = EnumeratedDBN.random((3, 3, 3), seed=7, untied=True)
    model, top = net.module(), net.machines[-1]
    v = torch.tensor(net.V).repeat(50, 1) * 1.0
    values = objective(net).evaluate(model, Batch(v)).numpy().reshape(50, -1)
    assert (values == values[0]).all()
    # Its value at each h^1 is one of those possible.
    (log_q,), log_p = net.log_q, np.log(net.machines[0].p_v_given_h)
    pl = top.pseudo_log_likelihood(top.V)
    table = -(log_p - log_q + pl)
    for value, row in zip(values[0], table, strict=True):
        assert np.abs(value - row).min() < 1e-10
    assert logsumexp(log_q, axis=1) == pytest.approx(0, abs=1e-12)
