"""Markov chains and random numbers. Randomness is always an argument."""

from skgen.sampling._autocorrelation import integrated_autocorrelation_time
from skgen.sampling._bits import RandomBits, bernoulli, bernoulli_of_rows
from skgen.sampling._gibbs import clamped_mean, gibbs
from skgen.sampling._metropolis import flip_one_bit, metropolis_hastings
from skgen.sampling._quasi import balanced_normal
from skgen.sampling._tempering import (
    Exchange,
    climb,
    differences,
    effective_sample_size,
    exchange_,
    move_,
    tempering,
)

__all__ = [
    "Exchange",
    "RandomBits",
    "balanced_normal",
    "bernoulli",
    "bernoulli_of_rows",
    "clamped_mean",
    "climb",
    "differences",
    "effective_sample_size",
    "exchange_",
    "flip_one_bit",
    "gibbs",
    "integrated_autocorrelation_time",
    "metropolis_hastings",
    "move_",
    "tempering",
]
