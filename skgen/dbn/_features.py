"""Training of one layer of a deep belief network on features of those below it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skgen.nn import Observation
from skgen.rbm import RBM, BernoulliRBM
from skgen.sampling import bernoulli, bernoulli_of_rows
from skgen.training._objective import Objective, Processes
from skgen.training._step import Batch, TrainingStep


class FeatureRBM(BernoulliRBM):
    """A machine above others that stay fixed; called with data, it gives features.

    Its parameters are those of the machine alone. Those of the others are buffers.

    Parameters
    ----------
    machine : BernoulliRBM
        The machine, whose parameters are taken over.
    below : sequence of RBM
        The machines below, the lowest first. Their parameters become buffers.
    """

    def __init__(self, machine: BernoulliRBM, below: Sequence[RBM]):
        weight, hidden_bias, visible_bias = (p.detach() for p in machine.parameters())
        super().__init__(weight, hidden_bias, visible_bias)
        self.below = nn.ModuleList(map(_with_buffers, below))

    def forward(self, v: Tensor) -> Tensor:
        """Mean of h, each layer given the means of the one below, (n, n_hidden)."""
        for machine in self.below:
            v = machine(v)
        return self.hidden_mean(v)

    def features(self, v: Tensor, generator: torch.Generator | None) -> Tensor:
        """Compute probabilities of the visible units given data; see `features_of`."""
        machines: Any = self.below
        return features_of(machines, v, generator=generator)


def features_of(
    machines: Sequence[RBM], v: Tensor, *, generator: torch.Generator | None
) -> Tensor:
    """Compute probabilities of the hidden units of the last of several machines.

    Parameters
    ----------
    machines : sequence of RBM
        The machines, the lowest first.
    v : Tensor of shape (n, n_features)
        Visible states of the lowest machine.
    generator : torch.Generator or None
        Source of randomness of the layers between; None means that it is a function of
        the row.

    Returns
    -------
    p : Tensor of shape (n, n_hidden)
        Probabilities.
    """
    *lower, last = machines
    for machine in lower:
        p = machine.hidden_mean(v)
        if generator is None:
            v = bernoulli_of_rows(p)
        else:
            v = bernoulli(p, generator=generator, out=p)
    return last.hidden_mean(v)


def _with_buffers(module: nn.Module) -> nn.Module:
    """Make buffers of the parameters of a module, in place."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        delattr(module, name)
        module.register_buffer(name, parameter.detach())
    return module


class OnFeatures(Objective):
    r"""An objective of a `FeatureRBM`, whose data are features of the data.

    The rows of a mini-batch become probabilities of the visible units of the machine.
    All layers below these are drawn, :math:`h^k \sim p(h^k \mid h^{k-1})`, anew at
    each mini-batch (Hinton, Osindero & Teh, 2006), and the objective draws the bits of
    the machine itself.

    Parameters
    ----------
    objective : Objective
        What is minimised, of data that are probabilities of bits.
    observation : Observation
        What is observed of the data.
    """

    def __init__(self, objective: Objective, observation: Observation):
        super().__init__()
        self.objective = objective
        self.observation = observation
        self.differentiates = objective.differentiates
        self.loss_tells_convergence = objective.loss_tells_convergence

    @torch.no_grad()
    def on_features(
        self, model: FeatureRBM, batch: Batch, generator: torch.Generator | None
    ) -> Batch:
        """Replace the rows of a mini-batch; see `FeatureRBM.features`."""
        v = self.observation.observe(batch.x, generator=generator)
        return batch._replace(x=model.features(v, generator))

    def training_step(self, model: Any, batch: Batch, step: TrainingStep) -> None:
        """Take a step of the objective on features."""
        batch = self.on_features(model, batch, step.generator)
        self.objective.training_step(model, batch, step)

    def running_means(self, model: Any) -> list[Tensor]:
        """Return those of the objective of features."""
        return self.objective.running_means(model)

    def divide(self, processes: Processes) -> None:
        """Keep a part of the state of the objective of features."""
        self.objective.divide(processes)

    def unite(self, processes: Processes) -> None:
        """Get the whole state of the objective of features back."""
        self.objective.unite(processes)

    def evaluate(self, model: Any, batch: Batch) -> Tensor | None:
        """Compute the watched loss of features, without randomness."""
        return self.objective.evaluate(model, self.on_features(model, batch, None))
