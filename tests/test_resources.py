"""Memory and threads that a fit takes, and processes forked after it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skgen import BernoulliRBMGPU, BernoulliVAE, GaussianVAE

X = load_digits().data[:200] / 16

SCRIPT = """
import os
import sys
from pathlib import Path

import numpy as np
import torch

import skgen

torch.set_num_threads(1)


def memory(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":") for line in lines)[key].split()[0]) / 1024


def print_extra_memory(kind, n_rows, params):
    model = kind(16, n_iter=1, batch_size=100, device="cpu", random_state=0, **params)
    model.fit(np.eye(100, 784, dtype=np.float32))
    X = np.zeros((n_rows, 784), dtype=np.float32)
    X[:, ::3] = 1
    before = memory("VmRSS")
    model.fit(X)
    print(max(0, memory("VmHWM") - before), flush=True)


# A process that is forked begins its peak anew, and need not import anything.
for name, n_rows, params in eval(sys.argv[1]):
    child = os.fork()
    if not child:
        print_extra_memory(getattr(skgen, name), n_rows, params)
        os._exit(0)
    os.waitpid(child, 0)
"""


def extra_memory(*fits):
    """Peak of each fit of float32 data beyond that data, in MB."""
    run = [sys.executable, "-c", SCRIPT, repr(fits)]
    lines = subprocess.run(run, check=True, capture_output=True).stdout.split()
    assert len(lines) == len(fits)
    return [float(line) for line in lines]


linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs the proc file system"
)


@linux
def test_a_fit_takes_the_data_once():
    """40,000 rows are 125 MB; besides comes a chunk of inference, of 33 MB, twice.

    A copy would be seen: thresholds make one, as documented.
    """
    *once, copied = extra_memory(
        ("BernoulliRBMGPU", 40_000, {}),
        ("BernoulliVAE", 40_000, {}),
        ("BernoulliRBMGPU", 40_000, {"binarize": "threshold"}),
    )
    assert max(once) < 90
    assert copied > 100


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


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def uses_everything(model, X):
    """A worker's part: sums over arrays of this size take two threads of torch."""
    features = model.transform(X)
    model.score(X[:100])
    model.sample(200, random_state=0)
    model.fit(X)
    return features


BITS = np.random.RandomState(0).uniform(size=(1500, 200)) < 0.3
BITS = BITS.astype(np.float32)


FORKS = pytest.mark.skipif(
    not hasattr(os, "fork") or torch.cuda.is_available(),
    reason="needs forks, which cannot differentiate where torch has used a GPU",
)


@FORKS
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", [BernoulliRBMGPU, BernoulliVAE, GaussianVAE])
def test_a_forked_process_does_not_wait_for_threads_of_its_parent(kind, two_threads):
    """They are not there: without care, the first sum over an array never ends."""
    model = kind(16, n_iter=1, batch_size=500, device="cpu", random_state=0).fit(BITS)
    features = model.transform(BITS)
    child = os.fork()
    if not child:
        is_right = False
        try:
            got = uses_everything(model, BITS)
            is_right = np.allclose(got, features, rtol=1e-4, atol=1e-5)
        finally:  # or else the tests would go on here, too
            os._exit(not is_right)
    deadline = time.monotonic() + 30
    ended = 0
    while not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0
    assert torch.get_num_threads() == 2


@FORKS
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_of_the_backend_multiprocessing(two_threads):
    models = [
        kind(16, n_iter=1, batch_size=500, device="cpu", random_state=0).fit(BITS)
        for kind in (BernoulliRBMGPU, GaussianVAE)
    ]
    run = joblib.Parallel(n_jobs=2, backend="multiprocessing", timeout=30)
    got = run(joblib.delayed(uses_everything)(model, BITS) for model in models)
    for model, features in zip(models, got, strict=True):
        np.testing.assert_allclose(
            features, model.transform(BITS), rtol=1e-4, atol=1e-5
        )
