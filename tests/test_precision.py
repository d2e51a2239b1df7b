"""`precision` and `compile` of every estimator: what they do to training."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch import nn

from skgen import BernoulliRBMGPU, BernoulliVAE, GaussianVAE

X = load_digits().data[:600] / 16
ESTIMATORS = [
    (BernoulliRBMGPU, {"n_iter": 5}),
    (BernoulliRBMGPU, {"n_iter": 5, "algorithm": "cd", "momentum": 0.5}),
    (BernoulliRBMGPU, {"n_iter": 2, "algorithm": "pt", "n_temperatures": 3}),
    (GaussianVAE, {"n_iter": 20}),
    (BernoulliVAE, {"n_iter": 20, "binarize": "threshold"}),
]
every_estimator = pytest.mark.parametrize(("kind", "params"), ESTIMATORS)


def make(kind, params, **more):
    return kind(n_components=8, device="cpu", random_state=0, **(params | more))


def arrays(model):
    """The parameters of a fitted estimator, by name."""
    if isinstance(model, BernoulliRBMGPU):
        return {name: getattr(model, name) for name in model._required_state}
    return model.weights_


class Listener(Callback):
    """Writes down how float32 matrices are multiplied in training."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(torch.get_float32_matmul_precision())


@every_estimator
def test_bfloat16_rounds_products_alone(kind, params):
    """Parameters stay float32, and the score loses less than 2 % or 1 nat."""
    exact, rounded = (
        make(kind, params, precision=p).fit(X) for p in ("float32", "bfloat16")
    )
    assert {a.dtype for a in arrays(rounded).values()} == {np.dtype("float32")}
    assert rounded.transform(X).dtype == np.float64
    assert rounded.score(X) == pytest.approx(exact.score(X), rel=0.02, abs=1.0)
    different = [
        not np.array_equal(a, b)
        for a, b in zip(arrays(exact).values(), arrays(rounded).values(), strict=True)
    ]
    assert any(different)


@every_estimator
def test_tf32_changes_nothing_on_the_cpu(kind, params):
    """No bit, and no setting of torch."""
    before, seen = torch.get_float32_matmul_precision(), []
    got = make(kind, params, precision="tf32", callbacks=[Listener(seen)]).fit(X)
    assert set(seen) == {before}
    plain = make(kind, params).fit(X)
    for a, b in zip(arrays(got).values(), arrays(plain).values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:The parameter compile of BernoulliRBMGPU")
@every_estimator
def test_compile_changes_nothing_here(kind, params, monkeypatch):
    """Networks are compiled by a backend that only traces; there is no GPU."""
    compiled = []
    original = nn.Module.compile

    def compile_(self):
        compiled.append(self)
        original(self, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", compile_)
    got, plain = (make(kind, params, compile=c).fit(X) for c in (True, False))
    for a, b in zip(arrays(got).values(), arrays(plain).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert len(compiled) == (0 if kind is BernoulliRBMGPU else 2)


def test_networks_that_cannot_be_compiled_run_as_they_are(monkeypatch):
    def backend(graph, inputs):
        raise RuntimeError("no compiler here")

    original = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda self: original(self, backend=backend)
    )
    got, plain = (
        make(GaussianVAE, {"n_iter": 2}, compile=c).fit(X) for c in (True, False)
    )
    assert got.score(X) == plain.score(X)
