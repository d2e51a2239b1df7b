"""The variational autoencoder: the model and the evidence lower bound."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skgen.nn import Observation
from skgen.sampling import balanced_normal
from skgen.sampling._quasi import few_normal
from skgen.vae._kl import kl_standard_normal

# Log-variances of the posterior are kept in [-20, 20]: far beyond what a model needs,
# and within the range in which float32 has an exponential.
_MAX_LOG_VAR = 20.0
# Points of the integral over the posterior: this many, or at least two a latent.
_MIN_POINTS = 32
# Size of the output of a decoder that is computed at a time for a score: it stays in
# the cache of a CPU.
_BLOCK = 2**18


class VAE(nn.Module):
    r"""Variational autoencoder with a Gaussian posterior of diagonal covariance.

    .. math:: z \sim \mathcal{N}(0, I), \quad x \sim p(x \mid f(z)), \quad
              q(z \mid x) = \mathcal{N}\left(\mu(x),
              \operatorname{diag} \sigma^2(x)\right)

    (Kingma & Welling, 2014; Rezende, Mohamed & Wierstra, 2014).

    The networks may compute in a lower precision (`torch.autocast`): their output is
    converted to the dtype of their input, and no other number is rounded.

    Parameters
    ----------
    encoder : nn.Module
        Maps x of shape (batch, n_features) to shape (batch, 2 n_latents), the
        means :math:`\mu` and after them the log-variances.
    decoder : nn.Module
        Maps z of shape (batch, n_latents) to f of shape (batch, n_features).
    observation : Observation
        The distribution of x given f.

    Attributes
    ----------
    bounds : tuple of (Tensor, Tensor) or None
        Least and largest values of the features, shape (n_features,), that the encoder
        knows: others are replaced by them in front of it.
    n_points : int or None
        Number of points of integrals over the posterior, more than there are latents;
        None means that `posterior_average` chooses.
    """

    bounds: tuple[Tensor, Tensor] | None = None
    n_points: int | None = None

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, observation: Observation
    ):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.observation = observation

    def forward(self, x: Tensor) -> Tensor:
        """Posterior mean, the features of `x`, shape (batch, n_latents)."""
        return self.posterior(x)[0]

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), shape (batch, n_latents) each."""
        mu, log_var = self.encode(self.within_bounds(x)).to(x.dtype).chunk(2, dim=1)
        # A clamp, whose gradient takes one operation instead of four.
        return mu, F.hardtanh(log_var, -_MAX_LOG_VAR, _MAX_LOG_VAR)

    def within_bounds(self, x: Tensor) -> Tensor:
        """Replace values beyond `bounds`, as in front of the encoder."""
        if self.bounds is None:
            return x
        return x.clamp(*(bound.to(x) for bound in self.bounds))

    def given(self, y: Tensor | None) -> "VAE":
        """Return the model given conditions, one for each row: it has none."""
        return self

    def of_rows(self, rows: slice) -> "VAE":
        """Return the model of some rows of a table: the same for all of them."""
        return self

    def encode(self, x: Tensor) -> Tensor:
        """Output of the encoder, shape (batch, 2 n_latents)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Output f(z) of the decoder, shape (batch, n_features)."""
        return self.decoder(z).to(z.dtype)

    def conditional_mean(self, z: Tensor) -> Tensor:
        """Mean of x given z, shape (batch, n_features)."""
        return self.observation.mean(self.decode(z))

    def sample(self, z: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw x given z, shape (batch, n_features)."""
        return self.observation.sample(self.decode(z), generator=generator)


def number_of_points(n_latents: int, least: int | None = None) -> int:
    """Choose the number of points of an integral over latent variables.

    Parameters
    ----------
    n_latents : int
        Number of latent variables.
    least : int or None
        The least number of points, a power of 2; None means 32.

    Returns
    -------
    n_points : int
        A power of 2, and at least two points for each latent variable.
    """
    least = _MIN_POINTS if least is None else least
    return max(least, 2 ** (2 * n_latents - 1).bit_length())


def decode_points(model: VAE, z: Tensor) -> Tensor:
    """Output of the decoder at several points of each row.

    Parameters
    ----------
    model : VAE
        The model.
    z : Tensor of shape (n_rows, n_points, n_latents)
        The points.

    Returns
    -------
    f : Tensor of shape (n_rows, n_points, n_features)
        The output.
    """
    return model.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])


def posterior_average(
    model: VAE,
    x: Tensor,
    posterior: tuple[Tensor, Tensor],
    function: Callable[[Tensor, Tensor], Tensor],
    *,
    pairs: bool = False,
) -> Tensor:
    r"""Average a function of x and f(z) over the posterior q(z | x).

    .. math:: \left\langle g(x, f(\mu + \sigma \epsilon))
              \right\rangle_{\epsilon \sim \mathcal{N}(0, I)}

    by the points of `balanced_normal`, the same ones for every row and every
    model: the answer is deterministic, and that of a row depends on no other.
    It is exact where g is a polynomial of degree 3 or less in z.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_samples, n_features)
        Observations.
    posterior : tuple of (Tensor, Tensor)
        What ``model.posterior(x)`` gives.
    function : callable
        Takes x of shape (rows, 1, n_features) and f of shape (rows, n_points,
        n_features) and returns shape (rows, n_points, ...).
    pairs : bool
        Whether each row has a pair of opposite points of its own, for a sum over many
        rows: it takes a fraction of the time, and the errors of rows average out.

    Returns
    -------
    average : Tensor of shape (n_samples, ...)
        The average. There are 32 points, or the least power of 2 that is no less
        than 2 n_latents if that is more; or ``model.n_points``, exact where g is a
        polynomial of degree 2 or less.
    """
    mu, log_var = posterior
    std = (0.5 * log_var).exp()
    n_latents = mu.shape[1]
    n_points = number_of_points(n_latents)
    if model.n_points is None or pairs:
        points = balanced_normal(n_points, n_latents, seed=0).to(mu)
    else:
        n_points = model.n_points
        points = few_normal(n_points, n_latents, seed=0).to(mu)
    if pairs:
        # The first half of the points, each with its opposite.
        half = points[: n_points // 2]
        half = half.repeat(-(-len(x) // len(half)), 1)[: len(x)]
        points, n_points = torch.stack([half, -half], 1), 2
    rows = max(1, _BLOCK // (n_points * x.shape[1]))
    parts = []
    for block in (slice(r, r + rows) for r in range(0, len(x), rows)):
        at = points[block] if pairs else points
        z = torch.addcmul(mu[block, None], std[block, None], at)
        f = decode_points(model.of_rows(block), z)
        parts.append(function(x[block, None], f).mean(1))
    return torch.cat(parts)


def elbo_terms(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Both terms of the evidence lower bound, deterministic.

    .. math:: \log p(x) \ge \mathrm{ELBO}(x)
              = \left\langle \log p(x \mid z) \right\rangle_{q(z \mid x)}
              - \sum_j \mathrm{KL}\left(q(z_j \mid x) \,\|\, p(z_j)\right)

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_samples, n_features)
        Data.

    Returns
    -------
    reconstruction : Tensor of shape (n_samples,)
        The first term, in nats, by `posterior_average`.
    kl : Tensor of shape (n_samples, n_latents)
        The divergence of each latent, in nats.
    """
    x = model.observation.observe(x, generator=None)
    posterior = model.posterior(x)
    log_prob = model.observation.log_prob
    reconstruction = posterior_average(model, x, posterior, log_prob)
    return reconstruction, kl_standard_normal(*posterior)


def elbo(model: VAE, x: Tensor) -> Tensor:
    """Evidence lower bound of each row by `elbo_terms`, shape (n_samples,), nats."""
    reconstruction, kl = elbo_terms(model, x)
    return reconstruction - kl.sum(1)
