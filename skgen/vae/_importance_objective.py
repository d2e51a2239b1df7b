"""Training by the importance-weighted bound, and on incomplete rows."""

from math import log
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from skgen.training._step import Batch, TrainingStep
from skgen.vae._fill import LinearFill
from skgen.vae._kl import kl_standard_normal
from skgen.vae._missing import observe_incomplete
from skgen.vae._model import VAE, decode_points, posterior_average
from skgen.vae._objective import NegativeELBO


class ImportanceWeightedELBO(NegativeELBO):
    r"""Minus the importance-weighted bound on what is observed of each row.

    .. math:: L(x) = -\log \frac{1}{K} \sum_{k=1}^{K} \frac{p(x_o \mid z_k)\,
              p(z_k)}{q(z_k \mid x_o)}, \quad z_k = \mu(x) + \sigma(x) \epsilon_k,
              \quad \epsilon_k \sim \mathcal{N}(0, I)

    (Burda, Grosse & Salakhutdinov, 2016; on the observed entries o of incomplete data:
    Mattei & Frellsen, "MIWAE", ICML 2019). With K = 1 the second factor is replaced by
    its mean, the KL term of `NegativeELBO`. The weight :math:`\beta` is an exponent
    of :math:`p(z_k) / q(z_k \mid x)` for more than one draw.

    Autograd differentiates it. In front of the encoder, missing entries are replaced by
    what a linear model of the data expects (see `LinearFill`). Rows of which nothing is
    observed have no loss.

    Parameters
    ----------
    n_samples : int
        Draws of z for each row, K.
    fill : LinearFill or None
        Replaces missing entries in front of the encoder; None means by 0.
    **parameters : dict
        Those of `NegativeELBO`.

    Attributes
    ----------
    log_scales : Tensor of shape (n_features,) or None
        The logs of the scales of the features, whose sum is `log_scale`; None means
        that all are 0.
    """

    log_scales: Tensor | None = None

    def __init__(
        self, *, n_samples: int = 1, fill: LinearFill | None = None, **parameters: Any
    ):
        super().__init__(**parameters)
        self.n_samples = n_samples
        self.fill = fill

    def loss(self, model: VAE, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """Loss of each row in nats, shape (batch,), by K draws from q."""
        return self._loss(self._draws(model, batch.x, generator))

    def training_step(self, model: VAE, batch: Batch, step: TrainingStep) -> None:
        """Take a step along the gradient of the mean of `loss`."""
        with step.rounding():
            draws = self._draws(model, batch.x, step.generator)
        if step.records:
            self._record_draws(draws, step)
        step.minimize(self._loss(draws), weight=batch.weight)
        self._adapt_to(model, draws, batch.weight)

    @torch.no_grad()
    def evaluate(self, model: VAE, batch: Batch) -> Tensor:
        r"""Negative evidence lower bound, with :math:`\beta = 1` and K = 1."""
        if not batch.x.isnan().any():
            return super().evaluate(model, batch)
        x = observe_incomplete(model, batch.x)
        posterior = self._posterior(model, x)
        log_prob = model.observation.log_prob_of_observed
        kl = self._of_known(kl_standard_normal(*posterior).sum(1), x)
        return (
            kl + self._scales_of(x) - posterior_average(model, x, posterior, log_prob)
        )

    def _draws(self, model: VAE, x: Tensor, generator: torch.Generator) -> "_Draws":
        x = observe_incomplete(model, x, generator)
        mu, log_var = self._posterior(model, x)
        shape = len(x), self.n_samples, mu.shape[1]
        noise = torch.randn(
            shape, generator=generator, dtype=mu.dtype, device=mu.device
        )
        z = mu[:, None] + (0.5 * log_var).exp()[:, None] * noise
        n_open = self._n_open
        if n_open is not None:
            z = F.pad(z[..., :n_open], (0, z.shape[2] - n_open))
        f = decode_points(model, z)
        log_prob = model.observation.log_prob_of_observed(x[:, None], f)
        log_prob = log_prob - self._scales_of(x)[:, None]
        # log p(z) - log q(z | x) of each latent, (batch, K, n_latents)
        log_ratio = 0.5 * (noise.square() - z.square() + log_var[:, None])
        kl = kl_standard_normal(mu, log_var)
        return _Draws(x, f, log_prob, log_ratio, kl)

    def _loss(self, draws: "_Draws") -> Tensor:
        weights = self._weights_like(draws.kl)
        return self._of_known(-_bound(draws, weights), draws.x)

    @torch.no_grad()
    def _adapt_to(self, model: VAE, draws: "_Draws", weight: Tensor | None) -> None:
        """Update what of the noise has a closed form."""
        observation: Any = model.observation
        if not hasattr(observation, "adapt_to_"):
            return
        observed = (~draws.x.isnan()).to(draws.f.dtype)
        error = (draws.x.nan_to_num()[:, None] - draws.f).square()
        if self.n_samples == 1:
            error = error[:, 0]
        else:
            by_weight = _log_weights(draws, self._weights_like(draws.kl)).softmax(1)
            error = (by_weight[:, :, None] * error).sum(1)
        count = observed if weight is None else observed * weight[:, None]
        stages = self._stages_now
        in_proportion = stages is not None and stages.shares_noise(self._progress)
        observation.adapt_to_(error, count, in_proportion=in_proportion)

    @torch.no_grad()
    def _record_draws(self, draws: "_Draws", step: TrainingStep) -> None:
        """Note the bound, and both terms of the evidence lower bound."""
        values = {
            "loss": self._of_known(-_bound(draws, 1.0), draws.x),
            "reconstruction": draws.log_prob.mean(1),
            "kl": self._of_known(draws.kl.sum(1), draws.x),
        }
        weight = step.batch.weight
        n_rows: Any = len(draws.x)
        if weight is not None:
            n_rows = weight.sum()
            values = {name: weight * value for name, value in values.items()}
        step.record(n_rows, **{k: v.sum() / n_rows for k, v in values.items()})

    def _posterior(self, model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q of observations, (batch, n_latents) each."""
        return model.posterior(x.nan_to_num() if self.fill is None else self.fill(x))

    def _scales_of(self, x: Tensor) -> Tensor:
        """By how much the loss is larger in the units of the data, (batch,)."""
        if self.log_scales is None:
            return x.new_zeros(len(x))
        scales = self.log_scales.to(x).expand_as(x)
        return scales.masked_fill(x.isnan(), 0).sum(1)

    def _of_known(self, values: Tensor, x: Tensor) -> Tensor:
        """Values of rows; 0 for those of which nothing is observed."""
        return values.masked_fill(x.isnan().all(1), 0)


class _Draws(NamedTuple):
    """Draws of z for a mini-batch, and what follows from them."""

    x: Tensor  # observations, (batch, n_features)
    f: Tensor  # output of the decoder, (batch, K, n_features)
    log_prob: Tensor  # log p(x | z) in the units of the data, (batch, K)
    log_ratio: Tensor  # log p(z) - log q(z | x), (batch, K, n_latents)
    kl: Tensor  # its mean with the sign changed, (batch, n_latents)


def _log_weights(draws: _Draws, weights: Any) -> Tensor:
    """Logs of importance weights, shape (batch, K)."""
    return draws.log_prob + (weights * draws.log_ratio).sum(2)


def _bound(draws: _Draws, weights: Any) -> Tensor:
    """The bound of each row, with weights of the latents, shape (batch,)."""
    n_samples = draws.log_prob.shape[1]
    if n_samples == 1:
        return draws.log_prob[:, 0] - (weights * draws.kl).sum(1)
    return _log_weights(draws, weights).logsumexp(1) - log(n_samples)
