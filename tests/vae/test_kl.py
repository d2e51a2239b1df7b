"""KL divergences against quadrature, which is exact for polynomials."""

import numpy as np
import pytest
import torch
from oracles import gauss_hermite
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from skgen.vae._kl import kl_gaussians, kl_standard_normal, kl_standard_normal_gradient


def random_gaussian(n_dims, seed):
    rng = np.random.RandomState(seed)
    root = rng.normal(size=(n_dims, n_dims))
    return rng.normal(size=n_dims), root @ root.T + 0.1 * np.eye(n_dims)


@pytest.mark.parametrize(("mu", "std"), [(0.0, 1.0), (1.3, 0.2), (-2.0, 3.0)])
def test_standard_normal_by_integration(mu, std):
    q, p = norm(mu, std), norm()
    expected, _ = quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)),
        mu - 12 * std,
        mu + 12 * std,
        epsabs=1e-12,
    )
    tensors = torch.tensor([mu, 2 * np.log(std)], dtype=torch.float64)
    assert kl_standard_normal(*tensors).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("mu", "log_var"), [(0.0, 0.0), (1.3, -3.0), (-2.0, 2.2)])
def test_gradient_by_differences_of_quadrature(mu, log_var):
    nodes, weights = gauss_hermite(3, 1)  # exact to degree 5

    def kl(mu, log_var):
        z = mu + np.exp(log_var / 2) * nodes[:, 0]
        return weights @ (norm(mu, np.exp(log_var / 2)).logpdf(z) - norm().logpdf(z))

    step = 1e-5
    expected = [
        (kl(mu + step, log_var) - kl(mu - step, log_var)) / (2 * step),
        (kl(mu, log_var + step) - kl(mu, log_var - step)) / (2 * step),
    ]
    got = kl_standard_normal_gradient(
        *torch.tensor([[mu], [log_var]], dtype=torch.float64)
    )
    np.testing.assert_allclose(torch.cat(got), expected, atol=1e-8)


def test_standard_normal_keeps_its_digits_near_the_prior():
    mu, log_var = torch.tensor([0.0]), torch.tensor([1e-4])
    assert kl_standard_normal(mu, log_var).item() == pytest.approx(2.5e-9, rel=1e-3)
    assert kl_standard_normal_gradient(mu, log_var)[1].item() == pytest.approx(
        5.00025e-5, rel=1e-6
    )


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_general_by_quadrature(n_dims):
    (m_q, C_q), (m_p, C_p) = (random_gaussian(n_dims, seed) for seed in (0, 1))
    nodes, weights = gauss_hermite(3, n_dims)  # exact to degree 5
    z = m_q + nodes @ np.linalg.cholesky(C_q).T
    expected = weights @ (
        multivariate_normal(m_q, C_q).logpdf(z)
        - multivariate_normal(m_p, C_p).logpdf(z)
    )
    tensors = [torch.from_numpy(a) for a in (m_q, C_q, m_p, C_p)]
    assert kl_gaussians(*tensors).item() == pytest.approx(expected, abs=1e-10)
    assert kl_gaussians(*tensors[:2], *tensors[:2]).item() == pytest.approx(
        0, abs=1e-10
    )


def test_general_contains_the_diagonal_case_in_batches():
    generator = torch.Generator().manual_seed(0)
    mu, log_var = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)
    general = kl_gaussians(
        mu, torch.diag_embed(log_var.exp()), torch.zeros_like(mu), eye
    )
    torch.testing.assert_close(
        general, kl_standard_normal(mu, log_var).sum(1), rtol=1e-12, atol=1e-12
    )


def test_no_covariance():
    mean, eye = torch.zeros(2), torch.eye(2)
    with pytest.raises(torch.linalg.LinAlgError):
        kl_gaussians(mean, -eye, mean, eye)
