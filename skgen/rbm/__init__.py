"""Restricted Boltzmann machines."""

from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._estimator import BernoulliRBMGPU
from skgen.rbm._gaussian import GaussianRBM
from skgen.rbm._gaussian_model import GaussianBernoulliRBM
from skgen.rbm._gaussian_objective import (
    GaussianContrastiveDivergence,
    GaussianParallelTempering,
)
from skgen.rbm._gaussian_pseudo_likelihood import gaussian_pseudo_log_likelihood
from skgen.rbm._gaussian_units import GaussianUnits
from skgen.rbm._model import RBM, BernoulliRBM
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._partition_annealed import log_partition_annealed
from skgen.rbm._partition_exact import log_partition_exact
from skgen.rbm._partition_trajectory import log_partition_trajectory
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.rbm._scaled import ScaledRBM, TemperedRBM
from skgen.rbm._trajectory import Trajectory
from skgen.rbm._units import BernoulliUnits, Units

__all__ = [
    "RBM",
    "BernoulliRBM",
    "BernoulliRBMGPU",
    "BernoulliUnits",
    "ContrastiveDivergence",
    "GaussianBernoulliRBM",
    "GaussianContrastiveDivergence",
    "GaussianParallelTempering",
    "GaussianRBM",
    "GaussianUnits",
    "ParallelTempering",
    "ScaledRBM",
    "TemperedRBM",
    "Trajectory",
    "Units",
    "gaussian_pseudo_log_likelihood",
    "log_partition_annealed",
    "log_partition_exact",
    "log_partition_trajectory",
    "pseudo_log_likelihood",
]
