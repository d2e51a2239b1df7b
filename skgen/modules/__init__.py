"""The mathematics, in plain torch: no scikit-learn, no skorch, no numpy."""

from skgen.modules._contrastive import ContrastiveDivergence
from skgen.modules._objective import Objective
from skgen.modules._pseudo_likelihood import pseudo_log_likelihood
from skgen.modules._rbm import BernoulliRBM, starting_parameters

__all__ = [
    "BernoulliRBM",
    "ContrastiveDivergence",
    "Objective",
    "pseudo_log_likelihood",
    "starting_parameters",
]
