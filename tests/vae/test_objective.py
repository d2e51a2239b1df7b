"""The loss of a VAE in training, in stages and with weights, against closed forms."""

import numpy as np
import pytest
import torch
from scipy import stats
from steps import gradient_step
from torch import nn

from skgen.nn import BernoulliObservation, GaussianObservation
from skgen.training import Batch, TrainingStep
from skgen.vae._model import VAE, elbo
from skgen.vae._objective import NegativeELBO
from skgen.vae._schedule import StagedLatents

RNG = np.random.RandomState(0)
N_LATENTS, N_FEATURES = 4, 3
W, B = 0.3 * RNG.normal(size=(N_FEATURES, N_LATENTS)), RNG.normal(size=N_FEATURES)
V, C = RNG.normal(size=(2 * N_LATENTS, N_FEATURES)), RNG.normal(size=2 * N_LATENTS)
X = RNG.normal(size=(6, N_FEATURES))
WEIGHT = np.array([0.2, 2.0, 0.4, 1.4, 1.2, 2.8])
NOISE = np.array([0.3, 0.5, 1.0])


def tensor(array):
    return torch.tensor(array, dtype=torch.float64)


def linear(weight, bias):
    layer = nn.Linear(*reversed(weight.shape), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(tensor(weight))
        layer.bias.copy_(tensor(bias))
    return layer


def linear_vae(noise=NOISE, floor=None):
    observation = GaussianObservation(tensor(noise), floor=floor)
    return VAE(linear(0.2 * V, 0.2 * C), linear(W, B), observation)


def expected_loss(x, kl_weight, n_open):
    """The mean of the loss of one row over the draws, in closed form."""
    mu, log_var = np.split(0.2 * (V @ x + C), 2)
    variance = np.exp(log_var)
    kl = 0.5 * (mu**2 + variance - 1 - log_var)
    part = W[:, :n_open]
    error = (x - B - part @ mu[:n_open]) ** 2 + part**2 @ variance[:n_open]
    reconstruction = -0.5 * (error / NOISE + np.log(2 * np.pi * NOISE)).sum()
    return kl_weight @ kl - reconstruction


def staged(epoch, n_epochs=10, **params):
    """An objective of which one latent variable is in use from the start."""
    stages = StagedLatents(1, N_LATENTS)
    objective = NegativeELBO(stages=stages, **({"beta": 2.0} | params))
    objective.n_epochs, objective.epoch = n_epochs, epoch
    return objective


# Epochs of ten, weights of the KL terms as multiples of beta, latents that are drawn.
STAGES = [
    (0.0, [1, 0.1, 0, 0], 2),
    (0.5, [1, 0.55, 0, 0], 2),
    (2.0, [1, 1, 0, 0], 2),
    (3.0, [1, 1, 0.5, 0.5], 4),
    (4.0, [1, 1, 1.5, 1.5], 4),
    (5.5, [1, 1, 1.25, 1.25], 4),
    (6.0, [1, 1, 1, 1], 4),
    (9.0, [1, 1, 1, 1], 4),
]


@pytest.mark.parametrize(("epoch", "weights", "n_open"), STAGES)
def test_the_loss_in_stages(epoch, weights, n_open):
    """Latents that have not joined are 0, and their KL terms do not count."""
    objective, x = staged(epoch, log_scale=0.7), X[0]
    rows = Batch(tensor(x).expand(20_000, N_FEATURES))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        loss = objective.loss(linear_vae(), rows, generator=generator)
    error = loss.std().item() / len(loss) ** 0.5
    assert error < 0.05
    expected = 0.7 + expected_loss(x, 2.0 * np.array(weights), n_open)
    assert abs(loss.mean().item() - expected) < 4.5 * error


@pytest.mark.parametrize("epoch", [0.5, 2.0, 4.0, 9.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_in_stages_is_that_of_the_loss(epoch, weighted):
    objective, model, x = staged(epoch), linear_vae(), tensor(X)
    weight = tensor(WEIGHT) if weighted else None
    gradient_step(objective, model, x, torch.Generator().manual_seed(3), weight=weight)
    got = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    loss = objective.loss(model, Batch(x), generator=torch.Generator().manual_seed(3))
    (loss.mean() if weight is None else (weight * loss).mean()).backward()
    torch.testing.assert_close(got, [p.grad for p in model.parameters()])


def test_stages_end_with_a_whole_epoch():
    """Early stopping may begin only after them: 60 % of 11 epochs are 6.6."""
    assert staged(0.0, n_epochs=11).n_warmup == 7
    assert staged(0.0, n_epochs=10).n_warmup == 6
    assert isinstance(staged(6.5, n_epochs=11).kl_weight, torch.Tensor)
    assert staged(7.0, n_epochs=11).kl_weight == 2.0
    # A training without an end, as that of `partial_fit`, has no stages.
    assert staged(0.0, n_epochs=None).n_warmup == 0
    assert staged(0.0, n_epochs=None).kl_weight == 2.0


def test_features_share_their_noise_until_all_latents_have_joined():
    """Then each has its own; rows count by their weights."""
    for epoch, shared in [(1.0, True), (2.9, True), (3.0, False), (8.0, False)]:
        model = linear_vae(floor=1e-6)
        generator = torch.Generator().manual_seed(0)
        gradient_step(staged(epoch), model, tensor(X), generator, weight=tensor(WEIGHT))
        ratio = model.observation.variance.numpy() / NOISE
        assert (np.ptp(ratio) < 1e-12) == shared
        assert np.abs(ratio - 1).max() > 0.01
    alone = linear_vae(floor=1e-6)
    rows = torch.arange(6) == 1
    gradient_step(
        NegativeELBO(), alone, tensor(X), torch.Generator(), weight=2.0 * rows
    )
    other = linear_vae(floor=1e-6)
    moved = tensor(np.where(rows[:, None], X, 1e6))
    gradient_step(NegativeELBO(), other, moved, torch.Generator(), weight=2.0 * rows)
    torch.testing.assert_close(alone.observation.variance, other.observation.variance)


@pytest.mark.parametrize("weighted", [False, True])
def test_what_the_history_is_told(weighted):
    """The bound in the units of the data and its terms, whatever beta and stages."""
    weight = tensor(WEIGHT) if weighted else None
    model, objective = linear_vae(), staged(9.0, beta=3.0, log_scale=0.7)
    step = recording_step(model, seed=5)
    step.batch = Batch(tensor(X), None, weight)
    objective.training_step(model, step.batch, step)
    seen = step.recorded_means()
    by = WEIGHT / WEIGHT.sum() if weighted else np.full(6, 1 / 6)
    # The bound by the same draw; `test_the_loss_in_stages` has its mean.
    bound = NegativeELBO(log_scale=0.7)
    rows, generator = Batch(tensor(X)), torch.Generator().manual_seed(5)
    loss = bound.loss(model, rows, generator=generator).detach().numpy()
    assert seen["loss"] == pytest.approx(by @ loss)
    assert seen["kl"] == pytest.approx(by @ kl_of_rows())
    assert seen["reconstruction"] == pytest.approx(seen["kl"] - seen["loss"])


def recording_step(model, seed):
    """A step of learning rate 0 whose values go to the history."""
    step = TrainingStep(
        {"optimizer": torch.optim.SGD(model.parameters(), lr=0.0)},
        list(model.named_parameters()),
        generator=torch.Generator().manual_seed(seed),
    )
    step.records = True
    return step


def kl_of_rows():
    mu, log_var = np.split(0.2 * (X @ V.T + C), 2, axis=1)
    return 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum(axis=1)


def test_records_of_batches_count_by_their_weight():
    """Two mini-batches, of which one has nearly no weight."""
    model, objective, kl = linear_vae(), NegativeELBO(), kl_of_rows()
    step = recording_step(model, seed=0)
    for row, weight in ((0, 0.1), (1, 1.9)):
        step.batch = Batch(tensor(X[[row]]), None, tensor([weight]))
        objective.training_step(model, step.batch, step)
    assert step.recorded_means()["kl"] == pytest.approx(0.05 * kl[0] + 0.95 * kl[1])


def test_what_is_watched_is_in_the_units_of_the_data():
    model, x = linear_vae(), tensor(X)
    got = NegativeELBO(log_scale=0.7).evaluate(model, Batch(x))
    torch.testing.assert_close(got, 0.7 - elbo(model, x).detach())


def test_early_stopping_waits_for_the_log_of_learned_variances():
    assert NegativeELBO().running_value(linear_vae()) is None
    bits = VAE(linear(V, C), linear(W, B), BernoulliObservation())
    assert NegativeELBO().running_value(bits) is None
    got = NegativeELBO().running_value(linear_vae(floor=1e-6))
    assert got == pytest.approx(np.log(stats.gmean(NOISE)))
