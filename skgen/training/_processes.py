"""Several processes that train one model, each on its part of every mini-batch."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them.

    All of them hold the whole model and take the same steps: what each has computed for
    its rows is averaged over all (`average_`).

    Attributes
    ----------
    rank : int
        Number of this process.
    n : int
        Number of processes.
    """

    rank: int
    n: int

    def share(self, n_rows: int) -> slice:
        """Return which of the rows of a mini-batch are those of this process."""
        return slice(self.rank * n_rows // self.n, (self.rank + 1) * n_rows // self.n)

    @torch.no_grad()
    def average_(self, tensors: Sequence[Tensor], weight: float) -> None:
        """Replace tensors by their means over all processes.

        Parameters
        ----------
        tensors : sequence of Tensor
            Floating-point tensors of the same shapes in all processes, changed in
            place.
        weight : float
            How much those of this process count.
        """
        for kind in dict.fromkeys((t.dtype, t.device) for t in tensors):
            same = [t for t in tensors if (t.dtype, t.device) == kind]
            dtype, device = kind
            flat = torch.cat(
                [t.reshape(-1) for t in same]
                + [torch.ones(1, dtype=dtype, device=device)]
            )
            flat *= weight
            dist.all_reduce(flat)
            flat /= flat[-1].clone()
            parts = flat[:-1].split([t.numel() for t in same])
            for tensor, part in zip(same, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def summed(self, numbers: list[float], device: torch.device) -> list[float]:
        """Sum numbers over all processes."""
        if not numbers:
            return []
        total = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return total.tolist()

    def of_first(self, number: int, device: torch.device) -> int:
        """Return the number that the first process has."""
        value = torch.tensor(number, device=device)
        dist.broadcast(value, 0)
        return int(value)

    def own_part(self, chains: Tensor, dim: int, *, parameter: str) -> Tensor:
        """Return those of persistent chains that belong to this process.

        Parameters
        ----------
        chains : Tensor
            States of the chains.
        dim : int
            Dimension that counts the chains.
        parameter : str
            Name of the parameter that sets their number, for the error.

        Returns
        -------
        part : Tensor
            A copy of the states of this process.

        Raises
        ------
        ValueError
            If there are fewer chains than processes.
        """
        n_chains = chains.shape[dim]
        if n_chains < self.n:
            raise ValueError(
                f"Got {n_chains} persistent chains, but expected at least one for each "
                f"of {self.n} processes. Raise {parameter}."
            )
        own = self.share(n_chains)
        return chains.narrow(dim, own.start, own.stop - own.start).clone()

    def gathered(self, x: Tensor, dim: int) -> Tensor:
        """Return the tensor of which each process has the part `x`."""
        parts: list[Any] = [None] * self.n
        dist.all_gather_object(parts, x.cpu())
        return torch.cat(parts, dim).to(x.device)

    def check_same(self, what: str, value: Any) -> None:
        """Raise an error where a value is not the same in all processes.

        Parameters
        ----------
        what : str
            What the error calls it.
        value : object
            The value.

        Raises
        ------
        ValueError
            If it differs.
        """
        values: list[Any] = [None] * self.n
        dist.all_gather_object(values, value)
        if any(other != value for other in values):
            raise ValueError(
                f"Got another {what} in each process, {values}, but expected the same "
                "in all of them. Call fit with the same data and parameters, and with "
                "an integer as random_state, in all processes."
            )


_current: ContextVar[Processes | None] = ContextVar("skgen_processes", default=None)


def current_processes() -> Processes | None:
    """Return the processes that train together now, if there are several."""
    return _current.get()


@contextmanager
def data_parallel() -> Iterator[Processes]:
    """Let the processes that ``torchrun`` has started train models together.

    Within this context each process calls `fit` or `partial_fit` with the same data and
    parameters, and with an integer as ``random_state``. Each process computes the
    gradient of its part of every mini-batch, and all of them take the step along the
    mean. A mini-batch of ``batch_size`` rows is that of all processes together, so that
    a gradient that does not depend on random numbers is that of one process, up to
    rounding. Persistent Markov chains are divided among the processes. At the end all
    processes have the same model, the same history and the same random state.

    It communicates by NCCL where there are GPUs, of which each process takes one, and
    by Gloo on CPUs. A process group that exists already is used as it is.

    Yields
    ------
    processes : Processes
        The number of this process, ``rank``, and of all of them, ``n``.

    Raises
    ------
    RuntimeError
        If this process has not been started by ``torchrun``, and there is no process
        group.

    Examples
    --------
    A script that ``torchrun --nproc-per-node 2 script.py`` starts::

        from skgen import BernoulliRBMGPU
        from skgen.parallel import data_parallel

        with data_parallel() as processes:
            model = BernoulliRBMGPU(random_state=0).fit(X)
        if processes.rank == 0:
            model.save("model.skgen")
    """
    begins = not dist.is_initialized()
    if begins:
        if not dist.is_torchelastic_launched():
            raise RuntimeError(
                "Got no process group of torch.distributed, but data_parallel expects "
                "that this process is one of several. Start the script by torchrun "
                "--nproc-per-node 2 script.py."
            )
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if on_gpu else "gloo")
    processes = Processes(dist.get_rank(), dist.get_world_size())
    token = _current.set(processes)
    try:
        yield processes
    finally:
        _current.reset(token)
        if begins:
            dist.destroy_process_group()
