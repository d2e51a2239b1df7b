"""Generative models for scikit-learn."""

from skgen.dbn import DeepBeliefNetwork
from skgen.diffusion import ConditionalDiffusionModel, DiffusionModel
from skgen.rbm import BernoulliRBMGPU, GaussianRBM
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
    "ConditionalDiffusionModel",
    "ConditionalGaussianVAE",
    "DeepBeliefNetwork",
    "DiffusionModel",
    "GaussianRBM",
    "GaussianVAE",
]
__version__ = "0.1.0"
