"""A process of its own for each package, and the parent's end of the line to it.

Requests and replies are JSON, one a line. "prepare" makes a contestant ready, "run"
runs it once and gives its seconds and its memory, "forget" lets go of all of them.
A contestant that cannot run is "skipped", with the reason.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from _contestants import KINDS, LeftOut

# Peers whose progress bars cannot be turned off have them turned off here.
QUIET = {"TQDM_DISABLE": "1"}


class Worker:
    """The parent's end: starts a process that waits for requests."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | QUIET,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, action, **request):
        """Send a request and wait for its reply."""
        try:
            print(json.dumps({"action": action, **request}), file=self.process.stdin)
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            return {"skipped": "the process ended"}


def memory():
    """Resident memory now and its peak so far, in bytes; zeros if not on Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    fields = dict(line.split(":", 1) for line in lines)
    return [1024 * int(fields.get(key, "0").split()[0]) for key in ("VmRSS", "VmHWM")]


def answer(request, runs):
    """Do what is asked; `runs` has the functions that are prepared, by label."""
    if request["action"] == "forget":
        runs.clear()
        return {}
    label = request["label"]
    if request["action"] == "prepare":
        _, prepare = KINDS[request["kind"]][label]
        runs[label], n_rows = prepare(request["task"])
        return {"rows": n_rows}
    before, _ = memory()
    began = time.perf_counter()
    runs[label]()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "memory": max(0, memory()[1] - before)}


def main():
    # What packages print goes nowhere: this end of the line is for replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runs = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), runs)
        except ModuleNotFoundError as error:
            reply = {"skipped": f"{error.name} is not installed"}
        except LeftOut as reason:
            reply = {"skipped": str(reason)}
        except Exception as error:  # noqa: BLE001 - the parent is told
            reply = {"skipped": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
