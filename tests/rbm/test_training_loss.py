"""The estimate of the loss that the history of training has."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from oracles import EnumeratedRBM
from rbm_helpers import DIGITS, SMALL, module_of, rbm

from skgen.rbm import _training_loss
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.rbm._training_loss import TrainingLoss, flip_losses
from skgen.training import Batch, TrainingStep


def random_model(n_visible=30, n_hidden=7, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return (scale * torch.randn(shape, generator=generator)).to(dtype)

    return BernoulliRBM(draw(n_hidden, n_visible), draw(n_hidden), draw(n_visible))


def rows(n, n_visible=30, dtype=torch.float64):
    noise = torch.rand(n, n_visible, generator=torch.Generator().manual_seed(1))
    return (noise < 0.4).to(dtype)


def mean_of(estimate, model, v, weight=None):
    with torch.no_grad():
        q = model.hidden_mean(v)
        return estimate.mean(model.weight, model.visible_bias, v, q, weight)


def all_flips(model, v):
    with torch.no_grad():
        q, one = model.hidden_mean(v), torch.ones((), dtype=v.dtype)
        return flip_losses(model.weight, model.visible_bias, v, q, one).sum(1)


def test_all_flips_together_are_the_pseudo_likelihood_of_the_oracle():
    oracle = EnumeratedRBM.random(6, 5, seed=3, scale=2.0)
    losses = all_flips(module_of(oracle), torch.tensor(oracle.V))
    expected = -oracle.pseudo_log_likelihood(oracle.V)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("scale", "dtype", "tolerance"),
    [
        (0.1, torch.float64, 1e-12),
        (1.0, torch.float64, 1e-10),
        (10.0, torch.float64, 1e-8),  # softplus errs by 2e-9
        (0.1, torch.float32, 1e-5),
        (1.0, torch.float32, 1e-5),
        (10.0, torch.float32, 3e-3),  # means are rounded near 1
    ],
)
def test_all_flips_together_are_the_exact_value(scale, dtype, tolerance):
    """Also of grey values, and where hidden units are certain."""
    model = random_model(scale=scale, dtype=dtype)
    for v in (rows(20, dtype=dtype), rows(20, dtype=dtype) * 0.8 + 0.1):
        with torch.no_grad():
            expected = -pseudo_log_likelihood(model, v)
        np.testing.assert_allclose(all_flips(model, v), expected, rtol=tolerance)


@pytest.mark.parametrize("n_visible", [1, 2, 30, 31, 64])
@pytest.mark.parametrize("n_flips", [1, 5, 12, 1000])
def test_the_mean_over_all_turns_is_the_exact_value(n_visible, n_flips, monkeypatch):
    monkeypatch.setattr(_training_loss, "_LEAST_FLIPS", n_flips)
    model, v = random_model(n_visible), rows(8, n_visible)
    estimate = TrainingLoss(v)
    n_rows, every = estimate._size(*v.shape, 7)
    assert every == 1 or n_flips < v.numel()
    assert np.gcd(every, n_visible) == 1
    found = [mean_of(estimate, model, v) for _ in range(every)]
    assert {n for n, _ in found} == {n_rows}
    with torch.no_grad():
        expected = -pseudo_log_likelihood(model, v[:n_rows]).mean()
    mean = torch.stack([loss for _, loss in found]).mean()
    np.testing.assert_allclose(mean, expected, rtol=1e-10)
    assert torch.isclose(found[0][1], expected) == (every == 1)


def test_weights_count_as_repeated_rows_do():
    model, v = random_model(), rows(4)
    weight = torch.tensor([2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    n_rows, loss = mean_of(TrainingLoss(v), model, v, weight)
    repeated = v.repeat_interleave(weight.long(), dim=0)
    n_repeated, expected = mean_of(TrainingLoss(v), model, repeated)
    assert n_rows == n_repeated == 6
    np.testing.assert_allclose(loss, expected, rtol=1e-10)


@pytest.mark.parametrize("n_hidden", [1, 100, 2**19])
@pytest.mark.parametrize("n_visible", [1, 2, 64, 784, 10**5])
@pytest.mark.parametrize("n_rows", [1, 10, 10**5])
@pytest.mark.parametrize("n_steps", [1, 512])
def test_any_size_takes_some_flips_and_little_memory(
    n_hidden, n_visible, n_rows, n_steps
):
    estimate = TrainingLoss(rows(1))
    estimate.n_steps = n_steps
    some_rows, every = estimate._size(n_rows, n_visible, n_hidden)
    assert 1 <= some_rows <= n_rows
    assert 1 <= every <= max(1, n_visible - 1)  # so that each turn has units
    n_flips = some_rows * -(-n_visible // every)
    assert n_flips * n_hidden <= max(2**19, 4 * n_hidden)


def test_weights_beyond_the_range_of_numbers():
    model = random_model(scale=1000.0, dtype=torch.float32)
    assert torch.isfinite(all_flips(model, rows(20, dtype=torch.float32))).all()


def objective_and_step(records, persistent=True):
    model = random_model(dtype=torch.float32)
    chains = torch.zeros(5, 7) if persistent else None
    objective = ContrastiveDivergence(chains, torch.full((30,), 0.4), torch.zeros(7))
    step = TrainingStep(
        {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1)},
        list(model.named_parameters()),
        generator=torch.Generator().manual_seed(2),
    )
    step.records, step.batch = records, Batch(rows(10, dtype=torch.float32))
    return model, objective, step


@pytest.mark.parametrize("persistent", [True, False])
def test_a_record_does_not_move_training(persistent):
    models, states = [], []
    for records in (True, False):
        model, objective, step = objective_and_step(records, persistent)
        with torch.no_grad():
            for _ in range(150):
                objective.training_step(model, step.batch, step)
        models.append(list(model.parameters()))
        states.append(step.generator.get_state())
        assert bool(step.recorded_means()) is records
    assert all(map(torch.equal, *models))
    assert torch.equal(*states)


def test_a_record_is_made_in_each_epoch_and_every_512_steps():
    model, objective, step = objective_and_step(True)
    with torch.no_grad():
        for n_steps, n_records in [(1, 1), (511, 1), (1, 2), (512, 3)]:
            for _ in range(n_steps):
                objective.training_step(model, step.batch, step)
            assert len(step._records) == n_records
        _, _, new_epoch = objective_and_step(True)
        objective.training_step(model, step.batch, new_epoch)
    assert len(new_epoch._records) == 1


def test_a_record_is_of_the_model_before_the_step(monkeypatch):
    monkeypatch.setattr(_training_loss, "_LEAST_FLIPS", 10**6)
    model, objective, step = objective_and_step(True)
    with torch.no_grad():
        expected = -pseudo_log_likelihood(model, step.batch.x).mean().item()
        objective.training_step(model, step.batch, step)
        after = -pseudo_log_likelihood(model, step.batch.x).mean().item()
    found = step.recorded_means()["loss"]
    assert found == pytest.approx(expected, rel=1e-5)
    assert found != pytest.approx(after, rel=1e-3)


KINDS = {
    "pcd": {},
    "cd": {"algorithm": "cd"},
    "pt": {"algorithm": "pt", "n_temperatures": 3, "n_iter": 15},
    "trajectory": {"keep_trajectory": True},
    "plain gradient": {"centered": False},
    "momentum": {"momentum": 0.5},
    "float64": {"precision": "float64"},
    "bfloat16": {"precision": "bfloat16"},
    "threshold": {"binarize": "threshold"},
    "early stopping": {"early_stopping": True},
    "verbose": {"verbose": 1},
}


@pytest.mark.parametrize("kind", KINDS)
def test_history_has_the_loss_of_every_epoch(kind):
    """At rest it is the exact loss on average, to 4 standard errors."""
    params = {"learning_rate": 1e-9, "n_iter": 30} | KINDS[kind]
    model = rbm(8, **params).fit(SMALL)
    losses = np.array(model.history_[:, "train_loss"])
    assert len(losses) == model.n_iter_
    error = losses.std() / np.sqrt(len(losses))
    assert abs(losses.mean() + model.score(SMALL)) < 4 * error
    assert error < 1.0


def test_history_of_sparse_and_grey_data_and_of_one_batch():
    for X, params in [
        (sp.csr_array(SMALL), {}),
        (DIGITS[:300], {}),
        (DIGITS[:300], {"binarize": "sample"}),
        (SMALL[:5], {"batch_size": 100}),
    ]:
        model = rbm(8, **params).fit(X).partial_fit(X)
        losses = model.history_[:, "train_loss"]
        assert len(losses) == 4
        assert 0 < min(losses) <= max(losses) < 64
