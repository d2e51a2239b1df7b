"""What a VAE answers for the rows of a table, complete or not.

Each function takes the model and x of shape (n_rows, n_features), in which NaN marks
what is missing.
"""

import torch
from torch import Tensor

from skgen.vae._kl import kl_standard_normal
from skgen.vae._missing import (
    average_over,
    by_completeness,
    elbo_of_observed,
    elbo_terms_of_observed,
    posterior_of_observed,
)
from skgen.vae._model import VAE, elbo, elbo_terms


def _mean_and_std(model: VAE, x: Tensor) -> Tensor:
    mu, log_var = model.posterior(x)
    return torch.cat([mu, (0.5 * log_var).exp()], 1)


def _mean_and_std_of_observed(model: VAE, x: Tensor) -> Tensor:
    posterior = posterior_of_observed(model, x)
    return torch.cat([posterior.mean, posterior.std], 1)


def _mean_of_observed(model: VAE, x: Tensor) -> Tensor:
    return posterior_of_observed(model, x).mean


def _kl(model: VAE, x: Tensor) -> Tensor:
    return kl_standard_normal(*model.posterior(x))


def _kl_of_observed(model: VAE, x: Tensor) -> Tensor:
    return posterior_of_observed(model, x).kl_of_latents


def _elbo_columns(model: VAE, x: Tensor) -> Tensor:
    reconstruction, kl = elbo_terms(model, x)
    return torch.cat([reconstruction[:, None], kl], 1)


def _elbo_columns_of_observed(model: VAE, x: Tensor) -> Tensor:
    reconstruction, kl = elbo_terms_of_observed(model, x)
    return torch.cat([reconstruction[:, None], kl], 1)


# Posterior means, (n_rows, n_latents), and both them and the standard deviations.
features = by_completeness(VAE.forward, _mean_of_observed)
features_and_std = by_completeness(_mean_and_std, _mean_and_std_of_observed)
# Divergences of the latents, (n_rows, n_latents), the bound, (n_rows,), and the terms
# of the bound, (n_rows, 1 + n_latents), in nats.
kl_of_latents = by_completeness(_kl, _kl_of_observed)
bound = by_completeness(elbo, elbo_of_observed)
bound_columns = by_completeness(_elbo_columns, _elbo_columns_of_observed)


def reconstruction(model: VAE, x: Tensor) -> Tensor:
    """Mean of all features at the posterior mean of z, (n_rows, n_features)."""
    return model.conditional_mean(features(model, x))


def squared_error_of_observed(model: VAE, x: Tensor) -> Tensor:
    """Mean of (x - f)^2 over the posterior, 0 where x is missing, the shape of x."""
    posterior = posterior_of_observed(model, x)
    error = average_over(model, x, posterior, lambda x, f: (x - f).square())
    return error.masked_fill(x.isnan(), 0)


def weighted_sum(values: Tensor, weight: Tensor | None) -> Tensor:
    """Sum rows times their weights in double precision, shape (1, ...)."""
    if weight is not None:
        values = values * weight
    return values.sum(0, keepdim=True, dtype=torch.float64)
