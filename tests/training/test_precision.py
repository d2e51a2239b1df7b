"""How torch multiplies float32 matrices in training."""

import pytest
import torch

from skgen.training._precision import matmul_precision

GPU = torch.device("cuda")  # not used
now = torch.get_float32_matmul_precision


def test_tf32_is_a_setting_within_the_context():
    before = now()
    with matmul_precision("tf32", GPU):
        assert now() == "high" != before
    assert now() == before
    with pytest.raises(ValueError, match="diverged"), matmul_precision("tf32", GPU):
        raise ValueError("diverged")
    assert now() == before


@pytest.mark.parametrize(
    ("precision", "device"), [("tf32", "cpu"), ("float32", "cuda"), ("float64", "cuda")]
)
def test_others_leave_it(precision, device):
    before = now()
    with matmul_precision(precision, torch.device(device)):
        assert now() == before


def test_the_last_of_several_threads_puts_it_back():
    """Two trainings that overlap, each ending in the middle of the other."""
    before = now()
    one, other = matmul_precision("tf32", GPU), matmul_precision("tf32", GPU)
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert now() == "high"
    other.__exit__(None, None, None)
    assert now() == before
