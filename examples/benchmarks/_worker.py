"""A separate process for each package, and the communication with it.

Requests and replies are lines of JSON. "prepare" prepares an implementation, "run" runs
it once and returns its time in seconds and its memory, and "forget" releases all of
them. The reply for an implementation that cannot run is "skipped", with the reason.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from _contestants import KINDS, NotAvailable

# Disables the progress bars of packages that have no parameter for it.
QUIET = {"TQDM_DISABLE": "1"}


class Worker:
    """Start a process that waits for requests, and communicate with it.

    Parameters
    ----------
    threads : int or None
        Number of threads of its products; None means the default, all cores.
    """

    def __init__(self, threads=None):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if threads else ()
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | QUIET | dict.fromkeys(names, str(threads)),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, action, **request):
        """Send a request and wait for the reply."""
        self.send(action, **request)
        return self.receive()

    def send(self, action, **request):
        # If the process has ended, there is no reply either.
        with suppress(BrokenPipeError):
            print(json.dumps({"action": action, **request}), file=self.process.stdin)
            self.process.stdin.flush()

    def receive(self):
        try:
            return json.loads(self.process.stdout.readline())
        except json.JSONDecodeError:
            return {"skipped": "the process ended"}


def memory():
    """Return current and peak resident memory in bytes; zeros if not on Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    fields = dict(line.split(":", 1) for line in lines)
    return [1024 * int(fields.get(key, "0").split()[0]) for key in ("VmRSS", "VmHWM")]


def answer(request, runs):
    """Process a request; `runs` has the prepared functions, by label."""
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
    # The output of packages is discarded, as stdout is used for replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runs = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), runs)
        except ModuleNotFoundError as error:
            reply = {"skipped": f"{error.name} is not installed"}
        except NotAvailable as reason:
            reply = {"skipped": str(reason)}
        except Exception as error:  # noqa: BLE001 - reported to the parent
            reply = {"skipped": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
