"""Memory and speed of fits to tables that are not in memory.

    python examples/benchmarks/streams.py --forms memmap generated zarr --gigabytes 2

Each form is fitted in a process of its own. Its anonymous memory is what a process
takes for itself, without the pages of files that the system keeps while it has room.
The speed is that of an epoch, and is compared with that of a file that numpy maps, in
rounds in turn.

    python examples/benchmarks/streams.py --in-turns --gigabytes 20

compares the generated table with the file by two fits in one process, which take turns
after every few hundred mini-batches: a computer that is slower for a minute is so for
both. The one that waits reads nothing meanwhile. Turns slow down the fit of the file,
which finds less in the caches; without them, both fits are measured alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
from _report import about, table

N_FEATURES = 784
FORMS = ["memmap", "generated", "zarr", "h5py", "dask", "DataLoader"]
# Forms that read the file of another.
OF_FILE = {"dask": "h5py", "DataLoader": "memmap"}
# Rows of which all tables are made, one after the other.
N_BASE = 20_000
CHUNK = 1000


class Generated:
    """A table whose rows are made when they are asked for."""

    dtype = np.dtype(np.float32)

    def __init__(self, n_rows):
        self.shape = n_rows, N_FEATURES
        rng = np.random.default_rng(0)
        means = rng.random((10, N_FEATURES)) < 0.2
        bits = means[rng.integers(10, size=N_BASE)] ^ (
            rng.random((N_BASE, N_FEATURES)) < 0.05
        )
        self.base = bits.astype(np.float32)

    def __getitem__(self, rows):
        start, stop, _ = rows.indices(self.shape[0])
        return self.base[np.arange(start, stop) % N_BASE]

    def parts(self):
        """Iterate over the parts that a file is written in, with their places."""
        for start in range(0, self.shape[0], 10 * CHUNK):
            part = slice(start, min(start + 10 * CHUNK, self.shape[0]))
            yield part, self[part]


def write(form, folder, n_rows):
    """Write the file of a form, if it has one and it is not there."""
    made, path = Generated(n_rows), folder / form
    if path.exists():
        return
    shape, chunks = made.shape, (CHUNK, N_FEATURES)
    if form == "memmap":
        out = np.lib.format.open_memmap(path, "w+", made.dtype, shape)
    elif form == "zarr":
        import zarr

        out = zarr.create_array(path, shape=shape, chunks=chunks, dtype=made.dtype)
    elif form == "h5py":
        import h5py

        file = h5py.File(path, "w")
        out = file.create_dataset("X", shape, made.dtype, chunks=chunks)
    else:
        return
    for part, rows in made.parts():
        out[part] = rows
    if form == "memmap":
        out.flush()
    if form == "h5py":
        file.close()


def opened(form, folder, n_rows):
    """Return the table of a form."""
    if form == "generated":
        return Generated(n_rows)
    if form == "memmap":
        return np.load(folder / form, mmap_mode="r")
    if form == "zarr":
        import zarr

        return zarr.open_array(folder / form, mode="r")
    if form == "h5py":
        import h5py

        return h5py.File(folder / form)["X"]
    if form == "dask":
        import dask.array

        # Of an array that numpy has mapped, `from_array` would make a copy in memory.
        table = opened("h5py", folder, n_rows)
        return dask.array.from_array(table, chunks=(10 * CHUNK, N_FEATURES))
    import torch
    from torch.utils.data import DataLoader

    mapped = np.load(folder / "memmap", mmap_mode="c")
    return DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(mapped)))


class Turns:
    """Two threads that train in turns, of which each is a few hundred mini-batches."""

    def __init__(self, names):
        self.names, self.present = names, names[0]
        self.seconds = dict.fromkeys(names, 0.0)
        self.changed = threading.Condition()

    def wait(self, name):
        """Wait until it is the turn of a thread."""
        with self.changed:
            self.changed.wait_for(lambda: self.present in (name, None))

    def pass_on(self, name):
        """Give the turn to the other thread, if its fit has not ended."""
        with self.changed:
            if self.present is not None:
                (self.present,) = (other for other in self.names if other != name)
            self.changed.notify_all()

    def end(self):
        """Let the other thread work alone, as one fit has ended."""
        with self.changed:
            self.present = None
            self.changed.notify_all()

    def take(self, train, *args):
        """Train for one turn, in the thread that this is called in."""
        name = threading.current_thread().name
        self.wait(name)
        if both := self.present is not None:
            begin = time.perf_counter()
        train(*args)
        if both:
            self.seconds[name] += time.perf_counter() - begin
            self.pass_on(name)


class Waiting(Generated):
    """A generated table that is read when it is its turn."""

    turns: Turns

    def __getitem__(self, rows):
        self.turns.wait("generated")
        return super().__getitem__(rows)


def in_turns(folder, n_rows, n_components):
    """Fit the generated table and the mapped file in turns, and print the speed."""
    from skgen import BernoulliRBMGPU
    from skgen.rbm import ContrastiveDivergence

    turns = Turns(["generated", "memmap"])
    train = ContrastiveDivergence.training_steps

    def in_turn(*args):
        turns.take(train, *args)

    def fit(X):
        model = BernoulliRBMGPU(n_components, batch_size=100, n_iter=1, random_state=0)
        model.fit(X)
        turns.end()

    ContrastiveDivergence.training_steps = in_turn
    generated = Waiting(n_rows)
    generated.turns = turns
    tables = {"generated": generated, "memmap": opened("memmap", folder, n_rows)}
    memory = PeakOfAnonymousMemory()
    memory.start()
    threads = [
        threading.Thread(target=fit, args=(X,), name=name) for name, X in tables.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ours, theirs = turns.seconds.values()
    print(
        f"{n_rows} rows in turns: generated {ours:.1f} s, memmap {theirs:.1f} s, speed "
        f"{theirs / ours:.2f}; anonymous memory of both {memory.peak:.2f} GB"
    )


class PeakOfAnonymousMemory(threading.Thread):
    """Watch the memory that this process takes for itself."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.ended = 0.0, threading.Event()

    def run(self):
        while not self.ended.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            (anonymous,) = (x for x in lines if x.startswith("RssAnon"))
            self.peak = max(self.peak, int(anonymous.split()[1]) / 1e6)


def child(form, folder, n_rows, n_components):
    """Fit and transform in this process, and print what it took."""
    from skgen import BernoulliRBMGPU

    X = opened(form, folder, n_rows)
    memory = PeakOfAnonymousMemory()
    memory.start()
    model = BernoulliRBMGPU(n_components, batch_size=100, n_iter=1, random_state=0)
    model.fit(X)
    begin = time.perf_counter()
    out = np.lib.format.open_memmap(
        folder / "out", "w+", np.float32, (n_rows, n_components)
    )
    model.transform(X, out=out)
    seconds = time.perf_counter() - begin
    memory.ended.set()
    epoch = model.history_[-1, "dur"]
    found = {"epoch": epoch, "transform": seconds, "memory": memory.peak}
    print(json.dumps(found))


def measure(form, args):
    """Run a child, and return what it took."""
    command = [sys.executable, __file__, "--child", form, "--folder", args.folder]
    command += [
        "--gigabytes",
        str(args.gigabytes),
        "--components",
        str(args.components),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{form} failed:\n{ended.stderr}")
    return json.loads(ended.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--components", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir() + "/skgen_streams")
    parser.add_argument("--in-turns", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    n_rows, folder = int(args.gigabytes * 1e9 / N_FEATURES / 4), Path(args.folder)
    if args.child:
        child(args.child, folder, n_rows, args.components)
        return
    folder.mkdir(exist_ok=True)
    if args.in_turns:
        write("memmap", folder, n_rows)
        in_turns(folder, n_rows, args.components)
        return
    for form in {OF_FILE.get(form, form) for form in args.forms}:
        write(form, folder, n_rows)
    found = {form: [] for form in args.forms}
    for _ in range(args.rounds):
        for form in args.forms:
            found[form].append(measure(form, args))
    names = ["epoch, s", "transform, s", "speed of a fit", "anonymous memory, GB"]
    lines = [["table", *names]]
    epochs = {form: median(one["epoch"] for one in found[form]) for form in found}
    for form, replies in found.items():
        speed = epochs.get("memmap", np.nan) / epochs[form]
        transform = median(one["transform"] for one in replies)
        memory = max(one["memory"] for one in replies)
        numbers = (epochs[form], transform, speed, memory)
        lines.append([form, *[f"{number:.2f}" for number in numbers]])
    print(f"{n_rows} rows, {args.gigabytes} GB\n\n{table(lines)}\n\n{about()}")


if __name__ == "__main__":
    main()
