"""Estimators in files: what `save` writes."""

import platform
from importlib.metadata import version
from typing import Any

from skgen.base._container import write_container
from skgen.base._tree import Encoder

# Version of the format. A change that older versions cannot read raises it.
FORMAT = 1
_PACKAGES = ("scikit-generative", "scikit-learn", "skorch", "numpy", "torch")


def save_estimator(estimator: Any, path: Any) -> None:
    """Write an estimator to a file; see `skgen.base.SavesMixin.save`."""
    encoder = Encoder()
    header = {
        "format": FORMAT,
        "versions": {name: version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
        "content": encoder.estimator(estimator),
    }
    write_container(path, header, encoder.arrays)


class SavesMixin:
    """Capability of an estimator whose state is arrays and plain Python: `save`."""

    def save(self, path: Any) -> None:
        """Write the estimator to one file, which :func:`skgen.io.load` reads.

        The file has the safetensors format: arrays, and a header in JSON with the
        class, the parameters, the other attributes and the versions of the packages.
        It holds no code, and reading it runs none. Its SHA-256 is in the header, so
        that damage is noticed. A file that is there is replaced when the new one is
        complete, which gets its permissions. Through a symbolic link, the file that it
        points to is replaced.

        Callbacks of a fitted estimator are left out, as in a pickle. Networks of your
        own are not in the file, only their weights: pass them to `load`.

        Parameters
        ----------
        path : str or path-like
            Where the file goes.

        Raises
        ------
        TypeError
            If an attribute is neither an array nor plain Python, or `path` is no path.
        OSError
            If the file cannot be written. One that is there stays as it is.
        """
        save_estimator(self, path)
