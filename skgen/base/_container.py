"""A file of arrays with a header, of which damage is noticed."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

# In place of the checksum while that is computed.
_NO_CHECKSUM = "0" * 64
# Characters of the name of a file in that of the one that will replace it.
_SHOWN_OF_NAME = 40
# The keys of the metadata of a file.
_HEADER, _CHECKSUM = "skgen", "sha256"


def write_container(path: Any, header: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays and a header to one file of the safetensors format.

    Its metadata hold the header as JSON, and the SHA-256 of the file, in which the
    checksum itself counts as zeros. A file that is there is replaced when the new one
    is complete. The new file gets the permissions of the old one, and a symbolic link
    stays a link.

    Parameters
    ----------
    path : str or path-like
        Where the file goes.
    header : object
        What JSON can hold.
    arrays : dict of str to ndarray
        Arrays of numbers, in the order of C.

    Raises
    ------
    TypeError
        If `path` is neither a str nor path-like.
    OSError
        If the file cannot be written.
    """
    path = _checked(path)
    # Imported here, as few programs need it.
    from safetensors.numpy import save

    metadata = {_HEADER: json.dumps(header, allow_nan=False), _CHECKSUM: _NO_CHECKSUM}
    content = save(arrays, metadata)
    start = content.index(_NO_CHECKSUM.encode())
    checksum = hashlib.sha256(content).hexdigest().encode()
    end = start + len(checksum)
    _replace(path, [content[:start], checksum, memoryview(content)[end:]])


def read_container(path: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Read a file that `write_container` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    header : object
        The header.
    arrays : dict of str to ndarray
        The arrays, in memory of their own.

    Raises
    ------
    ValueError
        If the file is another one, or not as it was written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = _checked(path).read_bytes()
    metadata = _metadata(content)
    if not isinstance(metadata.get(_HEADER), str):
        raise ValueError(
            f"Got {str(path)!r}, which is no file of skgen, or is damaged. Expected "
            "one that the method save of an estimator wrote."
        )
    checksum = str(metadata.get(_CHECKSUM)).encode()
    start = content.find(checksum)
    blank = [content[:start], _NO_CHECKSUM.encode(), content[start + len(checksum) :]]
    if hashlib.sha256(b"".join(blank)).hexdigest().encode() != checksum:
        raise ValueError(
            f"Got {str(path)!r}, which has changed since it was written: its SHA-256 "
            "is not the one that it states. Load another copy of the file."
        )
    try:
        arrays = load(content)
    except SafetensorError as error:
        raise ValueError(f"Got {str(path)!r}, which cannot be read: {error}") from error
    return json.loads(metadata[_HEADER]), {k: a.copy() for k, a in arrays.items()}


def _metadata(content: bytes) -> dict[str, Any]:
    """Return the metadata of a safetensors file, or nothing if it is none."""
    n_bytes = int.from_bytes(content[:8], "little")
    if not 8 < 8 + n_bytes <= len(content):
        return {}
    try:
        metadata = json.loads(content[8 : 8 + n_bytes])["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _keep_name(folder: Path) -> None:
    """Have the names in a folder written to the disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _checked(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"Got a path of type {type(path).__name__}, but expected a str or a "
            "pathlib.Path."
        )
    return Path(path)


def _replace(path: Path, parts: list[Any]) -> None:
    """Write a file beside the old one, and put it in its place when it is complete."""
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Got {str(path)!r} as the path of a file, but there is no directory "
            f"{str(path.parent)!r}. Make it, or choose another path."
        )
    if path.is_dir():
        raise IsADirectoryError(
            f"Got {str(path)!r}, which is a directory, but expected the path of a "
            "file. Add the name of a file."
        )
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
        with open(path, "wb") as file:
            file.writelines(parts)
        return
    # Names have 255 bytes at most.
    new = path.with_name(f".{path.name[:_SHOWN_OF_NAME]}.{uuid4().hex}")
    try:
        with open(new, "xb") as file:
            if path.exists():
                shutil.copymode(path, new)
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        _keep_name(path.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
