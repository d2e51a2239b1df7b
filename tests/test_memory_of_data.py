"""Memory that a fit takes for data of each form: a copy of the data would be seen."""

import subprocess
import sys
from pathlib import Path

import pytest

import skgen

SCRIPT = """
import ctypes
import gc
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

import skgen
from skgen.base import _generator

torch.set_num_threads(1)
# Blocks of inference, at the end of some fits, are as large as this table otherwise.
_generator._BLOCK_SIZE = _generator._COPIED_BLOCK_SIZE = 2**18
n_rows, width = int(sys.argv[2]), 196
cls = getattr(skgen, sys.argv[1])
X = np.zeros((n_rows, width), dtype=np.float32)
X[:, ::40] = 1
X[::3, 5] = 1
folder = tempfile.TemporaryDirectory()
np.save(Path(folder.name) / "X.npy", X)
mapped = np.load(Path(folder.name) / "X.npy", mmap_mode="r")
mapped.sum()  # the pages of the file are in memory from here on
FORMS = {
    "array": X,
    "tensor": torch.from_numpy(X),
    "tensor with a gradient": torch.from_numpy(X).requires_grad_(),
    "memmap": mapped,
    "csr": sp.csr_array(X),
    "csc": sp.csc_array(X),
}
y = (np.arange(n_rows) % 3,) * cls.__name__.startswith("Conditional")
sizes = {"hidden_layer_sizes": (8, 4)} if "Belief" in cls.__name__ else {}
sizes = sizes or {"n_components": 4}
if "VAE" in cls.__name__:
    sizes["hidden_layer_sizes"] = (8,)
if "Diffusion" in cls.__name__:
    sizes = {"hidden_layer_sizes": (8,)}


def memory(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":") for line in lines)[key].split()[0]) / 1024


def fit(data):
    model = cls(n_iter=1, batch_size=2000, device="cpu", random_state=0, **sizes)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the last fit has left
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = memory("VmRSS")
    model.fit(data, *y)
    return memory("VmHWM") - before


warnings.simplefilter("ignore")
fit(X)
for name, data in FORMS.items():
    print(name, fit(data), sep="=")
"""


def peaks(kind, n_rows):
    """Peak of a fit beyond the data, in MB, by the form of the data."""
    run = [sys.executable, "-c", SCRIPT, kind, str(n_rows)]
    out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    lines = [line.split("=") for line in out.splitlines()]
    return {name: float(peak) for name, peak in lines}


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs the proc file system"
)
@pytest.mark.slow
@pytest.mark.parametrize("kind", skgen.__all__)
def test_no_form_takes_more_than_the_array(kind):
    """Of 64,000 rows of float32, 48 MB; a copy of them in float64 has 96 MB."""
    found = peaks(kind, 64_000)
    print(kind, {name: round(peak) for name, peak in found.items()})  # noqa: T201
    dense = found.pop("array")
    if kind == "BernoulliRBMGPU":  # others compute more than a training
        assert dense < 24
    for name, peak in found.items():
        assert peak < dense + 44, name
