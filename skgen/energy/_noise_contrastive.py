"""Noise-contrastive estimation of an energy model against its base."""

from math import log, log1p

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.energy._model import EnergyNet
from skgen.training._objective import Objective
from skgen.training._step import Batch

# Draws of the base by which what is watched is computed, always the same ones.
_N_WATCHED, _SEED = 4096, 0


class NoiseContrastive(Objective):
    r"""The loss of telling data from draws of the base.

    .. math:: L = \left\langle \mathrm{softplus}(\log\nu - G(x)) \right\rangle_{x} +
              \nu \left\langle \mathrm{softplus}(G(y) - \log\nu) \right\rangle_{y \sim
              q_0}, \qquad G = -f - c,

    with :math:`\nu` draws of the base for each row (Gutmann & Hyvärinen, 2012). G is
    the log of the ratio of the model to the base; where the loss is least it is that of
    the law of the data to the base, and c is the log Z of f. The loss is bounded from
    below by that of the best classifier, and is one of a proper score: what a
    classifier learns by heart of the training rows shows on others.

    Parameters
    ----------
    n_noise : int
        Draws of the base for each row, :math:`\nu`.
    """

    def __init__(self, n_noise: int):
        super().__init__()
        self.n_noise = n_noise

    def loss(
        self, model: EnergyNet, batch: Batch, *, generator: torch.Generator
    ) -> Tensor:
        """Loss of each row, shape (batch,)."""
        n = len(batch.x)
        noise = model.base.sample(n * self.n_noise, generator=generator)
        f = model.correction(torch.cat([batch.x, noise]))
        ratio = -f - model.log_normalizer
        of_rows, of_noise = losses(ratio[:n], ratio[n:], self.n_noise)
        weight = batch.weight
        noise_loss = of_noise.view(n, -1).sum(1)
        if weight is None:
            return of_rows + noise_loss
        # The noise of a row counts as that of any other.
        return of_rows + noise_loss / weight.clamp(min=1e-30)

    @torch.no_grad()
    def evaluate(self, model: EnergyNet, batch: Batch) -> Tensor:
        """Loss of each row, by fixed draws of the base."""
        return watched_loss(model, batch.x, self.n_noise)


def watched_loss(model: EnergyNet, x: Tensor, n_noise: int) -> Tensor:
    """Compute the loss of rows, less that of a model with f = 0, by fixed noise.

    Parameters
    ----------
    model : EnergyNet
        The model.
    x : Tensor of shape (batch, n_features)
        Rows.
    n_noise : int
        Draws of the base for each row.

    Returns
    -------
    loss : Tensor of shape (batch,)
        The losses.
    """
    generator = torch.Generator(device=x.device).manual_seed(_SEED)
    noise = model.base.sample(_N_WATCHED, generator=generator)
    c = model.log_normalizer
    of_rows, of_noise = losses(
        -model.correction(x) - c, -model.correction(noise) - c, n_noise
    )
    return of_rows + of_noise.mean() * n_noise


def losses(
    ratio_of_rows: Tensor, ratio_of_noise: Tensor, n_noise: int
) -> tuple[Tensor, Tensor]:
    r"""Compute the terms of the loss of `NoiseContrastive`.

    Parameters
    ----------
    ratio_of_rows, ratio_of_noise : Tensor of shape (n,)
        Logs G of the ratio of the model to the base, at rows of data and at draws of
        the base.
    n_noise : int
        Draws of the base for each row, :math:`\nu`.

    Returns
    -------
    of_rows : Tensor
        :math:`\mathrm{softplus}(\log\nu - G)`, less the loss of a classifier that
        knows nothing, G = 0, for a row and its noise.
    of_noise : Tensor
        :math:`\mathrm{softplus}(G - \log\nu)`.
    """
    nothing, shift = log1p(n_noise) + n_noise * log1p(1 / n_noise), log(n_noise)
    of_rows = F.softplus(shift - ratio_of_rows) - nothing
    return of_rows, F.softplus(ratio_of_noise - shift)
