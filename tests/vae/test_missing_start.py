"""What training on incomplete tables starts from: factor analysis by EM."""

import numpy as np
import pytest
import torch
from oracles import Gaussian

from skgen.training._rows import row_source
from skgen.vae._fill import LinearFill
from skgen.vae._incomplete_start import (
    column_means,
    completed,
    factor_analysis,
    factors_of_incomplete,
)

RNG = np.random.RandomState(0)
X = RNG.normal(size=(8, 3))
HOLES = np.where(RNG.uniform(size=X.shape) < 0.4, np.nan, X)
WEIGHT = np.array([0.2, 2.0, 0.4, 1.4, 1.2, 0.8, 1.5, 0.5])


def tensor(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)


def factors(n_rows, seed=0):
    rng = np.random.RandomState(seed)
    W = rng.normal(size=(2, 6))
    x = rng.normal(size=(n_rows, 2)) @ W + 0.5 * rng.normal(size=(n_rows, 6))
    return x, Gaussian(np.zeros(6), W.T @ W + 0.25 * np.eye(6))


@pytest.mark.parametrize("weight", [None, "weight"])
def test_a_completed_table_has_the_covariance_of_the_law(weight):
    x, law = factors(4000)
    missing = np.random.RandomState(1).uniform(size=x.shape) < 0.3
    holes = np.where(missing, np.nan, x)
    if weight is not None:
        # The second half is of another law, and counts for nothing.
        holes[2000:] *= 3
        weight = np.where(np.arange(4000) < 2000, 2.0, 1e-6)
    filled = completed(holes, *factor_analysis(holes, 2, weight))
    np.testing.assert_array_equal(filled[~missing], holes[~missing])
    assert not np.isnan(filled).any()
    n = 4000 if weight is None else 2000
    covariance = filled[:n].T @ filled[:n] / n
    scale = np.sqrt(np.outer(*[np.diag(law.covariance)] * 2))
    assert np.abs((covariance - law.covariance) / scale).max() < 0.1
    mean_filled = np.where(missing, 0, x)
    wrong = mean_filled.T @ mean_filled / len(x)
    assert np.abs((wrong - law.covariance) / scale).max() > 0.25


@pytest.mark.parametrize("n_factors", [0, 2])
def test_what_stands_for_missing_entries_in_front_of_the_encoder(n_factors):
    """Their conditional means under the linear model, or the means of the features."""
    rng = np.random.RandomState(0)
    mean, W = rng.normal(size=6), rng.normal(size=(6, n_factors))
    noise = rng.uniform(0.1, 0.5, 6)
    law = Gaussian(mean, W @ W.T + np.diag(noise))
    x = rng.normal(size=(20, 6))
    x[rng.uniform(size=x.shape) < 0.4] = np.nan
    x[0] = np.nan
    filled = LinearFill(mean, W, noise)(tensor(x))
    np.testing.assert_allclose(filled, law.impute(x), atol=1e-12)


def test_a_complete_table_needs_no_linear_model():
    assert factors_of_incomplete(row_source(X), 2) is None


def test_means_of_columns_are_of_what_is_known():
    rows = row_source(HOLES).select(np.arange(len(HOLES)), WEIGHT)
    known = ~np.isnan(HOLES)
    expected = (WEIGHT[:, None] * np.nan_to_num(HOLES)).sum(0) / (
        WEIGHT[:, None] * known
    ).sum(0)
    np.testing.assert_allclose(column_means(rows, None), expected)
    complete = row_source(X).select(np.arange(len(X)), WEIGHT)
    np.testing.assert_allclose(column_means(complete, None), WEIGHT @ X / len(X))


def test_factor_analysis_of_what_is_observed():
    """Its likelihood is that of the law within the error of an estimate."""
    x, law = factors(2000)
    missing = np.random.RandomState(1).uniform(size=x.shape) < 0.4
    holes = np.where(missing, np.nan, x)
    loadings, noise = factor_analysis(holes, 2)
    found = Gaussian(np.zeros(6), loadings @ loadings.T + np.diag(noise))
    gap = law.log_p_observed(holes).mean() - found.log_p_observed(holes).mean()
    assert -0.01 < gap < 0.002
    few = factor_analysis(np.where(missing, 0, x), 2)
    wrong = Gaussian(np.zeros(6), few[0] @ few[0].T + np.diag(few[1]))
    assert wrong.log_p_observed(holes).mean() < found.log_p_observed(holes).mean() - 0.1
