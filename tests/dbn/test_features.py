"""Training of a layer on features of those below it."""

import numpy as np
import torch
from dbn_helpers import EnumeratedDBN
from scipy.special import expit
from torch.optim import SGD

from skgen.dbn._features import FeatureRBM, OnFeatures
from skgen.dbn._rows import FeatureRows
from skgen.nn import BernoulliObservation
from skgen.rbm import ContrastiveDivergence
from skgen.training._rows import row_source
from skgen.training._step import Batch, TrainingStep


def on_top(net):
    layers = list(net.module(untied=False).layers)
    return FeatureRBM(layers[-1], layers[:-1])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_only_the_top_is_learned():
    net = EnumeratedDBN.random((4, 3, 5, 2), seed=0)
    model = on_top(net)
    assert [n for n, _ in model.named_parameters()] == [
        "weight",
        "hidden_bias",
        "visible_bias",
    ]
    assert len(model.state_dict()) == 9
    v = torch.tensor(net.V)
    whole = net.module(untied=False)
    torch.testing.assert_close(model(v), whole.up(v))


def test_law_of_features():
    """A draw of h^1 gives p(h^2 | h^1), and their mean is that by the table."""
    net = EnumeratedDBN.random((3, 2, 4, 2), seed=1, scale=2.0)
    model, n = on_top(net), 20_000
    v = torch.tensor(net.V[5]).expand(n, -1)
    drawn = model.features(v, generator()).detach()
    lowest, middle = net.machines[:2]
    p_h = lowest.p_h_given_v[5]
    means = expit(lowest.H @ middle.W.T + middle.c)
    for row in drawn[:50]:
        assert np.abs(means - row.numpy()).max(axis=1).min() < 1e-10
    error = np.sqrt(p_h @ np.square(means - p_h @ means) / n)
    assert (np.abs(drawn.mean(0).numpy() - p_h @ means) < 4.5 * error).all()
    # In mean field, features are others.
    mean_field = model.below[1](model.below[0](v[:1]))[0]
    assert (drawn.mean(0) - mean_field).abs().max() > 0.01


def test_features_of_a_row_alone():
    net = EnumeratedDBN.random((3, 2, 4, 2), seed=2)
    model, v = on_top(net), torch.tensor(net.V)
    features = model.features(v, None)
    torch.testing.assert_close(model.features(v.flip(0), None), features.flip(0))
    torch.testing.assert_close(model.features(v[2:3], None), features[2:3])


def test_rows_of_features():
    net = EnumeratedDBN.random((4, 3, 2), seed=3)
    model = on_top(net)
    weight = np.linspace(0.5, 1.5, 16)
    source = row_source(net.V).select(np.arange(16)[::-1].copy(), weight)
    rows = FeatureRows(source, model.below, BernoulliObservation())
    machine = net.machines[0]
    expected = expit(net.V[::-1] @ machine.W.T + machine.c)
    assert rows.shape == (16, 3)
    np.testing.assert_allclose(rows.gather(slice(2, 5)), expected[2:5], rtol=1e-12)
    np.testing.assert_allclose(rows.column_sums(), weight @ expected, rtol=1e-12)


def test_a_step_is_one_on_features():
    """Of the objective itself, on probabilities of bits that it draws."""
    net = EnumeratedDBN.random((4, 3, 2), seed=4)
    v = torch.tensor(net.V)
    moved = []
    for wrapped in (True, False):
        model = on_top(net)
        inner = ContrastiveDivergence(
            torch.zeros(5, 2).double(), None, None, sampled=True
        )
        objective = OnFeatures(inner, BernoulliObservation()) if wrapped else inner
        x = v if wrapped else model.below[0](v).detach()
        named = list(model.named_parameters())
        optimizer = SGD([{"params": [p]} for _, p in named], lr=0.1)
        step = TrainingStep({"optimizer": optimizer}, named, generator=generator())
        with torch.no_grad():
            objective.training_step(model, Batch(x), step)
            loss = objective.evaluate(model, Batch(x))
        moved.append([*(p.detach() for _, p in named), loss])
    for one, other in zip(*moved, strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.equal(moved[0][0], on_top(net).weight)
