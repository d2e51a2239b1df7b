"""Objects as JSON and arrays, and back: no code is in either."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import getattr_static
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch.history import History
from torch import nn

# Kinds of numpy's numbers that a file can hold as they are.
_NUMBERS = "biuf"
# Kinds of numpy that are counts of a unit of time.
_TIMES = "mM"


class Encoder:
    """Turns objects into what JSON can hold, with arrays beside it.

    Known are numbers, strings, None, lists, tuples, dicts, arrays, `RandomState`,
    devices, the history of a fit, dataclasses and estimators of the package. In place
    of a network, or a function that makes one, stands the name of the attribute.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Arrays, in the order of C, by the names that stand in the JSON.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def encode(self, value: Any, name: str) -> Any:
        """Encode a value.

        Parameters
        ----------
        value : object
            The value.
        name : str
            Name of the attribute that holds it, for an error.

        Returns
        -------
        node : object
            What JSON can hold.

        Raises
        ------
        TypeError
            If the value is not of a known class.
        """
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value, name)
        if isinstance(value, int | float):
            finite = isinstance(value, int) or math.isfinite(value)
            return value if finite else {"float": repr(value)}
        if isinstance(value, History):
            return {"history": self._items(value, name)}
        if isinstance(value, list):
            return self._items(value, name)
        if isinstance(value, tuple):
            return {"tuple": self._items(value, name)}
        if isinstance(value, Mapping):
            return {"dict": [self._items(pair, name) for pair in value.items()]}
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.encode(value.get_state(legacy=False), name)}
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if _is_ours(value):
            if is_dataclass(value):
                parts = {f.name: getattr(value, f.name) for f in fields(value)}
                return {"record": type(value).__name__, "parts": self._named(parts)}
            if isinstance(value, BaseEstimator):
                return self.estimator(value)
        if isinstance(value, nn.Module) or callable(value):
            return {"given": name}
        raise TypeError(
            f"Got {name} of type {type(value).__name__}, but a file of skgen holds "
            "arrays and plain Python alone. Save with pickle or joblib instead, or "
            f"set {name} to None."
        )

    def estimator(self, estimator: Any) -> dict[str, Any]:
        """Encode the attributes of an estimator."""
        if not _is_ours(estimator):
            raise TypeError(
                f"Got an estimator of the class {type(estimator).__qualname__}, but a "
                "file of skgen holds those of skgen alone. Save with pickle or joblib."
            )
        attributes_of = getattr(
            estimator, "_attributes_to_save", estimator.__getstate__
        )
        attributes = attributes_of()
        return {
            "estimator": type(estimator).__name__,
            "parts": self._named(attributes),
        }

    def _named(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.encode(value, name) for name, value in parts.items()}

    def _items(self, values: Any, name: str) -> list[Any]:
        return [self.encode(value, name) for value in values]

    def _array(self, value: Any, name: str) -> dict[str, Any]:
        node: dict[str, Any]
        array = np.asarray(value)
        if array.dtype.kind in "OUT":  # of strings, as a rule
            items = self._items(array.ravel().tolist(), name)
            dtype = array.dtype.str if array.dtype.kind == "U" else "O"
            return {"items": items, "shape": list(array.shape), "dtype": dtype}
        numbers, node = array, {}
        if array.dtype.kind in _TIMES:
            numbers, node = array.view(np.int64), {"dtype": array.dtype.str}
        if array.dtype.kind not in _NUMBERS + _TIMES or array.dtype.itemsize > 8:
            raise TypeError(
                f"Got {name} with dtype {array.dtype}, but a file of skgen holds real "
                "numbers of at most 64 bits, times and strings."
            )
        key = str(len(self.arrays))
        native = numbers.dtype.newbyteorder("=")
        # ascontiguousarray makes one dimension of none.
        self.arrays[key] = np.array(numbers, dtype=native, order="C")
        if isinstance(value, np.generic):
            node["scalar"] = True
        elif array.flags.fnc:  # by columns, and not by rows as well
            node["by_columns"] = True
        return {"array": key} | node


class Decoder:
    """Turns what an `Encoder` made into objects.

    Parameters
    ----------
    arrays : dict of str to ndarray
        The arrays.
    classes : dict of str to type
        Dataclasses and estimators by name. No others are made.
    given : dict of str to object
        Networks of a user by the names of parameters.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        classes: Mapping[str, type],
        given: Mapping[str, Any],
    ):
        self.arrays, self.classes, self.given = arrays, classes, given

    def decode(self, node: Any) -> Any:
        """Decode a node.

        Parameters
        ----------
        node : object
            What JSON held.

        Returns
        -------
        value : object
            The value.

        Raises
        ------
        ValueError
            If the node is of an unknown kind or names a class that is not allowed, or
            if a network is missing.
        """
        if isinstance(node, list):
            return [self.decode(each) for each in node]
        if not isinstance(node, dict):
            return node
        for kind in ("array", "items", "record", "estimator", "given"):
            if kind in node:
                return getattr(self, f"_{kind}")(node)
        if len(node) == 1:
            ((kind, content),) = node.items()
            if kind == "float":
                return float(content)
            if kind == "tuple":
                return tuple(map(self.decode, content))
            if kind == "dict":
                return {self.decode(key): self.decode(each) for key, each in content}
            if kind == "history":
                return History(map(self.decode, content))
            if kind == "device":
                return torch.device(content)
            if kind == "random_state":
                rng = np.random.RandomState()
                rng.set_state(self.decode(content))
                return rng
        raise ValueError(f"Got a file with {sorted(node)}, which is of no known kind.")

    def _array(self, node: dict[str, Any]) -> Any:
        array = self.arrays[node["array"]]
        if "dtype" in node:
            array = array.view(node["dtype"])
        if node.get("scalar"):
            return array[()]
        return np.asfortranarray(array) if node.get("by_columns") else array

    def _items(self, node: dict[str, Any]) -> np.ndarray:
        array = np.empty(len(node["items"]), dtype=node["dtype"])
        array[:] = self.decode(node["items"])
        return array.reshape(node["shape"])

    def _record(self, node: dict[str, Any]) -> Any:
        cls = self._class(node["record"])
        return cls(**self._parts(node))

    def _estimator(self, node: dict[str, Any]) -> Any:
        cls: Any = self._class(node["estimator"])
        attributes = self._parts(node)
        parameters = set(cls._get_param_names())
        for name in attributes.keys() - parameters:
            former = getattr_static(cls, name, None)
            if callable(former) or hasattr(former, "__get__"):
                raise ValueError(f"Got a file that replaces {cls.__name__}.{name}.")
        new = cls.__new__(cls)
        new.__setstate__(attributes)
        return new

    def _given(self, node: dict[str, Any]) -> Any:
        name = node["given"]
        if self.given.get(name) is None:
            raise ValueError(
                "Got a file of an estimator with a network of its own, which is not in "
                f"it. Pass {name}= to load: what was the parameter {name}."
            )
        return self.given[name]

    def _parts(self, node: dict[str, Any]) -> dict[str, Any]:
        return {name: self.decode(part) for name, part in node["parts"].items()}

    def _class(self, name: Any) -> Any:
        if name not in self.classes:
            raise ValueError(
                f"Got a file of the class {name!r}, but expected one of "
                f"{', '.join(sorted(self.classes))}."
            )
        return self.classes[name]


def _is_ours(value: Any) -> bool:
    """Whether a value is of a class of the package, or of one that it keeps."""
    module, name = type(value).__module__.split("."), type(value).__name__
    kept = module[:2] == ["sklearn", "impute"] and name == "MissingIndicator"
    return module[0] == "skgen" or kept
