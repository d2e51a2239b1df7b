"""Variational autoencoders."""

from skgen.vae._bernoulli import BernoulliVAE
from skgen.vae._gaussian import GaussianVAE
from skgen.vae._model import VAE
from skgen.vae._objective import NegativeELBO

__all__ = ["VAE", "BernoulliVAE", "GaussianVAE", "NegativeELBO"]
