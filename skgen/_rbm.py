"""Where pickles of version 0.1 look for the class."""

from skgen.rbm import BernoulliRBMGPU

__all__ = ["BernoulliRBMGPU"]
