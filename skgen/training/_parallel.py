"""The part of a net that trains together with those of other processes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from skgen.training._checkpoints import CheckpointedNet
from skgen.training._divergence import TrainingDivergedError
from skgen.training._processes import Processes


class ParallelNet(CheckpointedNet):
    """A net that may be one of several, which take the same steps.

    Attributes
    ----------
    processes : Processes or None
        Those that train together, of which this is one; None means that it is alone.
    """

    processes: Processes | None = None
    # Source of the order of rows, the same in all processes.
    _order: torch.Generator

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Train as one of several processes, if there are any.

        They have one order of rows, and each has random numbers of its own.
        """
        processes, generator = self.processes, self.generator
        if processes is None:
            yield
            return
        drawn = torch.randint(2**40, (), generator=generator, device=generator.device)
        seed = processes.of_first(int(drawn), torch.device(self.device))
        processes.check_same("start of training", _digest(self.module_))
        self._order = torch.Generator().manual_seed(seed)
        generator.manual_seed(seed + 1 + processes.rank)
        self.criterion_.divide(processes)
        try:
            yield
        except TrainingDivergedError:  # in all of them alike
            self.criterion_.unite(processes)
            raise
        self.criterion_.unite(processes)
        generator.manual_seed(seed + 1 + processes.n)

    def _average_running_means(self, n_rows: int) -> None:
        """Average what follows means over mini-batches, of which this has `n_rows`."""
        assert self.processes is not None
        means = self.criterion_.running_means(self.module_)
        self.processes.average_([*means, *_of_batch_norm(self.module_)], n_rows)


def _digest(model: nn.Module) -> str:
    """Return a checksum of the parameters and buffers of a model."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _of_batch_norm(model: nn.Module) -> list[Tensor]:
    """Return the running means and variances of layers of batch norm."""
    kind = nn.modules.batchnorm._BatchNorm
    layers = [m for m in model.modules() if isinstance(m, kind)]
    return [b for m in layers for b in m.buffers() if b.is_floating_point()]
