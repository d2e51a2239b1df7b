"""What training of a VAE minimises: the negative evidence lower bound."""

from typing import Any

import torch
from torch import Tensor

from skgen.training._objective import Objective
from skgen.training._step import Batch, TrainingStep
from skgen.vae._kl import kl_standard_normal, kl_standard_normal_gradient
from skgen.vae._model import VAE, elbo


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
    """

    def __init__(self, *, beta: float = 1.0, n_warmup: int = 0):
        super().__init__()
        self.beta = beta
        self.n_warmup = n_warmup

    @property
    def kl_weight(self) -> float:
        """The weight of the KL term now."""
        if self.epoch >= self.n_warmup:
            return self.beta
        return self.beta * self.epoch / self.n_warmup

    def loss(self, model: VAE, batch: Batch, *, generator: torch.Generator) -> Tensor:
        """Loss of each row in nats, shape (batch,), by one draw from q."""
        x, mu, log_var, f = _draw(model, batch.x, generator)
        kl = kl_standard_normal(mu, log_var).sum(1)
        return self.kl_weight * kl - model.observation.log_prob(x, f)

    def training_step(self, model: VAE, batch: Batch, step: TrainingStep) -> None:
        """Take a step along the gradient of the mean of `loss`."""
        # The value of the loss is not needed, and not computed: that would be the
        # logarithms, and half of all passes over arrays as large as x. Autograd begins
        # at the output of the networks.
        step.zero_gradients()
        with step.rounding():
            x, mu, log_var, f = _draw(model, batch.x, step.generator)
        with torch.no_grad():
            model.observation.adapt_(x, f, batch.weight)
            by_mu, by_log_var = kl_standard_normal_gradient(mu, log_var)
            weight: Any = 1 if batch.weight is None else batch.weight[:, None]
            kl_weight = self.kl_weight / len(x) * weight
            gradients = {
                f: model.observation.gradient(x, f).mul_(-1 / len(x) * weight),
                mu: kl_weight * by_mu,
                log_var: kl_weight * by_log_var,
            }
        # A user's network may be frozen.
        outputs = [output for output in gradients if output.requires_grad]
        step.backward(outputs, [gradients[output] for output in outputs])
        step.apply_gradients()

    @torch.no_grad()
    def evaluate(self, model: VAE, batch: Batch) -> Tensor:
        r"""Negative evidence lower bound, with :math:`\beta = 1`."""
        return -elbo(model, batch.x)


def _draw(
    model: VAE, x: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What is observed, mean and log-variance of q, and f(z) for one draw of z."""
    x = model.observation.observe(x, generator=generator)
    mu, log_var = model.posterior(x)
    noise = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
    f = model.decode(torch.addcmul(mu, (0.5 * log_var).exp(), noise))
    return x, mu, log_var, f
