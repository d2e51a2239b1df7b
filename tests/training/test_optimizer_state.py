"""The state of an optimizer passes to another one by the names of parameters."""

import pytest
import torch
from torch import nn

from skgen.training._optimizer_state import load_optimizers, read_optimizers

ADAM = torch.optim.Adam


def trained(kind, groups, n_steps=3, model=None, state=None, **options):
    """A model after some steps of an optimizer, by pattern of names of its groups."""
    model = model or nn.Linear(3, 2, dtype=torch.float64)
    named = dict(model.named_parameters())
    optimizer = kind([{"params": [named[n] for n in g]} for g in groups], **options)
    lost = load_optimizers({"o": optimizer}, named.items(), state or {})
    x = torch.arange(12.0, dtype=torch.float64).view(4, 3)
    for _ in range(n_steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model, read_optimizers({"o": optimizer}, named.items()), lost


@pytest.mark.parametrize(
    ("kind", "options"),
    [(ADAM, {"lr": 0.01}), (torch.optim.SGD, {"lr": 1e-3, "momentum": 0.9})],
)
@pytest.mark.parametrize("groups", [[["weight", "bias"]], [["bias"], ["weight"]]])
def test_steps_go_on_whatever_the_groups(kind, options, groups):
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    start = nn.Linear(3, 2, dtype=torch.float64).state_dict()
    torch.set_rng_state(torch_state)

    def model():
        made = nn.Linear(3, 2, dtype=torch.float64)
        made.load_state_dict(start)
        return made

    at_once, *_ = trained(kind, groups, 6, model(), **options)
    half, state, _ = trained(kind, [["weight", "bias"]], 3, model(), **options)
    resumed, *_, lost = trained(kind, groups, 3, half, state, **options)
    assert lost == []
    for name, expected in at_once.named_parameters():
        torch.testing.assert_close(dict(resumed.named_parameters())[name], expected)


def test_what_does_not_fit_is_told():
    _, state, _ = trained(ADAM, [["weight", "bias"]])
    wide = nn.Linear(3, 5, dtype=torch.float64)
    assert trained(ADAM, [["weight", "bias"]], 0, wide, state)[2] == ["weight", "bias"]
    other = trained(torch.optim.SGD, [["weight"]], 0, None, state, lr=0.1)
    assert other[2] == ["weight", "bias"]
    # One that is frozen now has no optimizer, and loses nothing that is needed.
    _, found, lost = trained(ADAM, [["weight"]], 1, None, state)
    assert lost == []
    assert list(found["o"]["entries"]) == ["weight"]


def test_a_state_is_in_the_dtype_of_the_parameter():
    _, state, _ = trained(ADAM, [["weight", "bias"]])
    single = nn.Linear(3, 2)
    optimizer = ADAM(single.parameters())
    named = list(single.named_parameters())
    assert load_optimizers({"o": optimizer}, named, state) == []
    assert optimizer.state[single.weight]["exp_avg"].dtype == torch.float32
    assert optimizer.state[single.weight]["step"] == 3


def test_plain_descent_has_no_state():
    assert trained(torch.optim.SGD, [["weight", "bias"]], lr=0.1)[1] == {}
