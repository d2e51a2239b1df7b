"""Where pickles of version 0.1 look for the class."""

from skgen.vae import BernoulliVAE

__all__ = ["BernoulliVAE"]
