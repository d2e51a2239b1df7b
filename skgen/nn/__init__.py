"""Networks and observation models that several families use, in plain torch."""

from skgen.nn._networks import (
    ACTIVATIONS,
    Standardize,
    Unstandardize,
    conv_decoder,
    conv_encoder,
    mlp,
)
from skgen.nn._observation import (
    BernoulliObservation,
    GaussianObservation,
    Observation,
)

__all__ = [
    "ACTIVATIONS",
    "BernoulliObservation",
    "GaussianObservation",
    "Observation",
    "Standardize",
    "Unstandardize",
    "conv_decoder",
    "conv_encoder",
    "mlp",
]
