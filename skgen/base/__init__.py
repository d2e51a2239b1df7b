"""What every estimator shares: scikit-learn's interface, capabilities, fitting."""

from skgen.base._capabilities import (
    ConditionalMixin,
    DecoderMixin,
    EncoderMixin,
    ImputerMixin,
    LikelihoodMixin,
)
from skgen.base._export import ExportMixin
from skgen.base._fitting import Phase
from skgen.base._generator import BaseGenerator
from skgen.base._weights import load_arrays, to_arrays

__all__ = [
    "BaseGenerator",
    "ConditionalMixin",
    "DecoderMixin",
    "EncoderMixin",
    "ExportMixin",
    "ImputerMixin",
    "LikelihoodMixin",
    "Phase",
    "load_arrays",
    "to_arrays",
]
