"""What training of a VAE minimises: the negative evidence lower bound."""

from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.training._objective import Objective
from skgen.training._step import Batch, TrainingStep
from skgen.vae._kl import kl_standard_normal, kl_standard_normal_gradient
from skgen.vae._model import VAE, elbo
from skgen.vae._schedule import StagedLatents


class NegativeELBO(Objective):
    r"""Minus the evidence lower bound, with weight :math:`\beta` on its KL term.

    .. math:: L(x) = -\log p(x \mid z) + \beta \sum_j \mathrm{KL}\left(q(z_j
              \mid x) \,\|\, p(z_j)\right), \quad z = \mu(x) + \sigma(x)
              \epsilon, \quad \epsilon \sim \mathcal{N}(0, I)

    with one draw of :math:`\epsilon` for each row. Its gradient passes through z (the
    reparameterisation trick; Kingma & Welling, 2014). With :math:`\beta = 1` it is
    minus the bound on the likelihood (other values: Higgins et al., 2017). `evaluate`
    is minus the bound, whatever :math:`\beta`.

    Parameters
    ----------
    beta : float
        Weight of the KL term.
    n_warmup : int
        Number of epochs over which the weight rises from 0 to `beta`, linearly.
    stages : StagedLatents or None
        Weights of the latents over a fit instead, as multiples of `beta`.
    log_scale : float
        Nats by which the loss in the units of the data is larger than in those in which
        the model sees it: the sum of the logs of the scales of all features.
    """

    loss_tells_convergence = True

    def __init__(
        self,
        *,
        beta: float = 1.0,
        n_warmup: int = 0,
        stages: StagedLatents | None = None,
        log_scale: float = 0.0,
    ):
        super().__init__()
        self.beta = beta
        self.n_risen = n_warmup
        self.stages = stages
        self.log_scale = log_scale

    @property
    def n_warmup(self) -> int:  # type: ignore[override]
        """Number of epochs until the loss is that of `beta`."""
        if self.stages is None or self.n_epochs is None:
            return self.n_risen
        return ceil(self.stages.end * self.n_epochs)

    @property
    def kl_weight(self) -> float | Tensor:
        """The weight of the KL term now, or that of each latent, (n_latents,)."""
        if self.epoch >= self.n_warmup:
            return self.beta
        if self.stages is not None:
            return self.beta * self.stages.weights(self._progress)
        return self.beta * self.epoch / self.n_warmup

    @property
    def _progress(self) -> float:
        """Share of the training that has passed."""
        return self.epoch / self.n_epochs if self.n_epochs else 1.0

    @property
    def _n_open(self) -> int | None:
        """Number of latents that take part now, the first ones; None means all."""
        stages = self._stages_now
        return None if stages is None else stages.n_open(self._progress)

    @property
    def _stages_now(self) -> StagedLatents | None:
        """The stages, until they are over."""
        return self.stages if self.epoch < self.n_warmup else None

    def loss(self, model: VAE, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """Loss of each row in nats, shape (batch,), by one draw from q."""
        model = model.given(batch.y)
        x, mu, log_var, f = _draw(model, batch.x, generator, self._n_open)
        kl = self._weights_like(mu) * kl_standard_normal(mu, log_var)
        return self.log_scale + kl.sum(1) - model.observation.log_prob(x, f)

    def training_step(self, model: VAE, batch: Batch, step: TrainingStep) -> None:
        """Take a step along the gradient of the mean of `loss`."""
        # The value of the loss is not needed, and not computed: that would be the
        # logarithms, and half of all passes over arrays as large as x. Autograd begins
        # at the output of the networks.
        model = model.given(batch.y)
        step.zero_gradients()
        with step.rounding():
            x, mu, log_var, f = _draw(model, batch.x, step.generator, self._n_open)
        with torch.no_grad():
            self._adapt(model, x, f, batch.weight)
            by_mu, by_log_var = kl_standard_normal_gradient(mu, log_var)
            weight: Any = 1 if batch.weight is None else batch.weight[:, None]
            kl_weight = self._weights_like(mu) / len(x) * weight
            gradients = {
                f: model.observation.gradient(x, f).mul_(-1 / len(x) * weight),
                mu: kl_weight * by_mu,
                log_var: kl_weight * by_log_var,
            }
        # A user's network may be frozen.
        outputs = [output for output in gradients if output.requires_grad]
        if step.records:
            # Before the step: afterwards f is that of other parameters.
            self._record(model, step, x, mu, log_var, f)
        step.backward(outputs, [gradients[output] for output in outputs])
        step.apply_gradients()

    def running_means(self, model: VAE) -> list[Tensor]:
        """Learned variances of the noise, which follow squared errors."""
        observation: Any = model.observation
        if getattr(observation, "floor", None) is None:
            return []
        return [observation.variance]

    def running_value(self, model: VAE) -> float | None:
        """Mean log of learned variances of the noise."""
        observation: Any = model.observation
        if getattr(observation, "floor", None) is None:
            return None
        return float(observation.variance.log().mean())

    @torch.no_grad()
    def evaluate(self, model: VAE, batch: Batch) -> Tensor:
        r"""Negative evidence lower bound, with :math:`\beta = 1`."""
        return self.log_scale - elbo(model.given(batch.y), batch.x)

    def _weights_like(self, mu: Tensor) -> float | Tensor:
        weights = self.kl_weight
        return weights.to(mu) if isinstance(weights, Tensor) else weights

    def _adapt(self, model: VAE, x: Tensor, f: Tensor, weight: Tensor | None) -> None:
        """Update what of the noise has a closed form."""
        stages = self._stages_now
        in_proportion = stages is not None and stages.shares_noise(self._progress)
        model.observation.adapt_(x, f, weight, in_proportion=in_proportion)

    @torch.no_grad()
    def _record(
        self,
        model: VAE,
        step: TrainingStep,
        x: Tensor,
        mu: Tensor,
        log_var: Tensor,
        f: Tensor,
    ) -> None:
        """Note the bound and its two terms, by the one draw of the step."""
        reconstruction = model.observation.log_prob(x, f) - self.log_scale
        kl = kl_standard_normal(mu, log_var).sum(1)
        weight = step.batch.weight
        n_rows: Any = len(x)
        if weight is not None:
            n_rows = weight.sum()
            reconstruction, kl = weight * reconstruction, weight * kl
        reconstruction, kl = reconstruction.sum() / n_rows, kl.sum() / n_rows
        step.record(
            n_rows, loss=kl - reconstruction, reconstruction=reconstruction, kl=kl
        )


def _draw(
    model: VAE, x: Tensor, generator: torch.Generator, n_open: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What is observed, mean and log-variance of q, and f(z) for one draw of z.

    Only the first `n_open` latents are drawn, if that is given; the others are 0.
    """
    x = model.observation.observe(x, generator=generator)
    mu, log_var = model.posterior(x)
    noise = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
    z = torch.addcmul(mu, (0.5 * log_var).exp(), noise)
    if n_open is not None:
        z = F.pad(z[:, :n_open], (0, z.shape[1] - n_open))
    return x, mu, log_var, model.decode(z)
