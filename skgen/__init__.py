"""Generative models for scikit-learn."""

from skgen._bernoulli_vae import BernoulliVAE
from skgen._gaussian_vae import GaussianVAE
from skgen._rbm import BernoulliRBMGPU

__all__ = ["BernoulliRBMGPU", "BernoulliVAE", "GaussianVAE"]
__version__ = "0.1.0"
