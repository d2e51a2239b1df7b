"""The exact pseudo-likelihood of a Bernoulli RBM."""

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.modules._rbm import BernoulliRBM

# Above this, exp of a coupling nears the end of float32 (e^88).
_LARGE_COUPLING = 60.0


def pseudo_log_likelihood(model: BernoulliRBM, v: Tensor) -> Tensor:
    r"""Log of the product of all conditionals of one visible unit.

    .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i})
              = \sum_i \log \sigma\left(F(v^{(i)}) - F(v)\right)

    (Besag, 1975), where :math:`v^{(i)}` is `v` with unit i flipped,
    :math:`v_i \to 1 - v_i`. A flip moves the field of hidden unit j by
    :math:`d_{ij} = (1 - 2 v_i) W_{ji}`, so that all flips of one row cost
    O(n_visible · n_hidden): with the fields :math:`a = W v + c`,

    .. math:: F(v^{(i)}) - F(v) = -(1 - 2 v_i) b_i
              - \sum_j \log\left(1 - \sigma(a_j) + \sigma(a_j) e^{d_{ij}}\right).

    Where :math:`a_j > 0` the summand is taken as :math:`d_{ij} +
    \log(1 + \sigma(-a_j) (e^{-d_{ij}} - 1))`: the argument of the logarithm
    then stays above 1/2, also in float32 and at saturated units.

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
    weight = model.weight.T.contiguous()
    flip = 1 - 2 * v
    a = model.hidden_logits(v)
    large = flip.abs().max() * weight.abs().max() > _LARGE_COUPLING
    terms = _large_terms if large else _terms
    delta = -flip * model.visible_bias
    if not large:
        delta -= flip * ((a > 0).to(v.dtype) @ model.weight)
    n_visible, n_hidden = weight.shape
    # A tile of the (rows, visible, hidden) block stays in the cache of a CPU.
    tile = 2**18 if v.device.type == "cpu" else 2**25
    columns = min(n_visible, max(1, tile // n_hidden))
    rows = max(1, tile // (n_hidden * columns))
    for r in range(0, len(v), rows):
        for i in range(0, n_visible, columns):
            block = slice(r, r + rows), slice(i, i + columns)
            shift = flip[block].unsqueeze(2) * weight[block[1]]
            delta[block] -= terms(a[block[0]].unsqueeze(1), shift).sum(2)
    return F.logsigmoid(delta).sum(1)


def _terms(a: Tensor, shift: Tensor) -> Tensor:
    """Terms of the sum over j, less `shift` where a > 0 (a matrix product)."""
    sign = torch.where(a > 0, -1.0, 1.0).to(a.dtype)
    smaller = torch.sigmoid(-a.abs())
    return shift.mul_(sign).expm1_().mul_(smaller).log1p_()


def _large_terms(a: Tensor, shift: Tensor) -> Tensor:
    """Terms of the sum over j where exp(shift) may overflow."""
    return F.logsigmoid(-a) - F.logsigmoid(-(a + shift))
