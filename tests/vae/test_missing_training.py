"""Training on incomplete rows and by the importance-weighted bound.

Losses and gradients against plain formulas, fits against EM.
"""

import numpy as np
import pytest
import torch
from families import PLAIN
from oracles import PPCA, Gaussian, em_ppca
from scipy import stats
from scipy.special import logsumexp
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler
from steps import gradient_step
from torch import nn

from skgen import BernoulliVAE, GaussianVAE
from skgen.nn import BernoulliObservation, GaussianObservation
from skgen.training import Batch
from skgen.vae._fill import LinearFill
from skgen.vae._importance_objective import ImportanceWeightedELBO
from skgen.vae._model import VAE, elbo
from skgen.vae._objective import NegativeELBO
from skgen.vae._schedule import StagedLatents

RNG = np.random.RandomState(0)
N_LATENTS, N_FEATURES = 4, 3
X = RNG.normal(size=(8, N_FEATURES))
HOLES = np.where(RNG.uniform(size=X.shape) < 0.4, np.nan, X)
HOLES[0], HOLES[1] = np.nan, X[1]
WEIGHT = np.array([0.2, 2.0, 0.4, 1.4, 1.2, 0.8, 1.5, 0.5])
NOISE = np.array([0.3, 0.5, 1.0])
SCALES = np.array([0.5, -1.0, 2.0])
FILL = np.array([0.1, -0.3, 0.6])


def tensor(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)


def vae(bits=False, floor=None, noise=NOISE):
    torch.manual_seed(0)
    encoder = nn.Linear(N_FEATURES, 2 * N_LATENTS).double()
    decoder = nn.Sequential(
        nn.Linear(N_LATENTS, 5), nn.Tanh(), nn.Linear(5, N_FEATURES)
    ).double()
    observation = BernoulliObservation()
    if not bits:
        observation = GaussianObservation(tensor(noise), floor=floor)
    return VAE(encoder, decoder, observation)


def objective(n_samples=1, epoch=None, **params):
    made = ImportanceWeightedELBO(n_samples=n_samples, **params)
    if epoch is not None:
        made.stages = StagedLatents(1, N_LATENTS)
        made.n_epochs, made.epoch = 10, epoch
    return made


def plain_loss(model, x, noise, kl_weight, n_open=N_LATENTS, fill=None):
    """The loss of one row from its definition, with draws from outside."""
    o = torch.from_numpy(~np.isnan(x))
    if not o.any():
        return torch.zeros((), dtype=torch.float64)
    filled = tensor(np.where(np.isnan(x), 0.0 if fill is None else fill, x))
    mu, log_var = model.encoder(filled).chunk(2)
    log_w = []
    for eps in noise:
        z = mu + torch.exp(log_var / 2) * eps
        z = torch.where(torch.arange(N_LATENTS) < n_open, z, 0.0)
        f = model.decoder(z)[o]
        if isinstance(model.observation, GaussianObservation):
            law = torch.distributions.Normal(f, model.observation.variance[o].sqrt())
        else:
            law = torch.distributions.Bernoulli(logits=f)
        log_prob = law.log_prob(filled[o]).sum()
        q = torch.distributions.Normal(mu, torch.exp(log_var / 2))
        prior = torch.distributions.Normal(0.0, 1.0)
        if len(noise) == 1:
            prior_of = torch.distributions.Normal(
                torch.zeros_like(mu), torch.ones_like(mu)
            )
            ratio = -torch.distributions.kl_divergence(q, prior_of)
        else:
            ratio = prior.log_prob(z) - q.log_prob(mu + torch.exp(log_var / 2) * eps)
        log_w.append(log_prob + (kl_weight * ratio).sum())
    return -(torch.stack(log_w).logsumexp(0) - np.log(len(noise)))


def draws(n_samples):
    generator = torch.Generator().manual_seed(0)
    shape = len(X), n_samples, N_LATENTS
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def seeded():
    return torch.Generator().manual_seed(0)


def gradients(model):
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("bits", [False, True], ids=["gaussian", "bernoulli"])
@pytest.mark.parametrize("n_samples", [1, 5])
def test_loss_and_gradient_of_incomplete_rows(n_samples, bits, beta):
    """Of weighted rows, one of which nothing is known, and one complete."""
    x = np.where(np.isnan(HOLES), np.nan, HOLES > 0) if bits else HOLES
    model = vae(bits)
    noise = draws(n_samples)
    made = objective(n_samples, beta=beta, fill=LinearFill(FILL))
    rows = [
        plain_loss(model, row, eps, beta, fill=FILL)
        for row, eps in zip(x, noise, strict=True)
    ]
    expected = torch.stack(rows)
    loss = made.loss(model, Batch(tensor(x)), generator=seeded())
    torch.testing.assert_close(loss, expected)
    (expected * tensor(WEIGHT)).mean().backward()
    by_hand = gradients(model)
    gradient_step(made, model, tensor(x), seeded(), weight=tensor(WEIGHT))
    for gradient, wanted in zip(gradients(model), by_hand, strict=True):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("n_samples", [1, 5])
@pytest.mark.parametrize("epoch", [0.5, 2.0, 4.0])
def test_latents_that_are_not_open(epoch, n_samples):
    model, made = vae(), objective(n_samples, epoch, beta=2.0)
    stages = made.stages
    kl_weight = 2 * stages.weights(epoch / 10).double()
    n_open = stages.n_open(epoch / 10)
    noise = draws(n_samples)
    loss = made.loss(model, Batch(tensor(HOLES)), generator=seeded())
    for i, row in enumerate(HOLES):
        expected = plain_loss(model, row, noise[i], kl_weight, n_open)
        if n_samples == 1 or n_open == N_LATENTS:
            assert loss[i].item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
        else:  # a latent that is closed has no weight
            assert (kl_weight[n_open:] == 0).all()
            assert loss[i].item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)


def test_gradient_of_the_weighted_bound_by_finite_differences():
    model, made = vae(), objective(6)
    weight = model.decoder[0].weight

    def mean_loss():
        return made.loss(model, Batch(tensor(HOLES)), generator=seeded()).mean()

    mean_loss().backward()
    gradient = weight.grad.clone()
    with torch.no_grad():
        for place in [(0, 0), (2, 1), (4, 3)]:
            values = []
            for step in (1e-5, -2e-5):
                weight[place] += step
                values.append(mean_loss().item())
            weight[place] += 1e-5
            difference = (values[0] - values[1]) / 2e-5
            assert gradient[place].item() == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("weight", [None, tensor(WEIGHT)])
@pytest.mark.parametrize("bits", [False, True], ids=["gaussian", "bernoulli"])
def test_one_draw_of_complete_rows_is_the_elbo(bits, weight):
    """Loss, gradients and noise variances, by the path that is written out."""
    x = tensor(X > 0) if bits else tensor(X)
    results = []
    for kind in (NegativeELBO, ImportanceWeightedELBO):
        model, made = vae(bits, floor=1e-6), kind(beta=0.7)
        loss = made.loss(model, Batch(x), generator=seeded())
        gradient_step(made, model, x, seeded(), weight=weight)
        results.append([loss.detach(), *gradients(model)])
        results[-1].append(getattr(model.observation, "variance", loss.detach()))
        results[-1].append(made.evaluate(model, Batch(x)))
    old, new = results
    # The path that is written out adapts the variance before the gradient.
    n = len(old) if bits else 1
    for a, b in zip(old[:n], new[:n], strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(old[-2], new[-2])


def expected_variance(old, error, count, rate=0.05):
    best = (error * count).sum(0) / count.sum(0)
    share = rate * count.sum(0) / len(count)
    return old + share * (best - old)


def test_noise_variance_follows_what_is_observed():
    observed = ~np.isnan(HOLES)
    f = RNG.normal(size=X.shape)
    error = (np.nan_to_num(HOLES) - f) ** 2
    count = observed * WEIGHT[:, None]
    old = tensor(NOISE)
    a_feature = GaussianObservation(old.clone(), floor=1e-9)
    a_feature.adapt_to_(tensor(error), tensor(count))
    expected = expected_variance(NOISE, error, count)
    np.testing.assert_allclose(a_feature.variance, expected)
    one = GaussianObservation(tensor(0.4), floor=1e-9)
    one.adapt_to_(tensor(error), tensor(count))
    best = (error * count).sum() / count.sum()
    expected = 0.4 + 0.05 * count.mean() * (best - 0.4)
    assert one.variance.item() == pytest.approx(expected)
    ratios = GaussianObservation(old.clone(), floor=1e-9)
    ratios.adapt_to_(tensor(error), tensor(count), in_proportion=True)
    factor = (error / NOISE * count).sum() / count.sum()
    expected = NOISE + 0.05 * count.mean() * (NOISE * factor - NOISE)
    np.testing.assert_allclose(ratios.variance, expected)
    # Of a feature of which nothing is observed nothing is learned.
    count[:, 1] = 0
    a_feature = GaussianObservation(old.clone(), floor=1e-9)
    a_feature.adapt_to_(tensor(error), tensor(count))
    assert a_feature.variance[1] == NOISE[1]
    fixed = GaussianObservation(old.clone())
    fixed.adapt_to_(tensor(error), tensor(count))
    np.testing.assert_array_equal(fixed.variance, NOISE)
    floored = GaussianObservation(old.clone(), floor=5.0)
    floored.adapt_to_(tensor(error), tensor(observed))
    assert (floored.variance > old).all()


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("in_proportion", [False, True])
@pytest.mark.parametrize("noise", [NOISE, 0.4])
def test_noise_of_complete_rows_as_ever(noise, in_proportion, weight):
    f, w = tensor(RNG.normal(size=X.shape)), None if weight is None else tensor(weight)
    one, other = (GaussianObservation(tensor(noise), floor=1e-9) for _ in range(2))
    one.adapt_(tensor(X), f, w, in_proportion=in_proportion)
    count = torch.ones(X.shape).double() if w is None else w[:, None].expand(X.shape)
    error = (tensor(X) - f).square()
    other.adapt_to_(error, count, in_proportion=in_proportion)
    torch.testing.assert_close(one.variance, other.variance)


@pytest.mark.parametrize("n_samples", [1, 5])
def test_a_step_adapts_the_noise_by_weighted_errors(n_samples):
    """With several draws each counts by its importance."""
    model, made = vae(floor=1e-9), objective(n_samples)
    x, noise = tensor(HOLES), draws(n_samples)
    with torch.no_grad():
        mu, log_var = model.encoder(x.nan_to_num()).chunk(2, 1)
        z = mu[:, None] + (log_var / 2).exp()[:, None] * noise
        f = model.decoder(z).numpy()
        log_q = stats.norm.logpdf(noise) - log_var[:, None].numpy() / 2
    log_p = stats.norm.logpdf(HOLES[:, None], f, np.sqrt(NOISE))
    log_w = np.nansum(log_p, 2) + (stats.norm.logpdf(z) - log_q).sum(2)
    share = np.exp(log_w - logsumexp(log_w, axis=1, keepdims=True))
    error = np.einsum("nk,nkd->nd", share, (np.nan_to_num(HOLES)[:, None] - f) ** 2)
    gradient_step(made, model, x, seeded())
    expected = expected_variance(NOISE, error, ~np.isnan(HOLES) * 1.0)
    np.testing.assert_allclose(model.observation.variance, expected)


def test_rows_of_which_nothing_is_known_teach_nothing():
    model, made = vae(floor=1e-9), objective()
    gradient_step(made, model, torch.full((4, 3), torch.nan).double(), seeded())
    assert not any(gradient.any() for gradient in gradients(model))
    np.testing.assert_array_equal(model.observation.variance, NOISE)


def test_the_loss_in_the_units_of_the_data():
    """Scales count where a feature is observed, in what is shown and watched."""
    model, plain, scaled = vae(), objective(), objective()
    scaled.log_scales, scaled.log_scale = tensor(SCALES), SCALES.sum()
    more = (~np.isnan(HOLES)) @ SCALES
    x = Batch(tensor(HOLES))
    with torch.no_grad():
        loss = [made.loss(model, x, generator=seeded()) for made in (plain, scaled)]
        watched = [made.evaluate(model, x) for made in (plain, scaled)]
    np.testing.assert_allclose(loss[1] - loss[0], more, atol=1e-12)
    np.testing.assert_allclose(watched[1] - watched[0], more, atol=1e-12)


def test_what_is_watched_is_the_mean_of_the_loss():
    model, made = vae(), objective(beta=3.0)
    x = tensor(HOLES).repeat_interleave(4000, 0)
    with torch.no_grad():
        loss = ImportanceWeightedELBO().loss(model, Batch(x), generator=seeded())
        loss = loss.unflatten(0, (-1, 4000))
        watched = made.evaluate(model, Batch(tensor(HOLES)))
    error = (loss.mean(1) - watched) / (loss.std(1) / 4000**0.5 + 1e-9)
    assert error.abs().max() < 5
    assert watched[0] == 0
    complete = made.evaluate(model, Batch(tensor(X)))
    torch.testing.assert_close(complete, -elbo(model, tensor(X)))


def test_more_draws_are_closer_to_the_likelihood():
    """Means of the bound over draws, at the posterior of a linear encoder."""
    x = tensor(HOLES[1:]).repeat_interleave(1000, 0)
    model = vae()
    with torch.no_grad():
        bounds = [
            -objective(k).loss(model, Batch(x), generator=seeded()).mean().item()
            for k in (1, 4, 16)
        ]
    assert bounds[0] + 0.05 < bounds[1] < bounds[2]
    z = torch.randn(100_000, N_LATENTS, generator=seeded(), dtype=torch.float64)
    with torch.no_grad():
        f = model.decoder(z).numpy()
    log_p = [
        logsumexp(np.nansum(stats.norm.logpdf(row, f, np.sqrt(NOISE)), axis=1))
        - np.log(len(f))
        for row in HOLES[1:]
    ]
    assert bounds[2] < np.mean(log_p) + 0.01


# What a fit arrives at


@pytest.fixture(scope="module")
def wine():
    X = StandardScaler().fit_transform(load_wine().data)
    missing = np.random.RandomState(0).uniform(size=X.shape) < 0.2
    holes = np.where(missing, np.nan, X)
    return X, holes, em_ppca(holes, 4, 300)


def linear(**params):
    params = PLAIN | {"n_iter": 300, "learning_rate": 0.03} | params
    params |= {"learning_rate_schedule": "linear", "hidden_layer_sizes": ()}
    return GaussianVAE(4, random_state=0, **params)


@pytest.mark.parametrize("n_importance_samples", [1, 8])
def test_linear_reaches_probabilistic_pca_of_what_is_observed(
    wine, n_importance_samples
):
    """Within 0.002 nats a feature of the optimum, and never above it."""
    X, holes, best = wine
    model = linear(n_importance_samples=n_importance_samples).fit(holes)
    gap = (best.log_p_observed(holes).mean() - model.score(holes)) / X.shape[1]
    assert -1e-4 < gap < 0.002
    missing = np.isnan(holes)
    difference = (model.impute(holes) - best.impute(holes))[missing]
    assert np.sqrt(np.mean(difference**2)) < 0.05
    # The law of the table in which means stand for what is missing is another.
    law = PPCA(np.where(missing, 0, holes), 4)
    wrong = Gaussian(law.mean, law.covariance).impute(holes) - best.impute(holes)
    assert np.sqrt(np.mean(wrong[missing] ** 2)) > 0.1


def test_more_draws_in_training_on_complete_data(wine):
    """The bound of several draws is reached by a linear model as well."""
    X, _, _ = wine
    best = PPCA(X, 4).best_mean_log_likelihood
    model = linear(n_importance_samples=4, n_iter=150).fit(X)
    assert 0 < (best - model.score(X)) / X.shape[1] < 0.02


def test_bits_of_which_some_are_missing():
    """Two prototypes: the missing bits follow from the others."""
    rng = np.random.RandomState(0)
    prototypes = rng.uniform(size=(2, 12)) < 0.5
    X = (
        prototypes[rng.randint(2, size=400)] ^ (rng.uniform(size=(400, 12)) < 0.05)
    ) * 1.0
    missing = rng.uniform(size=X.shape) < 0.3
    holes = np.where(missing, np.nan, X)
    model = BernoulliVAE(
        2, hidden_layer_sizes=(16,), n_iter=150, learning_rate=0.01, random_state=0
    )
    filled = model.fit(holes).impute(holes)
    wrong = (filled > 0.5) != X
    assert wrong[missing].mean() < 0.09
    means = np.nanmean(holes, axis=0) > 0.5
    assert (means != X)[missing].mean() > 0.2
