"""The conditional diffusion model: a network that is given y, or nothing."""

from typing import Any

import torch
from torch import Tensor, nn

from skgen.diffusion._model import DiffusionNet
from skgen.diffusion._process import Instant, NoiseProcess


class ConditionalDiffusionNet(DiffusionNet):
    r"""Diffusion model of x given y, and of x alone, by one network.

    The model of x given y starts at a linear one, :math:`x \sim \mathcal{N}(m(y), C)`:
    rows turn into noise with their offsets m(y) subtracted, and C is the covariance of
    what is left. That of x alone starts at the Gaussian of all rows, and has a noise
    process of its own. The network is given y and a number that is 1, or zeros in the
    place of both where y is not given (Ho & Salimans, 2021, "Classifier-free diffusion
    guidance").

    ``model.given(y)`` is a view of the same parameters, for which all functions of a
    `DiffusionNet` hold.

    Parameters
    ----------
    network : nn.Module
        The network.
    process : NoiseProcess
        How rows without their offsets turn into noise.
    alone : NoiseProcess
        How rows of which y is not known turn into noise.
    offset : Tensor of shape (n_conditions + 1, n_features)
        Means of standardised rows by their conditions, and in the last row without.
    dropped : float
        Share of the mini-batches from which conditions are withheld in training.
    by_features : bool
        As for `DiffusionNet`.

    Attributes
    ----------
    guidance : float
        Weight w of a view that is guided: its g is that of points which follow
        :math:`(1 + w)` times the score given y minus w times the score without.
    """

    offset: Tensor
    alone: NoiseProcess
    guidance: float = 0.0

    def __init__(
        self,
        network: nn.Module,
        process: NoiseProcess,
        alone: NoiseProcess,
        offset: Tensor,
        *,
        dropped: float = 0.0,
        by_features: bool = False,
    ):
        super().__init__(network, process, by_features=by_features)
        self.register_buffer("offset", offset)
        self.alone = alone
        self.dropped = dropped

    def given(
        self, y: Tensor | None, guidance: float = 0.0
    ) -> "ConditionalDiffusionNet":
        """Return a view given conditions, one row for each of x or one for all.

        Parameters
        ----------
        y : Tensor of shape (n_rows, n_conditions) or (1, n_conditions) or None
            The conditions; None means that of x alone.
        guidance : float
            Weight of guidance.

        Returns
        -------
        model : ConditionalDiffusionNet
            A view of the same parameters.
        """
        if y is None:
            view = self._view(self.offset.new_zeros(1, len(self.offset)))
            view.__dict__["_modules"] = {**self._modules, "process": self.alone}
            return view
        return self._view(torch.cat([y, torch.ones_like(y[:, :1])], 1), guidance)

    def for_training(
        self, y: Tensor | None, generator: torch.Generator
    ) -> "ConditionalDiffusionNet":
        """Return the view of a mini-batch, which may be that of x alone."""
        options: Any = {"dtype": torch.float32, "device": generator.device}
        draw = torch.rand((), generator=generator, **options)
        return self.given(None if draw < self.dropped else y)

    def of_rows(self, rows: slice) -> "ConditionalDiffusionNet":
        """Return the view of some rows of a table."""
        e = self._condition_of_a_view()
        return self if len(e) == 1 else self._view(e[rows], self.guidance)

    def centered(self, x: Tensor) -> Tensor:
        """Subtract the offsets from standardised rows, (batch, n_features)."""
        return x - self._offsets(x)

    def unwhiten(self, xi: Tensor) -> Tensor:
        """Undo `whiten`."""
        return self.process.unwhiten(xi) + self._offsets(xi)

    def g(self, y: Tensor, now: Instant, **options: Any) -> Tensor:
        r"""Estimate the mean of g given conditions, guided where the view is.

        Both models see the same noisy rows u, each in its own units. Guidance takes
        :math:`g + w (g - g_0)`, with :math:`g_0` of the mean of the data by the model
        of x alone, in the units of the other:
        :math:`\xi_0 = \cos\theta\, y + \sin\theta\, g_0`.

        Parameters
        ----------
        y : Tensor of shape (batch, n_features)
            Points.
        now : Instant
            One time, or one for each row.
        **options : dict
            Those of the network.

        Returns
        -------
        g : Tensor of shape (batch, n_features)
            The estimate.
        """
        g = super().g(y, now, **options)
        if not self.guidance:
            return g
        x = self._alone(self._noisy_rows(y, now), now.t, **options)
        g_0 = (self.whiten(x) - now.cos * y) / now.sin
        return g + self.guidance * (g - g_0)

    def _alone(self, u: Tensor, t: Tensor, **options: Any) -> Tensor:
        """Mean of standardised rows given noisy ones by the model of x alone."""
        model = self.given(None)
        now = model.process.at(t)
        y = model.process.whiten(u) * model.process.spread / now.norm
        xi = now.cos * y + now.sin * model.g(y, now, **options)
        return model.unwhiten(xi)

    def _noisy_rows(self, y: Tensor, now: Instant) -> Tensor:
        """Noisy rows u of standardised rows."""
        u = self.process.unwhiten(y * now.norm / self.process.spread)
        return u + now.t.cos()[:, None] * self._offsets(y)

    def _offsets(self, like: Tensor) -> Tensor:
        return self._condition_of_a_view().to(like) @ self.offset.to(like)

    def _view(self, condition: Tensor, guidance: float = 0.0) -> Any:
        # Not by `copy`: torch.export puts a class of its own in the place of this one.
        view = ConditionalDiffusionNet.__new__(ConditionalDiffusionNet)
        view.__dict__.update(self.__dict__)
        view.__dict__["condition"] = condition
        view.__dict__["guidance"] = guidance
        return view

    def _condition_of_a_view(self) -> Tensor:
        if self.condition is None:
            raise ValueError(
                "Got no conditions, but a ConditionalDiffusionNet needs them: call it "
                "by way of model.given(y), with y=None for x alone."
            )
        return self.condition
