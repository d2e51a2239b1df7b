"""Markov chains and random numbers. Randomness is always an argument."""

from skgen._deprecation import moved_names
from skgen.sampling._autocorrelation import integrated_autocorrelation_time
from skgen.sampling._bits import (
    RandomBits,
    bernoulli,
    bernoulli_of_rows,
    uniform_of_rows,
)
from skgen.sampling._gibbs import clamped_mean, gibbs
from skgen.sampling._langevin import (
    Chains,
    Point,
    hmc,
    hmc_step,
    langevin,
    mala,
    point_at,
)
from skgen.sampling._metropolis import flip_one_bit, metropolis_hastings
from skgen.sampling._quasi import balanced_normal
from skgen.sampling._tempering import (
    FreeEnergyDifferences,
    build_ladder,
    effective_sample_size,
    free_energy_differences,
    move_replicas_,
    swap_neighbours_,
    tempering,
)

__all__ = [
    "Chains",
    "FreeEnergyDifferences",
    "Point",
    "RandomBits",
    "balanced_normal",
    "bernoulli",
    "bernoulli_of_rows",
    "build_ladder",
    "clamped_mean",
    "effective_sample_size",
    "flip_one_bit",
    "free_energy_differences",
    "gibbs",
    "hmc",
    "hmc_step",
    "integrated_autocorrelation_time",
    "langevin",
    "mala",
    "metropolis_hastings",
    "move_replicas_",
    "point_at",
    "swap_neighbours_",
    "tempering",
    "uniform_of_rows",
]

__getattr__ = moved_names(
    __name__,
    {
        "Exchange": "skgen.sampling:FreeEnergyDifferences",
        "climb": "skgen.sampling:build_ladder",
        "differences": "skgen.sampling:free_energy_differences",
        "exchange_": "skgen.sampling:swap_neighbours_",
        "move_": "skgen.sampling:move_replicas_",
        "multiply": "skgen.nn._sparse_products:multiply",
    },
)
