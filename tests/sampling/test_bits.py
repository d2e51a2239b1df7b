"""The law of random bits. Each test states what a wrong sampler would give."""

import numpy as np
import pytest
import torch
from scipy import stats

from skgen.sampling import RandomBits, bernoulli, bernoulli_of_rows, uniform_of_rows

N = 2**22


@pytest.fixture(autouse=True, params=["words", "uniforms"])
def way(request, monkeypatch):
    """Both ways of drawing: that of the CPU, and that of other devices."""

    def init_elsewhere(self, generator, *, most=None):
        self.generator = generator
        self._n = self._used = 0
        self._views = {}

    if request.param == "uniforms":
        monkeypatch.setattr(RandomBits, "__init__", init_elsewhere)
    return request.param


def draw(p, generator, dtype=torch.float32, columns=64):
    return bernoulli(
        torch.full((N // columns, columns), p, dtype=dtype), generator=generator
    )


@pytest.mark.parametrize("p", [1e-3, 0.1, 0.25, 0.35, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mean(p, dtype, generator):
    count = int(draw(p, generator, dtype).sum())
    assert stats.binomtest(count, N, p).pvalue > 1e-3


@pytest.mark.parametrize("p", [0.1, 0.35, 0.9])
def test_a_sampler_of_8_bits_is_rejected(p, generator):
    # Its probabilities are multiples of 1/256: 0.2 to 2 % off.
    u = torch.randint(0, 256, (N,), generator=generator) / 256
    assert stats.binomtest(int((u < p).sum()), N, p).pvalue < 1e-6


@pytest.mark.parametrize("log2_n", [pytest.param(27, marks=pytest.mark.slow), 24])
@pytest.mark.parametrize("p", [1e-6, 1e-5, 2.0**-17])
def test_small_probabilities_are_not_lost(p, log2_n, generator):
    # One fraction serves 256 bits, whose ones at p < 2^-16 come together: the
    # variance of the count is larger by 0.4 %, which does not matter here.
    n, count = 2**log2_n, 0
    bits = RandomBits(generator)
    for _ in range(8):
        count += int(bits.bernoulli(torch.full((n // 8,), p)).sum())
    assert stats.binomtest(count, n, p).pvalue > 1e-3
    # A sampler of 16 bits gives none at all, or 2^-16: both far away.
    assert stats.binomtest(0, n, p).pvalue < 1e-6
    assert stats.binomtest(n >> 16, n, p).pvalue < 1e-6


def test_ends(generator):
    p = torch.tensor([[0.0, 1.0, torch.nan]]).repeat(2**16, 1)
    bits = bernoulli(p, generator=generator)
    assert (bits == torch.tensor([0.0, 1.0, 0.0])).all()


def test_independent_within_and_between_rows(generator):
    bits = draw(0.3, generator, columns=8).numpy()
    correlation = np.corrcoef(bits.T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(bits))
    lagged = np.corrcoef(bits[:-1].ravel(), bits[1:].ravel())[0, 1]
    assert abs(lagged) < 5 / np.sqrt(bits.size)


def test_values_of_a_row_are_all_combinations(generator):
    # Chi-square over the 2^8 patterns of a row.
    p = np.linspace(0.2, 0.8, 8)
    rows = torch.tensor(p, dtype=torch.float32).repeat(2**18, 1)
    bits = bernoulli(rows, generator=generator).numpy()
    counts = np.bincount(bits.astype(int) @ 2 ** np.arange(8), minlength=2**8)
    states = (np.arange(2**8)[:, None] >> np.arange(8)) & 1
    law = np.prod(np.where(states, p, 1 - p), axis=1)
    assert stats.chisquare(counts, law * len(bits)).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 1), (0, 4), (2, 784)])
def test_shapes(shape, generator):
    bits = bernoulli(torch.full(shape, 0.5), generator=generator)
    assert bits.shape == shape
    assert set(bits.unique().tolist()) <= {0.0, 1.0}


def test_seed_gives_the_bits():
    p = torch.full((10, 10), 0.5)
    draws = [
        bernoulli(p, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_no_uniform_number_serves_twice(way, monkeypatch):
    """Whatever the sizes: here they are 0, 1, 2, ... in place of random ones."""
    if way == "uniforms":
        pytest.skip("torch.rand draws in blocks")
    drawn, used = [0], []

    def draw(self):
        self._u.copy_(torch.arange(drawn[0], drawn[0] + len(self._u)))
        drawn[0] += len(self._u)
        self._used = 0

    def lt(u, p, *, out):
        used.append(u.flatten().clone())
        return out.zero_()

    monkeypatch.setattr(RandomBits, "_draw", draw)
    monkeypatch.setattr(torch, "lt", lt)
    source = RandomBits(torch.Generator(), most=2**14)
    rng = np.random.RandomState(0)
    shapes = [(1,), (7, 3), (20, 160), (2, 3000), (17_000,), (70, 300)]
    for _ in range(1000):
        shape = shapes[rng.randint(len(shapes))]
        before = sum(map(len, used))
        assert source.bernoulli(torch.full(shape, 0.5)).shape == shape
        assert sum(map(len, used)) - before == np.prod(shape)
    numbers = torch.cat(used)
    assert (numbers.diff() > 0).all()
    assert drawn[0] < 2**24  # exact in float32
    assert len(numbers) > 0.6 * drawn[0]  # and few are left unused


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_draws_are_one_large_one_if_they_fit(dtype, way):
    if way == "uniforms":
        pytest.skip("torch.rand draws in blocks")
    p = torch.rand(2**18, generator=torch.Generator().manual_seed(1), dtype=dtype)
    sizes = [1, 7, 784, 2560, 200_000]
    sizes.append(len(p) - sum(sizes))
    source = RandomBits(torch.Generator().manual_seed(2))
    small = torch.cat([source.bernoulli(part) for part in p.split(sizes)])
    source = RandomBits(torch.Generator().manual_seed(2))
    assert torch.equal(small, source.bernoulli(p))
    assert small.dtype == dtype


def test_draws_into_a_tensor(generator):
    out, p = torch.full((3, 40), 9.0), torch.rand(40, 3).T
    RandomBits(generator).bernoulli(p[1:], out=out[1:])
    assert set(out[1:].unique().tolist()) == {0.0, 1.0}
    assert (out[0] == 9).all()


@pytest.mark.parametrize("most", [1, 2**14])
def test_a_drawing_is_bernoulli_at_one_place(most):
    """Two of them take turns, as probabilities change, past the numbers of a draw."""
    p, q = torch.rand(7, 3), torch.rand(40, 20).T
    into, other = torch.empty(7, 4)[:, 1:], torch.empty(20, 40)
    sources = [
        RandomBits(torch.Generator().manual_seed(3), most=most) for _ in range(2)
    ]
    first, second = (sources[0].drawing(*pair) for pair in ((p, into), (q, other)))
    for _ in range(40):
        first()
        assert torch.equal(into, sources[1].bernoulli(p))
        second()
        assert torch.equal(other, sources[1].bernoulli(q))
        p.copy_(p.roll(1))


class OneViewAtATime(RandomBits):
    """Looks at its numbers where they are asked for, and nowhere else."""

    def _add_views(self, known, start, n, shape):
        known[start] = self._u[start : start + n].view(shape)


@pytest.mark.parametrize("takes_turns", [True, False])
def test_views_that_are_made_beforehand_are_where_they_are_asked_for(takes_turns):
    shapes = [(9, 7), (300,), (2, 5, 3), (), (0, 4)]
    ask = np.random.RandomState(0).randint(len(shapes), size=3000)
    if takes_turns:
        ask = np.tile(np.arange(len(shapes)), 600)
    sources = [
        kind(torch.Generator().manual_seed(3), most=2**14)
        for kind in (RandomBits, OneViewAtATime)
    ]
    for which in ask:
        p = torch.full(shapes[which], 0.5)
        bits, expected = (source.bernoulli(p) for source in sources)
        assert torch.equal(bits, expected)


def test_probabilities_need_not_be_contiguous(generator):
    p = torch.tensor([[0.0, 1.0]]).repeat(2**18, 1).T
    assert torch.equal(bernoulli(p, generator=generator), p)
    assert torch.equal(RandomBits(generator).bernoulli(p[:, :99]), p[:, :99])


def test_global_seed_stays(generator):
    before = torch.get_rng_state()
    draw(0.5, generator)
    assert torch.equal(before, torch.get_rng_state())


def test_bits_of_rows_have_their_probability():
    """20,000 different rows: means within 4.5 errors, 0.02 off is rejected."""
    p = torch.linspace(0.05, 0.95, 7).expand(20_000, 7).clone()
    p += 1e-4 * torch.arange(20_000)[:, None] / 20_000  # no two rows alike
    bits = bernoulli_of_rows(p)
    error = (p[0] * (1 - p[0]) / 20_000).sqrt()
    difference = bits.mean(0) - p.mean(0)
    assert (difference.abs() < 4.5 * error).all()
    assert ((difference - 0.02).abs() > 4.5 * error).all()
    correlation = torch.corrcoef(bits.T) - torch.eye(7)
    assert correlation.abs().max() < 4.5 / 20_000**0.5


def test_bits_of_rows_depend_on_the_row_alone():
    rows = torch.rand(50, 20, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    bits = bernoulli_of_rows(rows)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(bits[7:9], bernoulli_of_rows(rows[7:9]))
    assert torch.equal(bits.flip(0), bernoulli_of_rows(rows.flip(0)))
    double = bernoulli_of_rows(rows.double())
    assert double.dtype == torch.float64
    assert torch.equal(bits.double(), double)


def test_bits_of_rows_leave_bits_alone():
    rows = torch.rand(50, 20, generator=torch.Generator().manual_seed(0)).round()
    assert torch.equal(bernoulli_of_rows(rows), rows)


def test_uniform_numbers_of_rows():
    """As many as asked for, uniform, independent from row to row, of the row alone."""
    rows = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0))
    u = uniform_of_rows(rows, 5)
    assert u.shape == (4000, 5)
    assert torch.equal(uniform_of_rows(rows[7:9], 5), u[7:9])
    assert torch.equal(uniform_of_rows(rows.double(), 5), u)
    for column in u.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-4
    both = torch.cat([u, rows], dim=1)
    correlation = torch.corrcoef(both.T) - torch.eye(8)
    assert correlation.abs().max() < 4.5 / 4000**0.5
