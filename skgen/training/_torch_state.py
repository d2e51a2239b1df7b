"""The state of torch in which the package computes, whatever that of its caller is."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch

# Kinds of devices for which torch can be in autocast.
_KINDS = ("cpu", "cuda", "mps", "xpu")
_AS_IT_IS: AbstractContextManager[None] = nullcontext()
_is_ready_for_forks = False


def plain_torch() -> AbstractContextManager[None]:
    """Return the context in which the package computes.

    In it gradients are recorded, inference mode and `torch.autocast` are off, and
    tensors are made on the CPU where no device is named. At its end all of these are
    as they were. They belong to the thread; what belongs to the whole process, such as
    the default dtype, is neither changed nor read: tensors are made with a dtype.

    The first call sees to it that processes that are forked afterwards can compute.

    Returns
    -------
    context : context manager
        It takes no time where the state is the usual one.
    """
    if not _is_ready_for_forks:
        _prepare_for_forks()
    if (
        torch.is_grad_enabled()
        and not torch.is_inference_mode_enabled()
        and not any(map(torch.is_autocast_enabled, _KINDS))
        and not torch._C._len_torch_function_stack()
    ):
        return _AS_IT_IS
    return _usual_state()


@contextmanager
def _usual_state() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in filter(torch.is_autocast_enabled, _KINDS):
            stack.enter_context(torch.autocast(kind, enabled=False))
        # A default device is a mode of torch's functions, and may be one of these.
        if torch._C._len_torch_function_stack():
            stack.enter_context(torch.device("cpu"))
        yield


def _prepare_for_forks() -> None:
    """Let each process that is forked from now on compute with one thread.

    The threads of torch are not there in a forked process, which would wait for them
    forever.
    """
    global _is_ready_for_forks
    _is_ready_for_forks = True
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    torch.set_num_threads(1)
