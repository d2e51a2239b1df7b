"""Fitted models as plain torch modules and ONNX files."""

import warnings
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skgen.base._arguments import validated_arguments
from skgen.base._standardization import Standardization
from skgen.training._torch_state import plain_torch

# Rows of the example by which a graph is traced: neither 0 nor 1, which torch takes for
# special sizes.
_ROWS = 2
_NEEDED = ("onnx", "onnxscript")


class Units(nn.Module):
    """Between the units of X and those of a model, computed in double precision.

    Parameters
    ----------
    units : Standardization or None
        Location, scale and bounds; None where they are the same.
    """

    location: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, units: Standardization | None = None):
        super().__init__()
        self.has_units = units is not None
        self.has_bounds = units is not None and units.bounds is not None
        if units is not None:
            self.register_buffer("location", torch.tensor(units.location))
            self.register_buffer("scale", torch.tensor(units.scale))
        if units is not None and units.bounds is not None:
            low, high = map(torch.tensor, units.bounds)
            self.register_buffer("low", low)
            self.register_buffer("high", high)

    def forward(self, x: Tensor) -> Tensor:
        """Convert x from the units of X, within the bounds, (batch, n_features)."""
        if self.has_bounds:
            x = torch.minimum(torch.maximum(x.double(), self.low), self.high)
        return (x.double() - self.location) / self.scale if self.has_units else x

    def undo(self, x: Tensor) -> Tensor:
        """Convert x to the units of X, (batch, n_features)."""
        return x.double() * self.scale + self.location if self.has_units else x


class Threshold(nn.Module):
    """Bits of values: 1 above 0.5 and 0 otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Threshold x, of any shape."""
        return (x > 0.5).to(x.dtype)


class Encoder(nn.Module):
    """The features of data, what `transform` of an estimator returns.

    Parameters
    ----------
    prepare : nn.Module
        From X to what the network sees.
    network : nn.Module
        From that, and from encoded conditions if there are any, to features.
    conditions : nn.Module or None
        Encodes conditions, for a conditional model.
    """

    def __init__(
        self, prepare: nn.Module, network: nn.Module, conditions: nn.Module | None
    ):
        super().__init__()
        self.prepare, self.network, self.conditions = prepare, network, conditions

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute features, (batch, n_components); conditional models take y."""
        dtype = next(self.network.parameters()).dtype
        return self.network(self.prepare(x).to(dtype), *_encoded(self, y, dtype))


class Decoder(nn.Module):
    """The mean of data given features, what `inverse_transform` returns.

    Parameters
    ----------
    network : nn.Module
        From features, and encoded conditions, to means in the units of the model.
    units : Units
        From those to the units of X.
    conditions : nn.Module or None
        Encodes conditions, for a conditional model.
    """

    def __init__(self, network: nn.Module, units: Units, conditions: nn.Module | None):
        super().__init__()
        self.network, self.units, self.conditions = network, units, conditions

    def forward(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute means, (batch, n_features); conditional models take y."""
        dtype = next(self.network.parameters()).dtype
        mean = self.network(h.to(dtype), *_encoded(self, y, dtype))
        return self.units.undo(mean).to(dtype)


class TorchModel(nn.Module):
    """A fitted model as torch modules; see `skgen.base.ExportMixin.to_torch`.

    Parameters
    ----------
    encoder : Encoder
        What `transform` computes.
    decoder : Decoder
        What `inverse_transform` computes.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute features, as `transform` does, (batch, n_components)."""
        return self.encoder(x, y)


class ExportMixin(ABC):
    """Mixin of encoders that can be computed without this package."""

    n_features_in_: int

    @abstractmethod
    def _torch_networks(self, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
        """Make both directions in the units of the model, with memory of their own.

        The first maps data, and the second features; of a conditional model each takes
        encoded conditions as well.
        """

    def _torch_preparation(self) -> nn.Module:
        """Make what prepares X for the first of these: by default, units."""
        return self._torch_units()

    def _torch_units(self) -> Units:
        """Make the units of the model: by default those of X."""
        return Units()

    def _torch_conditions(self) -> nn.Module | None:
        """Make what encodes y, if the model is conditional."""
        return None

    @property
    def _n_columns_of_y(self) -> int | None:
        """Number of columns of conditions; None for a model without conditions."""
        return None

    def to_torch(self) -> nn.Module:
        """Return a torch module that computes what `transform` does.

        It is independent of the estimator, and of this package but for the classes of
        its parts. It has no branches that depend on data, so that it can be traced,
        compiled and exported. A row with missing values has NaN for its features.

        Returns
        -------
        module : Module
            Maps X of shape (batch, n_features), in the units of the training data, to
            the features of shape (batch, n_components). Its submodule ``decoder`` maps
            features to means of X, as `inverse_transform` does: probabilities, not
            logits. Parameters have the dtype of `precision`, and so has the output. A
            conditional model takes y as a second argument, a tensor of shape
            (batch, n_columns): values, and labels as they are if they are numbers, or
            else their positions in the sorted labels.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_iris
        >>> from skgen import GaussianVAE
        >>> X = load_iris().data
        >>> vae = GaussianVAE(n_components=2, n_iter=5, random_state=0).fit(X)
        >>> module = vae.to_torch()
        >>> with torch.no_grad():
        ...     H = module(torch.tensor(X))
        ...     mean = module.decoder(H)
        >>> bool(abs(H.numpy() - vae.transform(X)).max() < 1e-5)
        True
        >>> mean.shape
        torch.Size([150, 4])
        """
        check_is_fitted(self)
        estimator: Any = self
        with plain_torch():
            dtype = getattr(torch, str(estimator._dtype))
            encode, decode = self._torch_networks(dtype)
            conditions = self._torch_conditions()
            return TorchModel(
                Encoder(self._torch_preparation(), encode, conditions),
                Decoder(decode, self._torch_units(), conditions),
            ).eval()

    @validated_arguments(
        {
            "path": "no_validation",
            "method": [StrOptions({"transform", "inverse_transform"})],
        }
    )
    def export_onnx(self, path: Any, method: str = "transform") -> None:
        """Write what a method computes to an ONNX file, for any number of rows.

        Parameters
        ----------
        path : str or path-like
            Where the file goes.
        method : {"transform", "inverse_transform"}, default="transform"
            Which method. The input is called "X" or "H" and the output "H" or "X", of
            the dtype of `precision`; a conditional model has the further input "y",
            float64 of shape (n_samples, n_columns), as for `to_torch`.

        Raises
        ------
        ImportError
            If the packages of the extra ``onnx`` are not installed.
        """
        check_is_fitted(self)
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise ImportError(
                f"export_onnx needs {' and '.join(missing)}, which cannot be imported. "
                "Install them by pip install 'scikit-generative[onnx]'."
            )
        estimator: Any = self
        model: Any = self.to_torch()
        encodes = method == "transform"
        part = model.encoder if encodes else model.decoder
        names = ["X", "H"] if encodes else ["H", "X"]
        width = estimator.n_features_in_ if encodes else estimator._n_features_out
        inputs = {names[0]: torch.zeros(_ROWS, width, dtype=_dtype_of(part))}
        if self._n_columns_of_y is not None:
            inputs["y"] = torch.zeros(_ROWS, self._n_columns_of_y, dtype=torch.float64)
        _write_onnx(part, inputs, names[1], Path(path))


def _write_onnx(
    module: nn.Module, inputs: dict[str, Tensor], output: str, path: Path
) -> None:
    """Trace a module and write its graph, with a free number of rows."""
    rows = torch.export.Dim("n_samples")
    with plain_torch(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about parts of its own
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple({0: rows} for _ in inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.network.parameters()).dtype  # type: ignore[union-attr]


def _encoded(module: Any, y: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Conditions as a network takes them, if the model has any."""
    if (y is None) != (module.conditions is None):
        given, expected = ("no y", "one") if y is None else ("y", "none")
        raise ValueError(
            f"Got {given}, but expected {expected}. A conditional model takes y as its "
            "second argument, and other models do not."
        )
    return () if y is None else (module.conditions(y).to(dtype),)
