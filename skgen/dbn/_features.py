"""Training of one layer of a deep belief network on features of those below it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skgen.nn import Observation
from skgen.rbm import RBM
from skgen.sampling import bernoulli, bernoulli_of_rows
from skgen.training._objective import Objective
from skgen.training._step import Batch, TrainingStep


class OnFeatures(Objective):
    r"""An objective whose data are features of the data, by machines that stay fixed.

    The rows of a mini-batch become the probabilities of the hidden units of the last
    machine. All layers below these are drawn, :math:`h^k \sim p(h^k \mid h^{k-1})`,
    anew at each mini-batch (Hinton, Osindero & Teh, 2006); the objective draws the last
    bits itself.

    Parameters
    ----------
    objective : Objective
        What is minimised, of data that are probabilities of bits.
    below : sequence of RBM
        The machines below the one that is trained, the lowest first.
    observation : Observation
        What is observed of the data.
    """

    def __init__(
        self, objective: Objective, below: Sequence[RBM], observation: Observation
    ):
        super().__init__()
        self.objective = objective
        self.observation = observation
        # No submodules: an objective owns no parameters.
        self._below = list(below)
        self.differentiates = objective.differentiates
        self.loss_tells_convergence = objective.loss_tells_convergence

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> "OnFeatures":
        for machine in self._below:
            machine._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    @torch.no_grad()
    def features(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Compute probabilities of the hidden units of the last machine.

        Parameters
        ----------
        x : Tensor of shape (batch, n_features)
            Data.
        generator : torch.Generator or None
            Source of randomness; None means that what is drawn is a function of the
            row.

        Returns
        -------
        p : Tensor of shape (batch, n_hidden)
            Probabilities.
        """
        states = self.observation.observe(x, generator=generator)
        *lower, last = self._below
        for machine in lower:
            p = machine.hidden_mean(states)
            if generator is None:
                states = bernoulli_of_rows(p)
            else:
                states = bernoulli(p, generator=generator, out=p)
        return last.hidden_mean(states)

    def training_step(self, model: Any, batch: Batch, step: TrainingStep) -> None:
        """Take a step of the objective on features."""
        features = self.features(batch.x, step.generator)
        self.objective.training_step(model, batch._replace(x=features), step)

    def evaluate(self, model: Any, batch: Batch) -> Tensor | None:
        """Compute the watched loss of features, without randomness."""
        features = self.features(batch.x, None)
        return self.objective.evaluate(model, batch._replace(x=features))
