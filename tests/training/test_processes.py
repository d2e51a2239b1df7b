"""Trainings by several processes: real ones, that talk to each other by Gloo."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from resume_cases import CASES, assert_same
from train_together import bits

from skgen.parallel import data_parallel
from skgen.training._processes import Processes

TESTS = Path(__file__).parents[1]
QUICK = ["pcd", "cd, momentum", "gaussian pcd", "vae", "langevin", "gan"]


def run(folder, n, *names):
    """Fit in n processes; return what they have learned, by name."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={n}", TESTS / "train_together.py", folder, *names]
    ended = subprocess.run(
        command,
        cwd=TESTS,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return {
        name: [
            pickle.loads((folder / f"{name} {n} {rank}.pickle").read_bytes())
            for rank in range(n)
        ]
        for name in names
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes have learned or said."""
    names = ["least squares", "bits", "other data", "other rows", "few rows", "resume"]
    return run(tmp_path_factory.mktemp("two"), 2, *names, "trajectory", *QUICK)


def assert_close(found, expected):
    for name in ("weights_.weight", "weights_.bias", "history of train_loss"):
        np.testing.assert_allclose(
            found[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name
        )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process learns in the same order of rows."""
    return run(tmp_path_factory.mktemp("one"), 1, "least squares")["least squares"][0]


def test_gradients_are_those_of_one_process(two, alone):
    for found in two["least squares"]:
        assert_close(found, alone)
    assert abs(alone["weights_.weight"]).max() > 0.1


@pytest.mark.slow
def test_gradients_of_four_processes_are_those_of_one(alone, tmp_path):
    for found in run(tmp_path, 4, "least squares")["least squares"]:
        assert_close(found, alone)


@pytest.mark.parametrize("case", QUICK)
def test_all_processes_have_the_same_model(two, case):
    one, other = two[case]
    assert_same(one, other)
    assert all(np.isfinite(value).all() for value in one.values())


@pytest.mark.slow
def test_all_processes_have_the_same_model_in_every_family(tmp_path):
    names = [case for case in CASES if case not in QUICK and case != "trajectory"]
    found = run(tmp_path, 2, *names)
    for case in names:
        assert_same(*found[case])


def test_chains_are_divided_and_learn_as_those_of_one_process(two):
    """By the exact likelihood; for five seeds, one process varies by 0.02 nats."""
    model = bits()
    parameters = ("components_", "intercept_hidden_", "intercept_visible_")
    one = two["bits"][0]
    X = np.random.default_rng(2).random((6, 12)).repeat(200, axis=0)
    X = (np.random.default_rng(3).random(X.shape) < X).astype(float)
    expected = model.log_likelihood(X).mean()
    for name in parameters:
        assert not np.array_equal(getattr(model, name), one[name])
        setattr(model, name, one[name])
    assert model.log_likelihood(X).mean() == pytest.approx(expected, abs=0.1)
    assert one["h_samples_"].shape == (60, 6)
    halves = np.split(one["h_samples_"], 2)  # which began alike
    assert not np.array_equal(*halves)


@pytest.mark.parametrize(
    ("case", "match"),
    [
        ("other data", "another start of training in each process"),
        ("other rows", r"another number of rows in each process, \[200, 199\]"),
        ("few rows", "at least 4 rows in a mini-batch"),
        ("resume", "callback Resume"),
        ("trajectory", "keep_trajectory=False"),
    ],
)
def test_what_several_processes_cannot_do(two, case, match):
    for message in two[case]:
        assert re.search(match, message), message


def test_a_process_that_dies_ends_all(tmp_path):
    with pytest.raises(RuntimeError, match="exitcode  : 9"):
        run(tmp_path, 2, "killed")
    assert not list(tmp_path.glob("*.pickle"))


def test_without_torchrun():
    with (
        pytest.raises(RuntimeError, match="torchrun --nproc-per-node 2"),
        data_parallel(),
    ):
        pass


def test_fewer_chains_than_processes():
    chains = torch.arange(6.0).view(3, 2)
    with pytest.raises(ValueError, match=r"Got 3 persistent.*Raise buffer_size"):
        Processes(1, 4).own_part(chains, 0, parameter="buffer_size")
    parts = [Processes(i, 2).own_part(chains, 0, parameter="") for i in range(2)]
    assert torch.equal(torch.cat(parts), chains)
