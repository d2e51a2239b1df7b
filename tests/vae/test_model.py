"""The ELBO of the VAE, against closed forms and quadrature."""

import numpy as np
import pytest
import torch
from oracles import PPCA, TinyVAE
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.preprocessing import StandardScaler
from steps import gradient_step
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skgen.nn import (
    BernoulliObservation,
    GaussianObservation,
    Standardize,
    Unstandardize,
    mlp,
)
from skgen.training import Batch
from skgen.vae._importance import importance_weighted_bound
from skgen.vae._model import VAE, elbo, elbo_terms
from skgen.vae._objective import NegativeELBO

CANCER = StandardScaler().fit_transform(load_breast_cancer().data)
WINE = StandardScaler().fit_transform(load_wine().data)
DATA = pytest.mark.parametrize("X", [CANCER, WINE], ids=["cancer", "wine"])
RNG = np.random.RandomState(0)


def tensor(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)


def linear(weight, bias):
    layer = nn.Linear(*reversed(weight.shape), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(tensor(weight))
        layer.bias.copy_(tensor(bias))
    return layer


def linear_vae(W, V, mean, posterior_variance, noise_variance):
    """Decoder W z + mean, posterior N(V (x - mean), diag posterior_variance)."""
    encoder = linear(
        np.vstack([V, np.zeros_like(V)]),
        np.concatenate([-V @ mean, np.log(posterior_variance)]),
    )
    observation = GaussianObservation(tensor(noise_variance))
    return VAE(encoder, linear(W, mean), observation)


def ppca_vae(ppca, noise_variance=None):
    """A linear VAE at the solution of PPCA, scored at another noise if given."""
    return linear_vae(
        ppca.W,
        ppca.encoder,
        ppca.mean,
        ppca.posterior_variance,
        ppca.noise_variance if noise_variance is None else noise_variance,
    )


# Items 1 to 7: a linear VAE is probabilistic PCA.


@DATA
def test_elbo_of_ppca_is_its_likelihood(X):
    ppca = PPCA(X, 4)
    rows = stats.multivariate_normal(ppca.mean, ppca.covariance).logpdf(X)
    with torch.no_grad():
        got = elbo(ppca_vae(ppca), tensor(X))
    np.testing.assert_allclose(got, rows, rtol=1e-10)
    assert got.mean().item() == pytest.approx(ppca.best_mean_log_likelihood, abs=1e-10)


@DATA
def test_gap_to_the_score_of_pca(X):
    """PCA.score divides by n - 1 where the optimum divides by n."""
    n, n_features = X.shape
    with torch.no_grad():
        ours = elbo(ppca_vae(PPCA(X, 4)), tensor(X)).mean().item()
    gap = n_features / 2 * (np.log(n / (n - 1)) + (n - 1) / n - 1)
    assert ours - PCA(4).fit(X).score(X) == pytest.approx(gap, abs=1e-9)
    assert gap > 1e-6


@DATA
@pytest.mark.parametrize("noise_variance", [0.5, 1.0, 2.5])
def test_collapse_at_a_fixed_noise_variance(X, noise_variance):
    ppca = PPCA(X, 8, noise_variance)
    assert 0 < ppca.n_active < 8
    with torch.no_grad():
        model = ppca_vae(ppca)
        reconstruction, kl = elbo_terms(model, tensor(X))
        mean = model(tensor(X))
    got = (reconstruction - kl.sum(1)).mean().item()
    assert got == pytest.approx(ppca.best_mean_log_likelihood, abs=1e-10)
    assert (mean.var(0) > 0.01).sum() == ppca.n_active
    expected = 0.5 * np.log(np.maximum(ppca.kept / noise_variance, 1))
    np.testing.assert_allclose(kl.mean(0), expected, atol=1e-10)


@DATA
@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_beta_is_the_ppca_of_another_noise(X, beta):
    """All gradients of the beta-ELBO vanish there, and not at the plain solution."""
    noise_variance = 0.4

    def gradient(ppca):
        model = ppca_vae(ppca, noise_variance)
        reconstruction, kl = elbo_terms(model, tensor(X))
        (reconstruction - beta * kl.sum(1)).mean().backward()
        return max(p.grad.abs().max().item() for p in model.parameters())

    assert gradient(PPCA(X, 4, beta * noise_variance)) < 1e-10
    if beta != 1:
        assert gradient(PPCA(X, 4, noise_variance)) > 1e-2


@DATA
@pytest.mark.parametrize("n_samples", [1, 3, 100])
def test_importance_weights_at_the_exact_posterior_are_equal(
    X, n_samples, generator, monkeypatch
):
    monkeypatch.setattr("skgen.vae._importance._BLOCK", 1000)
    ppca = PPCA(X, 4)
    rows = stats.multivariate_normal(ppca.mean, ppca.covariance).logpdf(X)
    with torch.no_grad():
        got = importance_weighted_bound(
            ppca_vae(ppca), tensor(X), n_samples, generator=generator
        )
    np.testing.assert_allclose(got, rows, rtol=1e-10)


@DATA
def test_one_noise_variance_a_feature_is_factor_analysis(X):
    # FactorAnalysis gives loadings for which the exact posterior is diagonal.
    model = FactorAnalysis(3, max_iter=5000, tol=1e-6, svd_method="lapack").fit(X)
    W, psi = model.components_.T, model.noise_variance_
    precision = np.eye(3) + (W.T / psi) @ W
    np.testing.assert_allclose(precision, np.diag(np.diag(precision)), atol=1e-8)
    V = np.linalg.solve(precision, W.T / psi)
    vae = linear_vae(W, V, model.mean_, 1 / np.diag(precision), psi)
    with torch.no_grad():
        np.testing.assert_allclose(
            elbo(vae, tensor(X)), model.score_samples(X), rtol=1e-10
        )


# Item 8: a decoder that is not linear, by quadrature.


def tiny(n_latents, observation, seed=0):
    """The same small VAE in torch and in numpy."""
    generator = torch.Generator().manual_seed(seed)
    networks, weights = [], []
    for n_in, n_out in [(3, 2 * n_latents), (n_latents, 3)]:
        shapes = [(4, n_in), (4,), (n_out, 4), (n_out,)]
        drawn = [
            torch.randn(s, generator=generator, dtype=torch.float64) * 0.8
            for s in shapes
        ]
        if n_out == 2 * n_latents:
            # A posterior that is not far from the prior: importance sampling from
            # one much narrower than the true posterior would take for ever.
            drawn[2] *= 0.3
            drawn[3] *= 0.3
        arrays = [w.numpy() for w in drawn]
        weights.append(arrays)
        networks.append(
            nn.Sequential(linear(*arrays[:2]), nn.Tanh(), linear(*arrays[2:]))
        )
    if isinstance(observation, GaussianObservation):
        scale = observation.variance.sqrt().numpy()

        def log_prob(x, f):
            return stats.norm(f, scale).logpdf(x).sum(axis=1)

    else:

        def log_prob(x, f):
            return stats.bernoulli(1 / (1 + np.exp(-f))).logpmf(x).sum(axis=1)

    return VAE(*networks, observation), TinyVAE(*weights, log_prob)


CASES = pytest.mark.parametrize(
    ("observation", "rows"),
    [
        (GaussianObservation(tensor(0.3)), RNG.normal(size=(5, 3))),
        (GaussianObservation(tensor([0.2, 0.5, 1.0])), RNG.normal(size=(5, 3))),
        (BernoulliObservation(), (RNG.uniform(size=(5, 3)) < 0.5).astype(float)),
    ],
    ids=["gaussian", "per feature", "bernoulli"],
)


@CASES
@pytest.mark.parametrize("n_latents", [1, 2])
def test_elbo_by_quadrature(n_latents, observation, rows, monkeypatch):
    """64 points, and many more: a posterior as wide as the prior is the worst case."""
    model, oracle = tiny(n_latents, observation)
    exact = [oracle.reconstruction(x) for x in rows]
    for n_points, rtol in [(64, 2e-2), (2**15, 1e-4)]:
        monkeypatch.setattr("skgen.vae._model._MIN_POINTS", n_points)
        with torch.no_grad():
            reconstruction, kl = elbo_terms(model, tensor(rows))
        np.testing.assert_allclose(kl, [oracle.kl(x) for x in rows], rtol=1e-10)
        np.testing.assert_allclose(reconstruction, exact, rtol=rtol)


@CASES
@pytest.mark.parametrize("n_latents", [1, 2])
def test_likelihood_by_quadrature(n_latents, observation, rows, generator):
    model, oracle = tiny(n_latents, observation)
    exact = [oracle.log_p(x) for x in rows]
    with torch.no_grad():
        got = importance_weighted_bound(model, tensor(rows), 2**17, generator=generator)
        bound = elbo(model, tensor(rows))
    np.testing.assert_allclose(got, exact, atol=0.1)
    assert (bound.numpy() < exact).all()


def test_importance_weighting_is_a_bound_that_rises(generator):
    """The mean of log w rises with K and stays below log p(x), by 4.5 errors each."""
    model, oracle = tiny(1, GaussianObservation(tensor(0.3)))
    x = RNG.normal(size=3)
    rows = tensor(x).expand(20_000, 3)
    means, errors = [], []
    with torch.no_grad():
        for n_samples in (1, 4, 16):
            got = importance_weighted_bound(model, rows, n_samples, generator=generator)
            means.append(got.mean().item())
            errors.append(got.std().item() / len(rows) ** 0.5)
    steps = np.diff([*means, oracle.log_p(x)])
    assert (steps > 4.5 * np.hypot(errors, [*errors[1:], 0])).all()
    # K = 1 is the ELBO.
    exact = oracle.reconstruction(x) - oracle.kl(x).sum()
    assert abs(means[0] - exact) < 4.5 * errors[0]


def test_importance_weights_have_the_mean_they_should(generator):
    """The mean of w over draws is p(x), in blocks of any size."""
    model, oracle = tiny(2, BernoulliObservation())
    x = np.array([1.0, 0.0, 1.0])
    with torch.no_grad():
        log_w = importance_weighted_bound(
            model, tensor(x).expand(50_000, 3), 3, generator=generator
        )
    w = log_w.exp()
    error = w.std().item() / len(w) ** 0.5
    exact = np.exp(oracle.log_p(x))
    assert abs(w.mean().item() - exact) < 4.5 * error
    assert 4.5 * error < 0.05 * exact  # and 5 % off would be seen


@pytest.mark.parametrize("block", [12, 40, 4000])
def test_importance_weighting_in_blocks(block, monkeypatch, generator):
    """Rows and draws in blocks of any size: the same estimate within its error."""
    model, oracle = tiny(2, BernoulliObservation())
    rows = (RNG.uniform(size=(7, 3)) < 0.5).astype(float)
    monkeypatch.setattr("skgen.vae._importance._BLOCK", block)
    with torch.no_grad():
        got = importance_weighted_bound(model, tensor(rows), 2000, generator=generator)
    np.testing.assert_allclose(got, [oracle.log_p(x) for x in rows], atol=0.1)


# The training loss: its mean over the noise is minus the weighted bound.

N_DRAWS = 40_000


def mean_and_error(loss):
    return loss.mean().item(), loss.std().item() / len(loss) ** 0.5


@CASES
@pytest.mark.parametrize("beta", [1.0, 2.5])
def test_training_loss(observation, rows, beta, generator):
    """Within 4.5 standard errors of quadrature; a posterior twice as wide is not."""
    model, oracle = tiny(2, observation)
    x = rows[0]
    with torch.no_grad():
        loss = NegativeELBO(beta=beta).loss(
            model, Batch(tensor(x).expand(N_DRAWS, 3)), generator=generator
        )
    mean, error = mean_and_error(loss)
    kl = oracle.kl(x).sum()
    assert abs(mean - (beta * kl - oracle.reconstruction(x))) < 4.5 * error
    mu, std = oracle.posterior(x)
    oracle.posterior = lambda _: (mu, 2 * std)
    wrong = beta * oracle.kl(x).sum() - oracle.reconstruction(x)
    assert abs(mean - wrong) > 4.5 * error


@CASES
def test_gradient_of_the_training_loss(observation, rows, generator):
    """Reparameterised gradients against finite differences of quadrature."""
    model, oracle = tiny(1, observation)
    x = rows[0]
    parts = []
    for _ in range(200):
        model.zero_grad()
        gradient_step(NegativeELBO(), model, tensor(x).expand(400, 3), generator)
        parts.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    parts = torch.stack(parts)
    mean, error = parts.mean(0), parts.std(0) / len(parts) ** 0.5

    exact = []
    for weights in (*oracle.encoder, *oracle.decoder):
        flat = weights.reshape(-1)  # a view: the oracle sees the change
        for i in range(flat.size):
            sides = []
            for step in (1e-5, -1e-5):
                flat[i] += step
                sides.append(oracle.kl(x).sum() - oracle.reconstruction(x))
                flat[i] -= step
            exact.append((sides[0] - sides[1]) / 2e-5)
    difference = (mean - tensor(exact)).abs()
    assert (difference < 4.5 * error + 1e-8).all()
    assert (mean.abs() > 20 * error).sum() > 10  # what a wrong sign would change


def gradients(model, backward):
    """Gradient of each parameter, and None where there is none."""
    model.zero_grad(set_to_none=True)
    backward()
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


@CASES
@pytest.mark.parametrize("frozen", [None, "encoder", "decoder"])
def test_gradient_is_that_of_the_loss(observation, rows, frozen):
    """What a step fills in without computing a loss, against autograd of `loss`."""
    model, _ = tiny(2, observation)
    if frozen is not None:
        getattr(model, frozen).requires_grad_(False)
    objective = NegativeELBO(beta=2.5, n_warmup=4)
    objective.epoch = 3.0
    x = tensor(rows)
    got = gradients(model, lambda: gradient_step(objective, model, x, seeded()))
    loss = objective.loss(model, Batch(x), generator=seeded())
    expected = gradients(model, loss.mean().backward)
    assert sum(g is None for g in got) == (0 if frozen is None else 4)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@CASES
def test_gradient_of_a_weighted_batch(observation, rows):
    """That of the weighted mean of the loss; without the weights it is another."""
    model, _ = tiny(2, observation)
    objective, x = NegativeELBO(beta=0.5), tensor(rows)
    weight = torch.arange(len(x), dtype=x.dtype) / (len(x) - 1) * 2
    assert weight.mean() == 1
    got = gradients(
        model, lambda: gradient_step(objective, model, x, seeded(), weight=weight)
    )
    loss = objective.loss(model, Batch(x), generator=seeded())
    expected = gradients(model, (weight * loss).mean().backward)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    plain = gradients(model, lambda: gradient_step(objective, model, x, seeded()))
    assert not torch.allclose(got[0], plain[0], rtol=1e-2)


def test_gradient_is_taken_at_the_variance_that_has_moved():
    model, _ = tiny(2, GaussianObservation(tensor(9.0), floor=1e-3))
    x = tensor(RNG.normal(size=(5, 3)))
    got = gradients(model, lambda: gradient_step(NegativeELBO(), model, x, seeded()))
    assert model.observation.variance < 9
    loss = NegativeELBO().loss(model, Batch(x), generator=seeded())
    torch.testing.assert_close(got, gradients(model, loss.mean().backward))


class Operations(TorchDispatchMode):
    """Names of the operations of torch that run."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names = {*getattr(self, "names", ()), func.__name__.split(".")[0]}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "observation",
    [GaussianObservation(torch.ones(()), floor=0.1), BernoulliObservation()],
)
def test_training_never_waits_for_a_number(observation):
    """No number goes to Python on the way, for which a GPU would have to stop."""
    encoder = nn.Sequential(Standardize(3), *mlp((3, 4, 4), "relu"))
    decoder = nn.Sequential(*mlp((2, 4, 3), "relu"), Unstandardize(3))
    model = VAE(encoder, decoder, observation)
    with Operations() as ran:
        gradient_step(NegativeELBO(), model, torch.rand(5, 3), seeded())
        assert "_local_scalar_dense" not in ran.names
        assert "addmm" in ran.names
        torch.ones(()).item()  # which would be seen
    assert "_local_scalar_dense" in ran.names


def test_warm_up():
    objective = NegativeELBO(beta=2.0, n_warmup=4)
    weights = []
    for objective.epoch in (0.0, 1.0, 3.5, 4.0, 9.0):
        weights.append(objective.kl_weight)
    assert weights == [0.0, 0.5, 1.75, 2.0, 2.0]
    assert NegativeELBO(beta=2.0).kl_weight == 2.0


def test_what_is_watched_is_the_bound_whatever_beta():
    model, _ = tiny(2, BernoulliObservation())
    x = tensor((RNG.uniform(size=(5, 3)) < 0.5).astype(float))
    for objective in (NegativeELBO(), NegativeELBO(beta=3.0, n_warmup=7)):
        assert torch.equal(
            objective.evaluate(model, Batch(x)), -elbo(model, x).detach()
        )


def test_log_variances_are_clamped():
    model, _ = tiny(1, BernoulliObservation())
    with torch.no_grad():
        model.encoder[-1].bias[1] = 1e4
        assert model.posterior(torch.zeros(1, 3, dtype=torch.float64))[1].item() == 20
        assert torch.isfinite(elbo(model, torch.zeros(1, 3, dtype=torch.float64))).all()
        model.encoder[-1].bias[1] = -1e4
        assert model.posterior(torch.zeros(1, 3, dtype=torch.float64))[1].item() == -20
