"""The exact pseudo-likelihood of a Bernoulli RBM."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.rbm._model import BernoulliRBM

# Products stay in e^±80: the range of float32 ends near e^±87.
_LARGEST_EXPONENT = 80.0
# Hidden units whose states are summed out by one matrix product, for bits.
_UNITS_A_GROUP = 5
# Rows from which on that takes less time: to make the exponentials of all states of a
# group takes about as long as the terms of some twenty rows.
_LEAST_ROWS = 24
# Factors that share a logarithm, otherwise.
_FACTORS_A_LOG = 8
# Entries of a tile: one that stays in the cache of a CPU, or fills a GPU.
_TILE_OF_CPU, _TILE_OF_GPU = 2**17, 2**25


def pseudo_log_likelihood(
    model: BernoulliRBM, v: Tensor, *, units: Tensor | None = None
) -> Tensor:
    r"""Log of the product of all conditionals of one visible unit.

    .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i})
              = \sum_i \log \sigma\left(F(v^{(i)}) - F(v)\right)

    (Besag, 1975), where :math:`v^{(i)}` is `v` with unit i flipped,
    :math:`v_i \to 1 - v_i`. A flip changes the input :math:`a_j` of hidden unit j by
    :math:`d_{ij} = (1 - 2 v_i) W_{ji}`, so that all flips of one row cost
    O(n_visible · n_hidden): with the inputs :math:`a = W v + c`,

    .. math:: F(v^{(i)}) - F(v) = -(1 - 2 v_i) b_i - \log \prod_j
              \left(\sigma(-a_j) + \sigma(a_j) e^{d_{ij}}\right).

    The factors are sums of positive terms, without cancellation, and the logarithm is
    taken of products of several factors, as many as the range of the dtype allows.
    Where `v` are bits, d has one value for 0 and one for 1: the product over a group
    of hidden units is the mean of :math:`e^{\pm \sum_j h_j W_{ji}}` over their states
    given `v`, a matrix product. It is used for 24 rows or more.

    Parameters
    ----------
    model : BernoulliRBM
        The model, of which the hidden units are binary.
    v : Tensor of shape (n_samples, n_visible)
        Visible states. Values between 0 and 1 are flipped to 1 − v as well.
    units : Tensor of shape (n_units,), dtype=int64, or None
        If given, only the conditionals of these visible units are computed, and their
        mean is used for all: an estimate, at a fraction of the cost.

    Returns
    -------
    log_pl : Tensor of shape (n_samples,)
        Log pseudo-likelihood in nats. Memory beyond a few tensors of the shape
        of `v` is bounded whatever the sizes.
    """
    a, n_visible = model.hidden_inputs(v), v.shape[1]
    weight: Tensor = model.weight
    bias: Tensor = model.visible_bias
    if units is not None:
        v, weight, bias = v[:, units], weight[:, units], bias[units]
    flip = 1 - 2 * v
    delta = -flip * bias
    largest = (flip.abs().max() * weight.abs().max()).item()
    if not largest <= _LARGEST_EXPONENT:
        _by_tiles_(delta, a, flip, weight, _log_of_any)
    elif len(v) >= _LEAST_ROWS and bool(((v == 0) | (v == 1)).all()):
        _by_groups_(delta, a, v, weight, largest)
    else:
        # A power of two: factors are multiplied by halves.
        size = 1 << (_together(largest, _FACTORS_A_LOG).bit_length() - 1)
        a, weight = _padded(a, size, 1), _padded(weight, size, 0)
        _by_tiles_(delta, a, flip, weight, partial(_log_of_products, size=size))
    return F.logsigmoid(delta).sum(1) * (n_visible / v.shape[1])


def _together(largest: float, most: int) -> int:
    """How many factors, up to e^largest each, may be multiplied: at least 1."""
    return min(most, int(_LARGEST_EXPONENT / max(largest, 1e-6)))


def _by_groups_(
    delta: Tensor, a: Tensor, v: Tensor, weight: Tensor, largest: float
) -> None:
    """Take the sums over j off `delta`, for bits: by states of groups of units."""
    size = _together(largest, _UNITS_A_GROUP)
    a, weight = _padded(a, size, 1), _padded(weight, size, 0)
    n_groups = a.shape[1] // size
    groups_a_log = _together(size * largest, n_groups)
    # A state's exponential takes 2^size / size as much memory as the weights.
    n_columns = _tile(a) * 32 // (n_groups * 2**size)
    for columns in _slices(weight.shape[1], n_columns):
        each = weight[:, columns].exp().view(n_groups, size, -1)
        rise = _products(torch.ones_like(each), each)
        fall = rise.reciprocal()
        for rows in _slices(len(a), _tile(a) // rise.shape[2]):
            # In double, as what they lack in 1 would add up over columns.
            p = a[rows].double().view(-1, n_groups, size).permute(1, 2, 0)
            p = _products(torch.sigmoid(-p), torch.sigmoid(p)).transpose(1, 2)
            p = p.to(a.dtype).contiguous()
            on, product = v[rows, columns], None
            for group in range(n_groups):
                up, down = p[group] @ rise[group], p[group] @ fall[group]
                # Exact at both ends, and several times faster than `torch.where`.
                factor = torch.lerp(up, down, on)
                product = factor if product is None else product.mul_(factor)
                if (group + 1) % groups_a_log == 0 or group + 1 == n_groups:
                    delta[rows, columns] -= product.log_()
                    product = None


def _by_tiles_(
    delta: Tensor,
    a: Tensor,
    flip: Tensor,
    weight: Tensor,
    logs: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Take the sums over j off `delta`, for any values: all terms are formed.

    ``logs(inputs, shifts)`` takes inputs of shape (rows, 1, hidden) and shifts d of
    shape (rows, columns, hidden), and returns logarithms, which are summed over the
    last axis.
    """
    weight = weight.T.contiguous()
    n_hidden = a.shape[1]
    for columns in _slices(len(weight), _tile(a) // n_hidden):
        each = weight[columns]
        for rows in _slices(len(a), _tile(a) // (n_hidden * len(each))):
            shift = flip[rows, columns, None] * each
            delta[rows, columns] -= logs(a[rows, None], shift).sum(2)


def _log_of_products(inputs: Tensor, shift: Tensor, size: int) -> Tensor:
    """Logarithms of products of `size` factors each."""
    factor = shift.exp_().mul_(torch.sigmoid(inputs)).add_(torch.sigmoid(-inputs))
    while size > 1:
        left, right = factor.tensor_split(2, dim=2)
        factor, size = left.mul_(right), size // 2
    return factor.log_()


def _log_of_any(inputs: Tensor, shift: Tensor) -> Tensor:
    """Logarithms of factors, where exp(d) may overflow."""
    return F.logsigmoid(-inputs) - F.logsigmoid(-(inputs + shift))


def _products(off: Tensor, on: Tensor) -> Tensor:
    """Multiply `off` or `on` over units, for all states of a group; axis 1 is units.

    Shapes (n_groups, size, n) give (n_groups, 2 ** size, n). All units off is the last
    state: it is the likeliest as a rule; sums that begin with small terms lose less.
    """
    pairs = torch.stack((on, off), 1)
    product = pairs[:, :, 0]
    for unit in range(1, off.shape[1]):
        product = (pairs[:, :, None, unit] * product[:, None]).flatten(1, 2)
    return product


def _padded(x: Tensor, size: int, dim: int) -> Tensor:
    """Fill groups with units of weights and biases 0, whose factor is 1."""
    missing = -x.shape[dim] % size
    return F.pad(x, (0, missing) if dim == 1 else (0, 0, 0, missing))


def _tile(x: Tensor) -> int:
    return _TILE_OF_CPU if x.device.type == "cpu" else _TILE_OF_GPU


def _slices(n: int, size: int) -> Iterator[slice]:
    size = max(1, size)
    return (slice(start, start + size) for start in range(0, n, size))
