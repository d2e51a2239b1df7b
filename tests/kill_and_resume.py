"""Kill fits at random moments, resume them, and compare the bits: a program.

    python tests/kill_and_resume.py DIRECTORY N_KILLS [CASE ...]

A child process is forked for each fit, so that the package is imported once. A fit that
is killed is started again until it ends, and killed again until `N_KILLS` are used.
"""

import os
import pickle
import random
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import torch
from resume_cases import CASES, assert_same, make, result

from skgen.callbacks import Resume


def fit(case, directory, out):
    """Fit a case, and write what it has learned."""
    callbacks = [Resume(directory)] if directory else None
    model, data = make(case, callbacks=callbacks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(*data)
    part = out.with_suffix(".part")
    part.write_bytes(pickle.dumps(result(model)))
    part.rename(out)


def start(*args):
    """Start `fit` in a process of its own; return its number."""
    number = os.fork()
    if number:
        return number
    try:
        torch.set_num_threads(1)
        fit(*args)
    except BaseException as error:  # noqa: BLE001  (the parent sees that it failed)
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


def wait(number):
    """Wait for a process to end; fail if it failed."""
    _, status = os.waitpid(number, 0)
    assert status in (0, signal.SIGKILL), status


def kill_often(case, folder, n_kills, rng):
    """Kill a fit so many times; return how often it was caught before its end."""
    plain, resumed = folder / "plain", folder / "resumed"
    began = time.monotonic()
    wait(start(case, None, plain))
    duration = time.monotonic() - began
    directory, n_caught = folder / "checkpoints", 0
    for _ in range(n_kills):
        process = start(case, directory, resumed)
        time.sleep(rng.uniform(0, 1.2 * duration))
        os.kill(process, signal.SIGKILL)
        wait(process)
        n_caught += not resumed.exists()
        if resumed.exists():
            assert_same(read(plain), read(resumed))
            resumed.unlink()
            shutil.rmtree(directory)
    wait(start(case, directory, resumed))
    assert_same(read(plain), read(resumed))
    return n_caught


def read(path):
    """Read what a fit has learned."""
    return pickle.loads(path.read_bytes())


def main():
    """Run the cases that are named, or all."""
    folder, n_kills, cases = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    rng = random.Random(0)
    for number, case in enumerate(cases or CASES):
        own = folder / str(number)
        own.mkdir(parents=True)
        n_caught = kill_often(case, own, n_kills, rng)
        said = f"{case}: {n_caught} of {n_kills} kills before the end; same bits\n"
        sys.stdout.write(said)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
