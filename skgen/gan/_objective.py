"""How the two players of a GAN take turns."""

import copy

import torch
from torch import Tensor

from skgen.gan._energy_score import energy_scores, energy_scores_of_model
from skgen.gan._losses import LOSSES, relativistic_critic_loss, wasserstein_critic_loss
from skgen.gan._model import GANNet, Generator
from skgen.nn._average import move_average_
from skgen.training._objective import Objective
from skgen.training._step import Batch, TrainingStep

# Draws against which the energy score of a mini-batch is recorded.
_N_RECORDED = 256


class AdversarialObjective(Objective):
    """Steps of a critic and of a generator, whose averaged weights are what is fitted.

    A mini-batch is one step of the critic. With each of `n_critic` such steps the
    generator takes one, against the same real rows and with other noise.

    Parameters
    ----------
    generator : Generator
        The averaged generator before training, which is copied.
    loss : str
        A key of `skgen.gan._losses.LOSSES`.
    penalty : float
        Strength of the penalty on the slope of the critic.
    n_critic : int
        Steps of the critic for one of the generator.
    decay : float
        Decay of the average of the weights.
    n_steps : int
        Number of steps of the critic before.
    """

    counters = ("n_steps",)

    n_steps: Tensor

    def __init__(
        self,
        generator: Generator,
        *,
        loss: str,
        penalty: float,
        n_critic: int = 1,
        decay: float,
        n_steps: int = 0,
    ):
        super().__init__()
        self.average = copy.deepcopy(generator).requires_grad_(False).eval()
        self.loss_name = loss
        self.penalty = penalty
        self.n_critic = n_critic
        self.decay = decay
        self.register_buffer("n_steps", torch.tensor(n_steps))

    def training_step(self, model: GANNet, batch: Batch, step: TrainingStep) -> None:
        """Let the critic take a step and, when it is its turn, the generator."""
        x, noise, pair_loss = batch.x, step.generator, LOSSES[self.loss_name]
        with step.rounding():
            with torch.no_grad():
                fake = model.generator.draw(len(x), noise)
            loss = self._critic_loss(model, x, fake, noise)
        critic = step.minimize(loss, weight=batch.weight, only="critic")
        self.n_steps += 1
        if step.records:
            self._record(model, batch, step, critic=critic)
        if not self._is_turn_of_generator():
            return
        with step.rounding():
            fake = model.generator.draw(len(x), noise)
            with torch.no_grad():
                of_real = model(x)
            loss = pair_loss(model(fake), of_real)
        step.minimize(loss, weight=batch.weight, only="generator")

    def after_step(self, model: GANNet) -> None:
        """Move the average, if the generator has taken a step."""
        if self._is_turn_of_generator():
            n = int(self.n_steps) // self.n_critic
            move_average_(self.average, model.generator, self.decay, n)

    @torch.no_grad()
    def evaluate(self, model: Generator, batch: Batch) -> Tensor:
        """Energy score of each row, against fixed draws of the averaged generator."""
        return -energy_scores_of_model(model, batch.x)

    def inference_model(self, model: GANNet) -> Generator:  # noqa: ARG002
        """Return the generator with averaged weights."""
        return self.average

    def _is_turn_of_generator(self) -> bool:
        return self.n_critic == 1 or int(self.n_steps) % self.n_critic == 0

    def _critic_loss(
        self, model: GANNet, real: Tensor, fake: Tensor, noise: torch.Generator
    ) -> Tensor:
        if self.loss_name == "relativistic":
            return relativistic_critic_loss(model, real, fake, self.penalty)
        options = {"dtype": real.dtype, "device": real.device, "generator": noise}
        share = torch.rand((len(real), 1), **options)  # type: ignore[call-overload]
        return wasserstein_critic_loss(model, real, fake, self.penalty, share)

    @torch.no_grad()
    def _record(
        self, model: GANNet, batch: Batch, step: TrainingStep, *, critic: Tensor
    ) -> None:
        """Note the energy score of the mini-batch, and what the critic minimises."""
        draws = model.generator.draw(_N_RECORDED, step.generator)
        loss = -energy_scores(batch.x, draws)
        step.record_rows(loss, batch.weight, critic=critic)
