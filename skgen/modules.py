"""Old place of the mathematics; see `skgen.rbm`, `skgen.vae` and `skgen.nn`."""

from skgen._deprecation import moved_names

_RBM = (
    "BernoulliRBM",
    "ContrastiveDivergence",
    "ParallelTempering",
    "ScaledRBM",
    "TemperedRBM",
    "Trajectory",
    "pseudo_log_likelihood",
)
_VAE = (
    "VAE",
    "NegativeELBO",
    "elbo",
    "elbo_terms",
    "kl_gaussians",
    "kl_standard_normal",
    "posterior_average",
)
_NN = (
    "ACTIVATIONS",
    "BernoulliObservation",
    "GaussianObservation",
    "Observation",
    "Standardize",
    "Unstandardize",
    "conv_decoder",
    "conv_encoder",
    "mlp",
)

__getattr__ = moved_names(
    __name__,
    {
        **{name: f"skgen.rbm:{name}" for name in _RBM},
        **{name: f"skgen.vae:{name}" for name in _VAE},
        **{name: f"skgen.nn:{name}" for name in _NN},
        "Objective": "skgen.training:Objective",
    },
)
