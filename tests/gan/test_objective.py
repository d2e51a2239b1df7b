"""The steps of the two players."""

import copy
from math import log

import numpy as np
import pytest
import torch
from steps import take_step
from torch import nn

from skgen.gan import AdversarialObjective, GANNet, Generator
from skgen.training import Batch, TrainingStep
from skgen.training._optimizers import SGD, Adam


class Point(nn.Module):
    """A generator of one point, whatever the noise."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([theta], dtype=torch.float64))

    def forward(self, z):
        return self.theta.expand(len(z), 1)


class Slope(nn.Module):
    def __init__(self, psi):
        super().__init__()
        self.psi = nn.Parameter(torch.tensor([[psi]], dtype=torch.float64))

    def forward(self, x):
        return x @ self.psi


def dirac(theta=0.0, psi=0.0):
    ones = torch.ones(1, dtype=torch.float64)
    return GANNet(Generator(Point(theta), 1, ones), Slope(psi))


def step_of_dirac(theta, psi, rate, gamma, rows=1):
    model = dirac(theta, psi)
    objective = AdversarialObjective(
        model.generator, loss="relativistic", penalty=gamma, decay=0.9
    )
    x = torch.zeros(rows, 1, dtype=torch.float64)
    optimizer = SGD(model.parameters(), lr=rate)
    take_step(objective, model, x, torch.Generator(), optimizer)
    return [model.generator.network.theta.item(), model.critic.psi.item()]


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.3, 1.5])
def test_eigenvalues_of_the_dirac_gan(gamma):
    r"""Near the equilibrium, half of :math:`-g/2 \pm \sqrt{g^2/4 - 1}`, g = 4 gamma.

    The loss has the slope 1/2 at 0, and both penalties act on the same slope
    (Mescheder et al., 2018, lemma 2.3 and section 4). Without one the game turns in
    circles; with one it spirals inwards.
    """
    rate, small = 1e-4, 1e-5
    columns = [
        np.array(step_of_dirac(small * a, small * b, rate, gamma)) / small
        for a, b in ((1, 0), (0, 1))
    ]
    got = np.linalg.eigvals((np.stack(columns, 1) - np.eye(2)) / rate)
    g = 4 * gamma
    root = np.sqrt(complex(g**2 / 4 - 1))
    expected = np.array([-g / 2 + root, -g / 2 - root]) / 2
    key = lambda value: (value.real, value.imag)  # noqa: E731
    got, expected = (sorted(np.atleast_1d(v), key=key) for v in (got, expected))
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_the_dirac_gan_converges_with_a_penalty_alone():
    ends = {}
    for gamma in (0.0, 0.5):
        point = [0.3, 0.0]
        for _ in range(200):
            point = step_of_dirac(*point, 0.1, gamma)
        ends[gamma] = np.hypot(*point)
    assert ends[0.0] > 0.2
    assert ends[0.5] < 0.01


def small_model(seed=0, n_features=3):
    torch.manual_seed(seed)
    critic = nn.Sequential(nn.Linear(n_features, 8), nn.Tanh(), nn.Linear(8, 1))
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, n_features))
    generator = Generator(network, 2, torch.ones(n_features))
    return GANNet(generator, critic).double()


@pytest.fixture(autouse=True)
def _no_global_seed():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def make_objective(model, **params):
    given = {"loss": "relativistic", "penalty": 0.5, "decay": 0.9, **params}
    return AdversarialObjective(model.generator, **given)


def train(model, objective, optimizer, n_steps):
    rows = torch.tensor(np.random.RandomState(0).standard_normal((16, 3)))
    generator = torch.Generator().manual_seed(0)
    for _ in range(n_steps):
        take_step(objective, model, rows, generator, optimizer)
        objective.after_step(model)


class Separate:
    """Two optimizers of torch, as one."""

    def __init__(self, model, **params):
        self.each = [
            Adam(player.parameters(), **params)
            for player in (model.generator, model.critic)
        ]
        self.param_groups = [g for o in self.each for g in o.param_groups]

    def zero_grad(self, **params):
        for optimizer in self.each:
            optimizer.zero_grad(**params)

    def step(self):
        for optimizer in self.each:
            if any(
                p.grad is not None for g in optimizer.param_groups for p in g["params"]
            ):
                optimizer.step()


@pytest.mark.parametrize("n_critic", [1, 3])
def test_one_optimizer_has_a_state_for_each_player(n_critic):
    """To the bit what two have; each counts the steps of its player alone."""
    params = {"lr": 1e-2, "betas": (0.5, 0.9)}
    model, twin = small_model(), small_model()
    shared = Adam(model.parameters(), **params)
    train(model, make_objective(model, n_critic=n_critic), shared, 6)
    train(twin, make_objective(twin, n_critic=n_critic), Separate(twin, **params), 6)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)
    counts = {
        int(shared.state[p]["step"])
        for player in (model.generator, model.critic)
        for p in player.parameters()
    }
    assert counts == {6, 6 // n_critic}


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_each_player_goes_its_own_way(loss):
    """The critic tells rows apart better after its step, the generator worse."""
    model = small_model()
    objective = make_objective(model, loss=loss, penalty=0.0)
    rows = torch.tensor(np.random.RandomState(0).standard_normal((512, 3))) + 1

    def gap(model):
        noise = torch.Generator().manual_seed(1)
        with torch.no_grad():
            fake = model.generator.draw(512, noise)
            return (model(rows).mean() - model(fake).mean()).item()

    before, old = gap(model), copy.deepcopy(model)
    optimizer = SGD(model.parameters(), lr=0.05)
    take_step(objective, model, rows, torch.Generator(), optimizer)
    new = copy.deepcopy(model)
    new.generator = old.generator
    assert gap(new) > before
    assert gap(model) < gap(new)


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_weights_are_repetitions(loss):
    """Of rows, against a generator without noise; s plays no part at a penalty of 0."""
    x = torch.tensor([[0.5], [-1.0]], dtype=torch.float64)
    models = []
    for rows, weight in (
        (x, torch.tensor([0.5, 1.5])),
        (x[[0, 1, 1, 1]], None),
    ):
        model = dirac(0.3, 0.2)
        objective = make_objective(model, loss=loss, penalty=0.0)
        optimizer = SGD(model.parameters(), lr=0.1)
        take_step(objective, model, rows, torch.Generator(), optimizer, weight)
        models.append(model)
    for one, other in zip(*(m.parameters() for m in models), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_average_of_the_weights():
    model = small_model()
    objective = make_objective(model, decay=0.5, n_critic=2)
    optimizer = Adam(model.parameters(), lr=0.1)
    expected = [p.detach().clone() for p in model.generator.parameters()]
    for n in range(1, 7):
        train(model, objective, optimizer, 1)
        if n % 2 == 0:
            decay = min(0.5, (n // 2 + 1) / (n // 2 + 10))
            pairs = zip(expected, model.generator.parameters(), strict=True)
            expected = [decay * a + (1 - decay) * p.detach() for a, p in pairs]
        got = list(objective.inference_model(model).parameters())
        torch.testing.assert_close(got, expected)


def test_recorded_losses():
    model = small_model()
    objective = make_objective(model, penalty=0.0)
    records = {}

    class Step(TrainingStep):
        generator = torch.Generator().manual_seed(0)
        records = True

        def __init__(self):
            pass

        def rounding(self):
            return torch.enable_grad()

        def minimize(self, loss, **kwargs):
            return loss.mean().detach()

        def record(self, n_rows, **values):
            records.update(values, n_rows=n_rows)

    rows = torch.tensor(np.random.RandomState(0).standard_normal((40, 3)))
    weight = torch.tensor([0.5, 1.5]).double().repeat(20)
    objective.training_step(model, Batch(rows, None, weight), Step())
    assert records["n_rows"] == 40
    assert 0.1 < records["loss"] < 5
    assert 0.3 < records["critic"] < 2 * log(2)
    evaluated = objective.evaluate(objective.average, Batch(rows))
    assert evaluated.shape == (40,)
    mean = (weight * evaluated).mean().item()
    assert records["loss"].item() == pytest.approx(mean, rel=0.1)
