"""Networks and observation models that several families use, in plain torch."""

from skgen.nn._networks import (
    ACTIVATIONS,
    Standardize,
    Unstandardize,
    check_network,
    conv_decoder,
    conv_encoder,
    mlp,
    reset_parameters,
    seeded,
    shrink_log_variances,
)
from skgen.nn._observation import (
    BernoulliObservation,
    GaussianObservation,
    Observation,
)
from skgen.nn._rounding import rounded_products
from skgen.nn._sparse_products import multiply

__all__ = [
    "ACTIVATIONS",
    "BernoulliObservation",
    "GaussianObservation",
    "Observation",
    "Standardize",
    "Unstandardize",
    "check_network",
    "conv_decoder",
    "conv_encoder",
    "mlp",
    "multiply",
    "reset_parameters",
    "rounded_products",
    "seeded",
    "shrink_log_variances",
]
