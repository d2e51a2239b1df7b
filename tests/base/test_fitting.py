"""A fit of two phases, of which the second is trained on what the first leaves."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from skgen.base import BaseGenerator, Phase, load_arrays, to_arrays
from skgen.training import Objective, _callbacks

X = np.random.RandomState(0).normal([3.0, -1.0], [2.0, 0.5], size=(400, 2))


class Location(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.location = nn.Parameter(torch.zeros(n_features))

    def forward(self, x):
        return x - self.location


class SquaredError(Objective):
    n_warmup = 1

    def __init__(self):
        super().__init__()
        self.seen_epochs = set()

    def loss(self, model, batch, *, generator):
        self.seen_epochs.add(int(self.epoch))
        return 0.5 * model(batch.x).square().sum(1)

    def evaluate(self, model, batch):
        return 0.5 * model(batch.x).square().sum(1)


class MeanAndVariance(BaseGenerator):
    """The mean of the data, and then the mean of its squared deviations."""

    _required_state = _state_names = ("mean_", "variance_")
    _parameter_constraints = BaseGenerator._constraints_of(
        *("learning_rate", "batch_size", "n_iter", "random_state", "verbose"),
        *("early_stopping", "warm_start", "learning_rate_schedule"),
    )

    def __init__(
        self,
        learning_rate=0.1,
        batch_size=100,
        n_iter=30,
        random_state=None,
        verbose=0,
        early_stopping=False,
        warm_start=False,
        learning_rate_schedule="constant",
    ):
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.n_iter, self.random_state, self.verbose = n_iter, random_state, verbose
        self.early_stopping, self.warm_start = early_stopping, warm_start
        self.learning_rate_schedule = learning_rate_schedule

    def _initial_state(self, rows, y, state):
        self._data = torch.cat(list(rows.blocks(1000))).numpy()
        start = to_arrays(Location(rows.shape[1]))
        return dict(state) or {"mean_": start, "variance_": start}

    def _build_model(self, state, name="mean_"):
        return load_arrays(Location(2), state[name])

    def _build_objective(self, state):
        return SquaredError()

    def _phases(self, state):
        yield Phase(self._build_model(state), SquaredError(), name="mean_")
        # By now the state has the mean.
        with np.errstate(over="ignore"):
            rows = (self._data - state["mean_"]["location"]) ** 2
        model = self._build_model(state, "variance_")
        yield Phase(model, SquaredError(), name="variance_", rows=rows)

    def _read_state(self, state, phase):
        return {phase.name: to_arrays(phase.model)}

    def _optimizer_arguments(self, state):
        return {"optimizer": torch.optim.SGD}

    def sample(self, n_samples=1, *, random_state=None):
        raise AssertionError

    def score_samples(self, X):
        raise AssertionError


def test_the_second_phase_goes_on_from_the_first():
    model = MeanAndVariance(learning_rate=0.02, n_iter=200, random_state=0).fit(X)
    np.testing.assert_allclose(model.mean_["location"], X.mean(0), atol=0.1)
    # Of deviations from the mean; about 0 the second moments are 13 and 1.25.
    np.testing.assert_allclose(model.variance_["location"], X.var(0), rtol=0.1)


def test_each_phase_has_its_rows_of_history():
    model = MeanAndVariance(n_iter=3, random_state=0, verbose=1)
    model.fit(X)
    assert model.history_[:, "phase"] == ["mean_"] * 3 + ["variance_"] * 3
    assert model.n_iter_ == len(model.history_) == 6
    assert all(np.isfinite(model.history_[:, "train_loss"]))
    model.partial_fit(X)
    assert model.history_[6:, "phase"] == ["mean_", "variance_"]
    for net in model._nets.values():
        assert net.history is model.history_
    assert model.net_.phase == "variance_"


class LongerVariance(MeanAndVariance):
    def _phases(self, state):
        for phase in super()._phases(state):
            phase.n_iter = {"mean_": None, "variance_": 5}[phase.name]
            yield phase


def test_a_phase_may_have_a_number_of_epochs_of_its_own():
    """In `fit`; partial_fit is one pass, and none is none."""
    model = LongerVariance(n_iter=2, random_state=0).fit(X)
    assert model.history_[:, "phase"] == ["mean_"] * 2 + ["variance_"] * 5
    assert [net.criterion_.n_epochs for net in model._nets.values()] == [2, 5]
    model.partial_fit(X)
    assert model.history_[7:, "phase"] == ["mean_", "variance_"]
    model = LongerVariance(n_iter=0, random_state=0).fit(X)
    assert model.history_[:, "phase"] == ["variance_"] * 5


def test_epochs_are_counted_for_each_phase():
    """A warm-up starts anew in each phase."""
    model = MeanAndVariance(n_iter=3, random_state=0).fit(X)
    for net in model._nets.values():
        assert net.criterion_.seen_epochs == {0, 1, 2}
    model.partial_fit(X)
    for net in model._nets.values():
        assert net.criterion_.seen_epochs == {3}


def test_nets_go_on_in_a_warm_fit():
    model = MeanAndVariance(n_iter=2, random_state=0, warm_start=True).fit(X)
    nets = dict(model._nets)
    model.fit(X)
    assert model._nets == nets
    model.set_params(learning_rate=0.01).fit(X)  # another parameter, new nets
    assert all(model._nets[name] is not net for name, net in nets.items())


@pytest.mark.parametrize("value", [np.array([1, 2]), [1, 2], np.float32("nan")])
def test_parameters_are_compared_whatever_they_are(value):
    """A parameter of a family of a user may be an array; a list may be changed."""
    model = MeanAndVariance(n_iter=2, random_state=0, warm_start=True)
    model.set_params(verbose=0).fit(X)
    for _ in range(2):
        model.get_params = lambda deep=True: {"value": value, "n_iter": 2}
        model.fit(X)
        net = model._nets["mean_"]
    model.fit(X)
    assert model._nets["mean_"] is net
    if isinstance(value, list):
        value.append(3)
        assert model.fit(X)._nets["mean_"] is not net


def interrupt(monkeypatch, step):
    """Ctrl-C at a training step; an epoch has 4."""
    calls, training_step = [], SquaredError.training_step

    def interrupted(self, *args):
        calls.append(self)
        if len(calls) == step:
            raise KeyboardInterrupt
        training_step(self, *args)

    monkeypatch.setattr(SquaredError, "training_step", interrupted)


@pytest.mark.parametrize(
    ("step", "phases"),
    [
        (11, ["mean_"] * 2),
        (13, ["mean_"] * 3),
        (23, ["mean_"] * 3 + ["variance_"] * 2),
    ],
)
def test_an_interrupt_keeps_whole_epochs_of_all_phases(monkeypatch, step, phases):
    model = MeanAndVariance(n_iter=3, random_state=0)
    with monkeypatch.context() as patch:
        interrupt(patch, step)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    assert model.history_[:, "phase"] == phases
    assert model.n_iter_ == len(phases)
    first = MeanAndVariance(n_iter=min(len(phases), 3), random_state=0).fit(X)
    np.testing.assert_array_equal(model.mean_["location"], first.mean_["location"])
    start = MeanAndVariance(n_iter=0, random_state=0).fit(X).variance_["location"]
    untouched = np.array_equal(model.variance_["location"], start)
    assert untouched == ("variance_" not in phases)
    model.set_params(n_iter=1).partial_fit(X)
    assert model.n_iter_ == len(phases) + 2


def test_an_interrupt_in_the_first_epoch_of_two_phases(monkeypatch):
    model = MeanAndVariance(n_iter=3, random_state=0)
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    assert not hasattr(model, "history_")
    assert not hasattr(model, "mean_")
    model.fit(X)
    before = model.mean_["location"].copy()
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            model.set_params(warm_start=True).fit(X)
    assert model.n_iter_ == len(model.history_) == 6
    np.testing.assert_array_equal(model.mean_["location"], before)


class Tells(MeanAndVariance):
    """One whose loss is that which is minimised; a rate of 2.5 makes it grow."""

    def _phases(self, state):
        class Objective(SquaredError):
            loss_tells_convergence = True

        yield Phase(self._build_model(state), Objective(), name="mean_")


def test_training_that_ends_above_its_start_warns():
    model = Tells(learning_rate=2.5, n_iter=6, random_state=0)
    with pytest.warns(
        ConvergenceWarning, match=r"Training of Tells ended with .* Lower learning_rate"
    ) as record:
        model.fit(X)
    assert record[0].filename == __file__
    losses = model.history_[:, "train_loss"]
    assert f"{losses[-1]:.6g}" in str(record[0].message)
    assert f"{losses[0]:.6g}" in str(record[0].message)
    MeanAndVariance(learning_rate=2.2, n_iter=6, random_state=0).fit(X)


def test_training_that_ends_too_early_warns():
    slow = {"learning_rate": 0.002, "n_iter": 80, "random_state": 0}
    with pytest.warns(ConvergenceWarning, match="Tells ended after 80 epochs while"):
        model = Tells(**slow).fit(X)
    # One that goes on is not judged from its start, and one in steps by its caller.
    model.set_params(warm_start=True).fit(X)
    for _ in range(60):
        model.partial_fit(X)
    Tells(learning_rate=0.05, n_iter=80, random_state=0).fit(X)


def test_early_stopping_that_stopped_by_itself_is_quiet():
    model = Tells(learning_rate=2.2, n_iter=60, random_state=0, early_stopping=True)
    assert model.fit(X).n_iter_ < 60


def test_a_failure_in_the_second_phase_leaves_everything_as_it_was():
    model = MeanAndVariance(n_iter=3, random_state=0).fit(X)
    before = model.mean_["location"].copy(), model.variance_["location"].copy()
    bad = X.copy()
    bad[0] = 1e18  # the square of its square, of the second phase, is infinite
    with pytest.raises(ValueError, match="diverged in epoch 4"):
        model.fit(bad)
    np.testing.assert_array_equal(model.mean_["location"], before[0])
    np.testing.assert_array_equal(model.variance_["location"], before[1])
    assert model.n_iter_ == 6


def test_early_stopping_needs_a_loss_to_watch():
    class Blind(MeanAndVariance):
        def _phases(self, state):
            class Unwatched(SquaredError):
                evaluate = Objective.evaluate

            yield Phase(self._build_model(state), Unwatched(), name="mean_")

    with pytest.raises(ValueError, match="Blind has no loss that can be watched"):
        Blind(early_stopping=True).fit(X)


def test_early_stopping_waits_for_the_warm_up_of_its_own_phase(monkeypatch):
    """The loss watched rises from the first epoch on: the best is that after it."""

    class Rises(SquaredError):
        n_warmup = 3

        def evaluate(self, model, batch):
            return torch.full((len(batch.x),), float(self.epoch))

    class Impatient(MeanAndVariance):
        def _phases(self, state):
            for name in ("mean_", "variance_"):
                yield Phase(self._build_model(state, name), Rises(), name=name)

    monkeypatch.setattr(_callbacks, "_LEAST_STEPS_TO_WAIT", 1)
    model = Impatient(n_iter=30, random_state=0, early_stopping=True).fit(X)
    # Three epochs of warm-up, the best one, and 10 without improvement.
    assert model.history_[:, "phase"] == ["mean_"] * 14 + ["variance_"] * 14
