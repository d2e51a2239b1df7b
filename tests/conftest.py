import os

# The models here are tiny: two threads would mostly wait for each other, and with
# pytest-xdist each core has a worker process of its own. The BLAS of NumPy and SciPy
# reads these variables when it is loaded.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import copy  # noqa: E402

import families  # noqa: E402
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
def processor(monkeypatch):
    """A stand-in for the processor: has the instructions that it is told to have."""

    def has(*names):
        found = {"architecture": "other", **dict.fromkeys(names, True)}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)

    return has


def pytest_generate_tests(metafunc):
    """Run tests that take `make` over the estimators that offer what they need."""
    if "make" in metafunc.fixturenames:
        marks = metafunc.definition.iter_markers("needs")
        needs = [need for mark in marks for need in mark.args]
        classes = families.those_with(*needs)
        assert classes, f"nobody offers {needs}"
        metafunc.parametrize("make", classes, indirect=True, ids=lambda c: c.__name__)


@pytest.fixture
def make(request, device):
    """Make one estimator, quick to fit."""
    cls = request.param
    quick = {"n_components": 8, "n_iter": 3, "device": device, "random_state": 0}
    offered = {
        name: value for name, value in quick.items() if name in cls().get_params()
    }

    def make(**params):
        return cls(**(offered | params))

    return make


@pytest.fixture(scope="module")
def fits():
    """One fit per class, at the parameters of `make`."""
    return {}


@pytest.fixture
def fitted(make, fits):
    """A copy of that fit, without its net, for tests that need no fit of their own."""
    model = make()
    if type(model) not in fits:
        fits[type(model)] = families.fit(model)
    return copy.deepcopy(fits[type(model)])
