import os
from collections import Counter

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


# The tests that were found, before options like -m leave some out; and which are slow.
COLLECTED = pytest.StashKey[dict[str, bool]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    config.stash[COLLECTED] = {item.nodeid: "slow" in item.keywords for item in items}
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "cuda" in item.keywords:
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter):
    """Say what a long run was for: seconds by function, summed over its parameters."""
    seconds, number = Counter(), Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                name = report.nodeid.partition("[")[0]
                seconds[name] += report.duration
                number[name] += report.when == "call"
    if seconds.total() < 60:
        return
    terminalreporter.section(f"longest of {seconds.total():.0f} s in tests")
    for name, duration in seconds.most_common(10):
        terminalreporter.line(f"{duration:6.1f} s  {number[name]:4d} of {name}")


@pytest.fixture(scope="session")
def collected(request):
    """Whether a test is slow, by name, of all that were found."""
    return request.config.stash[COLLECTED]


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
        # Not every torch has such a function.
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)

    return has
