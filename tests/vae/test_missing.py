"""What a VAE knows of incomplete rows, against closed forms and quadrature.

A linear decoder with Gaussian noise is a Gaussian, whose answers are exact.
"""

import itertools

import numpy as np
import pytest
import torch
from oracles import Gaussian, gauss_hermite
from scipy import stats
from scipy.special import logsumexp
from torch import nn

from skgen.nn import BernoulliObservation, GaussianObservation, mlp
from skgen.vae import _answers
from skgen.vae._answers import squared_error_of_observed
from skgen.vae._missing import (
    elbo_of_observed,
    elbo_terms_of_observed,
    posterior_of_observed,
)
from skgen.vae._missing_importance import (
    bound_of_observed,
    draw_of_missing,
    mean_of_missing,
)
from skgen.vae._model import VAE, elbo

N_LATENTS, N_FEATURES = 3, 7
RNG = np.random.RandomState(0)
W = RNG.normal(size=(N_FEATURES, N_LATENTS))
B = RNG.normal(size=N_FEATURES)
NOISE = RNG.uniform(0.05, 0.5, N_FEATURES)
LAW = Gaussian(B, W @ W.T + np.diag(NOISE))


def with_holes(X, share=0.4, seed=1):
    """Missing entries; of the first row nothing is known, and of the second all."""
    missing = np.random.RandomState(seed).uniform(size=X.shape) < share
    missing[0], missing[1] = True, False
    return np.where(missing, np.nan, X)


X = with_holes(RNG.multivariate_normal(LAW.mean, LAW.covariance, 40))


def tensor(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def linear_vae(noise=NOISE):
    """The Gaussian as a VAE. Its encoder is not asked for incomplete rows."""
    decoder = nn.Linear(N_LATENTS, N_FEATURES, dtype=torch.float64)
    decoder.weight.copy_(tensor(W))
    decoder.bias.copy_(tensor(B))
    encoder = nn.Linear(N_FEATURES, 2 * N_LATENTS, dtype=torch.float64)
    return VAE(encoder, decoder, GaussianObservation(tensor(noise)))


# A linear decoder: everything is exact


@pytest.mark.parametrize("noise", [NOISE, 0.3], ids=["a feature", "isotropic"])
def test_the_bound_is_the_likelihood_of_what_is_observed(noise):
    law = Gaussian(B, W @ W.T + noise * np.eye(N_FEATURES))
    expected = law.log_p_observed(X)
    model = linear_vae(noise)
    np.testing.assert_allclose(
        elbo_of_observed(model, tensor(X)), expected, rtol=0, atol=1e-10
    )
    assert expected[0] == 0


@pytest.mark.parametrize("n_samples", [1, 50])
def test_importance_weights_are_equal(generator, n_samples):
    """In blocks, too, and whatever is drawn."""
    bound = bound_of_observed(linear_vae(), tensor(X), n_samples, generator=generator)
    np.testing.assert_allclose(bound, LAW.log_p_observed(X), rtol=0, atol=1e-10)


def test_the_posterior_is_that_of_bayes_rule():
    model, rows = linear_vae(), X[np.isnan(X).any(axis=1)]
    x = tensor(rows)
    posterior = posterior_of_observed(model, x)
    both = _answers.features_and_std(model, x).numpy()
    for i, row in enumerate(rows):
        o = ~np.isnan(row)
        by_noise = W[o].T / NOISE[o]
        covariance = np.linalg.inv(np.eye(N_LATENTS) + by_noise @ W[o])
        mean = covariance @ by_noise @ (row[o] - B[o])
        root = posterior.root[i].numpy()
        np.testing.assert_allclose(root @ root.T, covariance, atol=1e-12)
        np.testing.assert_allclose(both[i], [*mean, *np.diag(covariance) ** 0.5])
        np.testing.assert_allclose(posterior.mean[i], mean, atol=1e-12)
        terms = posterior.kl_of_latents[i].numpy()
        log_det = np.linalg.slogdet(covariance)[1]
        kl = 0.5 * (np.trace(covariance) + mean @ mean - N_LATENTS - log_det)
        assert terms.sum() == pytest.approx(kl, abs=1e-12)
        assert (terms > -1e-15).all()
        error = W @ mean + B - row
        spread = np.einsum("dj,jk,dk->d", W, covariance, W)
        np.testing.assert_allclose(
            squared_error_of_observed(model, x)[i],
            np.where(o, error**2 + spread, 0),
            atol=1e-12,
        )
    reconstruction = _answers.reconstruction(model, x).numpy()
    np.testing.assert_allclose(reconstruction, both[:, :N_LATENTS] @ W.T + B)


def test_missing_entries_get_their_conditional_means():
    mean = mean_of_missing(linear_vae(), tensor(X), 16, seed=3)[:, 0].numpy()
    filled = np.where(np.isnan(X), mean, X)
    np.testing.assert_allclose(filled, LAW.impute(X), atol=1e-12)


def test_a_twin_that_forgets_the_features_of_a_row_is_told_apart():
    """The tolerances above are tight: the mean of the features is far off."""
    assert np.abs(LAW.impute(X) - np.where(np.isnan(X), B, X)).max() > 1


def test_what_is_known_of_a_row_is_of_that_row_alone():
    """And not of the order or number of rows, or of the kinds of others."""
    model, x = nonlinear_vae(), tensor(X)
    answers = {
        "mean": lambda x: mean_of_missing(model, x, 64, seed=0),
        "bound": lambda x: _answers.bound(model, x),
        "features": lambda x: _answers.features(model, x),
    }
    order = np.random.RandomState(0).permutation(len(X))
    for answer in answers.values():
        batch = answer(x)
        torch.testing.assert_close(answer(x[order]), batch[order])
        alone = torch.cat([answer(row[None]) for row in x])
        torch.testing.assert_close(alone, batch, rtol=0, atol=1e-9)


def test_complete_rows_have_the_posterior_of_the_encoder():
    model, x = nonlinear_vae(), tensor(X)
    bound = _answers.bound(model, x)
    torch.testing.assert_close(bound[1:2], elbo(model, x[1:2]))
    torch.testing.assert_close(bound[2:3], elbo_of_observed(model, x[2:3]))
    assert abs(bound[1] - elbo_of_observed(model, x[1:2])) > 0.1


# Draws


def distances(draws, law):
    """Squared Mahalanobis distances, chi-squared if the draws are of that law."""
    mean, covariance = law
    error = draws - mean
    return np.einsum("nd,nd->n", error, np.linalg.solve(covariance, error.T).T)


def p_of_draws(draws, law):
    """Tests of the shape of the law and of its mean, the smaller p-value doubled."""
    n, n_missing = draws.shape
    shape = stats.kstest(distances(draws, law), stats.chi2(n_missing).cdf).pvalue
    of_mean = n * distances(draws.mean(axis=0)[None], law)[0]
    return 2 * min(shape, stats.chi2(n_missing).sf(of_mean))


def test_draws_have_the_conditional_law(generator):
    """At level 1e-3 a row. Wrong twins are rejected, so that the power is near 1.

    These are draws of the marginal law, means without noise, and the noise of the
    decoder alone.
    """
    model, n = linear_vae(), 2000
    rows = [row for row in X if 1 < np.isnan(row).sum() < 6][:4]
    for row in rows:
        missing = np.isnan(row)
        law = LAW.missing_given_observed(row)
        draws = draw_of_missing(model, tensor(row)[None], n, 128, generator=generator)[
            0
        ].numpy()
        assert p_of_draws(draws[:, missing], law) > 1e-3
        z = torch.randn(n, N_LATENTS, generator=generator, dtype=torch.float64)
        marginal = model.sample(z, generator=generator).numpy()
        assert p_of_draws(marginal[:, missing], law) < 1e-9
        means = draw_of_missing(
            model, tensor(row)[None], n, 128, generator=generator, noise=False
        )[0].numpy()
        assert p_of_draws(means[:, missing], law) < 1e-9
        mean = _answers.features(model, tensor(row)[None]).expand(n, -1)
        noise_alone = model.sample(mean, generator=generator).numpy()
        assert p_of_draws(noise_alone[:, missing], law) < 1e-9


def test_draws_of_several_rows(generator):
    draws = draw_of_missing(linear_vae(), tensor(X[:5]), 400, 64, generator=generator)
    means = draws.mean(1).numpy()
    for row, mean in zip(X[:5], means, strict=True):
        if np.isnan(row).any():
            m = np.isnan(row)
            expected, covariance = (
                LAW.missing_given_observed(row) if not m.all() else (B, LAW.covariance)
            )
            error = (mean[m] - expected) / np.sqrt(np.diag(covariance) / 400)
            assert np.abs(error).max() < 5


# A decoder that is not linear, by quadrature


def nonlinear_vae(n_features=N_FEATURES, noise=0.3, bits=False):
    torch.manual_seed(0)
    decoder = mlp((2, 8, n_features), "tanh").double()
    encoder = mlp((n_features, 8, 4), "tanh").double()
    for network in (encoder, decoder):
        for layer in (network[0], network[2]):
            layer.weight.copy_(0.7 * torch.randn(layer.weight.shape))
    observation = BernoulliObservation() if bits else GaussianObservation(tensor(noise))
    return VAE(encoder, decoder, observation)


def posterior_on_a_grid(model, row, log_prob):
    """Nodes of z, p(z | observed) there and log p(observed), by brute force."""
    line = np.linspace(-6, 6, 241)
    z = np.array(list(itertools.product(line, repeat=2)))
    o = ~np.isnan(row)
    f = model.decode(tensor(z)).numpy()
    terms = stats.norm.logpdf(z).sum(axis=1) + log_prob(row[o], f[:, o])
    log_p = logsumexp(terms) + 2 * np.log(line[1] - line[0])
    return f, np.exp(terms - logsumexp(terms)), log_p


def gaussian_log_prob(x, f):
    return stats.norm.logpdf(x, f, np.sqrt(0.3)).sum(axis=1)


def bernoulli_log_prob(x, f):
    return (x * f - np.logaddexp(0, f)).sum(axis=1)


KINDS = pytest.mark.parametrize(
    ("bits", "log_prob"),
    [(False, gaussian_log_prob), (True, bernoulli_log_prob)],
    ids=["gaussian", "bernoulli"],
)


def rows_of(model, bits):
    torch.manual_seed(1)
    z = torch.randn(12, 2, dtype=torch.float64)
    x = model.sample(z, generator=torch.Generator().manual_seed(0)).numpy()
    return with_holes(x)


@KINDS
def test_bounds_are_ordered_and_reach_the_likelihood(bits, log_prob, generator):
    model = nonlinear_vae(bits=bits)
    x = rows_of(model, bits)
    exact = np.array([posterior_on_a_grid(model, row, log_prob)[2] for row in x])
    bound = elbo_of_observed(model, tensor(x)).numpy()
    assert (bound <= exact + 1e-3).all()
    # The approximate posterior is a good one.
    assert (exact - bound).max() < 0.3
    means = []
    for n_samples in (1, 16):
        several = [
            bound_of_observed(model, tensor(x), n_samples, generator=generator).numpy()
            for _ in range(100)
        ]
        means.append(np.mean(several, axis=0))
    assert means[0].mean() == pytest.approx(bound.mean(), abs=0.06)
    error = np.std([each.mean() for each in several]) / 100**0.5
    assert means[0].mean() < means[1].mean() < exact.mean() + 4 * error
    assert error < 0.01
    # Weights of a row with two modes have a heavy tail.
    many = bound_of_observed(model, tensor(x), 10_000, generator=generator).numpy()
    np.testing.assert_allclose(many, exact, atol=0.05)


@KINDS
def test_means_and_draws_by_quadrature(bits, log_prob, generator):
    model = nonlinear_vae(bits=bits)
    x = rows_of(model, bits)
    means = mean_of_missing(model, tensor(x), 4096, seed=0)[:, 0].numpy()
    n = 4000
    draws = draw_of_missing(model, tensor(x), n, 256, generator=generator).numpy()
    for row, mean, drawn in zip(x, means, draws, strict=True):
        f, p, _ = posterior_on_a_grid(model, row, log_prob)
        of_x = 1 / (1 + np.exp(-f)) if bits else f
        noise = of_x * (1 - of_x) if bits else 0.3
        expected = p @ of_x
        variance = p @ (noise + (of_x - expected) ** 2)
        m = np.isnan(row)
        np.testing.assert_allclose(mean[m], expected[m], atol=0.02)
        error = (drawn.mean(axis=0) - expected) / np.sqrt(variance / n)
        assert np.abs(error[m]).max(initial=0) < 5
        np.testing.assert_allclose(drawn.var(axis=0)[m], variance[m], rtol=0.2)


@KINDS
def test_the_bound_of_an_incomplete_row_is_of_its_posterior(bits, log_prob):
    """Both terms by Gauss-Hermite quadrature at the posterior that was found."""
    model = nonlinear_vae(bits=bits)
    x = rows_of(model, bits)
    reconstruction, kl = elbo_terms_of_observed(model, tensor(x))
    posterior = posterior_of_observed(model, tensor(x))
    nodes, weights = gauss_hermite(40, 2)
    for i, row in enumerate(x):
        o, root = ~np.isnan(row), posterior.root[i].numpy()
        z = posterior.mean[i].numpy() + nodes @ root.T
        f = model.decode(tensor(z)).numpy()
        expected = weights @ log_prob(row[o], f[:, o])
        assert reconstruction[i].item() == pytest.approx(expected, abs=0.1)
        log_q = stats.multivariate_normal(
            posterior.mean[i].numpy(), root @ root.T
        ).logpdf(z)
        log_prior = stats.norm.logpdf(z).sum(axis=1)
        assert kl[i].sum().item() == pytest.approx(weights @ (log_q - log_prior))


def test_bounds_of_the_encoder_hold_for_the_posterior(generator):
    """An implausible value is replaced in front of the posterior, not in the score."""
    model, row = linear_vae(), X[2:3].copy()
    column = np.flatnonzero(~np.isnan(row[0]))[0]
    row[0, column] = 1e6
    high = np.full(N_FEATURES, np.inf)
    high[column] = 2.0
    model.bounds = tensor(-high), tensor(high)
    clipped = np.minimum(row, high)
    np.testing.assert_allclose(
        _answers.features(model, tensor(row)), _answers.features(model, tensor(clipped))
    )
    mean = mean_of_missing(model, tensor(row), 64, seed=0)[:, 0].numpy()
    filled = np.where(np.isnan(row), mean, clipped)
    np.testing.assert_allclose(filled, LAW.impute(clipped))
    assert elbo_of_observed(model, tensor(row)).item() < -1e9


def test_probabilities_of_bits_are_drawn_by_row():
    """With binarize="sample" the bits of a row are a function of the row."""
    model = nonlinear_vae(bits=True)
    model.observation = BernoulliObservation(sampled=True)
    x = with_holes(RNG.uniform(size=(6, N_FEATURES)))
    bound = elbo_of_observed(model, tensor(x))
    torch.testing.assert_close(
        elbo_of_observed(model, tensor(x[3:4])), bound[3:4], rtol=0, atol=1e-12
    )
    grey = VAE(model.encoder, model.decoder, BernoulliObservation())
    assert not torch.allclose(bound, elbo_of_observed(grey, tensor(x)))


def test_little_noise_in_single_precision():
    """The precision of the latents is then as large as float32 has digits."""
    double, single = linear_vae(1e-8), linear_vae(1e-8).float()
    x = with_holes(RNG.normal(size=(30, N_LATENTS)) @ W.T + B)
    single.observation.variance = single.observation.variance.float()
    expected = mean_of_missing(double, tensor(x), 64, seed=0)
    mean = mean_of_missing(single, tensor(x).float(), 64, seed=0)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean.double(), expected, rtol=0, atol=1e-3)
    assert _answers.bound(single, tensor(x).float()).isfinite().all()
