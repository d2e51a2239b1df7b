"""Data sets, against counting, enumeration and the solution of the Ising model."""

import numpy as np
import pytest
from oracles import KaufmanIsing, all_states, bars_and_stripes
from scipy.stats import chisquare

from skgen.datasets import make_bars_and_stripes, make_ising, make_labelled_shifter


def rows(X):
    return {tuple(row) for row in X}


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_bars_and_stripes(size):
    X = make_bars_and_stripes(size)
    assert sorted(map(tuple, X)) == sorted(map(tuple, bars_and_stripes(size)))
    states, counts = np.unique(X, axis=0, return_counts=True)
    assert len(states) == 2 * 2**size - 2
    # the entropy that the docstring states
    p = counts / counts.sum()
    expected = (size + 1) * np.log(2) - 2.0 ** (1 - size) * np.log(2)
    assert -np.sum(p * np.log(p)) == pytest.approx(expected)


def test_labelled_shifter():
    X = make_labelled_shifter()
    assert X.shape == (768, 19)
    assert len(rows(X)) == 768
    for row in X[::7].astype(int):
        pattern, shifted, label = row[:8], row[8:16], row[16:]
        assert label.sum() == 1
        step = label.argmax() - 1  # -1: to the left
        assert all(shifted[(k + step) % 8] == pattern[k] for k in range(8))


@pytest.mark.parametrize("make", [make_bars_and_stripes, make_labelled_shifter])
def test_draws(make):
    """Chi-square over all choices; one that favours half of them is rejected."""
    full = make(3)
    X = make(3, n_samples=5000, random_state=0)
    assert X.shape == (5000, full.shape[1])
    np.testing.assert_array_equal(X, make(3, n_samples=5000, random_state=0))
    states, weight = np.unique(full, axis=0, return_counts=True)
    seen, counts = np.unique(X, axis=0, return_counts=True)
    np.testing.assert_array_equal(seen, states)
    expected = weight / weight.sum() * len(X)
    assert chisquare(counts, expected).pvalue > 1e-4
    wrong = expected * np.where(np.arange(len(states)) % 2, 1.15, 0.85)
    wrong *= expected.sum() / wrong.sum()
    assert chisquare(counts, wrong).pvalue < 1e-4


def energy(X):
    """Energy by two loops over the lattice."""
    side = int(X.shape[1] ** 0.5)
    s = (2 * X - 1).reshape(-1, side, side)
    total = np.zeros(len(X))
    for r in range(side):
        for c in range(side):
            total -= s[:, r, c] * (s[:, (r + 1) % side, c] + s[:, r, (c + 1) % side])
    return total


@pytest.mark.parametrize("temperature", [2.0, 2.269185, 3.0])
def test_oracle_of_ising_by_enumeration(temperature):
    E = energy(all_states(16))
    weights = np.exp(-E / temperature)
    exact = KaufmanIsing(4, temperature)
    assert exact.log_z == pytest.approx(np.log(weights.sum()), rel=1e-10)
    mean = weights @ E / weights.sum()
    assert exact.mean_energy == pytest.approx(mean, rel=1e-6)


def z_score(X, exact):
    E = energy(X)
    return (E.mean() - exact.mean_energy) / (E.std() / np.sqrt(len(E)))


@pytest.mark.parametrize("size", [3, 4, 5, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("temperature", [1.5, 2.269185, 4.0])
def test_ising_energy(size, temperature):
    """Within 4.5 standard errors of the exact one; that of T + 10 % is rejected."""
    X = make_ising(2000, size=size, temperature=temperature, random_state=0)
    assert set(np.unique(X)) == {0, 1}
    assert abs(z_score(X, KaufmanIsing(size, temperature))) < 4.5
    assert abs(z_score(X, KaufmanIsing(size, 1.1 * temperature))) > 4.5
    magnetization = (2 * X - 1).mean(axis=1)
    assert abs(magnetization.mean()) < 4.5 * magnetization.std() / np.sqrt(2000)


def test_ising_by_clusters_has_the_law_of_the_table(monkeypatch):
    """The distribution of energy and magnetization on 3 x 3, by chi-square."""
    monkeypatch.setattr("skgen.datasets._MAX_ENUMERATED", 0)
    X = make_ising(20_000, size=3, temperature=2.5, n_sweeps=30, random_state=0)
    states = all_states(9)
    p = np.exp(-energy(states) / 2.5)
    index = (X.astype(int) @ (2 ** np.arange(9)[::-1])).astype(int)
    likely = p / p.sum() * len(X) > 5
    counts = np.bincount(index, minlength=512)

    def p_value(p):
        expected = p / p.sum() * len(X)
        pooled = np.append(expected[likely], expected[~likely].sum())
        return chisquare(
            np.append(counts[likely], counts[~likely].sum()), pooled
        ).pvalue

    assert p_value(p) > 1e-4
    assert p_value(np.exp(-energy(states) / 2.6)) < 1e-4


def test_ising_mixes_at_the_critical_temperature():
    """From random spins, half the sweeps give the same: 8 x 8, in the energy."""
    exact = KaufmanIsing(8, 2.269185)
    few, half = (make_ising(2000, size=8, n_sweeps=n, random_state=1) for n in (1, 100))
    assert abs(z_score(few, exact)) > 4.5
    assert abs(z_score(half, exact)) < 4.5


@pytest.mark.parametrize(
    ("make", "params"),
    [
        (make_bars_and_stripes, {"size": 0}),
        (make_labelled_shifter, {"n_bits": 2}),
        (make_ising, {"temperature": 0.0}),
        (make_ising, {"size": 2}),
    ],
)
def test_bad_parameters(make, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        make(**params)
