"""Variational autoencoders."""

from skgen.vae._bernoulli import BernoulliVAE
from skgen.vae._gaussian import GaussianVAE
from skgen.vae._model import VAE, NegativeELBO

__all__ = ["VAE", "BernoulliVAE", "GaussianVAE", "NegativeELBO"]
