"""The layers of the package: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skgen

ROOT = Path(skgen.__file__).parent
MODULES = sorted(p.relative_to(ROOT) for p in ROOT.rglob("*.py"))

# Each layer may import those to its right, and itself.
LAYERS = ["estimators", "plotting", "training", "likelihood", "modules", "sampling"]
# Third parties that a layer does without.
FORBIDDEN = {
    "modules": {"numpy", "scipy", "sklearn", "skorch"},
    "sampling": {"scipy", "sklearn", "skorch"},
    "likelihood": {"numpy", "scipy", "sklearn", "skorch"},
    "training": {"sklearn"},
}


def layer(path):
    return path.parts[0] if len(path.parts) > 1 else "estimators"


def imports(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_arrow_points_up(path):
    for name in imports(path):
        top, *rest = name.split(".")
        if top != "skgen":
            assert top not in FORBIDDEN.get(layer(path), set()), name
        elif rest and rest[0] in LAYERS:
            assert LAYERS.index(rest[0]) >= LAYERS.index(layer(path)), name
        else:
            assert layer(path) == "estimators", name


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_estimators_hold_no_loop_over_batches(path):
    if layer(path) == "estimators":
        assert "backward" not in (ROOT / path).read_text()


def test_import_has_no_side_effect():
    code = (
        "import random, sys, numpy as np, torch;"
        "before = torch.get_rng_state(), torch.get_default_dtype(),"
        " torch.get_num_threads(), np.random.get_state()[1].tolist();"
        "import skgen;"
        "after = torch.get_rng_state(), torch.get_default_dtype(),"
        " torch.get_num_threads(), np.random.get_state()[1].tolist();"
        "assert torch.equal(before[0], after[0]) and before[1:] == after[1:];"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
