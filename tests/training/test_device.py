import pytest
import torch

from skgen.training._device import resolve_device


@pytest.mark.parametrize("available", [True, False])
def test_auto_takes_a_gpu_if_there_is_one(available, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto").type == ("cuda" if available else "cpu")


def test_cpu():
    assert resolve_device("cpu") == resolve_device(torch.device("cpu"))


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "cpu:x"])
def test_error_says_what_to_use(device):
    with pytest.raises(
        ValueError, match=rf"Got device='{device}', .* Use device='auto'"
    ):
        resolve_device(device)
