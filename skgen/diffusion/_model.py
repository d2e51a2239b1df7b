"""A diffusion model: a noise process, and a network that undoes it."""

from collections.abc import Callable, Iterator
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
        Maps y, (batch, n_features), phases, (batch,) or one for all, (1,), and
        conditions, (batch, n_conditions) or None, to g, of the shape of y. If it has a
        method `with_diagonal`, that gives the diagonal of its Jacobian.
    process : NoiseProcess
        How rows turn into noise.
    by_features : bool
        Whether the network sees and gives features, y turned back from the directions
        of the process, so that neighbouring pixels are neighbours.
    """

    # What the network is given besides points and phases, one row or one for each.
    condition: Tensor | None = None

    def __init__(
        self, network: nn.Module, process: NoiseProcess, *, by_features: bool = False
    ):
        super().__init__()
        self.network = network
        self.process = process
        self.by_features = by_features and process.basis is not None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Take rows for half noise, and return the means of the data given them."""
        model = self.given(y)
        now = model.process.at(model.process.times(x.new_tensor([_HALF])))
        return model.unwhiten(model.denoise(model.whiten(x), now))

    def given(self, y: Tensor | None) -> "DiffusionNet":  # noqa: ARG002
        """Return the model as it is: x does not depend on anything."""
        return self

    def for_training(
        self,
        y: Tensor | None,
        generator: torch.Generator,  # noqa: ARG002
    ) -> "DiffusionNet":
        """Return the model of a mini-batch."""
        return self.given(y)

    def of_rows(self, rows: slice) -> "DiffusionNet":  # noqa: ARG002
        """Return the model of some rows of a table."""
        return self

    def blocks(self, x: Tensor, n_rows: int) -> Iterator[tuple["DiffusionNet", Tensor]]:
        """Yield the model and rows for so many rows at a time."""
        for start in range(0, len(x), n_rows):
            rows = slice(start, start + n_rows)
            yield self.of_rows(rows), x[rows]

    def centered(self, x: Tensor) -> Tensor:
        """Subtract the means of the model at its start from standardised rows."""
        return x

    def whiten(self, x: Tensor) -> Tensor:
        r"""Express standardised rows by :math:`\xi`, both (batch, n_features)."""
        return self.process.whiten(self.centered(x))

    def unwhiten(self, xi: Tensor) -> Tensor:
        """Undo `whiten`."""
        return self.process.unwhiten(xi)

    def output(self, y: Tensor, phase: Tensor, **options: Any) -> Tensor:
        """Evaluate the network.

        Parameters
        ----------
        y : Tensor of shape (batch, n_features)
            Points; several for each row of the conditions stand together.
        phase : Tensor of shape (batch,) or (1,)
            Their phases, or one for all.
        **options : dict
            Those of the network, such as the generator of its dropout.

        Returns
        -------
        output : Tensor of shape (batch, n_features)
            The output.
        """
        condition = self._conditions_of(y)
        if not self.by_features:
            return self.network(y, phase, condition, **options)
        basis = self.process.basis
        assert basis is not None
        return self.network(y @ basis.T, phase, condition, **options) @ basis

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
        return now.gain * self.output(y, now.phase, **options)

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
        phase, network = now.phase, self.network
        if hasattr(network, "with_diagonal") and not self.by_features:
            given = self._conditions_of(y), probes
            g, diagonal = network.with_diagonal(y, phase, *given)  # type: ignore[operator]
        else:
            g, diagonal = _diagonal_by_autograd(self.output, y, phase, probes)
        return now.gain * g, now.gain * diagonal

    def _conditions_of(self, y: Tensor) -> Tensor | None:
        """Conditions of points, several of which may belong to one row."""
        e = self.condition
        if e is None or e.shape[0] == y.shape[0]:
            return e if e is None else e.to(y)
        return e.to(y).repeat_interleave(y.shape[0] // e.shape[0], dim=0)


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
    y = torch.addcmul(now.cos * xi, now.sin, z)
    return y, torch.addcmul(now.sin * xi, now.cos, z, value=-1)


def _diagonal_by_autograd(
    network: Callable[..., Tensor], y: Tensor, phase: Tensor, probes: Tensor | None
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
