"""The rooms of the package: who may import whom, and what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skgen

ROOT = Path(skgen.__file__).parent
FILES = sorted(p.relative_to(ROOT) for p in ROOT.rglob("*.py"))

# What each folder may import besides itself. Families never import each other, but a
# deep belief network is made of Boltzmann machines; files at the top may import
# everything, and nobody imports them but `_deprecation`.
SHARED = {"sampling", "nn", "likelihood", "training", "base"}
MAY_IMPORT = {
    "sampling": set(),
    "nn": {"sampling"},
    "likelihood": {"sampling"},
    "training": {"sampling", "nn"},
    "base": {"sampling", "nn", "training"},
    "plotting": set(),
    "rbm": SHARED,
    "vae": SHARED,
    "dbn": SHARED | {"rbm"},
    "diffusion": SHARED,
    "energy": SHARED,
    "gan": SHARED,
    "impute": {"base", "vae"},
}
FAMILIES = {"rbm", "vae", "dbn", "diffusion", "energy", "gan"}
# The files of a family that speak to scikit-learn. All others are plain torch, and so
# are the shared folders of mathematics.
ESTIMATORS = {
    *("rbm/__init__.py", "rbm/_estimator.py", "rbm/_base.py", "rbm/_callbacks.py"),
    *("rbm/_trainable_base.py", "rbm/_gaussian.py"),
    *("rbm/_state.py", "rbm/_gaussian_state.py"),  # scipy
    *("vae/__init__.py", "vae/_base.py", "vae/_gaussian.py", "vae/_bernoulli.py"),
    *("vae/_gaussian_base.py", "vae/_bernoulli_base.py"),
    "vae/_imputation.py",
    *("dbn/__init__.py", "dbn/_estimator.py", "dbn/_base.py"),
    "dbn/_trainable_base.py",
    *("dbn/_state.py", "dbn/_rows.py"),  # scipy, tables
    *("diffusion/__init__.py", "diffusion/_estimator.py", "diffusion/_base.py"),
    *("diffusion/_trainable_base.py", "diffusion/_conditional_base.py"),
    "diffusion/_conditional_estimator.py",
    *("energy/__init__.py", "energy/_estimator.py", "energy/_base.py"),
    *("energy/_trainable_base.py", "energy/_base_density.py"),
    *("gan/__init__.py", "gan/_estimator.py", "gan/_base.py", "gan/_trainable_base.py"),
    *("vae/_gaussian_start.py", "vae/_incomplete_start.py"),
    *("vae/_conditional_gaussian.py", "vae/_conditional_bernoulli.py"),
    "vae/_conditional_base.py",
}
MATHEMATICS = {"sampling", "nn", "likelihood"} | FAMILIES
# What an objective needs of training, which is plain torch itself.
SEAM = {"skgen.training._objective", "skgen.training._step"}


def room(path):
    """The folder of a file, or its name at the top."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def imports(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def is_plain_torch(path):
    return room(path) in MATHEMATICS and path.as_posix() not in ESTIMATORS


@pytest.mark.parametrize("path", FILES, ids=str)
def test_folders_import_downward_only(path):
    if room(path) not in MAY_IMPORT:
        return
    allowed = MAY_IMPORT[room(path)] | {room(path), "_deprecation"}
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "skgen":
            assert rest, f"{path} imports the public names"
            assert rest[0] in allowed, name


def test_every_folder_has_a_rule():
    folders = {path.parts[0] for path in FILES if len(path.parts) > 1}
    assert folders == set(MAY_IMPORT)
    assert {path.as_posix() for path in FILES} >= ESTIMATORS


@pytest.mark.parametrize("path", [f for f in FILES if is_plain_torch(f)], ids=str)
def test_mathematics_is_plain_torch(path):
    for name in imports(path):
        assert name.split(".")[0] not in {"scipy", "sklearn", "skorch"}, name
        if name.startswith("skgen.training"):
            assert name in SEAM, name
            assert path.name != "_model.py", "a model knows nothing of its training"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_only_training_runs_autograd(path):
    if room(path) != "training":
        assert ".backward()" not in (ROOT / path).read_text()


IMPORTS = """
import sys

import skgen

# A family is imported when its name is asked for.
loaded = {name for name in sys.modules if name.startswith("skgen")}
assert loaded == {"skgen"} and "torch" not in sys.modules, loaded
assert set(skgen.__all__) < set(dir(skgen))

import numpy as np
import torch


def state():
    numbers = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()
    return numbers, torch.get_default_dtype(), torch.get_num_threads()


before = state()
skgen.GaussianRBM
assert "skgen.rbm" in sys.modules
assert "skgen.vae" not in sys.modules
skgen.callbacks.FreeEnergyGap
from skgen import *

assert state() == before
assert "skgen.plotting" not in sys.modules
import skgen.plotting

assert "matplotlib" not in sys.modules
"""


def test_what_is_imported_when_and_without_side_effects():
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)


def test_public_names_and_submodules_are_found():
    assert set(skgen._FAMILIES) == set(skgen.__all__)
    for name, family in skgen._FAMILIES.items():
        assert getattr(skgen, name).__module__.startswith(family)
    places = {path.stem for path in Path(skgen.__file__).parent.glob("[!_]*")}
    for name in skgen._SUBMODULES:
        assert getattr(skgen, name).__name__ == f"skgen.{name}"
    assert places - {"modules", "py"} == set(skgen._SUBMODULES)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        skgen.nothing  # noqa: B018
