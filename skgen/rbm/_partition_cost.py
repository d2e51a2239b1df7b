"""What a partition function costs by enumeration and by annealing.

The constants are those of one core of a server with AVX-512 (AMD EPYC), measured on
layers of 10 to 100 and of 16 to 3000 units; the times then were within a factor of 1.5.
More threads or a GPU shorten both ways: it is their ratio that the choice depends on.
"""

from skgen.rbm._partition_annealed import path_steps, tempering_steps
from skgen.rbm._partition_exact import MAX_UNITS

# Enumeration in float64, seconds: each state takes so much for each unit of the layer
# that is summed out, and of the one that is enumerated.
_SUMMED_OUT, _ENUMERATED = 7e-9, 4e-9
# A Gibbs step in float32, seconds: of any number of chains, and of each chain for
# each unit and for each weight.
_STEP, _UNIT, _WEIGHT = 140e-6, 5e-9, 3e-11
# Fits of the path, and models on the ladder of replica exchange as a rule.
_N_FITS, _N_REPLICAS = 5, 15
# An exact result is worth so many seconds.
_AT_ONCE = 1.0


def cheaper_method(
    n_enumerated: int, n_summed_out: int, *, n_chains: int, n_temperatures: int
) -> str:
    """Choose between enumeration and annealing by their cost.

    Parameters
    ----------
    n_enumerated : int
        Number of units of the layer whose states would be enumerated, the smaller one.
    n_summed_out : int
        Number of units of the other layer.
    n_chains, n_temperatures : int
        Size of the annealing; see `log_partition_annealed`.

    Returns
    -------
    method : {"exact", "ais"}
        "exact" if enumeration takes less time, or less than a second.
    """
    if n_enumerated > MAX_UNITS:
        return "ais"
    annealing = seconds_annealed(
        n_enumerated, n_summed_out, n_chains=n_chains, n_temperatures=n_temperatures
    )
    enumeration = seconds_exact(n_enumerated, n_summed_out)
    return "exact" if enumeration <= max(annealing, _AT_ONCE) else "ais"


def seconds_exact(n_enumerated: int, n_summed_out: int) -> float:
    r"""Estimate the time of `log_partition_exact`.

    All :math:`2^m` states of the smaller layer take a sum over the other layer each.

    Parameters
    ----------
    n_enumerated, n_summed_out : int
        As in `cheaper_method`.

    Returns
    -------
    seconds : float
        Time on one core.
    """
    return 2.0**n_enumerated * (_SUMMED_OUT * n_summed_out + _ENUMERATED * n_enumerated)


def seconds_annealed(
    n_visible: int, n_hidden: int, *, n_chains: int, n_temperatures: int
) -> float:
    """Estimate the time of `log_partition_annealed`.

    Its Gibbs steps are those of annealing in two directions, of the fits of the path,
    and of each replica. A step takes products of all chains with the weights, random
    numbers for all units, and some time of its own.

    Parameters
    ----------
    n_visible, n_hidden : int
        Number of units of each layer.
    n_chains, n_temperatures : int
        As in `cheaper_method`.

    Returns
    -------
    seconds : float
        Time on one core.
    """
    n_steps = (
        2 * n_temperatures
        + _N_FITS * path_steps(n_temperatures)
        + _N_REPLICAS * tempering_steps(n_temperatures)
    )
    chain = _UNIT * (n_visible + n_hidden) + _WEIGHT * n_visible * n_hidden
    return n_steps * (_STEP + n_chains * chain)
