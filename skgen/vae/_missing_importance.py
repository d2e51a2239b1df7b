"""Importance sampling given the observed entries of incomplete rows.

Points are drawn from the Gaussian of `posterior_of_observed`, and their weights
repair what it lacks of the posterior (Mattei & Frellsen, "MIWAE: deep generative
modelling and imputation of incomplete data sets", ICML 2019).
"""

from math import log

import torch
from torch import Tensor

from skgen.sampling import balanced_normal
from skgen.vae._missing import (
    GaussianPosterior,
    observe_incomplete,
    posterior_of_observed,
)
from skgen.vae._model import VAE, decode_points

# Size of the output of a decoder that is computed at a time: it stays in the cache of a
# CPU.
_BLOCK = 2**18
# Points for each draw: draws from few points would be the same ones again and again.
_POINTS_A_DRAW = 16


def bound_of_observed(
    model: VAE, x: Tensor, n_samples: int, *, generator: torch.Generator
) -> Tensor:
    r"""Importance-weighted bound on the log-likelihood of what is observed.

    .. math:: \log p(x_o) \ge \left\langle \log \frac{1}{K} \sum_{k=1}^{K}
              \frac{p(x_o \mid z_k)\, p(z_k)}{q(z_k \mid x_o)} \right\rangle,
              \quad z_k \sim q(z \mid x_o)

    (Burda, Grosse & Salakhutdinov, 2016; Mattei & Frellsen, 2019). Each row has draws
    of its own.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data, in which NaN marks what is missing.
    n_samples : int
        Draws a row, K.
    generator : torch.Generator
        Source of randomness, on the device of `x`.

    Returns
    -------
    log_likelihood : Tensor of shape (n_rows,)
        Estimate in nats. Memory does not grow with `n_samples` times `n_rows`.
    """
    x = observe_incomplete(model, x)
    posterior = posterior_of_observed(model, x)
    total = torch.full_like(posterior.log_det, -torch.inf)
    n_points = min(n_samples, max(1, _BLOCK // x.shape[1]))
    for block, part in posterior.row_blocks(n_points * x.shape[1]):
        for k in range(0, n_samples, n_points):
            noise = _normal(part, min(n_points, n_samples - k), generator)
            log_weight, _ = _weigh(model, x[block], part, noise)
            total[block] = torch.logaddexp(total[block], log_weight.logsumexp(1))
    return total - log(n_samples)


def mean_of_missing(model: VAE, x: Tensor, n_samples: int, *, seed: int) -> Tensor:
    r"""Estimate the mean of all features given what is observed of each row.

    .. math:: \langle x \rangle = \sum_k w_k \langle x \mid z_k \rangle, \quad
              w_k \propto \frac{p(x_o \mid z_k)\, p(z_k)}{q(z_k \mid x_o)},
              \quad \sum_k w_k = 1,

    with quasi-random points, the same for all rows: the answer for a row depends on
    that row alone. It is exact where q is the posterior and the decoder a polynomial of
    degree 3 or less.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data, in which NaN marks what is missing.
    n_samples : int
        Number of points, K. There are two a latent at least, and an even number.
    seed : int
        Seed of the points.

    Returns
    -------
    mean : Tensor of shape (n_rows, 1, n_features)
        The means.
    """
    x = model.within_bounds(observe_incomplete(model, x))
    posterior = posterior_of_observed(model, x)
    n_latents = posterior.mean.shape[1]
    n_points = max(2 * n_latents, n_samples + n_samples % 2)
    points = balanced_normal(n_points, n_latents, seed=seed).to(x.device)
    parts = []
    for block, part in posterior.row_blocks(n_points * x.shape[1]):
        log_weight, f = _weigh(model, x[block], part, points)
        weight = log_weight.softmax(1).to(x.dtype)
        parts.append(weight[:, None] @ model.observation.mean(f))
    return torch.cat(parts)


def draw_of_missing(
    model: VAE,
    x: Tensor,
    n_draws: int,
    n_samples: int,
    *,
    generator: torch.Generator,
    noise: bool = True,
) -> Tensor:
    r"""Draw all features given what is observed of each row.

    By sampling and importance resampling (Rubin, "The calculation of posterior
    distributions by data augmentation: comment", JASA 82, 1987): z is one of K points,
    drawn by its weight, and x is drawn from :math:`p(x \mid z)`. K points serve for at
    most K / 16 draws, so that these are nearly independent.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data, in which NaN marks what is missing.
    n_draws : int
        Number of draws for each row.
    n_samples : int
        Number of points of which a draw is chosen, K.
    generator : torch.Generator
        Source of randomness, on the device of `x`.
    noise : bool
        Whether x is drawn from p(x | z), and not replaced by the mean of that.

    Returns
    -------
    draws : Tensor of shape (n_rows, n_draws, n_features)
        Draws.
    """
    x = model.within_bounds(observe_incomplete(model, x))
    posterior = posterior_of_observed(model, x)
    n_each = min(n_draws, max(1, n_samples // _POINTS_A_DRAW))
    parts = []
    for block, part in posterior.row_blocks(n_samples * x.shape[1]):
        sets = []
        for start in range(0, n_draws, n_each):
            at = _normal(part, n_samples, generator)
            log_weight, _ = _weigh(model, x[block], part, at)
            index = torch.multinomial(
                log_weight.softmax(1),
                min(n_each, n_draws - start),
                replacement=True,
                generator=generator,
            )
            sets.append(part.at(at).take_along_dim(index[:, :, None], 1))
        z = torch.cat(sets, 1).flatten(0, 1).to(x.dtype)
        if noise:
            draws = model.sample(z, generator=generator)
        else:
            draws = model.conditional_mean(z)
        parts.append(draws.unflatten(0, (-1, n_draws)))
    return torch.cat(parts)


def _weigh(
    model: VAE, x: Tensor, posterior: GaussianPosterior, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Logs of the weights of points, (n_rows, n_points), and f(z) there.

    `noise` are the standard normal points, of shape (n_points, n_latents) or one such
    table for each row.
    """
    z = posterior.at(noise)
    f = decode_points(model, z.to(x.dtype))
    log_weight = model.observation.log_prob_of_observed(x[:, None], f)
    # log p(z) - log q(z | x)
    log_weight = log_weight + 0.5 * (noise.square().sum(-1) - z.square().sum(-1))
    return log_weight + posterior.log_det[:, None], f


def _normal(
    posterior: GaussianPosterior, n_points: int, generator: torch.Generator
) -> Tensor:
    mean = posterior.mean
    shape = len(mean), n_points, mean.shape[1]
    return torch.randn(shape, generator=generator, dtype=mean.dtype, device=mean.device)
