"""Energy-based models."""

from skgen.energy._diagnostics import ChainReport
from skgen.energy._estimator import EnergyModel
from skgen.energy._mixture import GaussianMixtureDensity
from skgen.energy._model import EnergyNet
from skgen.energy._noise_contrastive import NoiseContrastive
from skgen.energy._persistent import PersistentLangevin

__all__ = [
    "ChainReport",
    "EnergyModel",
    "EnergyNet",
    "GaussianMixtureDensity",
    "NoiseContrastive",
    "PersistentLangevin",
]
