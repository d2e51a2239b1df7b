"""Maximum likelihood of an energy model by persistent Langevin chains."""

from math import log

import torch
from torch import Tensor

from skgen.energy._chains import JUMP_EVERY, LARGEST_STEP, jump, move, start
from skgen.energy._model import EnergyNet
from skgen.energy._noise_contrastive import losses, watched_loss
from skgen.sampling import langevin
from skgen.sampling._langevin import MALA_RATE, tuned
from skgen.training._objective import Objective, Processes
from skgen.training._step import Batch, TrainingStep

# A step size goes on following the acceptance rate, as the model changes: by no less
# than after so many steps.
_LEAST_GAIN_AFTER = 100
# By which share the constant c follows log Z of the draws of a step.
_FOLLOWS = 0.1
# Times that a chain that starts anew is moved while beta rises from 0 to 1.
N_RISING = 10


class PersistentLangevin(Objective):
    r"""The gradient of the log-likelihood, by chains that go on from step to step.

    .. math:: \nabla \log p(x) = -\nabla f(x) + \left\langle \nabla f(x') \right
              \rangle_{x' \sim p}

    where :math:`x'` are states of chains from a buffer, which are moved a few steps and
    put back (Tieleman, 2008; Du & Mordatch, 2019). The buffer starts with draws of the
    base, which the model is at its start. Chains are adjusted by Metropolis tests, with
    a step size that follows their acceptance rate, so that :math:`e^{-E}` is what they
    sample; or they are not, and have a temperature.

    An adjusted chain that starts anew, as a draw of the base :math:`q_0`, is
    annealed, as chains of `EnergyModel.sample` are: its density is :math:`q_0
    e^{-\beta f}` with :math:`\beta` rising from 0 to 1. While :math:`\beta` is
    small, proposed draws of the base are often accepted, which brings the share of
    chains in each mode closer to its mass. Chains at the model itself would keep
    the shares of the base, if modes are far from each other, and the gradient would
    not tell that these are wrong. A chain contributes to the gradient once
    :math:`\beta = 1`.

    The gradient does not tell the mean of f, which drifts. The constant c follows the
    log Z of draws of the base, so that the loss that is watched can be that of
    noise-contrastive estimation.

    Parameters
    ----------
    chains : Tensor of shape (n_chains, n_features)
        The buffer.
    n_steps : int
        Steps of the chains for each step of training.
    step_size : float
        Step size of the chains, for unadjusted ones that of `skgen.sampling.langevin`.
    n_noise : int
        Draws of the base for each row, for c.
    reinit_fraction : float
        Probability with which a chain starts anew from the base.
    adjusted : bool
        Whether chains are adjusted.
    tunes : bool
        Whether their step size follows the acceptance rate.
    temperature : float
        Temperature of unadjusted chains.
    n_tuned : int
        Number of times that the step size has been moved before.
    ages : Tensor of shape (n_chains,), dtype=int64, or None
        Times that each chain has been moved since it started anew, at most `N_RISING`;
        None means as many.
    """

    counters = ("n_tuned",)

    chains: Tensor
    ages: Tensor
    n_tuned: Tensor
    step_size: Tensor

    def __init__(
        self,
        chains: Tensor,
        *,
        n_steps: int,
        step_size: float,
        n_noise: int,
        reinit_fraction: float,
        adjusted: bool = True,
        tunes: bool = True,
        temperature: float = 1.0,
        n_tuned: int = 0,
        ages: Tensor | None = None,
    ):
        super().__init__()
        self.n_steps, self.n_noise = n_steps, n_noise
        self.reinit_fraction, self.temperature = reinit_fraction, temperature
        self.adjusted, self.tunes = adjusted, tunes
        self.register_buffer("chains", chains)
        if ages is None:
            ages = torch.full((len(chains),), N_RISING, device=chains.device)
        self.register_buffer("ages", ages)
        self.register_buffer("n_tuned", torch.tensor(n_tuned))
        self.register_buffer("step_size", torch.tensor(step_size, dtype=torch.float64))

    def training_step(self, model: EnergyNet, batch: Batch, step: TrainingStep) -> None:
        """Move some of the chains, and step along the gradient that they give."""
        generator, x = step.generator, batch.x
        n = min(len(x), len(self.chains))
        order = torch.randperm(
            len(self.chains), generator=generator, device=generator.device
        )
        chosen = order[:n]
        self._start_anew(model, chosen, generator)
        counts = self._move(model, chosen, generator)
        moved = self.chains[chosen]
        noise = model.base.sample(len(x) * self.n_noise, generator=generator)
        with step.rounding():
            f = model.correction(torch.cat([x, moved, noise]))
        of_rows, of_chains, of_noise = f.split([len(x), n, len(noise)])
        mean = (counts * of_chains).sum() / counts.sum()
        loss = of_rows - _for_weights(mean, batch.weight)
        with torch.no_grad():
            log_z = (-of_noise).logsumexp(0) - log(len(noise))
            model.log_normalizer.lerp_(log_z.to(model.log_normalizer), _FOLLOWS)
            contrast = self._contrast(model, of_rows, of_noise, batch)
        step.minimize(loss, weight=batch.weight)
        step.record_rows(contrast, batch.weight)

    def running_means(self, model: EnergyNet) -> list[Tensor]:
        """The constant c and the step size of the chains."""
        return [model.log_normalizer, self.step_size]

    def divide(self, processes: Processes) -> None:
        """Keep a part of the chains."""
        self.chains = processes.own_part(self.chains, 0, parameter="buffer_size")
        self.ages = processes.own_part(self.ages, 0, parameter="buffer_size")

    def unite(self, processes: Processes) -> None:
        """Get all of the chains back."""
        self.chains = processes.gathered(self.chains, 0)
        self.ages = processes.gathered(self.ages, 0)

    @torch.no_grad()
    def evaluate(self, model: EnergyNet, batch: Batch) -> Tensor:
        """Loss of noise-contrastive estimation of each row, by fixed draws."""
        return watched_loss(model, batch.x, self.n_noise)

    def _contrast(
        self, model: EnergyNet, of_rows: Tensor, of_noise: Tensor, batch: Batch
    ) -> Tensor:
        """Loss of noise-contrastive estimation, which is reported, not minimised."""
        c = model.log_normalizer
        rows, noise = losses(-of_rows - c, -of_noise - c, self.n_noise)
        return rows + _for_weights(noise.mean() * self.n_noise, batch.weight)

    def _start_anew(
        self, model: EnergyNet, chosen: Tensor, generator: torch.Generator
    ) -> None:
        """Put draws of the base in the place of some of the chains."""
        x, ages = self.chains[chosen], self.ages[chosen]
        fresh = model.base.sample(len(x), generator=generator)
        u = torch.rand((len(x), 1), generator=generator, device=x.device)
        starts = (u < self.reinit_fraction) & (ages[:, None] == N_RISING)
        self.chains[chosen] = torch.where(starts, fresh, x)
        if self.adjusted:
            self.ages[chosen] = ages.masked_fill(starts[:, 0], 0)

    def _move(
        self, model: EnergyNet, chosen: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Move some of the chains; return 1 for those that contribute, 0 for others."""
        x, size = self.chains[chosen], self.step_size.item()
        if not self.adjusted:
            self.chains[chosen] = langevin(
                model.energy,
                x,
                self.n_steps,
                step_size=size,
                temperature=self.temperature,
                generator=generator,
            )
            return torch.ones_like(x[:, 0])
        ages = self.ages[chosen]
        on = (ages >= N_RISING - 1).to(x)
        counts = on + (on.sum() == 0).to(x)  # rather all than none
        here = start(model, x)
        for n in range(1, self.n_steps + 1):
            beta = ((ages + n / self.n_steps) / N_RISING).clamp(max=1).square().to(x)
            if n % JUMP_EVERY == 0:
                here, _ = jump(model, model.base, here, beta, generator=generator)
                continue
            here, rate = move(model, model.base, here, beta, size, generator=generator)
            if self.tunes:
                n_before = min(int(self.n_tuned), _LEAST_GAIN_AFTER)
                rate = (counts * rate).sum() / counts.sum()
                size = tuned(
                    size, rate, n_before, target_rate=MALA_RATE, largest=LARGEST_STEP
                )
                self.n_tuned += 1
        if self.n_steps % JUMP_EVERY:
            here, _ = jump(model, model.base, here, beta, generator=generator)
        self.step_size.fill_(size)
        self.chains[chosen] = here.x
        self.ages[chosen] = (ages + 1).clamp(max=N_RISING)
        return counts


def _for_weights(mean: Tensor, weight: Tensor | None) -> Tensor:
    """What rows have of a mean that does not depend on their weights."""
    return mean if weight is None else mean / weight.clamp(min=1e-30)
