"""What stands for missing entries in front of the encoder, in training."""

import numpy as np
import torch
from torch import Tensor, nn


class LinearFill(nn.Module):
    r"""Replace missing entries by their means under a linear model of the table.

    .. math:: x \sim \mathcal{N}(a + W z, \operatorname{diag} \psi), \quad
              \langle x_m \mid x_o \rangle = a_m + W_m M^{-1} W_o^\top
              \operatorname{diag}(\psi_o)^{-1} (x_o - a_o), \quad
              M = I + W_o^\top \operatorname{diag}(\psi_o)^{-1} W_o

    If the posterior mean of z given a complete row is linear, as in that model, then
    what the encoder makes of such a row is the posterior mean given what is observed.
    Without W missing entries are replaced by a.

    Parameters
    ----------
    location : ndarray of shape (n_features,)
        Means a.
    loadings : ndarray of shape (n_features, n_factors) or None
        W.
    variances : ndarray of shape (n_features,) or None
        :math:`\psi`.
    """

    location: Tensor
    loadings: Tensor
    variances: Tensor

    def __init__(
        self,
        location: np.ndarray,
        loadings: np.ndarray | None = None,
        variances: np.ndarray | None = None,
    ):
        super().__init__()
        if loadings is None or variances is None:
            loadings, variances = np.zeros((len(location), 0)), np.ones(len(location))
        self.register_buffer("location", torch.tensor(location))
        self.register_buffer("loadings", torch.tensor(loadings))
        self.register_buffer("variances", torch.tensor(variances))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Replace NaN in x, shape (batch, n_features)."""
        missing = x.isnan()
        n_factors = self.loadings.shape[1]
        if not n_factors:
            return torch.where(missing, self.location, x)
        by_noise = self.loadings / self.variances[:, None]
        products = (by_noise[:, :, None] * self.loadings[:, None]).flatten(1)
        precision = (~missing).to(x.dtype) @ products
        precision = precision.unflatten(1, (n_factors, n_factors))
        precision.diagonal(dim1=1, dim2=2).add_(1)
        pull = (x - self.location).masked_fill_(missing, 0) @ by_noise
        lower = torch.linalg.cholesky(precision)
        z = torch.cholesky_solve(pull[:, :, None], lower)[:, :, 0]
        return torch.where(missing, self.location + z @ self.loadings.T, x)
