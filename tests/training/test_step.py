"""What a training step records for the history."""

import pytest
import torch

from skgen.training import TrainingStep


@pytest.fixture
def step(generator):
    return TrainingStep({}, [], generator=generator)


def test_means_are_over_rows(step):
    step.record(10, loss=torch.tensor(1.0), kl=0.5)
    step.record(30, loss=torch.tensor(2.0, dtype=torch.float64))
    step.record(torch.tensor(40.0), kl=torch.tensor(1.0))
    means = step.recorded_means()
    assert means == {"loss": pytest.approx(1.75), "kl": pytest.approx(0.9)}
    assert list(means) == ["loss", "kl"]
    assert step.recorded_means() == {}  # of the next epoch


def test_rows_without_weight_count_for_nothing(step):
    step.record(torch.tensor(0.0), loss=torch.tensor(torch.nan))
    assert step.recorded_means() == {}
    step.record(torch.tensor(0.0), loss=torch.tensor(torch.nan))
    step.record(2, loss=torch.tensor(3.0))
    assert step.recorded_means() == {"loss": 3.0}


def test_a_graph_of_autograd_is_not_kept(step):
    parameter = torch.ones(3, requires_grad=True)
    step.record(3, loss=parameter.square().mean())
    ((_, values),) = step._records
    assert not values["loss"].requires_grad
    assert step.recorded_means() == {"loss": 1.0}


def test_everything_is_fetched_at_once(step, monkeypatch):
    """Nothing waits for the device until the end of the epoch."""
    fetched = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: (fetched.append(x), cpu(x))[1])
    monkeypatch.setattr(torch.Tensor, "item", lambda x: pytest.fail("item"))
    for _ in range(5):
        step.record(torch.tensor(2.0), loss=torch.tensor(1.0), kl=torch.tensor(2.0))
    assert step.recorded_means() == {"loss": 1.0, "kl": 2.0}
    assert [x.shape for x in fetched] == [(15,)]
