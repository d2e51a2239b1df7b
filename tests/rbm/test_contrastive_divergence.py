"""Contrastive divergence: its expectation against enumeration, and its algebra.

A test of an expectation draws n chains at once, and compares each entry of the
gradient with its exact mean in units of its standard error, known from the exact
second moment bound 1/4 a term. Seeds are fixed; a wrong estimator, listed beside
each, lies tens of standard errors away.
"""

import copy

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM, center
from rbm_helpers import module_of

from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._gradient_ascent import in_place_sgd
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.training import Batch, TrainingStep

N_CHAINS = 200_000
# Entries are means of terms within an interval of length 1: error <= 1/2/sqrt(n).
STANDARD_ERROR = 0.5 / np.sqrt(N_CHAINS)
DATA = np.array([0, 3, 3, 9, 14])  # states of 4 units, in the order of the oracle


@pytest.fixture
def oracle():
    return EnumeratedRBM.random(4, 3, seed=5, scale=2.0)


def p_data(oracle):
    return np.bincount(DATA, minlength=len(oracle.V)) / len(DATA)


def data_rows(oracle, n):
    return torch.tensor(np.tile(oracle.V[DATA], (n // len(DATA), 1)))


def ascent(model, objective, rows, generator):
    objective.fill_gradients_(model, Batch(rows), generator=generator)
    return tuple(-p.grad.numpy() for p in model.parameters())


def training_step_of(model, generator, *, lr, weight_decay=0.0, **kwargs):
    """A training step whose optimizer is plain SGD; only the weights decay."""
    listener = kwargs.pop("on_gradients", None)
    groups = [
        {"params": [model.weight], "weight_decay": weight_decay},
        {"params": [model.hidden_bias, model.visible_bias]},
    ]
    return TrainingStep(
        {"optimizer": torch.optim.SGD(groups, lr=lr, **kwargs)},
        list(model.named_parameters()),
        generator=generator,
        on_gradients=listener,
    )


def assert_means(got, expected, z=5.0):
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, atol=z * STANDARD_ERROR)


def distance(got, expected):
    """Largest distance in standard errors."""
    pairs = zip(got, expected, strict=True)
    return max(np.abs(g - e).max() for g, e in pairs) / STANDARD_ERROR


@pytest.mark.parametrize("k", [1, 2, 5])
def test_cd_in_expectation(oracle, generator, k):
    objective = ContrastiveDivergence(None, None, None, n_steps=k)
    got = ascent(module_of(oracle), objective, data_rows(oracle, N_CHAINS), generator)
    law = p_data(oracle) @ np.linalg.matrix_power(oracle.transition, k)
    assert_means(got, oracle.gradient(p_data(oracle), law))
    # One step instead of two would be seen.
    wrong = p_data(oracle) @ np.linalg.matrix_power(oracle.transition, k + 1)
    assert k > 1 or distance(got, oracle.gradient(p_data(oracle), wrong)) > 10


def chains_from(oracle, p_h, n):
    # Not the seed of the generator: numpy and torch run the same Mersenne twister,
    # and at one seed their numbers are the same.
    h = np.random.RandomState(1234).choice(len(p_h), size=n, p=p_h)
    return torch.tensor(oracle.H[h])


@pytest.mark.parametrize("k", [1, 3])
def test_pcd_in_equilibrium_is_the_likelihood_gradient(oracle, generator, k):
    chains = chains_from(oracle, oracle.p_h, N_CHAINS)
    objective = ContrastiveDivergence(chains, None, None, n_steps=k)
    got = ascent(module_of(oracle), objective, data_rows(oracle, 50), generator)
    exact = oracle.gradient(p_data(oracle))
    assert_means(got, exact)
    assert distance([-g for g in got], exact) > 100


@pytest.mark.parametrize("k", [1, 2])
def test_pcd_from_any_chains(oracle, generator, k):
    start = np.zeros(len(oracle.H))
    start[5] = 1.0
    chains = chains_from(oracle, start, N_CHAINS)
    objective = ContrastiveDivergence(chains, None, None, n_steps=k)
    got = ascent(module_of(oracle), objective, data_rows(oracle, 5), generator)
    law = oracle.p_v_given_h @ start
    law = law @ np.linalg.matrix_power(oracle.transition, k - 1)
    assert_means(got, oracle.gradient(p_data(oracle), law))
    # The chains are left at P(h | v) of the last v.
    after = objective.chains.numpy().mean(0)
    assert_means([after], [oracle.moments(law)[1]])


@pytest.mark.parametrize("n_rows", [5, 50])
@pytest.mark.parametrize("persistent", [True, False])
def test_each_phase_is_averaged_over_its_own_rows(
    oracle, generator, n_rows, persistent
):
    # 200,000 chains and few rows: scikit-learn's rule (divide by the rows of data)
    # would be off by a factor of thousands.
    chains = chains_from(oracle, oracle.p_h, 1000) if persistent else None
    objective = ContrastiveDivergence(chains, None, None)
    got = ascent(module_of(oracle), objective, data_rows(oracle, n_rows), generator)
    assert max(np.abs(g).max() for g in got) <= 1


def offsets():
    rng = np.random.RandomState(7)
    return torch.tensor(rng.uniform(size=4)), torch.tensor(rng.uniform(size=3))


@pytest.mark.parametrize("persistent", [True, False])
def test_centered_gradient_is_the_plain_one_in_other_coordinates(oracle, persistent):
    mu, lam = offsets()
    got = {}
    for name, pair in {"plain": (None, None), "centered": (mu, lam.clone())}.items():
        chains = chains_from(oracle, oracle.p_h, 8) if persistent else None
        objective = ContrastiveDivergence(chains, *pair)
        same_noise = torch.Generator().manual_seed(1)
        got[name] = ascent(
            module_of(oracle), objective, data_rows(oracle, 10), same_noise
        )
    # The hidden offset moves after it has been used.
    expected = center(*got["plain"], mu.numpy(), lam.numpy())
    assert not torch.equal(objective.hidden_offset, lam)
    for g, e in zip(got["centered"], expected, strict=True):
        np.testing.assert_allclose(g, e, atol=1e-12)


def test_hidden_offset_follows_the_mean_over_data(oracle, generator):
    mu, lam = offsets()
    objective = ContrastiveDivergence(None, mu, lam.clone())
    ascent(module_of(oracle), objective, data_rows(oracle, 5), generator)
    expected = 0.99 * lam.numpy() + 0.01 * oracle.moments(p_data(oracle))[1]
    np.testing.assert_allclose(objective.hidden_offset.numpy(), expected, atol=1e-12)
    np.testing.assert_array_equal(objective.visible_offset.numpy(), mu.numpy())


def test_oracle_of_centering_by_finite_differences(oracle):
    """The centered gradient is d(likelihood) where units have their offsets off.

    With E = -(v - mu).b' - (h - lam).c' - (h - lam).W.(v - mu) the plain biases
    are b = b' - W^T lam and c = c' - W mu; a step along the gradient in (W, c',
    b') is, to first order, a step along `center` in (W, c, b).
    """
    mu, lam = (o.numpy() for o in offsets())
    W, c, b = oracle.params
    primed = [W, c + W @ mu, b + lam @ W]

    def likelihood(W, c_primed, b_primed):
        model = EnumeratedRBM(W, c_primed - W @ mu, b_primed - lam @ W)
        return model.mean_log_likelihood(p_data(oracle))

    gradient = [np.zeros_like(p) for p in primed]
    for p, g in zip(primed, gradient, strict=True):
        for index in np.ndindex(p.shape):
            kept, eps = p[index], 1e-5
            p[index] = kept + eps
            above = likelihood(*primed)
            p[index] = kept - eps
            g[index] = (above - likelihood(*primed)) / (2 * eps)
            p[index] = kept
    dW, dc, db = gradient
    step = dW, dc - dW @ mu, db - lam @ dW
    expected = center(*oracle.gradient(p_data(oracle)), mu, lam)
    for s, e in zip(step, expected, strict=True):
        np.testing.assert_allclose(s, e, atol=1e-8)


def test_oracle_gradient_by_finite_differences(oracle):
    params = [p.copy() for p in oracle.params]
    for p, g in zip(params, oracle.gradient(p_data(oracle)), strict=True):
        for index in np.ndindex(p.shape):
            kept, eps = p[index], 1e-5
            p[index] = kept + eps
            above = EnumeratedRBM(*params).mean_log_likelihood(p_data(oracle))
            p[index] = kept - eps
            below = EnumeratedRBM(*params).mean_log_likelihood(p_data(oracle))
            p[index] = kept
            assert abs((above - below) / (2 * eps) - g[index]) < 1e-8


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_a_training_step_in_place_is_a_step_of_sgd(
    oracle, persistent, centered, momentum, weight_decay
):
    """Mini-batches of several sizes; only the weights decay."""
    models = module_of(oracle), module_of(oracle)
    for i, model in enumerate(models):
        chains = chains_from(oracle, oracle.p_h, 6)
        objective = ContrastiveDivergence(
            chains, *(offsets() if centered else (None, None)), n_steps=2
        )
        noise = torch.Generator().manual_seed(2)
        step = training_step_of(
            model, noise, lr=0.5, weight_decay=weight_decay, momentum=momentum
        )
        for n in (10, 10, 5, 15, 10, 5):
            rows = data_rows(oracle, n)
            if i == 0:
                objective.fill_gradients_(model, Batch(rows), generator=noise)
                step.optimizers["optimizer"].step()
            else:
                with torch.no_grad():
                    objective.training_step(model, Batch(rows), step)
                assert all(p.grad is None for p in model.parameters())
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        np.testing.assert_allclose(p.detach(), q.detach(), atol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_steps_in_place_and_by_gradients_take_turns(oracle, momentum):
    """A learning rate that moves, and velocities that each goes on with."""
    models = module_of(oracle), module_of(oracle)
    ways = []
    for in_turns, model in zip((False, True), models, strict=True):
        objective = ContrastiveDivergence(
            chains_from(oracle, oracle.p_h, 6), *offsets(), n_steps=2
        )
        noise = torch.Generator().manual_seed(2)
        seen = []
        step = training_step_of(
            model,
            noise,
            lr=0.5,
            weight_decay=0.3,
            momentum=momentum,
            on_gradients=lambda *args, seen=seen: seen.append(args),
        )
        silent = TrainingStep(
            step.optimizers, list(model.named_parameters()), generator=noise
        )
        for k, rate in enumerate((0.5, 0.4, 0.3, 0.2, 0.1, 0.05)):
            for group in step.optimizers["optimizer"].param_groups:
                group["lr"] = rate
            now = silent if in_turns and k // 2 != 1 else step
            now.batch = Batch(data_rows(oracle, 10))
            with torch.no_grad():
                objective.training_step(model, now.batch, now)
        ways.append(len(seen))
    assert ways == [6, 2]
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        np.testing.assert_allclose(p.detach(), q.detach(), atol=1e-12)


def test_a_velocity_that_fades_stays_a_normal_number():
    """Denormal ones, met after 126 halvings, would take several times as long."""
    model = BernoulliRBM(torch.zeros(3, 4), torch.zeros(3), torch.full((4,), -100.0))
    objective = ContrastiveDivergence(torch.zeros(10, 3), None, None)
    step = training_step_of(
        model, torch.Generator().manual_seed(0), lr=0.5, momentum=0.5
    )
    state = step.optimizers["optimizer"].state
    for p in model.parameters():
        state[p]["momentum_buffer"] = torch.ones_like(p.detach())
    velocity = [state[p]["momentum_buffer"] for p in model.parameters()]
    with torch.no_grad():
        for _ in range(130):  # bits are 0, and so is the gradient of the weights
            objective.training_step(model, Batch(torch.zeros(10, 4)), step)
    assert state[model.weight]["momentum_buffer"] is velocity[0]
    size = velocity[0].abs()
    assert torch.finfo(torch.float32).tiny < size.min()
    assert size.max() < 1e-20


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("name", ["weight", "hidden_bias", "visible_bias"])
def test_a_frozen_parameter_does_not_move(oracle, name, persistent):
    """The others take the step that they take without it."""
    models = module_of(oracle), module_of(oracle)
    getattr(models[1], name).requires_grad_(False)
    for model in models:
        chains = chains_from(oracle, oracle.p_h, 6)
        objective = ContrastiveDivergence(chains, None, None)
        noise = torch.Generator().manual_seed(2)
        step = training_step_of(model, noise, lr=0.5, weight_decay=0.3)
        with torch.no_grad():
            objective.training_step(model, Batch(data_rows(oracle, 10)), step)
    frozen = dict(models[1].named_parameters())
    before = dict(module_of(oracle).named_parameters())
    for other, p in models[0].named_parameters():
        assert not torch.equal(p, before[other])
        expected = before[other] if other == name else p
        np.testing.assert_allclose(
            frozen[other].detach(), expected.detach(), atol=1e-12
        )
    assert torch.equal(frozen[name], before[name])
    assert frozen[name].grad is None


FROZEN = [
    {"weight"},
    {"hidden_bias"},
    {"visible_bias"},
    {"weight", "hidden_bias"},
    {"weight", "visible_bias"},
    {"hidden_bias", "visible_bias"},
    {"weight", "hidden_bias", "visible_bias"},
]


@pytest.mark.parametrize("frozen", FROZEN, ids=sorted)
def test_centered_gradient_beside_frozen_parameters(oracle, frozen):
    """It vanishes where the plain gradient of the free parameters does.

    A step of the weights moves both biases in plain coordinates. One that is frozen
    does not follow: with its offset, the weights would not end at the best likelihood.
    """
    mu, lam = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.3, 0.5, 0.7])
    models, got = {}, {}
    for name, offsets in (
        ("plain", (None, None)),
        ("centered", (torch.tensor(mu), torch.tensor(lam))),
    ):
        model = models[name] = module_of(oracle)
        if name == "centered":
            for parameter in frozen:
                getattr(model, parameter).requires_grad_(False)
        chains = chains_from(oracle, oracle.p_h, 10)
        objective = ContrastiveDivergence(chains, *offsets)
        noise = torch.Generator().manual_seed(2)
        objective.fill_gradients_(model, Batch(data_rows(oracle, 10)), generator=noise)
        got[name] = [None if p.grad is None else -p.grad for p in model.parameters()]
        if offsets[1] is not None:  # it follows the data all the same
            assert not torch.equal(objective.hidden_offset, torch.tensor(lam))
    fixed_weight = "weight" in frozen
    expected = center(
        *(g.numpy() for g in got["plain"]),
        mu * ("hidden_bias" not in frozen) * (not fixed_weight),
        lam * ("visible_bias" not in frozen) * (not fixed_weight),
    )
    names = ["weight", "hidden_bias", "visible_bias"]
    if fixed_weight:
        expected = [g.numpy() for g in got["plain"]]
    for name, g, e in zip(names, got["centered"], expected, strict=True):
        if name in frozen:
            assert g is None
        else:
            np.testing.assert_allclose(g, e, atol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_parameter_frozen_within_an_epoch_stops_at_once(oracle, momentum):
    model, rows = module_of(oracle), data_rows(oracle, 10)
    objective = ContrastiveDivergence(chains_from(oracle, oracle.p_h, 6), None, None)
    noise = torch.Generator().manual_seed(2)
    step = training_step_of(model, noise, lr=0.5, weight_decay=0.3, momentum=momentum)
    at = [p.detach().clone() for p in model.parameters()]
    moved = []
    with torch.no_grad():
        for frozen in (False, True, True, False):
            model.weight.requires_grad_(not frozen)
            objective.training_step(model, Batch(rows), step)
            now = [p.detach().clone() for p in model.parameters()]
            moved.append([not torch.equal(a, b) for a, b in zip(at, now, strict=True)])
            at = now
    everything, all_but_weights = [True, True, True], [False, True, True]
    assert moved == [everything, all_but_weights, all_but_weights, everything]


SGD_KWARGS = {
    "plain": {},
    "momentum": {"momentum": 0.7},
    "nesterov": {"momentum": 0.7, "nesterov": True},
    "dampening": {"momentum": 0.7, "dampening": 0.2},
    "maximize": {"maximize": True},
    "listener": {},
}


@pytest.mark.parametrize("kind", SGD_KWARGS)
def test_only_plain_sgd_that_nobody_watches_is_in_place(oracle, kind):
    """Otherwise a training step is `fill_gradients_` and a step of the optimizer."""
    kwargs, seen = SGD_KWARGS[kind], []
    models = module_of(oracle), module_of(oracle)
    for i, model in enumerate(models):
        objective = ContrastiveDivergence(None, None, None)
        noise = torch.Generator().manual_seed(2)
        listener = (lambda *args: seen.append(args)) if kind == "listener" else None
        step = training_step_of(
            model, noise, lr=0.5, weight_decay=0.3, on_gradients=listener, **kwargs
        )
        in_place = in_place_sgd(model, step) is not None
        assert in_place == (kind in ("plain", "momentum"))
        for _ in range(3):
            step.batch = Batch(data_rows(oracle, 10))
            if i == 0:
                objective.fill_gradients_(model, step.batch, generator=noise)
                step.optimizers["optimizer"].step()
            else:
                with torch.no_grad():
                    objective.training_step(model, step.batch, step)
                has_gradients = [p.grad is not None for p in model.parameters()]
                assert has_gradients == [not in_place] * 3
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        np.testing.assert_allclose(p.detach(), q.detach(), atol=1e-12)
    assert len(seen) == (3 if kind == "listener" else 0)
    for named_parameters, batch in seen:
        assert [name for name, _ in named_parameters] == [
            "weight",
            "hidden_bias",
            "visible_bias",
        ]
        assert torch.equal(batch.x, data_rows(oracle, 10))


def test_another_optimizer_is_not_in_place(oracle):
    """Adam, and a subclass of SGD, which may do anything."""

    class Subclass(torch.optim.SGD):
        pass

    model = module_of(oracle)
    for optimizer in (
        torch.optim.Adam(model.parameters()),
        Subclass(model.parameters(), lr=0.1),
    ):
        step = TrainingStep(
            {"optimizer": optimizer},
            list(model.named_parameters()),
            generator=torch.Generator(),
        )
        assert in_place_sgd(model, step) is None


def phases(model, objective, batch, seed):
    """The gradient that a batch gives, and its negative phase.

    Rows of data that weigh nothing leave the negative phase alone.
    """
    gradients = []
    for weight in (batch.weight, torch.zeros(len(batch.x), dtype=torch.float64)):
        twin = copy.deepcopy(objective)
        noise = torch.Generator().manual_seed(seed)
        twin.fill_gradients_(model, batch._replace(weight=weight), generator=noise)
        gradients.append([-p.grad.numpy() for p in model.parameters()])
    return gradients


def test_weights_of_rows_are_repetitions_in_the_positive_phase(oracle):
    """Integers of mean 1, a weight of 0 among them; to rounding."""
    weights = torch.tensor([3, 0, 1, 0, 2, 1, 0, 1, 1, 1])
    rows = torch.tensor(oracle.V[[0, 3, 3, 9, 14, 1, 7, 8, 12, 15]])
    repeated = rows.repeat_interleave(weights, 0)
    assert len(repeated) == len(rows)
    positive = []
    for batch in (
        Batch(rows, None, weights.double()),
        Batch(repeated, None, torch.ones(10, dtype=torch.float64)),
        Batch(repeated),
        Batch(rows),
    ):
        chains = chains_from(oracle, oracle.p_h, 6)
        objective = ContrastiveDivergence(chains, None, None)
        both, negative = phases(module_of(oracle), objective, batch, seed=2)
        positive.append([g - n for g, n in zip(both, negative, strict=True)])
    weighted, ones, expected, plain = positive
    p_repeated = np.bincount(oracle.index(repeated), minlength=len(oracle.V)) / 10
    exact = oracle.moments(p_repeated)
    for w, o, e, m in zip(weighted, ones, expected, exact, strict=True):
        np.testing.assert_allclose(w, e, atol=1e-12)
        np.testing.assert_allclose(o, e, atol=1e-12)
        np.testing.assert_allclose(w, m, atol=1e-12)
    # Rows without their weights would be seen.
    assert max(np.abs(w - p).max() for w, p in zip(weighted, plain, strict=True)) > 0.1


def test_gradient_of_cd_is_a_weighted_sum_over_rows_and_their_chains(oracle):
    """To rounding, with the same noise: a row that weighs nothing has no chain."""
    rows = torch.tensor(oracle.V[[0, 3, 3, 9, 14, 1, 7, 8, 12, 15]])

    def gradient(weight):
        model, objective = module_of(oracle), ContrastiveDivergence(None, None, None)
        noise = torch.Generator().manual_seed(2)
        objective.fill_gradients_(model, Batch(rows, None, weight), generator=noise)
        return [-p.grad.numpy() for p in model.parameters()]

    weights = torch.tensor([3, 0, 1, 0, 2, 1, 0, 1, 1, 1]).double()
    alone = [gradient(10 * row) for row in torch.eye(10, dtype=torch.float64)]
    for weight in (weights, torch.ones(10).double(), None):
        factors = torch.ones(10) / 10 if weight is None else weight / 10
        expected = [
            sum(f * g for f, g in zip(factors.tolist(), of_rows, strict=True))
            for of_rows in zip(*alone, strict=True)
        ]
        for g, e in zip(gradient(weight), expected, strict=True):
            np.testing.assert_allclose(g, e, atol=1e-12)
    # v minus the v of one chain; with the mean over all chains it would be fractions.
    differences = np.array([by_b for _, _, by_b in alone])
    np.testing.assert_allclose(differences, differences.round(), atol=1e-12)
    assert set(np.unique(differences.round())) == {-1, 0, 1}


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_step_with_weights_is_one_with_repeated_rows(oracle, in_place, centered):
    """Of persistent chains, whose negative phase takes no rows; three steps."""
    weights = torch.tensor([3, 0, 1, 0, 2, 1, 0, 1, 1, 1])
    rows = torch.tensor(oracle.V[[0, 3, 3, 9, 14, 1, 7, 8, 12, 15]])
    weighted = Batch(rows, None, weights.double())
    repeated = Batch(rows.repeat_interleave(weights, 0))
    results = []
    # Batches without weights in between: those of before must not stay.
    for batches in ([weighted, repeated, weighted], [repeated] * 3, [Batch(rows)] * 3):
        model = module_of(oracle)
        objective = ContrastiveDivergence(
            chains_from(oracle, oracle.p_h, 6),
            *(offsets() if centered else (None, None)),
        )
        noise = torch.Generator().manual_seed(2)
        listener = None if in_place else lambda *args: None
        step = training_step_of(
            model, noise, lr=0.5, momentum=0.7, on_gradients=listener
        )
        for batch in batches:
            step.batch = batch
            with torch.no_grad():
                objective.training_step(model, batch, step)
        result = list(model.state_dict().values())
        results.append([*result, objective.hidden_offset] if centered else result)
    for w, e, plain in zip(*results, strict=True):
        np.testing.assert_allclose(w, e, atol=1e-12)
        assert (w - plain).abs().max() > 1e-3


@pytest.mark.parametrize("persistent", [True, False])
def test_tensors_of_another_batch_size_or_model_are_not_taken(oracle, persistent):
    """A step depends on the model and the batch it is given, not on those before."""
    got = []
    for before in ([], [5, 10, 20]):
        chains = chains_from(oracle, oracle.p_h, 6)
        objective = ContrastiveDivergence(chains, None, None)
        for n in before:
            noise = torch.Generator().manual_seed(n)
            ascent(module_of(oracle), objective, data_rows(oracle, n), noise)
        if persistent:
            objective.chains.copy_(chains_from(oracle, oracle.p_h, 6))
        other = EnumeratedRBM.random(4, 3, seed=6, scale=1.0)
        noise = torch.Generator().manual_seed(3)
        got.append(ascent(module_of(other), objective, data_rows(oracle, 10), noise))
    for g, e in zip(*got, strict=True):
        np.testing.assert_array_equal(g, e)


@pytest.mark.parametrize("persistent", [True, False])
def test_rounded_factors_in_expectation(oracle, generator, persistent):
    """Factors in bfloat16, whose relative rounding is 2^-9: bias of a few thousandths.

    float16 of 10 bits would pass as well, 3 bits of mantissa would not.
    """
    chains = chains_from(oracle, oracle.p_h, N_CHAINS) if persistent else None
    objective = ContrastiveDivergence(chains, None, None, factor_dtype=torch.bfloat16)
    rows = data_rows(oracle, N_CHAINS)
    model = module_of(oracle)
    got = ascent(model, objective, rows, generator)
    law = None if persistent else p_data(oracle) @ oracle.transition
    exact = oracle.gradient(p_data(oracle), *([] if persistent else [law]))
    for g, e, p in zip(got, exact, model.parameters(), strict=True):
        assert g.dtype == np.float64
        assert p.dtype == torch.float64
        np.testing.assert_allclose(g, e, atol=5 * STANDARD_ERROR + 2.0**-8)
    # It is rounded: the same noise without gives other numbers.
    noise = torch.Generator().manual_seed(0)
    chains = chains_from(oracle, oracle.p_h, N_CHAINS) if persistent else None
    plain = ascent(model, ContrastiveDivergence(chains, None, None), rows, noise)
    assert not np.array_equal(got[0], plain[0])


def test_what_is_watched_is_minus_the_pseudo_likelihood(oracle):
    loss = ContrastiveDivergence(None, None, None).evaluate(
        module_of(oracle), Batch(torch.tensor(oracle.V))
    )
    np.testing.assert_allclose(
        -loss.numpy(), oracle.pseudo_log_likelihood(oracle.V), atol=1e-10
    )


def test_what_is_watched_of_many_units_is_an_estimate_from_64(generator):
    """Evenly spread, and the same ones each time; near the exact value here."""
    weight = 0.1 * torch.randn(5, 300, generator=generator)
    # The first units are far likelier to be wrong than the last ones.
    model = BernoulliRBM(weight, torch.zeros(5), torch.linspace(-9, 0, 300))
    v = torch.rand(200, 300, generator=generator).round()
    with torch.no_grad():
        exact = -pseudo_log_likelihood(model, v)
    loss = ContrastiveDivergence(None, None, None).evaluate(model, Batch(v))
    assert loss.shape == (200,)
    assert not torch.allclose(loss, exact)
    assert loss.mean().item() == pytest.approx(exact.mean().item(), rel=0.03)
    few = ContrastiveDivergence(None, None, None).evaluate(model, Batch(v[:3]))
    torch.testing.assert_close(few, loss[:3])


def test_weights_count_in_both_phases_without_persistent_chains(oracle):
    """CD of rows that weigh 2 and 0 is CD of the first, in units of the error.

    With weights in the positive phase alone it is tens of standard errors away.
    """
    half = N_CHAINS // 2
    rows = torch.tensor(np.repeat(oracle.V[[3, 9]], half, axis=0))
    weight = torch.tensor([2.0, 0.0], dtype=torch.float64).repeat_interleave(half)
    both = []
    for batch in (Batch(rows, None, weight), Batch(rows[:half].repeat(2, 1))):
        model, objective = module_of(oracle), ContrastiveDivergence(None, None, None)
        generator = torch.Generator().manual_seed(0)
        objective.fill_gradients_(model, batch, generator=generator)
        both.append([-p.grad.numpy() for p in model.parameters()])
    assert distance(*both) < 7  # twice the variance of a mean over all rows
    objective = ContrastiveDivergence(None, None, None)
    objective._weighted = lambda weights, w: torch.cat(
        [weights[:N_CHAINS] * w, weights[N_CHAINS:]]
    )
    model = module_of(oracle)
    objective.fill_gradients_(
        model, Batch(rows, None, weight), generator=torch.Generator().manual_seed(0)
    )
    wrong = [-p.grad.numpy() for p in model.parameters()]
    assert distance(wrong, both[1]) > 20


@pytest.mark.parametrize(
    "groups",
    [
        {"weight_decay": 0.3},  # of all parameters
        {"bias_decay": 0.3},
        {"bias_lr": 0.1},
    ],
)
def test_in_place_only_where_the_groups_are_those_of_the_estimator(oracle, groups):
    model = module_of(oracle)
    weight, *biases = model.parameters()
    if "weight_decay" in groups:
        sgd = torch.optim.SGD(model.parameters(), lr=0.5, **groups)
    else:
        own = {
            "weight_decay": groups.get("bias_decay", 0),
            "lr": groups.get("bias_lr", 0.5),
        }
        sgd = torch.optim.SGD([{"params": [weight]}, {"params": biases} | own], lr=0.5)
    step = TrainingStep(
        {"optimizer": sgd}, list(model.named_parameters()), generator=torch.Generator()
    )
    assert in_place_sgd(model, step) is None
    usual = [{"params": [weight], "weight_decay": 0.3}, {"params": biases}]
    step.optimizers = {"optimizer": torch.optim.SGD(usual, lr=0.5)}
    assert in_place_sgd(model, step) is not None
