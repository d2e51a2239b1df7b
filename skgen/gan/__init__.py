"""Generative adversarial networks."""

from skgen.gan._energy_score import energy_scores
from skgen.gan._estimator import GAN
from skgen.gan._losses import (
    relativistic_critic_loss,
    relativistic_loss,
    wasserstein_critic_loss,
    wasserstein_loss,
)
from skgen.gan._model import GANNet, Generator
from skgen.gan._objective import AdversarialObjective

__all__ = [
    "GAN",
    "AdversarialObjective",
    "GANNet",
    "Generator",
    "energy_scores",
    "relativistic_critic_loss",
    "relativistic_loss",
    "wasserstein_critic_loss",
    "wasserstein_loss",
]
