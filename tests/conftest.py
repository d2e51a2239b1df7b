import os

# The models here are tiny: two threads would mostly wait for each other, and with
# pytest-xdist each core has a worker process of its own. The BLAS of NumPy and SciPy
# reads these variables when it is loaded.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        default="cpu",
        help="device of the contract tests, for example cuda",
    )


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "cuda" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def device(request):
    return request.config.getoption("--device")


@pytest.fixture
def generator():
    """A seeded source of randomness on the CPU."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def short_path(monkeypatch):
    """Fit the annealing path in 100 steps; estimates along it stay valid."""
    monkeypatch.setattr("skgen.rbm._partition_annealed._LEAST_PATH_STEPS", 100)


@pytest.fixture
def processor(monkeypatch):
    """A stand-in for the processor: has the instructions that it is told to have."""

    def has(*names):
        found = {"architecture": "other", **dict.fromkeys(names, True)}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)

    return has
