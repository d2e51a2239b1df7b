"""Restricted Boltzmann machines."""

from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._estimator import BernoulliRBMGPU
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.rbm._scaled import ScaledRBM, TemperedRBM
from skgen.rbm._trajectory import Trajectory

__all__ = [
    "BernoulliRBM",
    "BernoulliRBMGPU",
    "ContrastiveDivergence",
    "ParallelTempering",
    "ScaledRBM",
    "TemperedRBM",
    "Trajectory",
    "pseudo_log_likelihood",
]
