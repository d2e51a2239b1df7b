"""Random bits, for fewer random numbers than one uniform number for each bit."""

from collections.abc import Callable
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

# Uniform numbers drawn at a time on the CPU: with what they are made of they stay
# in the cache of a core.
_DRAWN_TOGETHER = 2**18
# Fewer take less time by `torch.rand` than a source of their own takes to be made.
_LEAST_DRAWN = 2**14
# Views of these that are kept.
_MOST_VIEWS = 4096
# Uniform numbers that share their low 8 bits.
_SHARE_A_FRACTION = 2**8


class RandomBits:
    r"""A source of random bits, which draws uniform numbers many at a time.

    A bit is ``u < p`` with ``u`` uniform on [0, 1), in steps of
    :math:`2^{-24}` as in float32 ``torch.rand``. On the CPU the high 16 bits
    of ``u`` are drawn for every bit and the low 8 once for every 256 in a row,

    .. math:: u_i = 2^{-16} k_i + 2^{-24} f_{\lfloor i / 256 \rfloor}, \quad
              k_i \in \{0, …, 2^{16} - 1\}, \quad f_r \in \{0, …, 2^8 - 1\},

    a quarter of the random numbers that ``torch.rand`` takes. Every marginal
    law is the one of ``torch.rand(...) < p``, that of small probabilities
    too. The covariance of two bits that share :math:`f_r` is below
    :math:`2^{-34}`; all others are independent. They come from numpy's SFC64,
    which takes less than half the time of the Mersenne twister of torch, and whose
    seed is drawn from `generator`. On other devices, where random numbers are
    cheap, and where few are asked for, ``u`` is ``torch.rand``.

    Numbers that remain from one call are used by the next, if there are enough, so that
    a training step with few draws pays no more for each than one with many. Views of
    the memory in which they lie are kept, as calls of the same sizes come again.

    Parameters
    ----------
    generator : torch.Generator
        Source of randomness, on the device of the probabilities.
    most : int or None
        Uniform numbers that are drawn at a time, on the CPU, at most 2**18, which None
        means. Below 2**14, each call draws its own.
    state : dict or None
        What `state` of another object with the same `most` was: the numbers go on from
        there. Then none is drawn from `generator` for a seed.
    """

    def __init__(
        self,
        generator: torch.Generator,
        *,
        most: int | None = None,
        state: dict[str, Any] | None = None,
    ):
        self.generator = generator
        self._n = self._used = 0
        most = _DRAWN_TOGETHER if most is None else min(most, _DRAWN_TOGETHER)
        if generator.device.type == "cpu" and most >= _LEAST_DRAWN:
            self._n_fractions = max(1, -(-most // _SHARE_A_FRACTION))
            self._n = self._used = self._n_fractions * _SHARE_A_FRACTION
            seed = None
            if state is None:
                seed = int(torch.randint(2**63 - 1, (1,), generator=generator).item())
            self._source = np.random.SFC64(seed)
            # That before the numbers at hand were drawn.
            self._before: Any = self._source.state
        self._u = torch.empty(self._n, dtype=torch.float32)
        # By their shape and where they begin.
        self._views: dict[tuple[int, ...], dict[int, Tensor]] = {}
        if self._n and state is not None:
            self._source.state = self._before | {"state": {"state": state["source"]}}
            self._draw()
            self._used = state["used"]

    @property
    def state(self) -> dict[str, Any]:
        """What comes next: a state of the source, and how many numbers to leave out."""
        if not self._n:
            return {}
        source = self._before["state"]["state"]
        return {"source": np.array(source), "used": self._used}

    def bernoulli(self, p: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Draw bits with ``P(bit = 1) = p``.

        Parameters
        ----------
        p : Tensor
            Probabilities, float32 or float64. NaN gives 0.
        out : Tensor or None
            Where the bits go, of the shape of `p`; None means a new tensor of the
            shape and dtype of `p`.

        Returns
        -------
        bits : Tensor
            Zeros and ones.
        """
        n = p.numel()
        if out is None:
            out = torch.empty_like(p, memory_format=torch.contiguous_format)
        if n > self._n > 0:
            if not out.is_contiguous():
                return out.copy_(self.bernoulli(p))
            parts = p.reshape(-1).split(self._n), out.view(-1).split(self._n)
            for part, into in zip(*parts, strict=True):
                self.bernoulli(part, out=into)
            return out
        if self._n:
            return torch.lt(self._next(n, p.shape), p, out=out)
        u = torch.rand(
            p.shape, generator=self.generator, dtype=p.dtype, device=p.device
        )
        return torch.lt(u, p, out=out)

    def drawing(self, p: Tensor, out: Tensor) -> Callable[[], Any]:
        """Return what draws bits as `bernoulli` does, at the same place each time.

        Parameters
        ----------
        p : Tensor
            Probabilities, read at each call.
        out : Tensor
            Where the bits go, of the shape of `p`.

        Returns
        -------
        draw : callable
            A function without arguments.
        """
        n, shape, less = p.numel(), p.shape, torch.lt
        if n > self._n:
            return partial(self.bernoulli, p, out=out)
        known = self._views.setdefault(shape, {})

        def draw() -> None:  # numpydoc ignore=GL08
            u = known.get(self._used)
            if u is None:
                u = self._next(n, shape)
            else:
                self._used += n
            less(u, p, out=out)

        return draw

    def _next(self, n: int, shape: tuple[int, ...]) -> Tensor:
        """Return the next n uniform numbers, valid until the next call."""
        start = self._used
        if start + n > self._n:
            self._draw()
            start = 0
        known = self._views.setdefault(shape, {})
        if start not in known:
            self._add_views(known, start, n, shape)
        self._used = start + n
        return known[start]

    def _add_views(
        self,
        known: dict[int, Tensor],
        start: int,
        n: int,
        shape: tuple[int, ...],
    ) -> None:
        """Make the view of a shape that begins at a place, and those that may follow.

        Training steps draw bits of the same shapes in turn, so that the places of one
        shape are evenly spaced. From the second place on, the views at all further
        places are made together, which takes little more time than making one.
        """
        distance = start - next(reversed(known), start)
        stop = self._n if distance >= n else start + n
        windows = self._u[start:stop].unfold(0, n, max(distance, n, 1))[:_MOST_VIEWS]
        if len(known) + len(windows) > _MOST_VIEWS:
            known.clear()
        for view in windows.view(len(windows), *shape).unbind():
            known[start] = view
            start += distance

    def _draw(self) -> None:
        # Words of 64 bits: four k each, and after them eight f each.
        self._before = self._source.state
        n_words = self._n // 4
        words = self._source.random_raw(n_words + -(-self._n_fractions // 8))
        k, f = words[:n_words].view(np.uint16), words[n_words:].view(np.uint8)
        fractions = f[: self._n_fractions, None] * np.float32(2.0**-24)
        u = self._u.copy_(torch.from_numpy(k)).view(-1, _SHARE_A_FRACTION)
        torch.add(torch.from_numpy(fractions), u, alpha=2.0**-16, out=u)
        self._used = 0


def bernoulli(
    p: Tensor,
    *,
    generator: torch.Generator | RandomBits,
    out: Tensor | None = None,
) -> Tensor:
    """Draw bits with ``P(bit = 1) = p``.

    Parameters
    ----------
    p : Tensor
        Probabilities, float32 or float64. NaN gives 0.
    generator : torch.Generator or RandomBits
        Source of randomness, on the device of `p`. For many small draws, a
        `RandomBits` saves time.
    out : Tensor or None
        Where the bits go, of the shape of `p`, which may be `p` itself; None means a
        new tensor.

    Returns
    -------
    bits : Tensor of the shape, dtype and device of `p`
        Zeros and ones, of the law that `RandomBits` states.
    """
    if isinstance(generator, torch.Generator):
        generator = RandomBits(generator, most=p.numel())
    return generator.bernoulli(p, out=out)


def bernoulli_of_rows(p: Tensor) -> Tensor:
    """Draw bits with ``P(bit = 1) = p`` that are a fixed function of each row.

    The random numbers of a row are those of `uniform_of_rows`. Equal rows have equal
    bits, whatever stands beside them.

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
    return uniform_of_rows(single, p.shape[1]).lt(single).to(p)


def uniform_of_rows(rows: Tensor, n: int) -> Tensor:
    """Draw uniform numbers that are a fixed function of each row.

    They are seeded by a checksum of the values of the row in float32.

    Parameters
    ----------
    rows : Tensor of shape (n_rows, n_columns)
        The rows.
    n : int
        How many numbers for each.

    Returns
    -------
    u : Tensor of shape (n_rows, n), float32, on the CPU
        Numbers in [0, 1).
    """
    single = rows.float().cpu().contiguous()
    u, generator = torch.empty(len(single), n, dtype=torch.float32), torch.Generator()
    for row, into in zip(single, u, strict=True):
        generator.manual_seed(crc32(row.numpy().tobytes()))
        into.uniform_(generator=generator)
    return u
