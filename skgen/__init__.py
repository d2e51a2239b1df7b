"""Generative models for scikit-learn."""

from skgen._rbm import BernoulliRBMGPU

__all__ = ["BernoulliRBMGPU"]
__version__ = "0.1.0"
