"""Tables in reStructuredText, with a description of the computer."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = [
    ("skgen", "scikit-generative"),
    *((p, p) for p in ("torch", "scikit-learn", "learnergy", "rbms", "pythae")),
]


def table(rows):
    """Format rows of text as a reStructuredText table; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    line = "  ".join("=" * w for w in widths)
    text = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([line, text[0], line, *text[1:], line])


def processor():
    """Return the name of the processor."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor()
    lines = (line.partition(":") for line in path.read_text().splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    return fields.get("model name", platform.processor())


def bfloat16():
    """Return the names of the instructions of the processor that multiply bfloat16."""
    has = torch.cpu.get_capabilities()
    return [name for name in has if "bf16" in name and has[name]]


def about(threads=None):
    """Describe the computer, the versions of packages and the date in one line.

    `threads` is the number of threads, if it is not the default.
    """
    versions = [f"{package} {installed(dist)}" for package, dist in PACKAGES]
    return (
        f"{processor()}, {os.cpu_count()} cores, "
        f"{threads or torch.get_num_threads()} threads, bfloat16 instructions: "
        f"{', '.join(bfloat16()) or 'none'}; "
        f"Python {platform.python_version()}, {', '.join(versions)}; "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}."
    )


def installed(distribution):
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def show(name, caption, rows, output, threads=None):
    """Print a table and, if an output folder is given, write it there."""
    print(f"\n{caption}\n\n{table(rows)}", flush=True)
    if output:
        output.mkdir(parents=True, exist_ok=True)
        path = output / f"{name}.rst"
        path.write_text(f"{caption}\n\n{table(rows)}\n\n{about(threads)}\n")


def megabytes(n_bytes):
    return f"{n_bytes / 1e6:,.0f}"
