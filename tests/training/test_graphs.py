import warnings
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import nn

from skgen.training import _graphs
from skgen.training._graphs import GraphedStep, capturable

N_WARM_UP = 3
INVALIDATED = "operation failed due to a previous error during capture"


class FakeGenerator:
    """Draws 0, 4, 8, ...; refuses where torch does, and where torch is left to."""

    device = torch.device("cuda")

    def __init__(self, cuda, offset=0):
        self.cuda = cuda
        self.state = {"offset": offset, "capturing": False, "in_graph": 0}

    def clone_state(self):
        assert self.cuda.capturing is None
        return FakeGenerator(self.cuda, self.state["offset"])

    def graphsafe_set_state(self, other):
        self.state = other.state

    def draw(self):
        """A function that gives the number when the kernel runs."""
        graph, state = self.cuda.capturing, self.state
        if (graph is not None) != state["capturing"]:
            raise RuntimeError(f"unexpected offset increment, capturing: {graph}")
        if graph is None:
            state["offset"] += 4
            return lambda number=state["offset"] - 4: number
        state["in_graph"] += 4
        return lambda past=state["in_graph"] - 4: graph.start[id(state)] + past


class FakeStream:
    def __init__(self):
        self.seen = {}
        self.n_launched = 0

    def wait_stream(self, other):
        for stream, n_seen in [*other.seen.items(), (other, other.n_launched)]:
            self.seen[stream] = max(n_seen, self.seen.get(stream, 0))


class FakeCuda:
    """What torch.cuda does with streams and graphs, in an order that it checks.

    A kernel is launched by `launch`: it runs at once, or is kept by the graph that
    is captured. All kernels depend on those before, so a launch on a stream that
    has not waited for the others is a race. After a capture that fails, it is as
    broken as torch 2.6.
    """

    def __init__(self):
        self.default = self.stream_now = FakeStream()
        self.streams = [self.default]
        self.default_generators = (FakeGenerator(self),)
        self.capturing = None
        self.invalid = False
        self.mode = 0
        self.graphs = []
        self.on_streams = []

    # What skgen calls.

    def is_available(self):
        return True

    def device(self, device):
        assert device == FakeGenerator.device
        return nullcontext()

    def current_device(self):
        return 0

    def current_stream(self):
        return self.stream_now

    def set_stream(self, stream):
        self.stream_now = stream

    def Stream(self):
        self.streams.append(FakeStream())
        return self.streams[-1]

    @contextmanager
    def stream(self, stream):
        before, self.stream_now = self.stream_now, stream
        yield
        self.stream_now = before

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        warnings.warn("Synchronization debug mode is a prototype", stacklevel=2)
        self.mode = mode

    def CUDAGraph(self):
        return FakeGraph(self)

    @contextmanager
    def graph(self, graph):
        for stream in self.streams:
            for other in self.streams:
                stream.wait_stream(other)
        before, self.stream_now = self.stream_now, self.Stream()
        self.capturing = graph
        for generator in graph.generators:
            generator.state.update(capturing=True, in_graph=0)
        try:
            yield
        finally:
            self.capturing = None
            if self.invalid:
                raise RuntimeError(INVALIDATED)
            for generator in graph.generators:
                generator.state["capturing"] = False
                graph.draws[id(generator.state)] = generator.state["in_graph"]
            self.stream_now = before
        graph.whole = True
        self.graphs.append(graph)

    # What kernels call.

    def launch(self, kernel):
        if self.capturing is not None:
            self.capturing.kernels.append(kernel)
            return
        now = self.stream_now
        for other in self.streams:
            assert other is now or now.seen.get(other, 0) == other.n_launched, "race"
        now.n_launched += 1
        self.on_streams.append(now)
        kernel()

    def synchronize(self):
        if self.capturing is not None:
            self.invalid = True
            raise RuntimeError("operation not permitted when stream is capturing")
        if self.mode == "warn":
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)


class FakeGraph:
    def __init__(self, cuda):
        self.cuda = cuda
        self.whole = False
        self.kernels = []
        self.generators = [cuda.default_generators[0]]
        self.draws = {}
        self.start = {}

    def register_generator_state(self, generator):
        assert self.cuda.capturing is None
        self.generators.append(generator)

    def replay(self):
        assert self.whole
        for generator in self.generators:
            state = generator.state
            self.start[id(state)] = state["offset"]
            state["offset"] += self.draws[id(state)]

        def run():
            for kernel in self.kernels:
                kernel()

        self.cuda.launch(run)


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setattr(_graphs, "_cuda", fake)
    monkeypatch.setattr(_graphs, "_NAME_GENERATORS", True)
    return fake


class Trainer:
    """A step that logs its data and its random numbers when its kernel runs."""

    def __init__(self, cuda, fails=None):
        self.cuda = cuda
        self.fails = fails
        self.generator = FakeGenerator(cuda)
        self.log = []
        self.n_calls = 0
        self.inputs = set()

    def step(self, x):
        self.n_calls += 1
        self.inputs.add(x.data_ptr())
        own, default = self.generator.draw(), self.cuda.default_generators[0].draw()
        if self.fails is not None:
            self.fails(self.cuda)
        self.cuda.launch(lambda: self.log.append((x.tolist(), own(), default())))


def batches(sizes):
    ends = torch.tensor(sizes).cumsum(0).tolist()
    rows = torch.arange(float(ends[-1]))
    return [
        rows[end - size : end].clone() for end, size in zip(ends, sizes, strict=True)
    ]


def expected(data):
    """Each batch once, in order, with random numbers as of eager steps."""
    return [(x.tolist(), 4 * i, 4 * i) for i, x in enumerate(data)]


def sync_outside_of_sight(cuda):
    """As synchronisations that the debug mode of torch does not cover."""
    if cuda.capturing is not None:
        cuda.synchronize()


def cannot_be_captured(cuda):
    """As an optimizer that is not capturable: the capture itself stays whole."""
    if cuda.capturing is not None:
        raise RuntimeError("capturable is False")


@pytest.mark.parametrize("n_batches", [1, 3, 4, 5, 9])
def test_steps_once_on_each_batch(cuda, n_batches):
    trainer, data = Trainer(cuda), batches([2] * n_batches)
    step = GraphedStep(trainer.step, generator=trainer.generator)
    for i, x in enumerate(data, 1):
        step(x)
        assert len(trainer.log) == i
    assert trainer.log == expected(data)


def test_replays_after_the_warm_up(cuda):
    trainer, data = Trainer(cuda), batches([2] * 9)
    step = GraphedStep(trainer.step, generator=trainer.generator)
    for x in data:
        step(x)
    # The call after the warm-up is the capture; it gets the buffer.
    assert trainer.n_calls == N_WARM_UP + 1
    assert len(trainer.inputs - {x.data_ptr() for x in data}) == 1
    assert len(cuda.graphs) == 1
    assert trainer.generator in cuda.graphs[0].generators
    warm_up, replays = cuda.on_streams[:N_WARM_UP], cuda.on_streams[N_WARM_UP:]
    assert len(set(warm_up)) == 1
    assert cuda.default not in warm_up
    assert set(replays) == {cuda.default}
    assert cuda.mode == 0


def test_generators_are_not_named_where_torch_finds_them(cuda, monkeypatch):
    monkeypatch.setattr(_graphs, "_NAME_GENERATORS", False)
    named = []
    monkeypatch.setattr(
        FakeGraph, "register_generator_state", lambda graph, g: named.append(g)
    )
    step = GraphedStep(lambda x: None, generator=FakeGenerator(cuda))
    for x in batches([2] * 5):
        step(x)
    assert len(cuda.graphs) == 1
    assert named == []


@pytest.mark.parametrize("short", [1, 3, 6])
def test_other_shapes_are_eager(cuda, short):
    sizes = [2] * 8
    sizes[short] = 1
    trainer, data = Trainer(cuda), batches(sizes)
    step = GraphedStep(trainer.step, generator=trainer.generator)
    for x in data:
        step(x)
    assert trainer.log == expected(data)
    assert trainer.n_calls == N_WARM_UP + 2
    assert data[short].data_ptr() in trainer.inputs
    assert cuda.on_streams[short] is cuda.default


@pytest.mark.parametrize(
    ("fails", "reason", "n_tries"),
    [
        (FakeCuda.synchronize, r"waits for the device at .*test_graphs.py:\d+", 0),
        (sync_outside_of_sight, "not permitted when stream is capturing", 1),
        (cannot_be_captured, "capturable is False", 1),
    ],
)
def test_what_cannot_be_captured_stays_eager(cuda, fails, reason, n_tries):
    trainer, data = Trainer(cuda, fails), batches([2] * 8)
    step = GraphedStep(trainer.step, generator=trainer.generator)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for x in data:
            step(x)
    assert trainer.log == expected(data)
    assert trainer.n_calls == len(data) + n_tries
    assert len(caught) == 1
    assert caught[0].category is UserWarning
    with pytest.raises(UserWarning, match=rf"without a CUDA graph.*{reason}"):
        raise caught[0].message
    assert cuda.stream_now is cuda.default
    assert cuda.mode == 0


def test_other_errors_are_the_callers(cuda):
    def step(x):
        raise ValueError("of the step")

    with pytest.raises(ValueError, match="of the step"):
        GraphedStep(step, generator=FakeGenerator(cuda))(torch.zeros(2))


def test_an_interrupted_warm_up_leaves_no_race(cuda):
    def step(x):
        cuda.launch(lambda: None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GraphedStep(step, generator=FakeGenerator(cuda))(torch.zeros(2))
    cuda.set_stream(cuda.default)
    cuda.launch(lambda: None)


def test_only_steps_on_a_gpu_are_capturable(cuda, monkeypatch):
    assert capturable(torch.device("cuda"))
    assert not capturable(torch.device("cpu"))
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    assert not capturable(torch.device("cuda"))


class Noisy:
    """A small net and a fused optimizer; the step draws noise and drops units."""

    def __init__(self, seed=0, sync=False):
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.3), nn.Linear(5, 6))
        self.net.cuda()
        self.generator = torch.Generator("cuda").manual_seed(seed)
        lr = torch.tensor(0.01, device="cuda")
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=lr, fused=True, capturable=True
        )
        self.sync = sync
        self.noise = torch.zeros(4, 6, device="cuda")

    def step(self, x):
        self.optimizer.zero_grad(set_to_none=True)
        noise = torch.rand(x.shape, generator=self.generator, device="cuda")
        self.noise[: len(x)].copy_(noise)
        loss = (self.net(x + noise) - x).square().mean()
        loss.backward()
        if self.sync:
            loss.item()
        self.optimizer.step()

    def train(self, step, n_steps=12):
        noises = []
        for i in range(n_steps):
            self.optimizer.param_groups[0]["lr"].fill_(0.01 / (i + 1))
            step(torch.full((3 if i == 7 else 4, 6), float(i), device="cuda"))
            noises.append(self.noise.clone())
        return torch.stack(noises)

    @property
    def parameters(self):
        return nn.utils.parameters_to_vector(self.net.parameters())


@pytest.mark.cuda
def test_graphed_steps_are_eager_steps_on_a_gpu():
    eager, graphed = Noisy(), Noisy()
    torch.cuda.manual_seed(1)
    noise = eager.train(eager.step)
    after = torch.cuda.get_rng_state()
    torch.cuda.manual_seed(1)
    step = GraphedStep(graphed.step, generator=graphed.generator)
    same = graphed.train(step)
    assert step._graph is not None
    assert torch.equal(noise, same)
    assert len(noise.unique(dim=0)) == len(noise)
    assert torch.equal(torch.cuda.get_rng_state(), after)
    assert torch.equal(eager.generator.get_state(), graphed.generator.get_state())
    torch.testing.assert_close(graphed.parameters, eager.parameters)
    # The wrong twin: another rate would show.
    assert not torch.allclose(graphed.parameters, Noisy().parameters)


@pytest.mark.cuda
def test_a_step_that_waits_stays_eager_on_a_gpu():
    eager, graphed = Noisy(), Noisy(sync=True)
    torch.cuda.manual_seed(1)
    noise = eager.train(eager.step)
    torch.cuda.manual_seed(1)
    step = GraphedStep(graphed.step, generator=graphed.generator)
    with pytest.warns(UserWarning, match=r"waits for the device at .*test_graphs.py"):
        same = graphed.train(step)
    assert torch.equal(noise, same)
    torch.testing.assert_close(graphed.parameters, eager.parameters)


@pytest.mark.cuda
def test_a_capture_that_fails_does_no_damage_on_a_gpu():
    eager, graphed = Noisy(), Noisy()
    torch.cuda.manual_seed(1)
    noise = eager.train(eager.step)
    torch.cuda.manual_seed(1)

    def fails(x):
        graphed.step(x)
        if torch.cuda.is_current_stream_capturing():
            x.sum().item()

    stream = torch.cuda.current_stream()
    step = GraphedStep(fails, generator=graphed.generator)
    with pytest.warns(UserWarning, match="without a CUDA graph"):
        same = graphed.train(step)
    assert torch.cuda.current_stream() == stream
    assert torch.equal(noise, same)
    torch.testing.assert_close(graphed.parameters, eager.parameters)
    assert torch.equal(eager.generator.get_state(), graphed.generator.get_state())
