"""The step with all parameters in one matrix: the same as that of separate ones."""

import copy

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM, center
from rbm_helpers import module_of

from skgen.rbm import _joint_space
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.training import Batch, TrainingStep

N_CHAINS = 200_000


def sgd_of(model, *, lr=0.5, weight_decay=0.3, **kwargs):
    groups = [
        {"params": [model.weight], "weight_decay": weight_decay},
        {"params": [model.hidden_bias, model.visible_bias]},
    ]
    return torch.optim.SGD(groups, lr=lr, **kwargs)


def epoch_of(model, sgd, generator):
    parameters = list(model.named_parameters())
    return TrainingStep({"optimizer": sgd}, parameters, generator=generator)


class Training:
    """A model, its objective and its optimizer, from the same start each time."""

    def __init__(self, *, jointly, persistent=True, centered=True, **kwargs):
        options = {k: kwargs.pop(k) for k in ("n_steps", "sampled") if k in kwargs}
        rng = np.random.RandomState(0)
        self.model = BernoulliRBM(*map(torch.tensor, parameters(rng)))
        chains = torch.tensor(rng.randint(2, size=(6, 5)).astype(float))
        offsets = torch.linspace(0.2, 0.8, 7), torch.linspace(0.3, 0.6, 5)
        self.objective = ContrastiveDivergence(
            chains if persistent else None,
            *([x.double() for x in offsets] if centered else (None, None)),
            **options,
        )
        self.objective.steps_jointly = jointly
        self.sgd = sgd_of(self.model, **kwargs)
        self.generator = torch.Generator().manual_seed(1)
        self.rows = torch.tensor(rng.uniform(size=(10, 7)).round(1))

    def run(self, sizes=(10, 10, 7), change=None):
        """Take an epoch of mini-batches; after the first, `change` is called."""
        step = epoch_of(self.model, self.sgd, self.generator)
        for count, n in enumerate(sizes):
            if count == 1 and change is not None:
                change(self)
            with torch.no_grad():
                self.objective.training_step(self.model, Batch(self.rows[:n]), step)
        return self

    def run_together(self, sizes=(10, 10, 7), *, weight=None, between=False):
        """Take an epoch by one call of `training_steps`; return the step."""
        step = epoch_of(self.model, self.sgd, self.generator)
        step.callbacks_between, step.records = between, True
        batches = (Batch(self.rows[:n], None, weight) for n in sizes)
        with torch.no_grad():
            self.objective.training_steps(self.model, batches, step)
        return step

    def run_listed(self, sizes=(10, 10, 7)):
        """Take an epoch as the net does where all mini-batches are at hand."""
        step = epoch_of(self.model, self.sgd, self.generator)
        step.callbacks_between, step.records = False, True
        batches = [Batch(self.rows[:n]) for n in sizes]
        with torch.no_grad():
            self.objective.training_steps(self.model, batches[:1], step)
            step.records = False
            self.objective.training_steps(self.model, batches[1:], step)
        return self

    def state(self):
        velocities = [s["momentum_buffer"] for s in self.sgd.state.values() if s]
        tensors = [*self.model.parameters(), *self.objective.buffers(), *velocities]
        return [tensor.detach().numpy().copy() for tensor in tensors]


def parameters(rng):
    return rng.normal(size=(5, 7)), rng.normal(size=5), rng.normal(size=7)


def assert_same(one, other):
    assert len(one.state()) == len(other.state())
    for x, y in zip(one.state(), other.state(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-12)


def is_joint(training):
    return training.objective._joint is not None


@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize(
    "options",
    [{}, {"persistent": False}, {"momentum": 0.7}, {"sampled": True}],
    ids=str,
)
def test_steps_together_are_steps_one_by_one(options, between):
    sizes = (10, 10, 7, 10)
    one_by_one = Training(jointly=True, **options).run(sizes)
    together = Training(jointly=True, **options)
    step = together.run_together(sizes, between=between)
    assert_same(one_by_one, together)
    assert len(step.batch.x) == sizes[-1]
    # Only the first step of an epoch is due for an estimate; all are counted.
    assert together.objective._loss.n_steps == len(sizes) - 1
    assert len(step.recorded_means()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"persistent": False},
        {"centered": False},
        {"centered": False, "weight_decay": 0.0},
        {"momentum": 0.7},
        {"sampled": True},
    ],
    ids=str,
)
def test_listed_steps_are_steps_one_by_one(options):
    """Also where a mini-batch of a size that was new in a list comes alone next."""
    one_by_one = Training(jointly=True, **options)
    listed = Training(jointly=True, **options)
    for sizes in ((10, 10, 7), (7, 10, 10, 3), (3, 10)):
        one_by_one.run(sizes)
        listed.run_listed(sizes)
    one_by_one.run((7, 10))
    listed.run((7, 10))
    assert_same(one_by_one, listed)
    assert not any(parameter.is_inference() for parameter in listed.model.parameters())
    assert is_joint(listed)


def test_an_epoch_at_rate_zero_changes_nothing():
    training = Training(jointly=True, weight_decay=0.0).run_listed()
    before = training.state()[:3]
    for group in training.sgd.param_groups:
        group["lr"] = 0.0
    training.run_listed()
    for x, y in zip(before, training.state()[:3], strict=True):
        np.testing.assert_array_equal(x, y)


def test_offsets_may_be_changed_between_epochs():
    both = [Training(jointly=way) for way in (True, False)]
    for training in both:
        training.run()
        training.objective.visible_offset.mul_(0.5)
        training.objective.hidden_offset.add_(0.1)
        training.run()
    assert_same(*both)
    unchanged = Training(jointly=True).run().run()
    assert np.abs(unchanged.state()[0] - both[0].state()[0]).max() > 1e-3


def test_a_callback_may_let_weights_decay_or_no_longer():
    def decay(to):
        return lambda training: training.sgd.param_groups[0].update(weight_decay=to)

    for before, after in [(0.0, 0.3), (0.3, 0.0)]:
        both = [Training(jointly=way, weight_decay=before) for way in (True, False)]
        for training in both:
            training.run(change=decay(after))
        assert_same(*both)
        unchanged = Training(jointly=True, weight_decay=before).run()
        assert np.abs(unchanged.state()[0] - both[0].state()[0]).max() > 1e-3


def test_steps_together_with_sample_weights():
    weight = torch.linspace(0.2, 1.8, 10, dtype=torch.float64)
    both = [Training(jointly=way) for way in (True, False)]
    for training in both:
        training.run_together((10, 10), weight=weight)
    assert_same(*both)
    unweighted = Training(jointly=True)
    unweighted.run_together((10, 10))
    assert np.abs(unweighted.state()[0] - both[0].state()[0]).max() > 1e-3


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_steps": 3},
        {"momentum": 0.7},
        {"sampled": True},
        {"weight_decay": 0.0},
        {"copies_offset": True},
        {"copies_offset": True, "momentum": 0.7},
    ],
    ids=str,
)
def test_same_as_separate_parameters(persistent, centered, options, monkeypatch):
    """Over three epochs of mini-batches of several sizes, with another rate each."""
    options = dict(options)
    if options.pop("copies_offset", False):  # as with many hidden units
        monkeypatch.setattr(_joint_space, "_LEAST_MEANS", 0)
    both = [
        Training(jointly=way, persistent=persistent, centered=centered, **options)
        for way in (True, False)
    ]
    start = both[0].state()
    for training in both:
        for rate in (0.5, 0.2, 0.1):
            for group in training.sgd.param_groups:
                group["lr"] = rate
            training.run()
    assert [is_joint(training) for training in both] == [True, False]
    assert_same(*both)
    pairs = zip(start[:3], both[0].state()[:3], strict=True)
    assert not any(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("centered", [True, False])
def test_step_in_expectation(centered):
    """Chains of the model's law: the step is the exact gradient, within 5 errors.

    Entries are means of terms within an interval of length 1, or 2 if centered.
    """
    oracle = EnumeratedRBM.random(4, 3, seed=5, scale=2.0)
    rng = np.random.RandomState(0)
    rows = oracle.V[rng.choice(len(oracle.V), size=7)]
    p_data = np.bincount(oracle.index(rows), minlength=len(oracle.V)) / len(rows)
    model = module_of(oracle)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    chains = oracle.H[rng.choice(len(oracle.H), size=N_CHAINS, p=oracle.p_h)]
    mu, lam = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.3, 0.5, 0.7])
    offsets = (torch.tensor(mu), torch.tensor(lam)) if centered else (None, None)
    objective = ContrastiveDivergence(torch.tensor(chains), *offsets)
    generator = torch.Generator().manual_seed(0)
    step = epoch_of(model, sgd_of(model, lr=1.0, weight_decay=0.0), generator)
    with torch.no_grad():
        objective.training_step(model, Batch(torch.tensor(rows)), step)
    assert objective._joint is not None
    after = [p.detach().numpy() for p in model.parameters()]
    got = [a - b for a, b in zip(after, before, strict=True)]
    plain = oracle.gradient(p_data)
    exact = center(*plain, mu, objective.hidden_offset.numpy()) if centered else plain
    error = (2.0 if centered else 0.5) / np.sqrt(N_CHAINS)
    wrong = center(*plain, mu, np.zeros(3))  # other offsets would be seen
    for g, e in zip(got, exact, strict=True):
        np.testing.assert_allclose(g, e, atol=5 * error)
    assert (
        max(np.abs(g - w).max() for g, w in zip(got, wrong, strict=True)) > 20 * error
    )


def replace_weight(training):
    training.model.weight.data = training.model.weight.detach().clone() + 1


def replace_visible_bias(training):
    bias = training.model.visible_bias
    bias.data = bias.detach().clone() - 1


def replace_hidden_bias(training):
    bias = training.model.hidden_bias
    bias.data = bias.detach().clone() - 1


def load(training):
    rng = np.random.RandomState(5)
    names = "weight", "hidden_bias", "visible_bias"
    values = map(torch.tensor, parameters(rng))
    training.model.load_state_dict(dict(zip(names, values, strict=True)))


def freeze(training):
    training.model.hidden_bias.requires_grad_(False)


CHANGES = [replace_weight, replace_visible_bias, replace_hidden_bias, load, freeze]


@pytest.mark.parametrize("when", ["within", "between"])
@pytest.mark.parametrize("change", CHANGES)
def test_parameters_that_others_change_within_or_between_epochs(change, when):
    both = [Training(jointly=way, momentum=0.5) for way in (True, False)]
    for training in both:
        training.run()
        if when == "within":
            training.run(change=change)
        else:
            change(training)
        training.run()
    assert_same(*both)
    untouched = Training(jointly=True, momentum=0.5).run().run()
    assert not np.allclose(untouched.state()[2], both[0].state()[2])


def test_chains_that_others_replace():
    both = [Training(jointly=way) for way in (True, False)]
    for training in both:
        training.run()
        training.objective.load_state_dict(
            Training(jointly=True).objective.state_dict()
        )
        training.run()
        training.objective.chains = torch.zeros(4, 5, dtype=torch.float64)
        training.run()
    assert_same(*both)


def test_a_copy_is_trained_alone():
    first = Training(jointly=True, momentum=0.5).run()
    twin = copy.deepcopy(first)
    before = first.state()
    twin.generator = torch.Generator().manual_seed(2)
    twin.run()
    for x, y in zip(first.state(), before, strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.array_equal(twin.state()[0], before[0])


def test_another_dtype_between_epochs():
    training = Training(jointly=True).run()
    training.model.float()
    training.objective.float()
    training.rows = training.rows.float()
    training.sgd = sgd_of(training.model)
    training.run()
    assert is_joint(training)
    assert {tensor.dtype for tensor in training.model.parameters()} == {torch.float32}


def test_what_is_not_stepped_jointly():
    """Rounded factors, replicas, weights of rows, and units of another kind."""
    training = Training(jointly=True)
    training.objective.factor_dtype = torch.bfloat16
    assert not is_joint(training.run())
    assert not ParallelTempering.steps_jointly

    class OtherRBM(BernoulliRBM):
        """It may have other conditionals."""

    training = Training(jointly=True)
    training.model.__class__ = OtherRBM
    assert not is_joint(training.run())
    both = [Training(jointly=way) for way in (True, False)]
    for each in both:
        each.run()
        step = epoch_of(each.model, each.sgd, each.generator)
        weight = torch.linspace(0, 2, 10, dtype=torch.float64)
        with torch.no_grad():
            for w in (weight, None, weight):
                batch = Batch(each.rows, None, w)
                each.objective.training_step(each.model, batch, step)
    assert_same(*both)
