"""Random bits: Bernoulli draws at the cost of bits rather than of uniforms."""

from zlib import crc32

import torch
from torch import Tensor


def bernoulli(p: Tensor, *, generator: torch.Generator) -> Tensor:
    r"""Draw bits with ``P(bit = 1) = p``.

    A bit is ``u < p`` with ``u`` uniform on [0, 1), in steps of
    :math:`2^{-24}` as in float32 ``torch.rand``. On the CPU the high 16 bits
    of ``u`` are drawn for every entry and the low 8 once for every row,

    .. math:: u_{ri} = 2^{-16} k_{ri} + 2^{-24} f_r, \quad
              k_{ri} \in \{0, …, 2^{16} - 1\}, \quad f_r \in \{0, …, 2^8 - 1\},

    a quarter of the random numbers that ``torch.rand`` takes. Every marginal
    law is the one of ``torch.rand(...) < p``, that of small probabilities
    too, and rows are independent. Two bits of one row share :math:`f_r`; the
    covariance that this causes is below :math:`2^{-34}`. On other devices,
    where random numbers are cheap, ``u`` is ``torch.rand``.

    Parameters
    ----------
    p : Tensor of shape (n_rows, n)
        Probabilities, float32 or float64. NaN gives 0.
    generator : torch.Generator
        Source of randomness, on the device of `p`.

    Returns
    -------
    bits : Tensor of the shape, dtype and device of `p`
        Zeros and ones.
    """
    if p.device.type == "cpu":
        return _by_words(p, generator)
    return _by_uniforms(p, generator)


def _by_words(p: Tensor, generator: torch.Generator) -> Tensor:
    # Four 16-bit numbers a word. The range is spelled out because the default
    # one leaves the top bit of each word 0.
    n = p.numel()
    words = torch.empty((n + 3) // 4, dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator)
    high = words.view(torch.uint16)[:n].view(p.shape)
    low = torch.randint(0, 2**8, (p.shape[0], 1), generator=generator, dtype=p.dtype)
    return high.to(p.dtype).add_(low, alpha=2.0**-8).lt_(p * 2.0**16)


def _by_uniforms(p: Tensor, generator: torch.Generator) -> Tensor:
    u = torch.rand(p.shape, generator=generator, dtype=p.dtype, device=p.device)
    return u.lt_(p)


def bernoulli_of_rows(p: Tensor) -> Tensor:
    """Draw bits with ``P(bit = 1) = p`` that are a fixed function of each row.

    The random numbers of a row are seeded by a checksum of its values in
    float32. Equal rows have equal bits, whatever stands beside them.

    Parameters
    ----------
    p : Tensor of shape (n_rows, n)
        Probabilities.

    Returns
    -------
    bits : Tensor of the shape, dtype and device of `p`
        Zeros and ones. Rows that are bits already come back as they are.
    """
    single = p.float().cpu()
    u, generator = torch.empty_like(single), torch.Generator()
    for row, into in zip(single, u, strict=True):
        generator.manual_seed(crc32(row.numpy().tobytes()))
        into.uniform_(generator=generator)
    return u.lt(single).to(p)
