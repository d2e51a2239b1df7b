"""Run every example of the gallery in a process of its own, and limit its time.

    python examples/benchmarks/gallery_times.py [names ...] [--limit 60]

writes the figures into the current folder and prints a table. It fails if an example
fails or takes longer than the limit, in seconds of wall time on an idle machine with
two cores. On a busy machine the wall time says nothing: an example is too slow if its
processor time exceeds the limit as well.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[1]


def run(path):
    """Return the exit status, the wall time and the processor time of a script."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {**os.environ, "MPLBACKEND": "agg"}
    status = subprocess.run([sys.executable, path], env=environment, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, t) - getattr(before, t) for t in ("ru_utime", "ru_stime"))
    return status.returncode, wall, cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="plot_ising, say; all by default")
    parser.add_argument("--limit", type=float, default=60, help="seconds")
    options = parser.parse_args()
    found = {path.stem: path for path in sorted(EXAMPLES.glob("plot_*.py"))}
    unknown = sorted(set(options.names) - set(found))
    if unknown:
        parser.error(f"got {unknown}, but expected some of {sorted(found)}")

    lines, n_failed = [], 0
    for name in options.names or found:
        print(f"== {name}", flush=True)
        status, wall, cpu = run(found[name])
        verdict = "ok"
        if status:
            verdict = f"exit status {status}"
        elif min(wall, cpu) > options.limit:
            verdict = f"over {options.limit:g} s"
        n_failed += verdict != "ok"
        lines.append(f"{name:32s} {wall:7.1f} {cpu:7.1f}   {verdict}")
    print(f"\n{'example':32s} {'wall s':>7s} {'CPU s':>7s}")
    print("\n".join(lines))
    return n_failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
