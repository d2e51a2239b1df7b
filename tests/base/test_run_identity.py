"""Descriptions of what a fit depends on: alike where it is the same, only there."""

import copy
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from skgen.base._run_identity import describe


def network(n_in, n_out, activation=nn.Tanh):
    return nn.Sequential(nn.Linear(n_in, 8), activation(), nn.Linear(8, n_out))


def made(n_hidden):
    """A function with a closed variable."""
    return lambda n_in, n_out: nn.Linear(n_in, n_hidden)


def named(body):
    """Functions of one name."""
    variables = {"nn": nn}
    exec(f"def build(n_in, n_out, k=1):\n    return {body}", variables)
    return variables["build"]


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        with torch.no_grad():
            self.layer.weight.fill_(0.5)
            self.layer.bias.zero_()
        self.register_buffer("scale", torch.tensor(scale), persistent=False)


class Maker:
    def build(self, n_in, n_out):
        return nn.Linear(n_in, n_out)


PAIRS = {
    "numbers": (1.0, 2.0),
    "arrays": (np.arange(3), np.arange(3) + 1),
    "lists": ([1, 2], [2, 1]),
    "parameters": (nn.Linear(2, 2), nn.Linear(2, 2)),
    "buffers": (Scaled(1.0), Scaled(5.0)),
    "activations": (nn.Sequential(nn.Tanh()), nn.Sequential(nn.ReLU())),
    "partials": (partial(network, activation=nn.Tanh), partial(network, activation=1)),
    "functions of partials": (partial(named("n_in")), partial(named("n_out"))),
    "closed variables": (made(3), made(4)),
    "names": (named("nn.Tanh()"), named("nn.ReLU()")),
    "constants": (named("nn.Linear(n_in, 3)"), named("nn.Linear(n_in, 4)")),
    "operators": (named("n_in + n_out"), named("n_in - n_out")),
    "functions within": (named("(lambda x: x + 1)"), named("(lambda x: x + 2)")),
    "methods": (Maker().build, Scaled(1.0).forward),
    "classes": (nn.Tanh, nn.ReLU),
}


@pytest.mark.parametrize("name", PAIRS)
def test_differs_where_the_value_does(name):
    one, other = PAIRS[name]
    assert describe(one) != describe(other)
    assert describe(one) == describe(copy.deepcopy(one))


def test_defaults_count():
    def one(n_in, k=1):
        return n_in + k

    other = copy.copy(named("n_in + k"))
    before = describe(other)
    other.__defaults__ = (2,)
    assert describe(other) != before
    before = describe(one)
    assert before == describe(one)


def test_the_same_source_has_the_same_description():
    assert describe(named("nn.Tanh()")) == describe(named("nn.Tanh()"))
    assert describe(made(3)) == describe(made(3))
    assert "0x" not in describe(made(made))  # no address


def test_functions_that_close_over_themselves():
    """And over each other, and over a variable that has no value yet."""

    def one(n):
        return n and other(n - 1)

    def other(n):
        return n and one(n - 1)

    def late():
        return unset

    assert describe(one) != describe(other)
    assert describe(one) == describe(one)
    assert "late" in describe(late)
    unset = 1
    assert "late" in describe(late)


def test_a_set_is_the_same_in_every_process():
    text = (
        "from skgen.base._run_identity import describe\n"
        "print(describe(lambda x: x in {'a', 'b', 'c', 'd', ('e', 'f')}))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", text],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(3)
    }
    assert len(told) == 1
