"""What is minimised, and that it leaves the Gaussian."""

from math import pi

import numpy as np
import pytest
import torch
from diffusion_helpers import ExactGaussian, correlated, exact_model

from skgen import DiffusionModel
from skgen.diffusion import DenoisingObjective
from skgen.training import Batch


def mean_loss(model, x, **objective):
    generator = torch.Generator().manual_seed(0)
    made = DenoisingObjective(model, decay=0.9, **objective)
    with torch.no_grad():
        return made.loss(model, Batch(x), generator=generator).mean().item()


@pytest.fixture
def rows():
    rng = np.random.RandomState(0)
    return torch.from_numpy(rng.multivariate_normal(np.zeros(2), correlated(2), 40_000))


@pytest.mark.parametrize("closer", [1.0, 2.0])
def test_loss_of_the_exact_network(rows, closer):
    r"""The mean of :math:`\sum_i \lambda_i / v_i(t)` over angles."""
    network = ExactGaussian(correlated(2))
    t = ((torch.arange(4000).double() + 0.5) / 4000) ** closer * pi / 2
    of_u = network.variance * t.cos()[:, None] ** 2 + t.sin()[:, None] ** 2
    expected = (network.variance / of_u).sum(1).mean().item()
    got = mean_loss(exact_model(network, 2), rows, closer=closer)
    assert got == pytest.approx(expected, rel=0.02)


def test_loss_is_least_at_the_exact_network(rows):
    class Other(ExactGaussian):
        factor = 1.0

        def forward(self, y, phase, condition=None, generator=None):
            return self.factor * super().forward(y, phase)

    other = Other(correlated(2))
    losses = []
    for other.factor in (0.8, 1.0, 1.2):
        losses.append(mean_loss(exact_model(other, 2), rows))
    assert losses[1] < min(losses[0], losses[2])


def test_small_batches_are_used_repeatedly(rows):
    model = exact_model(ExactGaussian(correlated(2)), 2)
    objective = DenoisingObjective(model, decay=0.9)
    seen = []
    model.network.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    for n, n_seen in ((3, 258), (256, 256), (300, 300)):
        loss = objective.loss(
            model, Batch(rows[:n]), generator=torch.Generator().manual_seed(0)
        )
        assert loss.shape == (n,)
        assert seen[-1] == n_seen


def test_leaves_the_gaussian_of_a_ring_soon():
    """With small weights and no biases that would take thousands of steps."""
    rng = np.random.RandomState(0)
    angle = rng.randint(8, size=1024) * np.pi / 4
    X = 2 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.1 * rng.randn(1024, 2)
    model = DiffusionModel(
        hidden_layer_sizes=(64, 64),
        dropout=0.0,
        n_iter=40,
        early_stopping=False,
        random_state=0,
    )
    model.fit(X)
    gaussian = -np.log(2 * np.pi * np.e) - np.log(X.var(0)).sum() / 2
    assert model.log_likelihood(X[:200]).mean() > gaussian + 0.5


def test_recorded_bound_does_not_depend_on_the_times_that_are_drawn(rows):
    """It is an average over even angles, whatever times are drawn."""
    model = exact_model(ExactGaussian(correlated(2)), 2)
    batch, means = Batch(rows), []
    for closer in (1.0, 2.0):
        objective = DenoisingObjective(model, decay=0.9, closer=closer)
        generator = torch.Generator().manual_seed(0)
        _, bound = objective._losses(model, batch, generator, with_bound=True)
        means.append(bound.mean().item())
    expected = model.network.log_prob(rows).mean().item()
    np.testing.assert_allclose(means, expected, atol=0.1)


def test_ample_tables_draw_times_near_the_data():
    X = np.random.RandomState(0).standard_normal((200, 1))
    model = DiffusionModel(hidden_layer_sizes=4, n_iter=0, early_stopping=False)
    for n_rows, closer in ((200, 2.0), (199, 1.0)):
        fitted = model.fit(X[:n_rows])
        assert fitted._build_objective(fitted._state()).closer == closer
