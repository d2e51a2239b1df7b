"""The checkpoints of one fit in a directory."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from skgen.base._container import read_container, write_container
from skgen.base._saving import FORMAT
from skgen.base._tensor_tree import TensorDecoder, TensorEncoder
from skgen.base._validation import warn

# What the header of a checkpoint says it is.
KIND = "checkpoint of Resume"
_N_KEPT = 2
_NAME = re.compile(r"(?P<phase>\w+)-(?P<epoch>\d+)\.skgen")


class RunFiles:
    """The checkpoints of one fit in a directory, the last two of each phase.

    Parameters
    ----------
    dirname : str or path-like
        The directory, which is made if there is none.
    run : dict of str to str
        What the fit depends on: a description of each parameter, and of the data.

    Attributes
    ----------
    random_state : dict or None
        State of the random numbers at the beginning of the fit of the checkpoints, if
        there are any.

    Raises
    ------
    ValueError
        If the directory cannot be used; or if there are checkpoints, but all of them
        are damaged, or are of another fit.
    """

    def __init__(self, dirname: Any, run: dict[str, str]):
        self.directory, self.run = Path(dirname), run
        self.random_state: dict[str, Any] | None = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for unfinished in self.directory.glob(".*.skgen.*"):
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise ValueError(
                f"Got dirname={str(dirname)!r} of Resume, which cannot be used as a "
                f"directory: {error}. Choose another one."
            ) from error
        for phase in dict.fromkeys(phase for phase, _, _ in self._all()):
            header, decoder = self._read(phase)
            self._check(header["run"])
            self.random_state = decoder.decode(header["random_state"])

    def begin(self, random_state: np.random.RandomState) -> None:
        """Note the state of the random numbers of a fit, or set it to that noted."""
        if self.random_state is None:
            self.random_state = dict(random_state.get_state(legacy=False))
        else:
            random_state.set_state(self.random_state)

    def newest(self, phase: str) -> dict[str, Any] | None:
        """Return what the newest checkpoint of a phase holds, or None."""
        if not self._of(_slug(phase)):
            return None
        header, decoder = self._read(_slug(phase))
        return decoder.decode(header["content"])

    def write(self, phase: str, n_epochs: int, content: dict[str, Any]) -> None:
        """Write a checkpoint, and remove those before the last two.

        A warning is given where it cannot be written.

        Parameters
        ----------
        phase : str
            Name of the phase.
        n_epochs : int
            Number of epochs of the phase that are done.
        content : dict
            Tensors, arrays and plain Python.
        """
        encoder = TensorEncoder()
        header = {
            "format": FORMAT,
            "kind": KIND,
            "run": self.run,
            "random_state": encoder.encode(self.random_state, "random_state"),
            "content": encoder.encode(content, "content"),
        }
        path = self.directory / f"{_slug(phase)}-{n_epochs:06d}.skgen"
        try:
            write_container(path, header, encoder.arrays)
            for old in self._of(_slug(phase))[:-_N_KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            kept = [file.name for file in self._of(_slug(phase))]
            warn(
                f"Resume could not write {str(path)!r}: {error}. Training goes on; "
                f"the checkpoints that are left are {kept or 'none'}. Free space on "
                "the disk, or the next ones are not written either."
            )

    def _all(self) -> list[tuple[str, int, Path]]:
        """Phase, epoch and path of each checkpoint, in this order."""
        found = []
        for path in self.directory.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append((match["phase"], int(match["epoch"]), path))
        return sorted(found)

    def _of(self, phase: str) -> list[Path]:
        return [path for of, _, path in self._all() if of == phase]

    def _read(self, phase: str) -> tuple[dict[str, Any], TensorDecoder]:
        """Read the newest checkpoint of a phase that is not damaged."""
        for path in reversed(self._of(phase)):
            try:
                header, arrays = read_container(path)
            except (ValueError, OSError) as error:
                damage = str(error)
                warn(f"Resume leaves out a checkpoint that is damaged: {damage}")
                continue
            if header.get("kind") == KIND and header["format"] <= FORMAT:
                return header, TensorDecoder(arrays, classes={}, given={})
            damage = f"{str(path)!r} is no checkpoint of this version of skgen."
        raise ValueError(
            f"No checkpoint of {str(self.directory)!r} can be read. {damage} Remove "
            "them to start from the beginning, or choose another dirname."
        )

    def _check(self, run: dict[str, str]) -> None:
        """Raise an error that lists in what two fits differ, if they do."""
        names = [*run, *(name for name in self.run if name not in run)]
        different = [
            f"{name}: {run.get(name, 'none')} there, {self.run.get(name, 'none')} now"
            for name in names
            if run.get(name) != self.run.get(name)
        ]
        if different:
            raise ValueError(
                f"The checkpoints in {str(self.directory)!r} are of another fit ("
                + "; ".join(different)
                + "). Fit with what it had, choose another dirname of Resume, or "
                "remove the checkpoints."
            )


def _slug(phase: str) -> str:
    """Return the name of a phase as a part of a file name."""
    return re.sub(r"\W+", "_", phase) or "fit"
