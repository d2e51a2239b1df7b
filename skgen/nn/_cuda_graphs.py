"""Training steps of a GPU, recorded once and launched as a whole."""

from collections.abc import Callable
from typing import Any

import torch

# Steps of a shape that are taken as usual, before one is recorded.
STEPS_BEFORE = 3


def records_on(device: torch.device) -> bool:
    """Whether steps are recorded on a device: on a GPU of CUDA."""
    return device.type == "cuda"


def recorded(
    operate: Callable[[], Any], generator: torch.Generator
) -> Callable[[], None] | None:
    """Record operations on a GPU as a graph.

    A small step takes longer to be launched, operation by operation, than to be
    computed. A graph is launched as a whole. Its operations read and write the memory
    that they did when they were recorded, and draw new random numbers each time.

    Parameters
    ----------
    operate : callable
        Operations on tensors that stay where they are, without arguments. They are not
        carried out now.
    generator : torch.Generator
        From what they draw random numbers, if they do.

    Returns
    -------
    launch : callable or None
        Carries the operations out; None if there is one that no graph may have, such
        as a transfer to the CPU.
    """
    before = generator.clone_state()
    try:
        with torch.cuda.device(generator.device):
            return _record(operate, generator).replay
    except RuntimeError:
        # A recording that was broken off leaves the generator unusable as it is.
        generator.graphsafe_set_state(before)
        return None


def _record(
    operate: Callable[[], Any], generator: torch.Generator
) -> torch.cuda.CUDAGraph:
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    graph.register_generator_state(generator)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        # Other threads may use the GPU meanwhile.
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            operate()
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)
    return graph
