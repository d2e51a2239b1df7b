"""Run examples of the gallery, each in a process of its own, and limit their time.

    python examples/benchmarks/gallery_times.py [names ...] [--newest 2] [--limit 60]
        [--table docs/benchmarks/gallery.rst]

writes the figures into the current folder and prints a table, which `--table` keeps
for the documentation. It fails if an example fails or takes longer than the limit, in
seconds of wall time on an idle machine with two cores. On a busy machine the wall time
says nothing: an example is too slow if its processor time exceeds the limit as well.

`--newest` runs those that changed last alone, as continuous integration does, where
machines are shared and slower: there the limit is 120 seconds.
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


def changed_at(path):
    """Return the time of the last commit of a file; without a repository, 0."""
    command = ["git", "-C", EXAMPLES, "log", "-1", "--format=%ct", "--", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout or 0)


def newest(found, n):
    """Return the names of the n examples that changed last."""
    return sorted(found, key=lambda name: (-changed_at(found[name]), name))[:n]


def as_rst(rows):
    """Return a table of names, wall times and processor times."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    rows = [("example", "seconds", "processor seconds"), *rows]
    for name, *seconds in rows:
        label = f":doc:`/auto_examples/{name}`" if name.startswith("plot_") else name
        lines.append(f"   * - {label}")
        lines += [f"     - {s if isinstance(s, str) else f'{s:.0f}'}" for s in seconds]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="plot_ising, say; all by default")
    parser.add_argument("--newest", type=int, metavar="N", help="those changed last")
    parser.add_argument("--limit", type=float, default=60, help="seconds")
    parser.add_argument("--table", type=Path, help="file for the table")
    options = parser.parse_args()
    found = {path.stem: path for path in sorted(EXAMPLES.glob("plot_*.py"))}
    unknown = sorted(set(options.names) - set(found))
    if unknown:
        parser.error(f"got {unknown}, but expected some of {sorted(found)}")
    names = options.names or list(found)
    if options.newest:
        names = newest(found, options.newest)

    rows, verdicts = [], []
    for name in names:
        print(f"== {name}", flush=True)
        status, wall, cpu = run(found[name])
        verdict = "ok"
        if status:
            verdict = f"exit status {status}"
        elif min(wall, cpu) > options.limit:
            verdict = f"over {options.limit:g} s"
        rows.append((name, wall, cpu))
        verdicts.append(verdict)
        print(f"{wall:.1f} s, {cpu:.1f} s of processor time: {verdict}", flush=True)
    print(f"\n{'example':32s} {'wall s':>7s} {'CPU s':>7s}")
    for (name, wall, cpu), verdict in zip(rows, verdicts, strict=True):
        print(f"{name:32s} {wall:7.1f} {cpu:7.1f}   {verdict}")
    if options.table:
        options.table.write_text(as_rst(rows))
    return sum(verdict != "ok" for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
