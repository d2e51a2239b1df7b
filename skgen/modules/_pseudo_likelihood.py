"""The exact pseudo-likelihood of a Bernoulli RBM."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.modules._rbm import BernoulliRBM

# Products stay in e^±80: the range of float32 ends near e^±87.
_LARGEST_EXPONENT = 80.0
# Hidden units whose states are summed out by one matrix product, for bits.
_UNITS_A_GROUP = 5
# Factors that share a logarithm, for values between 0 and 1.
_FACTORS_A_LOG = 8
# Entries of a tile: one that stays in the cache of a CPU, or fills a GPU.
_TILE_OF_CPU, _TILE_OF_GPU = 2**17, 2**25


def pseudo_log_likelihood(model: BernoulliRBM, v: Tensor) -> Tensor:
    r"""Log of the product of all conditionals of one visible unit.

    .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i})
              = \sum_i \log \sigma\left(F(v^{(i)}) - F(v)\right)

    (Besag, 1975), where :math:`v^{(i)}` is `v` with unit i flipped,
    :math:`v_i \to 1 - v_i`. A flip moves the field :math:`a_j` of hidden unit j by
    :math:`d_{ij} = (1 - 2 v_i) W_{ji}`, so that all flips of one row cost
    O(n_visible · n_hidden): with the fields :math:`a = W v + c`,

    .. math:: F(v^{(i)}) - F(v) = -(1 - 2 v_i) b_i - \log \prod_j
              \left(\sigma(-a_j) + \sigma(a_j) e^{d_{ij}}\right).

    The factors are sums of positive terms, which lose no digits, and a logarithm is
    taken of several of them at a time, as many as the range of the dtype allows.
    Where `v` are bits, d has one value for 0 and one for 1: the product over a group
    of hidden units is their mean of :math:`e^{\pm \sum_j h_j W_{ji}}` given `v`, a
    matrix product over the states of the group.

    Parameters
    ----------
    model : BernoulliRBM
        The model.
    v : Tensor of shape (n_samples, n_visible)
        Visible states. Values in between 0 and 1 flip to 1 − v as well.

    Returns
    -------
    log_pl : Tensor of shape (n_samples,)
        Log pseudo-likelihood in nats. Memory beyond a few tensors of the shape
        of `v` is bounded whatever the sizes.
    """
    flip = 1 - 2 * v
    delta = -flip * model.visible_bias
    a = model.hidden_logits(v)
    largest = (flip.abs().max() * model.weight.abs().max()).item()
    if not largest <= _LARGEST_EXPONENT:
        _by_softplus_(delta, a, flip, model.weight)
    elif bool(((v == 0) | (v == 1)).all()):
        _by_groups_(delta, a, v > 0, model.weight, largest)
    else:
        _by_factors_(delta, a, flip, model.weight, largest)
    return F.logsigmoid(delta).sum(1)


def _by_groups_(
    delta: Tensor, a: Tensor, on: Tensor, weight: Tensor, largest: float
) -> None:
    """Take the sums over j off `delta`, for bits: by states of groups of units."""
    size = max(1, min(_UNITS_A_GROUP, int(_LARGEST_EXPONENT / max(largest, 1e-6))))
    groups_a_log = int(_LARGEST_EXPONENT / max(size * largest, 1.0))
    a, weight = _padded(a, size, 1), _padded(weight, size, 0)
    n_groups = a.shape[1] // size
    # A state's exponential takes 2^size / size as much memory as the weights.
    n_columns = max(1, _tile(a) * 32 // (n_groups * 2**size))
    for columns in _slices(weight.shape[1], n_columns):
        each = weight[:, columns].double().exp().view(n_groups, size, -1)
        rise = _products(torch.ones_like(each), each)
        rise, fall = rise.to(a.dtype), rise.reciprocal().to(a.dtype)
        for rows in _slices(len(a), _tile(a) // rise.shape[2]):
            p = a[rows].double().view(-1, n_groups, size).permute(1, 2, 0)
            p = _products(torch.sigmoid(-p), torch.sigmoid(p)).transpose(1, 2)
            p = p.to(a.dtype).contiguous()
            # Rounded, they sum to 1 not quite, alike for all columns.
            excess = p.sum(2, dtype=torch.float64).log().sum(0)
            delta[rows, columns] += excess.to(a.dtype)[:, None]
            flipped, product = on[rows, columns], None
            for group in range(n_groups):
                factor = torch.where(
                    flipped, p[group] @ fall[group], p[group] @ rise[group]
                )
                product = factor if product is None else product.mul_(factor)
                if (group + 1) % groups_a_log == 0 or group + 1 == n_groups:
                    delta[rows, columns] -= product.log_()
                    product = None


def _by_factors_(
    delta: Tensor, a: Tensor, flip: Tensor, weight: Tensor, largest: float
) -> None:
    """Take the sums over j off `delta`, for any values: all factors formed."""
    size = max(1, min(_FACTORS_A_LOG, int(_LARGEST_EXPONENT / max(largest, 1e-6))))
    size = 1 << (size.bit_length() - 1)
    a, weight = _padded(a, size, 1), _padded(weight, size, 0).T.contiguous()
    p, q = torch.sigmoid(a)[:, None], torch.sigmoid(-a)[:, None]
    n_hidden = a.shape[1]
    n_columns = max(1, _tile(a) // n_hidden)
    for columns in _slices(len(weight), n_columns):
        each = weight[columns]
        for rows in _slices(len(a), _tile(a) // (n_hidden * len(each))):
            factor = (flip[rows, columns, None] * each).exp_().mul_(p[rows])
            factor += q[rows]
            while factor.shape[2] * size > n_hidden:
                left, right = factor.tensor_split(2, dim=2)
                factor = left.mul_(right)
            delta[rows, columns] -= factor.log_().sum(2)


def _by_softplus_(delta: Tensor, a: Tensor, flip: Tensor, weight: Tensor) -> None:
    """Take the sums over j off `delta` where exp(d) may overflow."""
    weight = weight.T.contiguous()
    n_hidden = a.shape[1]
    for columns in _slices(len(weight), max(1, _tile(a) // n_hidden)):
        each = weight[columns]
        for rows in _slices(len(a), _tile(a) // (n_hidden * len(each))):
            field = a[rows, None]
            moved = field + flip[rows, columns, None] * each
            terms = F.logsigmoid(-field) - F.logsigmoid(-moved)
            delta[rows, columns] -= terms.sum(2)


def _products(off: Tensor, on: Tensor) -> Tensor:
    """Multiply `off` or `on` over units, for all states of a group; axis 1 is units.

    Shapes (n_groups, size, n) give (n_groups, 2 ** size, n). All units off is the last
    state: it is the likeliest as a rule; sums that begin with small terms lose less.
    """
    product = torch.ones_like(off[:, :1])
    for unit in range(off.shape[1]):
        pair = on[:, unit : unit + 1], off[:, unit : unit + 1]
        product = torch.cat([product * each for each in pair], dim=1)
    return product


def _padded(x: Tensor, size: int, dim: int) -> Tensor:
    """Add units without couplings and fields, whose factor is 1, to fill groups."""
    missing = -x.shape[dim] % size
    return F.pad(x, (0, missing) if dim == 1 else (0, 0, 0, missing))


def _tile(x: Tensor) -> int:
    return _TILE_OF_CPU if x.device.type == "cpu" else _TILE_OF_GPU


def _slices(n: int, size: int) -> Iterator[slice]:
    size = max(1, size)
    return (slice(start, start + size) for start in range(0, n, size))
