"""How many threads of torch a fit computes with: small steps take one."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

# Multiply-adds of a matrix product from which on two threads pay. With half as many
# they save a tenth of the time of a step of an RBM, and nothing of that of a VAE; with
# twice as many a fifth and a tenth (two cores of an AMD EPYC with AVX-512). In return
# each waits for the other at the end of every product, in a loop that keeps its core
# busy: where other processes need the cores, too, a small step takes a hundred times as
# long.
LEAST_WORK = 2**20
# The same of networks that are differentiated, whose steps have many small operations
# besides the products. With half as many or fewer, the second thread makes a step up to
# 17 % faster or up to 23 % slower (two cores of an AMD EPYC without AVX-512).
LEAST_WORK_OF_NETWORKS = 2**24
# The same of Markov chains, which draw random numbers between products by one thread.
LEAST_WORK_OF_CHAINS = 2**23

T = TypeVar("T")

_lock = threading.Lock()
# Whether a thread of Python computes with fewer threads of torch than it may.
_unused = threading.local()
_survives_forks = False


def work_of_a_step(model: nn.Module, objective: nn.Module, n_rows: int) -> float:
    """Estimate the multiply-adds of the largest matrix product of a training step.

    Parameters
    ----------
    model : nn.Module
        The model. Its matrices are taken to be applied once to each row.
    objective : nn.Module
        The objective. What it keeps besides, such as Markov chains, may have more rows
        than a mini-batch.
    n_rows : int
        Rows of a mini-batch.

    Returns
    -------
    work : float
        Multiply-adds. They are infinite for convolutions, of which the size of the
        weights does not tell.
    """
    if any(parameter.ndim > 2 for parameter in model.parameters()):
        return float("inf")
    kept = (b.shape[:-1].numel() for b in objective.buffers() if b.ndim > 1)
    largest = max((p.numel() for p in model.parameters()), default=0)
    return max([n_rows, *kept]) * largest


def number_of_threads() -> int:
    """Return the number of threads that torch computes with in this thread of Python.

    A thread takes over that of the process when it first uses torch, here at the
    latest, and keeps it until it is set there.

    Returns
    -------
    n_threads : int
        The number.
    """
    _prepare_for_forks()
    with _lock:
        return torch.get_num_threads()


@contextmanager
def threads_for(work: float, least: float = LEAST_WORK) -> Iterator[None]:
    """Compute with one thread of torch within a context, if there is little to do.

    The number belongs to the thread of Python that computes: fits that run side by side
    do not see each other's, and each has as many as if it were alone.

    Parameters
    ----------
    work : float
        Multiply-adds of the largest matrix product.
    least : float
        Multiply-adds from which on two threads pay.
    """
    n_threads = number_of_threads()
    pays = work >= least or not torch.backends.openmp.is_available()
    if n_threads == 1 or pays:
        yield
        return
    try:
        compute_with_one_thread()
        _unused.there_are_some = True
        yield
    finally:
        _unused.there_are_some = False
        torch.set_num_threads(n_threads)


def side_by_side(
    here: Callable[[], T], there: Callable[[threading.Event], T]
) -> tuple[T, T]:
    """Call two functions, in two threads if `threads_for` has left some unused.

    Parameters
    ----------
    here : callable
        Without arguments, called in this thread.
    there : callable
        Called in another thread, if there is one, in inference mode and with one thread
        of torch. Its argument is set where `here` has failed or was interrupted: its
        result is not needed then.

    Returns
    -------
    results : tuple
        What they return.
    """
    stopped = threading.Event()
    if not getattr(_unused, "there_are_some", False):
        return here(), there(stopped)

    def run() -> T:
        """Call `there` as a thread of its own has to."""
        with threads_for(0), torch.inference_mode():
            return there(stopped)

    with ThreadPoolExecutor(1) as other_thread:
        coming = other_thread.submit(run)
        try:
            return here(), coming.result()
        except BaseException:
            stopped.set()
            raise


def compute_with_one_thread() -> None:
    """Compute with one thread of torch in this thread of Python from now on."""
    n_threads = number_of_threads()
    if n_threads == 1:
        return
    with _lock:
        torch.set_num_threads(1)
        # That is the number of new threads, too, until another thread sets it.
        _run_in_new_thread(n_threads)


def _run_in_new_thread(n_threads: int) -> None:
    thread = threading.Thread(target=torch.set_num_threads, args=(n_threads,))
    thread.start()
    thread.join()


def _prepare_for_forks() -> None:
    """See to it that no process is forked with a lock that is never released."""
    global _survives_forks
    if not _survives_forks and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_renew_lock)
    _survives_forks = True


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()
