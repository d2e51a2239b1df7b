"""Seeds of the global generators of torch, for modules that know no other."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global generators of torch, and put them back as they were.

    For modules that know no other: those that draw their parameters when they
    are made, and dropout.

    Parameters
    ----------
    seed : int
        Seed inside of the context.
    device : torch.device or None
        If it is a CUDA device, its generator is seeded as well.
    """
    on_gpu = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
