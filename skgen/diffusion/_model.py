"""A diffusion model: a noise process, and a network that undoes it."""

from typing import Any

import torch
from torch import Tensor, nn

from skgen.diffusion._process import Instant, NoiseProcess

# Phase of the points that `DiffusionNet.forward` takes rows for.
_HALF = 0.5


class DiffusionNet(nn.Module):
    r"""The mean of :math:`g = \sin\theta\, \xi - \cos\theta\, z` given y, and its uses.

    See `NoiseProcess` for the symbols.

    Parameters
    ----------
    network : nn.Module
        Maps y, (batch, n_features), and phases, (batch,), to g, of the shape of y. If
        it has a method `with_diagonal`, that gives the diagonal of its Jacobian.
    process : NoiseProcess
        How rows turn into noise.
    """

    def __init__(self, network: nn.Module, process: NoiseProcess):
        super().__init__()
        self.network = network
        self.process = process

    def forward(self, x: Tensor) -> Tensor:
        """Take rows for half noise, and return the means of the data given them."""
        now = self.process.at(self.process.times(x.new_tensor([_HALF])))
        y = self.process.whiten(x)
        return self.process.unwhiten(self.denoise(y, now))

    def g(self, y: Tensor, now: Instant, **options: Any) -> Tensor:
        r"""Estimate the mean of g at one time, or at one for each row.

        It is the output of the network times a gain, which is proportional to
        :math:`\sin\theta` at small angles: so is g where the density is smooth, and
        what a network gets wrong there would count by :math:`1 / \theta` in the bound.

        Parameters
        ----------
        y : Tensor of shape (batch, n_features)
            Points.
        now : Instant
            One time, or one for each row.
        **options : dict
            Those of the network, such as the generator of its dropout.

        Returns
        -------
        g : Tensor of shape (batch, n_features)
            The estimate.
        """
        return now.gain * self.network(y, now.phase.expand(len(y)), **options)

    def denoise(self, y: Tensor, now: Instant) -> Tensor:
        r"""Mean of :math:`\xi` given y, (batch, n_features)."""
        return now.cos * y + now.sin * self.g(y, now)

    def with_diagonal(
        self, y: Tensor, now: Instant, probes: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Evaluate the network and the diagonal of its Jacobian by y, or an estimate.

        Parameters
        ----------
        y : Tensor of shape (batch, n_features)
            Points.
        now : Instant
            One time.
        probes : Tensor of shape (n_probes, n_features) or None
            Directions of entries 1 and -1, whose mean is taken for the diagonal; None
            means that it is exact.

        Returns
        -------
        g : Tensor of shape (batch, n_features)
            Output of the network.
        diagonal : Tensor of shape (batch, n_features)
            The diagonal.
        """
        phase = now.phase.expand(len(y))
        if hasattr(self.network, "with_diagonal"):
            g, diagonal = self.network.with_diagonal(y, phase, probes)  # type: ignore[operator]
        else:
            g, diagonal = _diagonal_by_autograd(self.network, y, phase, probes)
        return now.gain * g, now.gain * diagonal


def corrupt(xi: Tensor, z: Tensor, now: Instant) -> tuple[Tensor, Tensor]:
    r"""Turn rows :math:`\xi` by their angles into noise z.

    Parameters
    ----------
    xi : Tensor of shape (batch, n_features)
        White rows.
    z : Tensor of shape (batch, n_features)
        Standard normal noise.
    now : Instant
        One time, or one for each row.

    Returns
    -------
    y : Tensor of shape (batch, n_features)
        The points to which they turn.
    target : Tensor of shape (batch, n_features)
        What the network is to tell of them, g.
    """
    return now.cos * xi + now.sin * z, now.sin * xi - now.cos * z


def _diagonal_by_autograd(
    network: nn.Module, y: Tensor, phase: Tensor, probes: Tensor | None
) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False), torch.enable_grad():
        y, phase = y.clone().requires_grad_(), phase.clone()
        g = network(y, phase)
        if probes is None:
            columns = [
                torch.autograd.grad(g[:, i].sum(), y, retain_graph=True)[0][:, i]
                for i in range(y.shape[1])
            ]
            return g.detach(), torch.stack(columns, 1)
        diagonal = torch.zeros_like(y)
        for probe in probes.clone():
            (row,) = torch.autograd.grad((g * probe).sum(), y, retain_graph=True)
            diagonal += row * probe / len(probes)
    return g.detach(), diagonal
