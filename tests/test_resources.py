"""Memory and threads that a fit takes."""

import subprocess
import sys
from pathlib import Path

import joblib
import pytest
import torch
from sklearn.datasets import load_digits

from skgen import BernoulliRBMGPU, BernoulliVAE

X = load_digits().data[:200] / 16

SCRIPT = """
import sys
from pathlib import Path

import numpy as np
import torch

import skgen

torch.set_num_threads(1)
kind, n_rows, params = getattr(skgen, sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3])


def memory(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":") for line in lines)[key].split()[0]) / 1024


model = kind(16, n_iter=1, batch_size=100, device="cpu", random_state=0, **params)
model.fit(np.eye(100, 784, dtype=np.float32))
X = np.zeros((n_rows, 784), dtype=np.float32)
X[:, ::3] = 1
before = memory("VmRSS")
model.fit(X)
print(max(0, memory("VmHWM") - before))
"""


def extra_memory(kind, n_rows, **params):
    """Peak of a fit of float32 data beyond that data, in MB."""
    run = [sys.executable, "-c", SCRIPT, kind.__name__, str(n_rows), repr(params)]
    return float(subprocess.run(run, check=True, capture_output=True).stdout)


linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs the proc file system"
)


@linux
@pytest.mark.parametrize("kind", [BernoulliRBMGPU, BernoulliVAE])
def test_a_fit_takes_the_data_once(kind):
    """Data of 125 MB: what comes besides is a chunk of inference, of 33 MB, twice."""
    assert extra_memory(kind, 2_000) < 90
    assert extra_memory(kind, 40_000) < 90


@linux
def test_a_copy_of_the_data_would_be_seen():
    """Thresholds make one, as documented."""
    assert extra_memory(BernoulliRBMGPU, 40_000, binarize="threshold") > 100


def threads_of_a_fit(seed):
    model = BernoulliRBMGPU(4, n_iter=1, device="cpu", random_state=seed).fit(X)
    return torch.get_num_threads(), model.score(X)


def test_workers_share_the_cores(monkeypatch):
    """Each of two workers has at most half of them, and computes the same.

    joblib sets the number of threads of its workers unless the environment does, as it
    does in these tests (conftest.py).
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name)
    runs = joblib.Parallel(n_jobs=2)(
        joblib.delayed(threads_of_a_fit)(seed) for seed in (0, 1)
    )
    most = max(1, joblib.cpu_count() // 2)
    assert all(n_threads <= most for n_threads, _ in runs)
    assert runs[0][1] == pytest.approx(threads_of_a_fit(0)[1], rel=1e-5)


def test_a_fit_leaves_the_number_of_threads():
    before = torch.get_num_threads()
    assert threads_of_a_fit(0)[0] == before
