"""Files of estimators that this version and earlier ones have saved."""

import numpy as np
import pytest
from make_files import FOLDER, answers

import skgen
from skgen.io import load

FILES = sorted(FOLDER.glob("*/*.skgen"))


def test_this_version_has_a_file_of_each_estimator():
    own = {path.stem for path in FILES if path.parent.name == skgen.__version__}
    assert own == set(skgen.__all__), "run tests/make_files.py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_file_gives_the_same_answers(path):
    with np.load(path.parent / "answers.npz") as expected:
        for method, values in answers(load(path)).items():
            known = expected[f"{path.stem}.{method}"]
            np.testing.assert_allclose(values, known, rtol=1e-3, atol=1e-4)
