"""Markov chains and random bits. Randomness is always an argument."""

from skgen.sampling._bits import bernoulli
from skgen.sampling._gibbs import gibbs

__all__ = ["bernoulli", "gibbs"]
