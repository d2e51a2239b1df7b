"""What static type checkers see of the package from a file that uses it."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

import pytest
from families import those_with
from sklearn.utils._param_validation import StrOptions

import skgen
from skgen.impute import GenerativeImputer

ROOT = Path(skgen.__file__).parent
ESTIMATORS = [getattr(skgen, name) for name in skgen.__all__] + [GenerativeImputer]

FOREIGN = """
import numpy as np
from skgen import BernoulliRBMGPU, ConditionalGaussianVAE, GaussianVAE
from skgen.impute import GenerativeImputer
from skgen.io import load

X = np.eye(4)
reveal_type(BernoulliRBMGPU(8, learning_rate=0.1, random_state=0).fit(X))
reveal_type(GaussianVAE(n_components=2).partial_fit(X))
reveal_type(ConditionalGaussianVAE().fit(X, [0, 1, 0, 1]))
reveal_type(GenerativeImputer().fit(X))
reveal_type(BernoulliRBMGPU().fit(X).score(X))
"""
REVEALED = [
    *("BernoulliRBMGPU", "GaussianVAE", "ConditionalGaussianVAE"),
    *("GenerativeImputer", "float"),
]
WRONG = """
from skgen import BernoulliRBMGPU, GaussianVAE

BernoulliRBMGPU("many")
BernoulliRBMGPU(8, algorithm="newton")
GaussianVAE(n_iter="enough")
"""


def with_mypy(file):
    """What mypy says of a file that is not a part of the package."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(file.parent / "ini")]
    # torch takes minutes to read, and plays no part here.
    (file.parent / "ini").write_text(
        "[mypy]\nfollow_imports = silent\n[mypy-torch.*]\nfollow_imports = skip\n"
        "[mypy-sklearn.*,skorch.*,scipy.*,tqdm.*]\nignore_missing_imports = True\n"
    )
    command += ["--cache-dir", str(file.parent), str(file)]
    env = {"PYTHONPATH": "", "MYPYPATH": str(ROOT.parent)}
    return subprocess.run(command, capture_output=True, text=True, env=env).stdout


def with_pyright(file):
    """What pyright says of it, where that is installed."""
    (file.parent / "pyrightconfig.json").write_text(
        f'{{"extraPaths": ["{ROOT.parent}"], "include": ["{file.name}"]}}'
    )
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    run = subprocess.run(
        [*command, str(file)], capture_output=True, text=True, cwd=file.parent
    )
    return run.stdout


CHECKERS = {"mypy": with_mypy, "pyright": with_pyright}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_sees_the_estimators(name, tmp_path):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    file = tmp_path / "foreign.py"
    file.write_text(FOREIGN)
    said = CHECKERS[name](file)
    lines = [line for line in said.splitlines() if "type" in line.lower()]
    shown = [line.split('"')[-2].split(".")[-1] for line in lines if '"' in line]
    assert shown == REVEALED, said
    assert "error" not in said.replace("0 errors", ""), said
    file.write_text(WRONG)
    said = CHECKERS[name](file)
    for line in (4, 5, 6):
        assert f"foreign.py:{line}:" in said, said


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_every_parameter_has_a_type(cls):
    """And where it is one of several strings, the same that `fit` accepts."""
    assert (ROOT / "py.typed").exists()
    for name, parameter in inspect.signature(cls).parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty, name
        accepted = {
            option
            for constraint in cls._parameter_constraints[name]
            if isinstance(constraint, StrOptions)
            for option in constraint.options
        }
        given = strings_in(parameter.annotation) - {"deprecated"}
        assert given == accepted, name


def strings_in(annotation):
    """The strings that a type allows, if it does not allow all."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(strings_in, get_args(annotation)))
    return set()


@pytest.mark.parametrize("cls", [*those_with(), GenerativeImputer])
def test_fit_returns_self(cls):
    returned = inspect.signature(cls.fit).return_annotation
    assert returned.__name__ == "Self"
