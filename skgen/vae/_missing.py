"""The posterior of a VAE given the observed entries of incomplete rows.

In all of this, NaN marks what is missing.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skgen.sampling import balanced_normal
from skgen.vae._model import VAE, decode_points, number_of_points

# Linearisations of the decoder, one after another.
_N_ROUNDS = 8
# Size of the output of a decoder that is computed at a time: it stays in the cache of a
# CPU.
_BLOCK = 2**18


class GaussianPosterior(NamedTuple):
    r"""Gaussians of full covariance, one a row: :math:`\mathcal{N}(m, S S^\top)`.

    All is float64: with little noise, covariances are ill-conditioned.

    Attributes
    ----------
    mean : Tensor of shape (n_rows, n_latents)
        Means m.
    root : Tensor of shape (n_rows, n_latents, n_latents)
        Roots S of the covariances.
    log_det : Tensor of shape (n_rows,)
        :math:`\log |\det S|`.
    """

    mean: Tensor
    root: Tensor
    log_det: Tensor

    def at(self, points: Tensor) -> Tensor:
        """Map standard normal points to points of the posterior.

        Parameters
        ----------
        points : Tensor of shape (n_points, n_latents) or (n_rows, n_points, n_latents)
            Points.

        Returns
        -------
        z : Tensor of shape (n_rows, n_points, n_latents)
            Points of each row.
        """
        return self.mean[:, None] + points @ self.root.mT

    @property
    def kl(self) -> Tensor:
        r"""KL divergence from the prior :math:`\mathcal{N}(0, I)`, (n_rows,), nats."""
        squares = self.mean.square().sum(1) + self.root.square().sum((1, 2))
        return 0.5 * (squares - self.mean.shape[1]) - self.log_det

    @property
    def kl_of_latents(self) -> Tensor:
        """The divergence in terms, one for each latent, (n_rows, n_latents), nats."""
        # That of the marginal, and of what a latent has in common with those before it.
        # All are at least 0.
        covariance = self.root @ self.root.mT
        innovation = torch.linalg.cholesky(covariance).diagonal(dim1=1, dim2=2)
        variance = covariance.diagonal(dim1=1, dim2=2)
        return 0.5 * (self.mean.square() + variance - 1) - innovation.log()

    @property
    def std(self) -> Tensor:
        """Standard deviations of the latents, shape (n_rows, n_latents)."""
        return self.root.square().sum(2).sqrt()

    def row_blocks(self, n_numbers: int) -> Iterator[tuple[slice, "GaussianPosterior"]]:
        """Iterate over blocks of rows of `n_numbers` numbers each, at most."""
        n_rows = max(1, _BLOCK // n_numbers)
        for block in (
            slice(start, start + n_rows) for start in range(0, len(self.mean), n_rows)
        ):
            yield block, GaussianPosterior(*(part[block] for part in self))


def by_completeness(
    complete: Callable[[Any, Tensor], Tensor],
    incomplete: Callable[[Any, Tensor], Tensor],
) -> Callable[[Any, Tensor], Tensor]:
    """Return a function that answers for rows without and with missing entries.

    Parameters
    ----------
    complete, incomplete : callable
        Take the model and rows of these kinds and return one row for each.

    Returns
    -------
    function : callable
        Takes the model and rows of both kinds. What it returns for a row does not
        depend on the kinds of the others.
    """

    def both(model: VAE, x: Tensor) -> Tensor:
        """Answer for rows of both kinds."""
        has_gaps = x.isnan().any(1)
        if not has_gaps.any():
            return complete(model, x)
        answers = incomplete(model, x[has_gaps]).to(x.dtype)
        if has_gaps.all():
            return answers
        known = complete(model, x[~has_gaps])
        out = known.new_empty(len(x), *known.shape[1:])
        out[has_gaps], out[~has_gaps] = answers, known
        return out

    return both


def posterior_of_observed(model: VAE, x: Tensor) -> GaussianPosterior:
    r"""Approximate the posterior of z given what is observed of each row.

    It is found by statistical linearisation of the decoder, iterated: with points
    :math:`z_p = m + S \epsilon_p` of the present posterior, the mean of x given z is
    replaced by the linear function of :math:`\epsilon` of least squared error,
    :math:`\bar{y} + A \epsilon`, and the noise by :math:`R = \langle \mathrm{Var}(x
    \mid z_p) \rangle_p` and the mean squared error of that. The next posterior is
    the exact one of the linear model,

    .. math:: P = S^\top S + A_o^\top R_o^{-1} A_o, \quad
              m' = m + S P^{-1} \left(A_o^\top R_o^{-1} (x_o - \bar{y}_o)
              - S^\top m\right), \quad S' S'^\top = S P^{-1} S^\top,

    with the observed features o (posterior linearisation: García-Fernández, Svensson,
    Morelande & Särkkä, IEEE Transactions on Signal Processing 63, 2015; for
    noise that depends on z: Tronarp, García-Fernández & Särkkä, IEEE Signal Processing
    Letters 25, 2018). The first is the prior. Of all of these, each row gets the one
    with the largest evidence lower bound.

    The points are those of `balanced_normal`, the same for all rows, so that the
    posterior of a row depends on that row alone. Where the decoder is linear and the
    noise Gaussian it is exact after the first step; where nothing is observed it is the
    prior.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Observations, in which NaN marks what is missing.

    Returns
    -------
    posterior : GaussianPosterior
        The posterior of each row.
    """
    n_latents = model(x[:1].nan_to_num()).shape[1]
    x = model.within_bounds(x)
    points = _points(n_latents).to(x.device)
    mean = torch.zeros(len(x), n_latents).to(points)
    root = torch.eye(n_latents).to(points).expand(len(x), -1, -1)
    prior = GaussianPosterior(mean, root, mean[:, 0])
    parts = [
        _best_posterior(model, x[block], start, points)
        for block, start in prior.row_blocks(len(points) * x.shape[1])
    ]
    return GaussianPosterior(*map(torch.cat, zip(*parts, strict=True)))


def elbo_terms_of_observed(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Both terms of the evidence lower bound on what is observed, deterministic.

    .. math:: \log p(x_o) \ge \left\langle \log p(x_o \mid z)
              \right\rangle_{q(z \mid x_o)} - \mathrm{KL}\left(q(z \mid x_o)
              \,\|\, p(z)\right)

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data, in which NaN marks what is missing.

    Returns
    -------
    reconstruction : Tensor of shape (n_rows,)
        The first term, in nats.
    kl : Tensor of shape (n_rows, n_latents)
        The second, as `GaussianPosterior.kl_of_latents`.
    """
    x = observe_incomplete(model, x)
    posterior = posterior_of_observed(model, x)
    log_prob = model.observation.log_prob_of_observed
    return average_over(model, x, posterior, log_prob), posterior.kl_of_latents


def elbo_of_observed(model: VAE, x: Tensor) -> Tensor:
    """Evidence lower bound by `elbo_terms_of_observed`, (n_rows,), nats."""
    reconstruction, kl = elbo_terms_of_observed(model, x)
    return reconstruction - kl.sum(1)


def average_over(
    model: VAE,
    x: Tensor,
    posterior: GaussianPosterior,
    function: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Average a function of x and f(z) over the posterior of each row.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Observations.
    posterior : GaussianPosterior
        The posterior of each row.
    function : callable
        Takes x of shape (rows, 1, n_features) and f of shape (rows, n_points,
        n_features) and returns shape (rows, n_points, ...).

    Returns
    -------
    average : Tensor of shape (n_rows, ...)
        The average over quasi-random points, the same for all rows: exact for
        polynomials of degree 3 or less.
    """
    points = _points(posterior.mean.shape[1]).to(x.device)
    parts = []
    for block, part in posterior.row_blocks(len(points) * x.shape[1]):
        f = decode_points(model, part.at(points).to(x.dtype))
        parts.append(function(x[block, None], f).mean(1))
    return torch.cat(parts)


def observe_incomplete(
    model: VAE, x: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Compute what is observed of incomplete data, by `Observation.observe`.

    Parameters
    ----------
    model : VAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data, in which NaN marks what is missing.
    generator : torch.Generator or None
        Source of randomness; None means that the result is a function of each row.

    Returns
    -------
    x : Tensor of shape (n_rows, n_features)
        Observations, with NaN where it was.
    """
    missing = x.isnan()
    observed = model.observation.observe(x.masked_fill(missing, 0), generator=generator)
    return observed.masked_fill(missing, torch.nan)


def _points(n_latents: int) -> Tensor:
    return balanced_normal(number_of_points(n_latents), n_latents, seed=0)


def _best_posterior(
    model: VAE, x: Tensor, start: GaussianPosterior, points: Tensor
) -> GaussianPosterior:
    """Linearise the decoder again and again, and keep the best bound of each row."""
    posterior = best = start
    highest = torch.full_like(start.log_det, -torch.inf)
    for _ in range(_N_ROUNDS):
        f = decode_points(model, posterior.at(points).to(x.dtype))
        log_prob = model.observation.log_prob_of_observed(x[:, None], f).mean(1)
        bound = log_prob - posterior.kl
        better = bound > highest
        highest = torch.where(better, bound, highest)
        best = _where(better, posterior, best)
        posterior = _linearised(model, x, posterior, f, points)
    return best


def _linearised(
    model: VAE, x: Tensor, posterior: GaussianPosterior, f: Tensor, points: Tensor
) -> GaussianPosterior:
    """Posterior of the decoder linearised at the points of the last posterior."""
    mean, root, log_det = posterior
    y = model.observation.mean(f)
    centre = y.mean(1)
    # (n_rows, n_latents, n_features)
    slope = points.mT.to(y.dtype) @ (y - centre[:, None]) / len(points)
    spread = (y - centre[:, None]).square().mean(1)
    rest = (spread - slope.square().sum(1)).clamp(min=0)
    noise = model.observation.noise(f)
    noise = (noise.mean(1) if noise.ndim == 3 else noise) + rest
    slope, noise = slope.to(root.dtype), noise.to(root.dtype)
    missing = x.isnan()
    by_noise = (slope / noise[:, None]).masked_fill(missing[:, None], 0)
    precision = root.mT @ root + by_noise @ slope.mT
    error = (x - centre).masked_fill(missing, 0).to(root.dtype)
    pull = (by_noise @ error[:, :, None]) - root.mT @ mean[:, :, None]
    lower, failed = torch.linalg.cholesky_ex(precision)
    shift = torch.cholesky_solve(pull, lower)
    new_root = torch.linalg.solve_triangular(lower, root.mT, upper=False).mT
    new = GaussianPosterior(
        mean + (root @ shift)[:, :, 0],
        new_root,
        log_det - lower.diagonal(dim1=1, dim2=2).log().sum(1),
    )
    # A decoder far from the data, whose noise vanishes, has no such posterior.
    return _where(failed == 0, new, posterior)


def _where(
    which: Tensor, one: GaussianPosterior, other: GaussianPosterior
) -> GaussianPosterior:
    """Take rows of `one` where `which`, and of `other` elsewhere."""
    return GaussianPosterior(
        *(
            torch.where(which.view(-1, *[1] * (a.ndim - 1)), a, b)
            for a, b in zip(one, other, strict=True)
        )
    )
