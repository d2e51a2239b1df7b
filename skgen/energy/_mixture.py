"""Mixtures of Gaussians, also given some of their variables: bases of energy models."""

from math import log, pi

import torch
from torch import Tensor, nn

_LOG_2PI = log(2 * pi)


class GaussianMixtureDensity(nn.Module):
    r"""The density :math:`q_0(x) = \sum_k \pi_k\, \mathcal{N}(x; \mu_k, L_k L_k^T)`.

    Parameters
    ----------
    log_weight : Tensor of shape (n_components,) or (n_rows, n_components)
        Logs of the weights :math:`\pi`. With rows, each point has a mixture of its own.
    mean : Tensor of shape (..., n_components, n_features)
        Means :math:`\mu`.
    factor : Tensor of shape (..., n_components, n_features[, n_features])
        Lower triangular L, or its diagonal where it has no more.
    known : Tensor of shape (n_rows, n_features), dtype=bool, or None
        Variables that are equal to their means: those that the mixture is given.
    """

    log_weight: Tensor
    mean: Tensor
    factor: Tensor
    known: Tensor | None

    def __init__(
        self,
        log_weight: Tensor,
        mean: Tensor,
        factor: Tensor,
        known: Tensor | None = None,
    ):
        super().__init__()
        self.is_diagonal = factor.ndim == mean.ndim
        self.of_rows = mean.ndim == 3
        self.register_buffer("log_weight", log_weight)
        self.register_buffer("mean", mean)
        self.register_buffer("factor", factor)
        self.register_buffer("known", known)

    @property
    def n_features(self) -> int:
        """Number of variables."""
        return self.mean.shape[-1]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density in nats, (n_rows,)."""
        return self._log_joint(x).logsumexp(1)

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Draw points, (n, n_features); of mixtures of rows, one for each."""
        k = _draw(self.log_weight.expand(n, -1), generator)
        z = _normal(n, self.n_features, self.mean, generator)
        return self.color(z, k)

    def draw_component(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw the component of points given the points, (n_rows,)."""
        if self.mean.shape[-2] == 1:
            return torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return _draw(self._log_joint(x), generator)

    def whiten(self, x: Tensor, k: Tensor) -> Tensor:
        r"""Compute :math:`z = L_k^{-1} (x - \mu_k)`, both (n_rows, n_features)."""
        return self._solve(x)[torch.arange(len(x), device=x.device), k]

    def color(self, z: Tensor, k: Tensor) -> Tensor:
        r"""Compute :math:`x = \mu_k + L_k z`, both (n_rows, n_features)."""
        return self._of(self.mean, k) + self._times(z, k, transposed=False)

    def pull(self, gradient: Tensor, k: Tensor) -> Tensor:
        r"""Turn gradients by x into those by z, :math:`L_k^T g`."""
        return self._times(gradient, k, transposed=True)

    def given(self, x: Tensor, known: Tensor) -> "GaussianMixtureDensity":
        """Return the mixtures of what is not known of rows, given the rest.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows. What is not known may have any finite value.
        known : Tensor of shape (n_rows, n_features), dtype=bool
            What is known of them.

        Returns
        -------
        mixture : GaussianMixtureDensity
            One mixture for each row.
        """
        seen = known.to(x.dtype)[:, None]  # (n_rows, 1, n_features)
        hidden = 1 - seen
        off = (x[:, None] - self.mean) * seen
        if self.is_diagonal:
            joint = -((off / self.factor).square() + _LOG_2PI) / 2 - self.factor.log()
            log_weight = self.log_weight + (joint * seen).sum(2)
            mean = torch.where(known[:, None], x[:, None], self.mean)
            factor = self.factor * hidden
            return GaussianMixtureDensity(
                log_weight.log_softmax(1), mean, factor, known
            )
        covariance = self.factor @ self.factor.mT
        of_seen = _within(covariance, seen)
        root = torch.linalg.cholesky(of_seen)
        white = torch.linalg.solve_triangular(root, off[..., None], upper=False)
        joint = white.square().sum((2, 3)) / 2
        joint = joint + root.diagonal(dim1=2, dim2=3).log().sum(2)
        log_weight = self.log_weight - joint
        solved = torch.cholesky_solve(off[..., None], root) * seen[..., None]
        mean = self.mean + (covariance @ solved)[..., 0]
        mean = torch.where(known[:, None], x[:, None], mean)
        precision = torch.cholesky_inverse(self.factor)
        inverse = torch.linalg.inv(_within(precision, hidden))
        factor = torch.linalg.cholesky(inverse) * hidden[..., None]
        return GaussianMixtureDensity(log_weight.log_softmax(1), mean, factor, known)

    def _log_joint(self, x: Tensor) -> Tensor:
        """Log of weight and density of each component, (n_rows, n_components)."""
        diagonal = self.factor
        if not self.is_diagonal:
            diagonal = self.factor.diagonal(dim1=-2, dim2=-1)
        n_free = torch.tensor(float(self.n_features), dtype=x.dtype)
        if self.known is not None:
            free = ~self.known[:, None]
            diagonal = torch.where(free, diagonal, torch.ones_like(diagonal))
            n_free = free.sum(2).to(x.dtype)
        log_scale = diagonal.log().sum(-1) + n_free.to(x) * _LOG_2PI / 2
        return self.log_weight - log_scale - self._solve(x).square().sum(2) / 2

    def _solve(self, x: Tensor) -> Tensor:
        """Whiten points by each component, (n_rows, n_components, n_features)."""
        off = x[:, None] - self.mean
        factor = self.factor
        if self.known is not None:  # any factor but 0: what is known is at its mean
            hidden = (~self.known).to(x.dtype)[:, None]
            if self.is_diagonal:
                factor = factor + (1 - hidden)
            else:
                factor = factor + torch.diag_embed(1 - hidden)
        if self.is_diagonal:
            return off / factor
        if self.of_rows:
            solved = torch.linalg.solve_triangular(factor, off[..., None], upper=False)
            return solved[..., 0]
        columns = off.permute(1, 2, 0)
        solved = torch.linalg.solve_triangular(factor, columns, upper=False)
        return solved.permute(2, 0, 1)

    def _of(self, values: Tensor, k: Tensor) -> Tensor:
        """What belongs to component k of each row."""
        if self.of_rows:
            return values[torch.arange(len(k), device=k.device), k]
        return values[k]

    def _times(self, v: Tensor, k: Tensor, *, transposed: bool) -> Tensor:
        if self.is_diagonal:
            return v * self._of(self.factor, k)
        if self.of_rows:
            factor = self._of(self.factor, k)
            factor = factor.mT if transposed else factor
            return (factor @ v[..., None])[..., 0]
        factor = self.factor if transposed else self.factor.mT
        if len(factor) == 1:
            return v @ factor[0]
        each = v @ factor  # (n_components, n_rows, n_features)
        return each[k, torch.arange(len(v), device=k.device)]


def _within(matrix: Tensor, mask: Tensor) -> Tensor:
    """Matrices of what a mask has, and the identity of the rest.

    Parameters
    ----------
    matrix : Tensor of shape (n_components, n_features, n_features)
        Symmetric matrices.
    mask : Tensor of shape (n_rows, 1, n_features)
        Ones and zeros.

    Returns
    -------
    within : Tensor of shape (n_rows, n_components, n_features, n_features)
        The matrices.
    """
    inside = mask[..., :, None] * mask[..., None, :]
    return matrix * inside + torch.diag_embed(1 - mask)


def _draw(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one index a row, by logs of weights up to a constant, (n_rows,)."""
    share = log_weight.softmax(1).cumsum(1)
    u = torch.rand(
        (len(share), 1), generator=generator, dtype=share.dtype, device=share.device
    )
    return (u * share[:, -1:] >= share[:, :-1]).sum(1)


def _normal(
    n: int, n_features: int, like: Tensor, generator: torch.Generator
) -> Tensor:
    return torch.randn(
        (n, n_features), generator=generator, dtype=like.dtype, device=like.device
    )
