"""Diffusion models."""

from skgen.diffusion._bound import elbo
from skgen.diffusion._conditional_estimator import ConditionalDiffusionModel
from skgen.diffusion._conditional_model import ConditionalDiffusionNet
from skgen.diffusion._estimator import DiffusionModel
from skgen.diffusion._flow import flow_log_density, flow_to_data, flow_to_noise
from skgen.diffusion._image_network import TimeConv
from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._network import TimeMLP
from skgen.diffusion._objective import DenoisingObjective
from skgen.diffusion._process import NoiseProcess

__all__ = [
    "ConditionalDiffusionModel",
    "ConditionalDiffusionNet",
    "DenoisingObjective",
    "DiffusionModel",
    "DiffusionNet",
    "NoiseProcess",
    "TimeConv",
    "TimeMLP",
    "elbo",
    "flow_log_density",
    "flow_to_data",
    "flow_to_noise",
]
