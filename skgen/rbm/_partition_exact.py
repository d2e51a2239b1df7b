"""The partition function of an RBM by enumeration."""

import torch
from torch import Tensor

from skgen.rbm._model import RBM
from skgen.rbm._units import BernoulliUnits, Units

# 2^25 states take minutes; each further unit doubles that.
MAX_UNITS = 25
# States enumerated at a time, times units of the other layer: for each thread of a CPU
# as many as stay in its cache (three times as fast), or what fills a GPU.
_BLOCK_OF_THREAD, _BLOCK_OF_GPU = 2**16, 2**22


def log_partition_exact(model: RBM) -> float:
    r"""Log partition function of a small RBM, by enumeration.

    The sum over the larger layer factorises, so that only the states of the
    smaller one are enumerated, in chunks: with the hidden layer the smaller,

    .. math:: \log Z = \log \sum_h e^{c^\top h}
              \prod_i \left(1 + e^{(W^\top h + b)_i}\right).

    Parameters
    ----------
    model : RBM
        A model with binary hidden units, whose smaller binary layer has at most 25
        units, in float64 for float64 accuracy.

    Returns
    -------
    log_z : float
        Log partition function in nats.

    Raises
    ------
    ValueError
        If both layers have more than 25 units.
    """
    weight: Tensor = model.weight
    inner: Units = model.hidden
    outer: Units = model.visible
    if len(outer.bias) < len(inner.bias) and isinstance(outer, BernoulliUnits):
        weight, inner, outer = weight.T, outer, inner
    n = len(inner.bias)
    if n > MAX_UNITS:
        raise ValueError(
            f"Got a model of {weight.shape[1]} and {n} units in its two layers, but "
            f"enumeration expects at most {MAX_UNITS} in the smaller one. Estimate the "
            "partition function by method='ais', or use fewer n_components."
        )
    on_cpu = weight.device.type == "cpu"
    block = _BLOCK_OF_THREAD * torch.get_num_threads() if on_cpu else _BLOCK_OF_GPU
    rows = max(1, block // len(outer.bias))
    bits = torch.arange(n, device=weight.device)
    starts = range(0, 2**n, rows)
    parts = torch.empty(len(starts), dtype=torch.float64, device=weight.device)
    for k, start in enumerate(starts):
        index = torch.arange(start, min(start + rows, 2**n), device=weight.device)
        states: Tensor = ((index[:, None] >> bits) & 1).to(weight.dtype)
        inputs = torch.addmm(outer.bias, states, weight)
        log_terms = outer.log_partition(inputs).sum(1) - inner.energy(states)
        parts[k] = log_terms.double().logsumexp(0)
    return parts.logsumexp(0).item()
