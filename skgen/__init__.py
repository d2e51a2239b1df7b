"""Generative models for scikit-learn."""

from skgen.rbm._estimator import BernoulliRBMGPU
from skgen.vae._bernoulli import BernoulliVAE
from skgen.vae._gaussian import GaussianVAE

__all__ = ["BernoulliRBMGPU", "BernoulliVAE", "GaussianVAE"]
__version__ = "0.1.0"
