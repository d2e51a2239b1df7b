"""Save an estimator of each class, and what it answers: a program for a release.

    python tests/make_files.py

The files stay under tests, so that the next versions are tested to read them.
"""

from pathlib import Path

import numpy as np
from families import ESTIMATORS, X, Y, args, fit, offered, sized

import skgen

FOLDER = Path(__file__).parent / "files"


def small(cls):
    """An estimator whose file is small."""
    own = {"n_iter": 2, "random_state": 0, "device": "cpu", **sized(cls, 3)}
    return cls(**offered(cls, **own))


def answers(model):
    """What a fitted model answers, by method."""
    few = args(model, X[:5], Y[:5])
    found = {"score_samples": model.score_samples(*few)}
    if hasattr(model, "transform"):
        found["transform"] = model.transform(*few)
    return found


def main():
    """Write the files of this version."""
    folder = FOLDER / skgen.__version__
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for cls in ESTIMATORS:
        if cls.__name__ in skgen.__all__:
            model = fit(small(cls), X[:40], Y[:40])
            model.save(folder / f"{cls.__name__}.skgen")
            for method, values in answers(model).items():
                expected[f"{cls.__name__}.{method}"] = values
    np.savez_compressed(folder / "answers.npz", **expected)


if __name__ == "__main__":
    main()
