"""Generative models for scikit-learn."""

from skgen.dbn import DeepBeliefNetwork
from skgen.rbm import BernoulliRBMGPU
from skgen.vae import (
    BernoulliVAE,
    ConditionalBernoulliVAE,
    ConditionalGaussianVAE,
    GaussianVAE,
)

__all__ = [
    "BernoulliRBMGPU",
    "BernoulliVAE",
    "ConditionalBernoulliVAE",
    "ConditionalGaussianVAE",
    "DeepBeliefNetwork",
    "GaussianVAE",
]
__version__ = "0.1.0"
