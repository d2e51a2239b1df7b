"""Generative models for scikit-learn."""

from skgen.rbm import BernoulliRBMGPU
from skgen.vae import BernoulliVAE, GaussianVAE

__all__ = ["BernoulliRBMGPU", "BernoulliVAE", "GaussianVAE"]
__version__ = "0.1.0"
