"""Markov chains and random numbers. Randomness is always an argument."""

from skgen.sampling._bits import bernoulli, bernoulli_of_rows
from skgen.sampling._gibbs import gibbs
from skgen.sampling._quasi import balanced_normal

__all__ = [
    "balanced_normal",
    "bernoulli",
    "bernoulli_of_rows",
    "gibbs",
]
