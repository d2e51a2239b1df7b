"""Going back to what was before an epoch."""

import copy

import pytest
import torch
from torch import nn

from skgen.training._snapshot import Snapshot


class State(nn.Module):
    """Buffers in place and replaced, and a state that is no tensor."""

    def __init__(self):
        super().__init__()
        self.register_buffer("chains", torch.zeros(2, 3))
        self.register_buffer("nothing", None)
        self.models = []

    def get_extra_state(self):
        return self.models

    def set_extra_state(self, state):
        self.models = state


def train(model, objective, optimizer, generator):
    model(torch.randn(8, 3, generator=generator)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    n_chains = len(objective.chains) + 1
    objective.chains = torch.rand(n_chains, 3, generator=generator)
    objective.models.append(len(objective.models))


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize("n_before", [0, 1, 3])
def test_what_follows_is_the_same_after_going_back(kind, n_before):
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    torch.set_rng_state(torch_state)
    objective, generator = State(), torch.Generator().manual_seed(0)
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(model.parameters(), lr=0.1, **options)
    snapshot = Snapshot([model, objective], [optimizer], generator)
    parts = model, objective, optimizer, generator

    def everything():
        state = [x.state_dict() for x in parts[:3]]
        return copy.deepcopy(state)

    for _ in range(n_before):
        snapshot.take()
        train(*parts)
    snapshot.take()
    before, parameters = everything(), list(model.parameters())
    ends = []
    for _ in range(2):
        train(*parts)
        train(*parts)
        ends.append(everything())
        snapshot.restore()
        torch.testing.assert_close(everything(), before, rtol=0, atol=0)
    torch.testing.assert_close(*ends, rtol=0, atol=0)
    assert ends[0][0]["0.weight"].ne(before[0]["0.weight"]).any()
    assert all(x is y for x, y in zip(model.parameters(), parameters, strict=True))


def test_memory_is_used_again():
    model, generator = nn.Linear(3, 4), torch.Generator()
    snapshot = Snapshot([model], [], generator)
    snapshot.take()
    copies = [x.data_ptr() for x in snapshot._copies]
    model.weight.data.fill_(7.0)
    snapshot.take()
    assert [x.data_ptr() for x in snapshot._copies] == copies
    model.weight.data.zero_()
    snapshot.restore()
    assert (model.weight == 7.0).all()
