"""The context in which the package computes."""

import os
import warnings
from contextlib import nullcontext

import pytest
import torch

from skgen.training._torch_state import plain_torch

UNUSUAL = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": lambda: torch.device("meta"),
}


def state():
    return {
        "inference_mode": torch.is_inference_mode_enabled(),
        "grad": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "device": torch.empty(0).device,
        "dtype": torch.get_default_dtype(),
    }


@pytest.mark.parametrize("context", UNUSUAL.values(), ids=UNUSUAL)
def test_it_is_the_usual_one_whatever_the_caller_is_in(context):
    usual = state()
    with context():
        before = state()
        assert before != usual
        with plain_torch():
            assert state() == usual
            with plain_torch():
                assert state() == usual
        assert state() == before
        with pytest.raises(ValueError, match="here"), plain_torch():
            raise ValueError("here")
        assert state() == before


def test_it_is_no_context_where_all_is_usual():
    """Which takes about a microsecond."""
    assert type(plain_torch()) is nullcontext


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_a_forked_process_computes_with_one_thread():
    with plain_torch():
        pass
    torch.set_num_threads(2)
    try:
        with warnings.catch_warnings():
            # Python warns of forks of a process with threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            os._exit(torch.get_num_threads())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
