"""Variational autoencoders."""

from skgen.vae._bernoulli import BernoulliVAE
from skgen.vae._conditional_bernoulli import ConditionalBernoulliVAE
from skgen.vae._conditional_gaussian import ConditionalGaussianVAE
from skgen.vae._conditional_model import ConditionalVAE
from skgen.vae._gaussian import GaussianVAE
from skgen.vae._importance import importance_weighted_bound
from skgen.vae._kl import kl_gaussians, kl_standard_normal
from skgen.vae._model import VAE, elbo, elbo_terms, posterior_average
from skgen.vae._objective import NegativeELBO

__all__ = [
    "VAE",
    "BernoulliVAE",
    "ConditionalBernoulliVAE",
    "ConditionalGaussianVAE",
    "ConditionalVAE",
    "GaussianVAE",
    "NegativeELBO",
    "elbo",
    "elbo_terms",
    "importance_weighted_bound",
    "kl_gaussians",
    "kl_standard_normal",
    "posterior_average",
]
