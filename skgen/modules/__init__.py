"""The mathematics, in plain torch: no scikit-learn, no skorch, no numpy."""

from skgen.modules._contrastive import ContrastiveDivergence
from skgen.modules._gaussian import kl_gaussians, kl_standard_normal
from skgen.modules._networks import (
    ACTIVATIONS,
    Standardize,
    Unstandardize,
    check_network,
    conv_decoder,
    conv_encoder,
    mlp,
    quiet_log_variances,
    reset_parameters,
    seeded,
)
from skgen.modules._objective import Objective
from skgen.modules._observation import (
    BernoulliObservation,
    GaussianObservation,
    Observation,
)
from skgen.modules._parallel_tempering import ParallelTempering
from skgen.modules._pseudo_likelihood import pseudo_log_likelihood
from skgen.modules._rbm import BernoulliRBM, starting_parameters
from skgen.modules._rounding import rounded_products
from skgen.modules._tempered import (
    ScaledRBM,
    TemperedRBM,
    between,
    log_partition_of_bits,
)
from skgen.modules._trajectory import Trajectory, copy_of
from skgen.modules._vae import VAE, NegativeELBO, elbo, elbo_terms, posterior_average

__all__ = [
    "ACTIVATIONS",
    "VAE",
    "BernoulliObservation",
    "BernoulliRBM",
    "ContrastiveDivergence",
    "GaussianObservation",
    "NegativeELBO",
    "Objective",
    "Observation",
    "ParallelTempering",
    "ScaledRBM",
    "Standardize",
    "TemperedRBM",
    "Trajectory",
    "Unstandardize",
    "between",
    "check_network",
    "conv_decoder",
    "conv_encoder",
    "copy_of",
    "elbo",
    "elbo_terms",
    "kl_gaussians",
    "kl_standard_normal",
    "log_partition_of_bits",
    "mlp",
    "posterior_average",
    "pseudo_log_likelihood",
    "quiet_log_variances",
    "reset_parameters",
    "rounded_products",
    "seeded",
    "starting_parameters",
]
