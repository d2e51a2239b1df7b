"""What a diffusion model minimises in training."""

import copy
from math import ceil

import torch
from torch import Tensor

from skgen.diffusion._bound import elbo_by_own_points, gaussian_elbo, phase_range
from skgen.diffusion._model import DiffusionNet, corrupt
from skgen.nn._average import move_average_
from skgen.training._objective import Objective
from skgen.training._step import Batch, TrainingStep

# Evaluations of the network in a step: a mini-batch of fewer rows is used repeatedly.
_LEAST_DRAWS = 256
# Points of the bound of each row that is watched, a power of 2.
_N_WATCHED_POINTS = 8


class DenoisingObjective(Objective):
    r"""The mean squared error of g, and the average of the weights that it leads to.

    .. math:: L = \sum_i \left\langle \int \left(g_i(y) - g_i\right)^2 d\theta_i
              \right\rangle_{x, z}

    which counts all angles alike, but for the times that are drawn. The bound has the
    weight :math:`\cot \theta_i`, which the noise of draws at small angles would
    dominate (Ho et al., 2020; Karras et al., 2022). One time is drawn in each of as
    many parts of the range as there are rows. With few features, most of the distance
    of a density from the truth comes from small angles.

    The average follows the weights w after each step n as

    .. math:: \bar{w} \leftarrow d_n \bar{w} + (1 - d_n) w, \quad
              d_n = \min\left(d, \frac{n + 1}{n + 10}\right).

    Parameters
    ----------
    model : DiffusionNet
        The model before training, of which the averaged one is a copy.
    decay : float
        Decay d of the average.
    n_averaged : int
        Number of steps n before.
    log_scale : float
        What losses that are watched are more by, in nats.
    closer : float
        Shares of the range of the mean angle are even shares to this power: with 1 all
        angles are drawn alike, with 2 in proportion to :math:`1 / \sqrt{\theta}`.
    """

    counters = ("n_averaged",)

    n_averaged: Tensor

    def __init__(
        self,
        model: DiffusionNet,
        *,
        decay: float,
        n_averaged: int = 0,
        log_scale: float = 0.0,
        closer: float = 1.0,
    ):
        super().__init__()
        self.average = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self.log_scale = log_scale
        self.closer = closer
        self.register_buffer("n_averaged", torch.tensor(n_averaged))

    def loss(
        self, model: DiffusionNet, batch: Batch, *, generator: torch.Generator
    ) -> Tensor:
        """Loss of each row, shape (batch,)."""
        return self._losses(model, batch, generator, with_bound=False)[0]

    def training_step(
        self, model: DiffusionNet, batch: Batch, step: TrainingStep
    ) -> None:
        """Take a step along the gradient of the mean of `loss`."""
        with step.rounding():
            loss, bound = self._losses(
                model, batch, step.generator, with_bound=step.records
            )
        if bound is not None:
            self._record(bound, batch.weight, step)
        step.minimize(loss, weight=batch.weight)

    @torch.no_grad()
    def after_step(self, model: DiffusionNet) -> None:
        """Move the average."""
        self.n_averaged += 1
        n = int(self.n_averaged)
        move_average_(self.average.network, model.network, self.decay, n)

    @torch.no_grad()
    def evaluate(self, model: DiffusionNet, batch: Batch) -> Tensor:
        """Negative evidence lower bound of each row, in nats."""
        model = model.given(batch.y)
        return self.log_scale - elbo_by_own_points(model, batch.x, _N_WATCHED_POINTS)

    def inference_model(self, model: DiffusionNet) -> DiffusionNet:  # noqa: ARG002
        """Return the model with averaged weights."""
        return self.average

    def _losses(
        self,
        model: DiffusionNet,
        batch: Batch,
        generator: torch.Generator,
        *,
        with_bound: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Loss of each row, and its bound by the same draws."""
        x, model = batch.x, model.for_training(batch.y, generator)
        process = model.process
        n_each = ceil(_LEAST_DRAWS / len(x))
        white = model.whiten(x)
        xi = white.repeat_interleave(n_each, 0) if n_each > 1 else white
        now, slope = process.draw(
            len(xi), closer=self.closer, like=x, generator=generator
        )
        z = torch.randn(xi.shape, dtype=x.dtype, device=x.device, generator=generator)
        y, target = corrupt(xi, z, now)
        g = model.g(y, now, generator=generator)
        loss = (now.weight * (g - target).square()).sum(1)
        bound = None
        if with_bound:
            with torch.no_grad():
                factor = now.weight * now.cos / now.sin * slope[:, None]
                terms = (factor * g * (g - 2 * target)).sum(1)
                mean = _mean_of_rows(terms, n_each) * phase_range(process)
                bound = gaussian_elbo(process, white) - mean
        return _mean_of_rows(loss, n_each), bound

    def _record(self, bound: Tensor, weight: Tensor | None, step: TrainingStep) -> None:
        """Note minus the bound, by the draws of the step."""
        step.record_rows(self.log_scale - bound, weight)


def _mean_of_rows(values: Tensor, n_each: int) -> Tensor:
    """Mean of the values that each row has, which stand together."""
    return values if n_each == 1 else values.view(-1, n_each).mean(1)
