"""A toy family: a GAN of two linear players, which learns the mean of the data."""

import torch
from torch import nn

from skgen.base import BaseGenerator, load_arrays, to_arrays
from skgen.training import Objective


class Players(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(n_features))
        self.critic = nn.Parameter(torch.zeros(n_features))

    def forward(self, x):
        return x @ self.critic


class AdversarialLoss(Objective):
    def training_step(self, model, batch, step):
        noise = torch.empty_like(batch.x).normal_(generator=step.generator)
        gap = model(batch.x) - model(noise + model.mean.detach())
        penalty = 0.5 * model.critic.square().sum()
        step.minimize(penalty - gap, optimizer="critic_optimizer", weight=batch.weight)
        step.minimize(-model(noise + model.mean), optimizer="generator_optimizer")


class LinearGAN(BaseGenerator):
    _parameter_constraints = BaseGenerator._constraints_of(
        "learning_rate", "batch_size", "n_iter", "random_state"
    )

    def __init__(self, learning_rate=0.1, batch_size=50, n_iter=30, random_state=None):
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.n_iter, self.random_state = n_iter, random_state

    def _initial_state(self, rows, y, state):
        return dict(state) or {"weights_": to_arrays(Players(rows.shape[1]))}

    def _build_model(self, state):
        weights = state["weights_"]
        return load_arrays(Players(len(weights["mean"])), weights)

    def _build_objective(self, state):
        return AdversarialLoss()

    def _optimizer_arguments(self, state):
        optimizers = {"critic_optimizer": "critic", "generator_optimizer": "mean"}
        return {"optimizers": {k: (torch.optim.SGD, p) for k, p in optimizers.items()}}

    def sample(self, n_samples=1, *, random_state=None):
        rng = self._rng(random_state)
        return rng.normal(self.weights_["mean"], size=(n_samples, self.n_features_in_))

    def score_samples(self, X):
        X = self._validate_data(X)
        return self._apply(lambda model, x: -(x - model.mean).square().sum(1), X)
