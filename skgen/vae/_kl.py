"""Kullback-Leibler divergences between Gaussians."""

import torch
from torch import Tensor


def kl_standard_normal(mu: Tensor, log_var: Tensor) -> Tensor:
    r"""KL divergence of independent normal variables from standard normal ones.

    .. math:: \mathrm{KL}\left(\mathcal{N}(\mu, \sigma^2) \,\|\,
              \mathcal{N}(0, 1)\right)
              = \frac{1}{2} \left(\mu^2 + \sigma^2 - 1 - \log \sigma^2\right)

    (Kingma & Welling, 2014, appendix B). Sum over the last axis for that of a
    Gaussian with diagonal covariance.

    Parameters
    ----------
    mu : Tensor of shape (...)
        Means.
    log_var : Tensor of shape (...)
        Logs of the variances.

    Returns
    -------
    kl : Tensor of shape (...)
        Divergence of each variable in nats, at least 0.
    """
    # expm1 keeps the digits near a variance of 1, where unused latents are.
    return 0.5 * (mu.square() + torch.expm1(log_var) - log_var)


def kl_standard_normal_gradient(mu: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor]:
    r"""Gradient of `kl_standard_normal` by its arguments.

    .. math:: \frac{\partial \mathrm{KL}}{\partial \mu} = \mu, \quad
              \frac{\partial \mathrm{KL}}{\partial \log \sigma^2}
              = \frac{1}{2} \left(\sigma^2 - 1\right)

    Parameters
    ----------
    mu : Tensor of shape (...)
        Means.
    log_var : Tensor of shape (...)
        Logs of the variances.

    Returns
    -------
    by_mu, by_log_var : Tensor of shape (...)
        Derivatives in nats.
    """
    return mu, 0.5 * torch.expm1(log_var)


def kl_gaussians(
    mean_q: Tensor, covariance_q: Tensor, mean_p: Tensor, covariance_p: Tensor
) -> Tensor:
    r"""KL divergence between two multivariate Gaussians.

    .. math:: \mathrm{KL}\left(\mathcal{N}(\mu_q, \Sigma_q) \,\|\,
              \mathcal{N}(\mu_p, \Sigma_p)\right) = \frac{1}{2} \left[
              \operatorname{tr}\left(\Sigma_p^{-1} \Sigma_q\right) - d
              + (\mu_p - \mu_q)^\top \Sigma_p^{-1} (\mu_p - \mu_q)
              + \log \frac{\det \Sigma_p}{\det \Sigma_q} \right]

    in d dimensions (Kullback, 1959, chapter 9).

    Parameters
    ----------
    mean_q : Tensor of shape (..., d)
        Mean of q.
    covariance_q : Tensor of shape (..., d, d)
        Covariance of q, symmetric and positive definite.
    mean_p : Tensor of shape (..., d)
        Mean of p.
    covariance_p : Tensor of shape (..., d, d)
        Covariance of p, symmetric and positive definite.

    Returns
    -------
    kl : Tensor of shape (...)
        Divergence in nats, at least 0; 0 where the two are equal.

    Raises
    ------
    torch.linalg.LinAlgError
        If a covariance is not positive definite.
    """
    root_q = torch.linalg.cholesky(covariance_q)
    root_p = torch.linalg.cholesky(covariance_p)
    # Everything in units of p: its covariance becomes the identity.
    root = torch.linalg.solve_triangular(root_p, root_q, upper=False)
    shift = torch.linalg.solve_triangular(
        root_p, (mean_p - mean_q).unsqueeze(-1), upper=False
    )
    log_det = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    trace = root.square().sum((-2, -1))
    return 0.5 * (trace - mean_q.shape[-1] + shift.square().sum((-2, -1))) - log_det
