"""GenerativeNet with a toy family: a mean that is learned by autograd."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

from skgen.training import Batch, GenerativeNet, Objective, TrainingStep, _callbacks
from skgen.training._batches import WeightedDataset
from skgen.training._callbacks import StopEarly, WatchLoss

X = np.random.RandomState(0).normal(3.0, 1.0, (25, 2)).astype(np.float32)
HELD_OUT = predefined_split(Dataset(X[:7]))


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return x - self.mean


class SquaredError(Objective):
    """-log N(x | mean, 1) up to a constant."""

    def loss(self, model, batch, *, generator):
        return 0.5 * model(batch.x).square().sum(1)

    def evaluate(self, model, batch):
        return self.loss(model, batch, generator=None)


class SquaredErrorInClosedForm(SquaredError):
    """The same step without autograd, in place unless somebody looks at gradients."""

    @torch.no_grad()
    def training_step(self, model, batch, step):
        gradient = -model(batch.x).mean(0)
        if step.gradients_are_watched:
            model.mean.grad = gradient
            step.apply_gradients()
        else:
            group = step.optimizers["optimizer"].param_groups[0]
            model.mean.sub_(gradient, alpha=group["lr"])


def make(objective=None, callbacks=(), seed=0, module=None, **kwargs):
    defaults = {"lr": 0.1, "max_epochs": 3, "batch_size": 10, "train_split": None}
    kwargs = defaults | kwargs
    return GenerativeNet(
        module or Mean(),
        objective or SquaredError(),
        generator=torch.Generator().manual_seed(seed),
        verbose=0,
        callbacks=list(callbacks),
        **kwargs,
    )


def by_hand(seed=0, epochs=3, schedule=lambda _: 1.0):
    """The same training in numpy."""
    generator, mean = torch.Generator().manual_seed(seed), np.zeros(2)
    step, n_steps = 0, epochs * 3
    for _ in range(epochs):
        order = torch.randperm(len(X), generator=generator).numpy()
        for start in range(0, len(X), 10):
            batch = X[order[start : start + 10]]
            mean += 0.1 * schedule(step / n_steps) * (batch - mean).mean(0)
            step += 1
    return mean


class Listener(Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.heard = []

    def on_batch_end(self, net, batch=None, training=None, y_pred=None, **kwargs):
        x, y = batch
        assert y is None
        self.heard.append((len(x), training, tuple(y_pred.shape)))


class GradientListener(Callback):
    def __init__(self):
        self.norms = []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.norms.append([p.grad.norm().item() for _, p in named_parameters])


@pytest.mark.parametrize("objective", [SquaredError, SquaredErrorInClosedForm])
@pytest.mark.parametrize("listener", [None, Listener, GradientListener])
def test_step_whoever_listens(objective, listener):
    net = make(objective(), [listener()] if listener else [])
    net.fit(X)
    np.testing.assert_allclose(net.module_.mean.detach().numpy(), by_hand(), rtol=1e-5)


def test_linear_schedule():
    net = make(learning_rate_schedule="linear").fit(X)
    np.testing.assert_allclose(
        net.module_.mean.detach().numpy(), by_hand(schedule=lambda t: 1 - t), rtol=1e-5
    )
    assert net.optimizer_.param_groups[0]["lr"] == 0.1  # ready for the next fit


def test_batches_are_told_only_to_those_who_listen():
    listener = Listener()
    net = make(callbacks=[listener], max_epochs=1).fit(X)
    assert listener.heard == [(n, True, (n, 2)) for n in (10, 10, 5)]
    assert [b["train_batch_size"] for b in net.history[0, "batches"]] == [10, 10, 5]
    silent = make(max_epochs=1).fit(X)
    assert silent.history[:, "train_batch_count"] == [3]


def test_gradients_are_told_to_those_who_listen():
    listener = GradientListener()
    make(SquaredErrorInClosedForm(), [listener], max_epochs=1).fit(X)
    assert len(listener.norms) == 3
    assert all(norm > 0 for norms in listener.norms for norm in norms)


def test_score_is_minus_the_mean_objective():
    net = make(max_epochs=0).fit(X)
    expected = -0.5 * np.mean(np.sum(X.astype(np.float64) ** 2, axis=1))
    assert abs(net.score(X) - expected) < 1e-5


def test_predict_and_forward():
    net = make(max_epochs=1).fit(X)
    expected = X - net.module_.mean.detach().numpy()
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-6)


@pytest.mark.parametrize("n_batches", [1, 150])
def test_divergence_is_seen_at_once(n_batches):
    class Explodes(SquaredErrorInClosedForm):
        calls = 0

        def training_step(self, model, batch, step):
            self.calls += 1
            if self.calls >= n_batches + 2:
                with torch.no_grad():
                    model.mean[1] = torch.nan

    objective = Explodes()
    net = make(objective, batch_size=25, max_epochs=1)
    long = np.tile(X, (n_batches * 3, 1))
    with pytest.raises(ValueError, match=r"diverged in epoch 1:.*Lower learning_rate"):
        net.fit(long)
    assert objective.calls <= n_batches + 2 + 100


class Interrupts(Callback):
    def __init__(self, event, epoch=2):
        self.event, self.epoch = event, epoch
        setattr(self, event, self.interrupt)

    def interrupt(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_batch_begin(self, net, **kwargs):
        """Makes the net tell of mini-batches."""


@pytest.mark.parametrize(
    ("event", "n_epochs"),
    [
        ("on_epoch_begin", 1),
        ("on_batch_begin", 1),
        ("on_batch_end", 1),
        ("on_epoch_end", 2),
        ("on_train_end", 2),
    ],
)
def test_an_interrupt_goes_back_to_a_whole_epoch(event, n_epochs):
    net = make(callbacks=[Interrupts(event)], max_epochs=2).fit(X)
    assert net.interrupted_
    assert net.has_ended_early_
    assert len(net.history) == n_epochs
    expected = by_hand(epochs=n_epochs)
    np.testing.assert_allclose(net.module_.mean.detach(), expected, rtol=1e-5)
    ends = []
    net.callbacks_ = [("ends", Ends(ends))]
    assert not net.set_params(max_epochs=1).partial_fit(X).interrupted_
    expected = by_hand(epochs=n_epochs + 1)
    np.testing.assert_allclose(net.module_.mean.detach(), expected, rtol=1e-5)
    assert ends == [n_epochs + 1]


class Ends(Callback):
    """Reads the history at the end, as callbacks of skorch do."""

    def __init__(self, ends):
        self.ends = ends

    def on_train_end(self, net, **kwargs):
        self.ends.append(net.history[-1, "epoch"])


@pytest.mark.parametrize("epoch", [1, 3])
def test_callbacks_are_told_that_an_interrupted_training_has_ended(epoch):
    """Of the last whole epoch, or of the first one where there is none."""
    ends = []
    stop = EarlyStopping(monitor="train_loss", load_best=True)
    callbacks = [Interrupts("on_batch_end", epoch), stop, Ends(ends)]
    net = make(callbacks=callbacks).fit(X)
    assert ends == [max(epoch - 1, 1)]
    assert len(net.history) == epoch - 1
    expected = by_hand(epochs=epoch - 1)
    np.testing.assert_allclose(net.module_.mean.detach(), expected, rtol=1e-5)


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_begin", "on_batch_end"])
def test_what_early_stopping_raises_is_no_interrupt(event):
    class Stops(EarlyStopping):
        def on_batch_begin(self, net, **kwargs):
            """Makes the net tell of mini-batches."""

    def stop(net, **kwargs):
        if event == "on_train_begin" or len(net.history) == 2:
            raise KeyboardInterrupt

    stops = Stops(monitor="train_loss")
    stops.best_epoch_ = None
    setattr(stops, event, stop)
    net = make(callbacks=[stops]).fit(X)
    assert net.has_ended_early_
    assert not net.interrupted_
    assert len(net.history) == (event != "on_train_begin")


def test_a_fit_that_ends_by_itself_is_no_interrupt():
    net = make().fit(X)
    assert not net.interrupted_
    assert not net.has_ended_early_


def test_the_loss_of_training_is_the_mean_over_the_rows_of_an_epoch():
    """With a learning rate of zero that is known; 25 rows in batches of 10."""
    net = make(lr=0.0).fit(X)
    expected = 0.5 * np.mean(np.sum(X.astype(np.float64) ** 2, axis=1))
    assert net.history[:, "train_loss"] == pytest.approx([expected] * 3, rel=1e-6)
    weight = torch.arange(25.0) % 4
    weighted = make(lr=0.0).fit(WeightedDataset(torch.tensor(X), None, weight))
    expected = 0.5 * np.average(np.sum(X**2, axis=1), weights=weight)
    assert weighted.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-6)


def test_the_best_loss_is_that_of_all_epochs():
    net = make().fit(X)
    losses = net.history[:, "train_loss"]
    assert losses == sorted(losses, reverse=True)
    assert net.history[:, "train_loss_best"] == [True] * 3
    net.set_params(lr=-1.0, max_epochs=2).partial_fit(X)  # uphill
    net.set_params(lr=0.5, max_epochs=9).partial_fit(X)
    losses, best = net.history[:, "train_loss"], net.history[:, "train_loss_best"]
    assert best == [x < min([*losses[:k], np.inf]) for k, x in enumerate(losses)]
    assert 3 < sum(best) < len(best)


def test_costly_values_are_recorded_in_some_mini_batches():
    class Notes(SquaredError):
        def training_step(self, model, batch, step):
            super().training_step(model, batch, step)
            if step.records:
                step.record(len(batch.x), first=float(batch.x[0, 0]), two=2.0)

    net = make(Notes(), batch_size=1, max_epochs=2).fit(X)
    assert net.history[:, "train_two"] == [2.0, 2.0]
    generator, recorded = torch.Generator().manual_seed(0), []
    for _ in range(2):
        order = torch.randperm(25, generator=generator).numpy()
        recorded.append(X[order[[0, 16]], 0].mean())
    assert net.history[:, "train_first"] == pytest.approx(recorded)


class Normed(Mean):
    """Its training needs two rows at a time."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(x) - self.mean


@pytest.mark.parametrize("held_out", [None, predefined_split(Dataset(X[:11]))])
@pytest.mark.parametrize("listens", [False, True])
def test_a_last_mini_batch_of_one_row_joins_the_one_before(held_out, listens):
    sizes = []

    class Sizes(SquaredError):
        def loss(self, model, batch, *, generator):
            sizes.append(len(batch.x))
            return super().loss(model, batch, generator=generator)

    callbacks = [("watch", WatchLoss()), *([Listener()] if listens else [])]
    options = {"module": Normed(), "batch_size": 12, "max_epochs": 1}
    net = make(Sizes(), callbacks, train_split=held_out, **options).fit(X)
    assert sizes[:2] == [12, 13]
    assert net.history[-1, "train_batch_count"] == 2
    np.testing.assert_allclose(net.module_.norm.num_batches_tracked, 2)


class Products(SquaredError):
    """Writes down a matrix product while it trains."""

    def loss(self, model, batch, *, generator):
        self.seen = batch.x @ batch.x.T
        return super().loss(model, batch, generator=generator)


@pytest.mark.parametrize(
    ("products", "instructions", "dtype"),
    [
        (None, "avx512_bf16", torch.float32),
        (torch.bfloat16, "avx512_bf16", torch.bfloat16),
        (torch.bfloat16, "none", torch.float32),
    ],
)
def test_products_are_rounded_in_training(processor, products, instructions, dtype):
    processor(instructions)
    net = make(Products(), factor_dtype=products).fit(X)
    seen = net.criterion_.seen
    assert seen.dtype == dtype
    assert torch.equal(seen, seen.bfloat16().to(dtype)) == (products is not None)
    np.testing.assert_allclose(net.module_.mean.detach(), by_hand(), rtol=1e-5)
    net.score(X)  # which calls `loss` as well
    assert not torch.equal(net.criterion_.seen, net.criterion_.seen.bfloat16().float())


@pytest.mark.parametrize("there", [True, False])
def test_data_moves_to_the_device_only_if_it_fits(monkeypatch, there):
    monkeypatch.setattr("skgen.training._net.fits", lambda n_bytes, device: there)
    net = make().initialize()
    net.device = "meta"
    assert net.get_dataset(X).X.device.type == ("meta" if there else "cpu")


def test_weights_are_repeated_rows():
    """One full mini-batch: integer weights give the step of repeated rows, exactly."""
    weight = torch.arange(25) % 4
    repeated = np.repeat(X, weight, axis=0)
    one_step = {"max_epochs": 1, "batch_size": 100}
    net = make(**one_step).fit(WeightedDataset(torch.tensor(X), None, weight.float()))
    expected = make(**one_step).fit(repeated).module_.mean.detach()
    torch.testing.assert_close(net.module_.mean.detach(), expected)
    unweighted = make(**one_step).fit(X).module_.mean.detach()
    assert not torch.allclose(unweighted, expected, rtol=1e-3)


def test_an_objective_without_evaluation_is_trained_but_not_scored():
    class Blind(SquaredError):
        def evaluate(self, model, batch):
            return None

    net = make(Blind(), [("watch", WatchLoss())], train_split=HELD_OUT).fit(X)
    np.testing.assert_allclose(net.module_.mean.detach(), by_hand(), rtol=1e-5)
    assert "valid_loss" not in net.history[-1]
    with pytest.raises(ValueError, match="Blind has no loss to evaluate"):
        net.score(X)


def test_an_objective_defines_a_loss_or_a_step():
    class Neither(Objective):
        pass

    with pytest.raises(NotImplementedError, match="neither loss nor training_step"):
        make(Neither()).fit(X)


class TwoMeans(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = Mean(), Mean()

    def forward(self, x):
        return self.left(x) * self.right(x)


class EachItsOwn(Objective):
    """Both means by the same product; each optimizer moves its own only."""

    def training_step(self, model, batch, step):
        for name in ("left_optimizer", "right_optimizer"):
            step.minimize(model(batch.x).square().sum(1), optimizer=name)


def two_optimizers(**kwargs):
    return GenerativeNet(
        TwoMeans(),
        EachItsOwn(),
        generator=torch.Generator().manual_seed(0),
        optimizers={
            "left_optimizer": (torch.optim.SGD, "left.*"),
            "right_optimizer": (torch.optim.Adam, "right.*"),
        },
        train_split=None,
        verbose=0,
        max_epochs=1,
        **{"lr": 1e-3, "batch_size": 100, "right_optimizer__lr": 0.0} | kwargs,
    )


def test_each_named_optimizer_steps_its_own_parameters():
    net = two_optimizers().fit(X)
    assert type(net.left_optimizer_) is torch.optim.SGD
    assert type(net.right_optimizer_) is torch.optim.Adam
    # d/dl of mean |(x - l)(x - r)|^2 at l = r = 0 is -2 x^3.
    step = 1e-3 * 2 * np.mean(X.astype(np.float64) ** 3, axis=0)
    np.testing.assert_allclose(net.module_.left.mean.detach(), step, rtol=1e-5)
    assert net.module_.right.mean.abs().max() == 0  # of learning rate 0
    moved = two_optimizers(right_optimizer__lr=0.5).fit(X)
    np.testing.assert_allclose(moved.module_.right.mean.abs().detach(), 0.5, rtol=1e-4)
    assert moved.module_.right.mean.grad is not None
    assert len(moved.param_groups()) == 2


def test_schedules_and_set_params_reach_every_optimizer():
    net = two_optimizers(learning_rate_schedule="linear").initialize()
    net.set_params(left_optimizer__lr=0.25)
    assert net.left_optimizer_.param_groups[0]["lr"] == 0.25
    rates = []

    class Rates(Callback):
        def on_batch_begin(self, net, **kwargs):
            rates.append([group["lr"] for group in net.param_groups()])

    net.callbacks_.append(("rates", Rates()))
    net.set_params(batch_size=13, right_optimizer__lr=1e-3)
    net.partial_fit(X)
    np.testing.assert_allclose(rates, [[0.25, 1e-3], [0.125, 5e-4]])


def test_gradients_are_told_for_each_optimizer():
    heard = []

    class Names(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            heard.append([name for name, _ in named_parameters])

    two_optimizers(callbacks=[Names()]).fit(X)
    assert heard == [["left.mean"], ["right.mean"]]


class Average(SquaredError):
    """Keeps the average of the model over all steps, which answers for it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(2))
        self.n_steps = 0

    def after_step(self, model):
        self.total += model.mean.detach()
        self.n_steps += 1

    def inference_model(self, model):
        averaged = Mean()
        averaged.mean.data.copy_(self.total / self.n_steps)
        return averaged


def test_an_average_of_the_model_is_watched():
    net = make(Average()).fit(X)
    assert net.criterion_.n_steps == 9
    average = (net.criterion_.total / 9).numpy()
    expected = -0.5 * np.mean(np.sum((X - average) ** 2, axis=1))
    assert net.score(X) == pytest.approx(expected, rel=1e-5)
    plain = -0.5 * np.mean(np.sum((X - net.module_.mean.detach().numpy()) ** 2, axis=1))
    assert net.score(X) != pytest.approx(plain, rel=1e-3)


class Counts(SquaredError):
    """Its state is newer than the model if early stopping forgets it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("n_steps", torch.zeros(()))

    def after_step(self, model):
        self.n_steps += 1

    def evaluate(self, model, batch):
        # The best epoch is the second: 6 steps of 3 an epoch.
        return super().evaluate(model, batch) * 0 + (self.n_steps - 6).abs()


def test_early_stopping_restores_the_objective_with_the_model(monkeypatch):
    monkeypatch.setattr(_callbacks, "_LEAST_STEPS_TO_WAIT", 1)
    stop = StopEarly(monitor="valid_loss", patience=3, load_best=True)
    callbacks = [("watch", WatchLoss()), ("stop", stop)]
    net = make(Counts(), callbacks, max_epochs=20, train_split=HELD_OUT).fit(X)
    assert not net.interrupted_
    assert len(net.history) == 5
    assert net.criterion_.n_steps == 6
    expected = by_hand(epochs=2)
    np.testing.assert_allclose(net.module_.mean.detach(), expected, rtol=1e-5)


def test_phases_count_their_own_epochs():
    """Two nets share a history; a warm-up of each counts its own epochs."""
    seen = {"one": [], "two": []}

    class Notes(SquaredError):
        n_warmup = 1

        def __init__(self, name):
            super().__init__()
            self.name = name

        def training_step(self, model, batch, step):
            seen[self.name].append(self.epoch)
            super().training_step(model, batch, step)

    one = make(Notes("one"), phase="one", max_epochs=2).fit(X)
    two = make(Notes("two"), phase="two", max_epochs=2).initialize()
    two.history = one.history
    two.partial_fit(X)
    assert one.history[:, "phase"] == ["one", "one", "two", "two"]
    assert seen["one"] == seen["two"] == pytest.approx(np.arange(6) / 3)


def test_a_loss_gives_gradients_to_the_parameters_of_its_optimizer_only():
    """Of two players, the one whose turn it is not keeps what gradient it has."""
    model = TwoMeans()
    optimizers = {
        name: torch.optim.SGD(getattr(model, name).parameters(), lr=0.1)
        for name in ("left", "right")
    }
    step = TrainingStep(
        optimizers, list(model.named_parameters()), generator=torch.Generator()
    )
    step.batch = Batch(torch.tensor(X))
    step.minimize(model(step.batch.x).square().sum(1), optimizer="left")
    assert model.left.mean.grad is not None
    assert model.right.mean.grad is None
