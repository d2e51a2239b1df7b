"""What every estimator shares: scikit-learn's interface, capabilities, fitting."""

from skgen.base._capabilities import (
    ConditionalMixin,
    EncoderMixin,
    ImputerMixin,
    LikelihoodMixin,
)
from skgen.base._fitting import Phase, State, draw_seed
from skgen.base._generator import BaseGenerator
from skgen.base._validation import (
    binarized,
    validated,
    warn_outside_unit_interval,
)
from skgen.base._weights import load_arrays, to_arrays

__all__ = [
    "BaseGenerator",
    "ConditionalMixin",
    "EncoderMixin",
    "ImputerMixin",
    "LikelihoodMixin",
    "Phase",
    "State",
    "binarized",
    "draw_seed",
    "load_arrays",
    "to_arrays",
    "validated",
    "warn_outside_unit_interval",
]
