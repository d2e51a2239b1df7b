"""Estimators from files, without running code that is in them."""

from typing import Any

from sklearn.impute import MissingIndicator

import skgen
import skgen.impute
from skgen.base._conditions import ConditionLaw, Conditions, Labels, Values
from skgen.base._container import read_container
from skgen.base._run_files import KIND
from skgen.base._saving import FORMAT
from skgen.base._standardization import Standardization
from skgen.base._tree import Decoder
from skgen.diffusion._architecture import DiffusionArchitecture
from skgen.energy._architecture import EnergyArchitecture
from skgen.gan._architecture import GANArchitecture
from skgen.impute._bits import BitCode
from skgen.impute._columns import Column
from skgen.likelihood import LogPartition
from skgen.vae._architecture import Architecture

__all__ = ["load"]

# What attributes of estimators may be, besides arrays and plain Python.
_RECORDS = (
    *(Standardization, LogPartition, Architecture, Conditions, ConditionLaw),
    *(DiffusionArchitecture, EnergyArchitecture, GANArchitecture),
    *(Labels, Values, Column, BitCode),
    MissingIndicator,
)


def load(
    path: Any,
    *,
    encoder: Any = None,
    decoder: Any = None,
    network: Any = None,
    generator: Any = None,
    critic: Any = None,
) -> Any:
    """Read an estimator from a file that its method `save` wrote.

    Nothing in the file is run or imported: it makes estimators of this package alone,
    with arrays and plain Python as their attributes.

    Parameters
    ----------
    path : str or path-like
        The file.
    encoder, decoder, network, generator, critic : Module, callable or None
        For an estimator with networks of your own, what the parameters of these names
        were. Their weights come from the file, if it has been fitted.

    Returns
    -------
    estimator : estimator
        The estimator, with the results of the one that was saved.

    Raises
    ------
    ValueError
        If the file is damaged, not one of skgen, or of a newer format, or if a network
        is missing.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import load_iris
    >>> from skgen import GaussianVAE
    >>> from skgen.io import load
    >>> X = load_iris().data
    >>> model = GaussianVAE(2, n_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "iris.skgen"
    ...     model.save(path)
    ...     loaded = load(path)
    >>> bool((loaded.transform(X) == model.transform(X)).all())
    True
    """
    header, arrays = read_container(path)
    content = _content(header, path)
    estimators = [getattr(skgen, name) for name in skgen.__all__]
    estimators += [getattr(skgen.impute, name) for name in skgen.impute.__all__]
    classes = {cls.__name__: cls for cls in (*estimators, *_RECORDS)}
    given = {"encoder": encoder, "decoder": decoder, "network": network}
    given |= {"generator": generator, "critic": critic}
    decoder_of_file = Decoder(arrays, classes=classes, given=given)
    try:
        loaded = decoder_of_file.decode(content)
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise _no_estimator(path, repr(error)) from error
    if type(loaded) not in estimators:
        raise _no_estimator(path, f"it is of type {type(loaded).__name__}")
    return loaded


def _content(header: Any, path: Any) -> Any:
    """Return what a header describes, if this version can read it."""
    if isinstance(header, dict) and header.get("kind") == KIND:
        raise ValueError(
            f"Got {str(path)!r}, which is a {KIND}, and no estimator. Call fit with "
            "callbacks=[Resume(dirname)], as when it was written, to go on from it."
        )
    try:
        content, number = header["content"], header["format"]
        is_newer, version = number > FORMAT, header["versions"]["scikit-generative"]
    except (KeyError, TypeError) as error:
        raise _no_estimator(path, repr(error)) from error
    if is_newer:
        raise ValueError(
            f"Got {str(path)!r} of format {number}, written by scikit-generative "
            f"{version}, but expected format {FORMAT} or older. Install a newer "
            "version."
        )
    return content


def _no_estimator(path: Any, reason: str) -> ValueError:
    return ValueError(
        f"Got {str(path)!r}, whose content makes no estimator: {reason}. Expected a "
        "file that the method save of an estimator wrote."
    )
