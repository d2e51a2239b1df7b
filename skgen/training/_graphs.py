"""Training steps that a GPU launches all at once."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

# The only way to the GPU from here: tests put a fake in its place.
_cuda = torch.cuda
# From 2.14 on, torch finds the generators of a graph itself, and warns of who names
# them. Before, a generator that is not named cannot be drawn from in a capture.
_NAME_GENERATORS = torch.__version__ < "2.14"
# Eager steps before the capture: as many as torch takes itself.
_N_WARM_UP = 3


def capturable(device: torch.device) -> bool:
    """Whether steps on the device can be captured: only those on a GPU can."""
    return device.type == "cuda" and _cuda.is_available()


class GraphedStep:
    """A training step on mini-batches of one shape, replayed as a CUDA graph.

    Launching its kernels from Python, one after the other, takes longer than the
    step of a small model itself. A graph of them is launched at once. Each call
    takes exactly one step: the first ones eagerly, as a warm-up, the later ones
    by replaying the graph. Batches of another shape than that of the first one,
    such as the short one at the end of an epoch, are always stepped eagerly. A
    step that cannot be captured is warned of once and stays eager.

    Parameters
    ----------
    step : callable
        Takes a mini-batch on the device and updates parameters, buffers and the
        state of an optimizer in place. A graph replays kernels on the same memory
        and runs no Python: numbers of Python (a learning rate, a count of steps)
        and the branches taken keep what they were at capture. What shall move
        from step to step must be a tensor on the device that is changed in place,
        by the step or by the caller between two calls.
    generator : torch.Generator
        Source of randomness of the step, on the device. Each replay moves it on,
        as an eager step does; the default generator of the device may be drawn
        from too.
    """

    def __init__(self, step: Callable[[Tensor], None], *, generator: torch.Generator):
        self._step = step
        self._generator = generator
        self._n_eager = 0
        self._captures = True
        self._x: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._side: torch.cuda.Stream | None = None

    def __call__(self, x: Tensor) -> None:
        """Take one step on the mini-batch x."""
        if self._x is None:
            self._x = torch.empty_like(x)
        if not self._captures or x.shape != self._x.shape:
            self._step(x)
        elif self._graph is not None:
            self._x.copy_(x)
            self._graph.replay()
        elif self._n_eager < _N_WARM_UP:
            self._warm_up(x)
        else:
            self._capture(x)

    def _warm_up(self, x: Tensor) -> None:
        """Take an eager step where torch wants it before a capture: on a side stream.

        What is made at first use (the state of an optimizer, handles of cuBLAS) is
        made here, outside of the graph and its memory.
        """
        self._n_eager += 1
        with _cuda.device(self._generator.device):
            if self._side is None:
                self._side = _cuda.Stream()
            current, side = _cuda.current_stream(), self._side
            # Both wait: memory passes from stream to stream without a race.
            side.wait_stream(current)
            try:
                with _cuda.stream(side):
                    if self._n_eager < _N_WARM_UP:
                        self._step(x)
                    else:
                        self._step_watched(x)
            finally:
                current.wait_stream(side)

    def _step_watched(self, x: Tensor) -> None:
        """Take an eager step and see whether it waits for the device.

        That is what mostly keeps a step from being captured, and it is better
        known before. Captures that fail leave marks: the allocator of some versions
        of torch stays in one for good, and cannot empty its cache any more.
        """
        mode = _cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _cuda.set_sync_debug_mode("warn")
            try:
                self._step(x)
            finally:
                _cuda.set_sync_debug_mode(mode)
        # Other warnings are no news: the steps before gave them already.
        for warning in caught:
            if "synchronizing CUDA operation" in str(warning.message):
                self._give_up(
                    f"it waits for the device at {warning.filename}:{warning.lineno}"
                )
                break

    def _capture(self, x: Tensor) -> None:
        assert self._x is not None
        self._x.copy_(x)
        with _cuda.device(self._generator.device):
            stream = _cuda.current_stream()
            default = _cuda.default_generators[_cuda.current_device()]
            states = [(g, g.clone_state()) for g in (self._generator, default)]
            reason = ""
            try:
                graph = _cuda.CUDAGraph()
                if _NAME_GENERATORS:
                    graph.register_generator_state(self._generator)
                # This launches nothing. Tensors made here (gradients too, as the
                # step sets them to None first) get memory of the graph's own,
                # which every replay writes again.
                with _cuda.graph(graph):
                    try:
                        self._step(self._x)
                    except RuntimeError as error:
                        reason = str(error)
                        raise
            except RuntimeError as error:
                # A capture that cannot be ended stops there. It leaves the stream
                # of the capture as the current one and, before torch 2.13,
                # generators that refuse to be drawn from. Nothing was drawn, and
                # nothing was launched: their states of before are those of now.
                _cuda.set_stream(stream)
                for generator, state in states:
                    generator.graphsafe_set_state(state)
                # That the capture could not be ended says less than what broke it.
                self._give_up(reason or str(error))
        if not self._captures:
            self._step(x)
            return
        self._graph = graph
        graph.replay()

    def _give_up(self, reason: str) -> None:
        self._captures = False
        warnings.warn(
            "Training goes on without a CUDA graph, which is slower: the step cannot "
            f"be captured ({reason}). Keep what waits for the device (.item(), "
            ".cpu(), a mask as an index) out of the step, and use an optimizer with "
            "capturable=True.",
            stacklevel=2,
        )
