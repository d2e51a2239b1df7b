"""Deep belief networks."""

from skgen.dbn._estimator import DeepBeliefNetwork

__all__ = ["DeepBeliefNetwork"]
