"""A toy family: a linear Gaussian p(x | y), with an averaged copy of its weights."""

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skgen.base import BaseGenerator, ConditionalMixin, load_arrays, to_arrays
from skgen.training import Objective


class LinearGaussian(torch.nn.Linear):
    def reset_parameters(self):
        self.weight.data.zero_(), self.bias.data.zero_()

    def log_prob(self, x, y):
        return torch.distributions.Normal(self(y), 1.0).log_prob(x).sum(1)


class AveragedLikelihood(Objective):
    def __init__(self, model):
        super().__init__()
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95))

    def loss(self, model, batch, *, generator):
        return -model.log_prob(batch.x, batch.y)

    def after_step(self, model):
        self.average.update_parameters(model)

    def inference_model(self, model):
        return self.average.module


class LinearConditional(ConditionalMixin, BaseGenerator):
    _parameter_constraints = BaseGenerator._constraints_of(
        "learning_rate", "batch_size", "n_iter", "random_state"
    )

    def __init__(self, learning_rate=0.1, batch_size=50, n_iter=30, random_state=None):
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.n_iter, self.random_state = n_iter, random_state

    def _initial_state(self, rows, y, state):
        model = LinearGaussian(y.shape[1], rows.shape[1])
        return dict(state) or {"weights_": to_arrays(model)}

    def _build_model(self, state):
        weights = state["weights_"]
        return load_arrays(LinearGaussian(*weights["weight"].T.shape), weights)

    def _build_objective(self, state):
        return AveragedLikelihood(self._build_model(state))

    def sample(self, n_samples=1, *, y, random_state=None):
        rng = self._rng(random_state)
        return rng.normal(y @ self.weights_["weight"].T + self.weights_["bias"])

    def score_samples(self, X, y):
        X = self._validate_data(X)
        return self._apply(LinearGaussian.log_prob, X, self._validate_conditions(y, X))
