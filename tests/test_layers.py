"""The layers of the package: who may import whom."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skgen

ROOT = Path(skgen.__file__).parent
MODULES = sorted(p.relative_to(ROOT) for p in ROOT.rglob("*.py"))

FAMILIES = {"rbm", "vae"}
# What each folder may import besides itself; files at the top may import all.
MAY_IMPORT = {
    "sampling": set(),
    "likelihood": {"sampling"},
    "nn": {"sampling"},
    "training": {"nn", "sampling"},
    "base": {"training", "nn", "sampling"},
    **dict.fromkeys(FAMILIES, {"base", "training", "likelihood", "nn", "sampling"}),
    "plotting": set(),
}
# Third parties that the mathematics does without.
NOT_PLAIN_TORCH = {"scipy", "sklearn", "skorch"}
NEEDS_SKLEARN = re.compile(r"_estimator|_base|_gaussian|_bernoulli|_callbacks|__init__")


def room(path):
    return path.parts[0] if len(path.parts) > 1 else None


def imports(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_folders_import_downward_only(path):
    if room(path) is None:
        return
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "skgen" and rest:
            assert rest[0] in MAY_IMPORT[room(path)] | {room(path)}, name


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_estimators_hold_no_loop_over_batches(path):
    if room(path) in {None, "base"}:
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
