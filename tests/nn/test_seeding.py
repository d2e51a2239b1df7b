"""Random numbers of modules that know of no generator."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skgen.nn._seeding import DrawFrom, draw_from, drawing_from, draws

X = torch.arange(1.0, 25.0).reshape(6, 4)
LSTM = nn.LSTM(4, 4, num_layers=2, dropout=0.5)
ATTENTION = nn.MultiheadAttention(4, 2, dropout=0.5)


def like(x, name, *args, **kwargs):
    """An operator that writes into a tensor which it is given."""
    out = torch.empty_like(x)
    getattr(torch.ops.aten, name).out(x, *args, **kwargs, out=out)
    return out


DRAWS = {
    "rand": lambda: torch.rand(4),
    "rand of a dtype": lambda: torch.rand(4, dtype=torch.float64),
    "rand out": lambda: torch.rand(4, out=torch.empty(4)),
    "randn": lambda: torch.randn(4),
    "randint": lambda: torch.randint(1000, (4,)),
    "randint from": lambda: torch.randint(500, 1000, (4,)),
    "randperm": lambda: torch.randperm(20),
    "rand_like": lambda: torch.rand_like(X),
    "rand_like out": lambda: like(X, "rand_like"),
    "randn_like": lambda: torch.randn_like(X, dtype=torch.float64),
    "randint_like": lambda: torch.randint_like(X, 1000),
    "randint_like from": lambda: torch.randint_like(X, 500, 1000),
    "normal": lambda: torch.normal(X, X),
    "normal_": lambda: X.clone().normal_(),
    "uniform_": lambda: X.clone().uniform_(),
    "random_": lambda: X.clone().random_(),
    "exponential_": lambda: X.clone().exponential_(),
    "bernoulli": lambda: torch.bernoulli(X / 25),
    "multinomial": lambda: torch.multinomial(X, 3),
    "poisson": lambda: torch.poisson(X),
    "binomial": lambda: torch.binomial(X, X / 25),
    "gamma": lambda: torch.distributions.Gamma(X, X).sample(),
    "dirichlet": lambda: torch.distributions.Dirichlet(X).sample(),
    "dropout": lambda: F.dropout(X),
    "dropout in place": lambda: F.dropout(X.clone(), inplace=True),
    "fused dropout": lambda: torch.native_dropout(X, 0.5, True)[0],
    "alpha_dropout": lambda: F.alpha_dropout(X, training=True),
    "dropout1d": lambda: F.dropout1d(X),
    "rrelu": lambda: F.rrelu(-X, training=True),
    "gumbel_softmax": lambda: F.gumbel_softmax(X),
    "attention": lambda: ATTENTION(X, X, X)[0],
    "LSTM": lambda: LSTM(X)[0],
    "Linear": lambda: nn.Linear(4, 4).weight,
    "Conv2d": lambda: nn.Conv2d(1, 2, 3).weight,
    "Embedding": lambda: nn.Embedding(3, 4).weight,
    "orthogonal_": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
}


def source(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_whatever_draws_draws_from_the_generator(draw):
    before = torch.get_rng_state()
    with DrawFrom(source(0)) as mode:
        one, more = draw(), draw()
    with DrawFrom(source(0)):
        same = draw()
    assert mode.has_drawn
    assert torch.equal(one, same)
    assert not torch.equal(one, more)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["dropout", "attention", "rand", "LSTM"])
def test_in_inference_mode(name):
    """Operators that torch composes of others are then seen in one piece."""
    before = torch.get_rng_state()
    with torch.inference_mode():
        with DrawFrom(source(0)):
            one = DRAWS[name]()
        with DrawFrom(source(0)):
            same = DRAWS[name]()
        assert torch.is_inference_mode_enabled()
        assert torch.equal(one, same)
    assert torch.equal(before, torch.get_rng_state())


def test_the_numbers_are_those_of_the_generator():
    with DrawFrom(source(3)):
        one, other = torch.rand(5), torch.randn(5, dtype=torch.float64)
    generator = source(3)
    assert torch.equal(one, torch.rand(5, generator=generator))
    expected = torch.randn(5, generator=generator, dtype=torch.float64)
    assert torch.equal(other, expected)


def test_a_generator_that_is_given_is_used():
    with DrawFrom(source(0)):
        given = torch.rand(5, generator=source(7))
    assert torch.equal(given, torch.rand(5, generator=source(7)))


def test_what_does_not_draw():
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout()).eval()
    attention = nn.MultiheadAttention(4, 2)
    with DrawFrom(source(0)) as mode:
        network(X)
        attention(X, X, X)
        nn.Linear(4, 4, device="meta")
    assert not mode.has_drawn


def test_laws_are_those_of_torch():
    x = torch.ones(100_000)
    with DrawFrom(source(0)):
        kept, mask = torch.native_dropout(x, 0.2, True)
        uniform, normal = torch.rand_like(x), torch.randn_like(x)
        integers = torch.randint_like(x, 2, 5)
    assert mask.float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert torch.equal(kept, mask * 1.25)
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert normal.mean().item() == pytest.approx(0, abs=0.01)
    assert normal.std().item() == pytest.approx(1, abs=0.01)
    assert integers.unique().tolist() == [2, 3, 4]


def test_other_threads_draw_as_always():
    """From the global generator, whose state is that of a program without a context."""
    before, seen = torch.get_rng_state(), []
    other = threading.Thread(target=lambda: seen.append(torch.rand(3)))
    with DrawFrom(source(0)):
        other.start()
        other.join()
        torch.rand(7)
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    assert torch.equal(seen[0], torch.rand(3))
    assert torch.equal(after, torch.get_rng_state())


def test_nested_contexts_and_errors():
    with DrawFrom(source(0)):
        with pytest.raises(RuntimeError), DrawFrom(source(1)):
            torch.rand(3) @ torch.rand(4)
        one = torch.rand(3)
    assert torch.equal(one, torch.rand(3, generator=source(0)))


class Noise(nn.Module):
    """It draws whether it is trained or not."""

    def forward(self, x):
        return x + torch.randn_like(x)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()), False),
        (nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)), True),
        (nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)).eval(), True),
        (nn.Linear(4, 4).double(), False),
        (nn.RReLU(), True),
        (Noise(), True),
        (nn.Linear(3, 4), True),  # which fails
    ],
    ids=str,
)
def test_whether_a_network_draws(network, expected):
    before = torch.get_rng_state()
    mode, state = network.training, copy.deepcopy(network.state_dict())
    assert draws(network, 4) is expected
    assert network.training == mode
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert torch.equal(before, torch.get_rng_state())


def test_networks_that_draw_from_a_seed():
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(), Noise())

    def outputs(seed):
        with drawing_from([network], seed):
            trained = [network.train()(X.clone()) for _ in range(2)]
            evaluated = [network.eval()(X.clone()) for _ in range(2)]
            with torch.inference_mode():
                evaluated.append(network(X.clone()))
        return trained, evaluated

    before = torch.get_rng_state()
    trained, evaluated = outputs(0)
    again, _ = outputs(0)
    assert torch.equal(trained[0], again[0])
    assert not torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], outputs(1)[0][0])
    assert all(torch.equal(evaluated[0], each) for each in evaluated[1:])
    assert torch.equal(before, torch.get_rng_state())
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


def test_a_network_that_fails_leaves_the_context():
    network = nn.Linear(3, 3)
    draw_from(network, 0)
    with pytest.raises(RuntimeError, match="shapes"):
        network(X)
    before = torch.get_rng_state()
    torch.rand(1)
    assert not torch.equal(before, torch.get_rng_state())
