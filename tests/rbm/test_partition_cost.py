import pytest

from skgen.rbm._partition_cost import (
    cheaper_method,
    seconds_annealed,
    seconds_exact,
)

DEFAULT = {"n_chains": 200, "n_temperatures": 2000}


@pytest.mark.parametrize("n_summed_out", [26, 100, 784, 3000])
def test_the_choice_changes_once_where_the_times_are_equal(n_summed_out):
    methods = [cheaper_method(n, n_summed_out, **DEFAULT) for n in range(1, 40)]
    n_exact = methods.count("exact")
    assert methods == ["exact"] * n_exact + ["ais"] * (39 - n_exact)
    for n, exact_is_cheaper in ((n_exact, True), (n_exact + 1, False)):
        annealing = seconds_annealed(n, n_summed_out, **DEFAULT)
        assert (seconds_exact(n, n_summed_out) <= annealing) is exact_is_cheaper


@pytest.mark.parametrize(
    ("sizes", "seconds"),
    [
        # Measured on one core, in a run of its own.
        ((20, 20), 0.26),
        ((16, 100), 0.055),
        ((14, 784), 0.105),
        ((11, 5000), 0.084),
    ],
)
def test_enumeration_was_measured(sizes, seconds):
    assert seconds_exact(*sizes) == pytest.approx(seconds, rel=0.3)


@pytest.mark.parametrize(
    ("sizes", "annealing", "seconds"),
    [
        ((16, 16), (200, 2000), 2.06),
        ((26, 100), (200, 2000), 2.91),
        ((100, 100), (200, 2000), 5.84),
        ((26, 784), (200, 2000), 13.5),
        ((26, 784), (100, 1000), 6.28),
        ((100, 784), (200, 2000), 16.8),
        ((26, 3000), (200, 2000), 40.2),
    ],
)
def test_annealing_was_measured(sizes, annealing, seconds):
    n_chains, n_temperatures = annealing
    estimate = seconds_annealed(
        *sizes, n_chains=n_chains, n_temperatures=n_temperatures
    )
    assert estimate == pytest.approx(seconds, rel=0.4)


def test_what_takes_less_than_a_second_is_exact():
    little = {"n_chains": 2, "n_temperatures": 1}
    assert cheaper_method(14, 784, **little) == "exact"
    assert cheaper_method(20, 784, **little) == "ais"


def test_no_size_is_too_large():
    assert cheaper_method(5000, 10**6, **DEFAULT) == "ais"
    assert cheaper_method(26, 26, n_chains=10**6, n_temperatures=10**6) == "ais"
