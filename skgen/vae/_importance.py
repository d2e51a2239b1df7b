"""The likelihood of a VAE by importance sampling."""

from math import log

import torch
from torch import Tensor

from skgen.vae._model import VAE, decode_points

# Size of the output of a decoder that is computed at a time: it stays in the cache of a
# CPU.
_BLOCK = 2**18


def importance_weighted_bound(
    model: VAE, x: Tensor, n_samples: int, *, generator: torch.Generator
) -> Tensor:
    r"""Importance-weighted bound on the log-likelihood of each row.

    .. math:: \log p(x) \ge \left\langle \log \frac{1}{K} \sum_{k=1}^{K}
              \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)} \right\rangle,
              \quad z_k \sim q(z \mid x)

    (Burda, Grosse & Salakhutdinov, 2016): the mean is a lower bound for every K,
    and tends to :math:`\log p(x)` as K grows. Each row has draws of its own, so
    that the errors of rows average out.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data.
    n_samples : int
        Draws a row, K.
    generator : torch.Generator
        Source of randomness, on the device of `x`.

    Returns
    -------
    log_likelihood : Tensor of shape (n_rows,)
        Estimate in nats. Memory does not grow with `n_samples` times `n_rows`.
    """
    x = model.observation.observe(x, generator=None)
    mu, log_var = model.posterior(x)
    std = (0.5 * log_var).exp()
    total = torch.full_like(mu[:, 0], -torch.inf)
    n_points = min(n_samples, max(1, _BLOCK // x.shape[1]))
    rows = max(1, _BLOCK // (n_points * x.shape[1]))
    for r in (slice(i, i + rows) for i in range(0, len(x), rows)):
        for k in range(0, n_samples, n_points):
            shape = (len(mu[r]), min(n_points, n_samples - k), mu.shape[1])
            noise = torch.randn(
                shape, generator=generator, dtype=mu.dtype, device=mu.device
            )
            z = torch.addcmul(mu[r, None], std[r, None], noise)
            f = decode_points(model.of_rows(r), z)
            log_weight = model.observation.log_prob(x[r, None], f)
            # log p(z) - log q(z | x)
            log_weight += 0.5 * (noise.square() - z.square()).sum(2)
            log_weight += 0.5 * log_var[r].sum(1, keepdim=True)
            total[r] = torch.logaddexp(total[r], log_weight.logsumexp(1))
    return total - log(n_samples)
