"""Shrunk covariances against those of scikit-learn."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from skgen.base._covariance import directions_of, shrunk_covariance
from skgen.training._rows import row_source


@pytest.mark.parametrize("n_rows", [3, 20, 500])
def test_shrinkage_is_that_of_scikit_learn(n_rows):
    X = np.random.RandomState(0).standard_normal((n_rows, 6)) @ np.diag(
        np.arange(6) + 0.5
    )
    X -= X.mean(0)
    got = shrunk_covariance(row_source(X))
    np.testing.assert_allclose(got, ledoit_wolf(X)[0], rtol=1e-9, atol=1e-12)


def test_weights_are_repetitions_for_the_covariance_of_many_rows():
    rng = np.random.RandomState(0)
    X, weight = (
        rng.standard_normal((5000, 3)) @ rng.standard_normal((3, 3)),
        rng.uniform(0.5, 2, 5000),
    )
    rows = row_source(X).select(np.arange(5000), weight / weight.mean())
    expected = np.cov(X.T, aweights=weight, ddof=0)
    np.testing.assert_allclose(shrunk_covariance(rows), expected, rtol=0.02, atol=0.02)


def test_directions():
    X = np.random.RandomState(0).standard_normal((500, 4)) @ np.diag([1, 2, 3, 0.0])
    spread, basis = directions_of(row_source(X), correlated=True)
    covariance = basis @ np.diag(spread**2) @ basis.T
    np.testing.assert_allclose(covariance, shrunk_covariance(row_source(X)), atol=1e-4)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)
    assert (spread > 0).all()
    spread, basis = directions_of(row_source(X), correlated=False)
    assert basis is None
    np.testing.assert_array_equal(spread, 1)
