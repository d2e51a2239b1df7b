"""Maximum likelihood of a GaussianRBM with few hidden units, by enumeration."""

import itertools
import math

import numpy as np
import torch
from torch.nn.functional import softplus


def log_density(v, W, b, c, log_variance, states):
    """Log-density of rows v, by the sum over all states of the hidden units.

    W is (n_hidden, n_features), and `states` is (2**n_hidden, n_hidden).
    """
    variance, shifts = log_variance.exp(), states @ W
    log_weights = states @ b + (shifts * (c + shifts / 2) / variance).sum(1)
    log_z = torch.logsumexp(log_weights, 0)
    log_z = log_z + 0.5 * (log_variance + math.log(2 * math.pi)).sum()
    distance = ((v - c).square() / (2 * variance)).sum(1)
    return softplus(b + (v / variance) @ W.T).sum(1) - distance - log_z


def maximum_likelihood(model, X, *, n_steps, learning_rate=0.02):
    """Maximise the likelihood of standardised rows by Adam, from where a model is.

    The learning rate falls linearly to 0, and the variances stay between the kurtosis
    over the number of rows, and 1, as those of the estimator. The parameters found are
    assigned to the model.
    """
    v = torch.from_numpy(np.asarray(X, dtype=np.float64))
    floor = v.pow(4).mean(0) / len(v) / v.square().mean(0)
    states = itertools.product([0.0, 1.0], repeat=model.n_components)
    states = torch.tensor(list(states), dtype=torch.float64)
    parameters = [
        torch.tensor(np.array(x, dtype=np.float64), requires_grad=True)
        for x in (
            model.components_,
            model.intercept_hidden_,
            model.intercept_visible_,
            np.log(model.noise_variance_),
        )
    ]
    log_variance = parameters[-1]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 1 - step / n_steps
    )
    for _ in range(n_steps):
        optimizer.zero_grad()
        (-log_density(v, *parameters, states).mean()).backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            log_variance.copy_(torch.maximum(log_variance, floor.log()).clamp_(max=0))
    W, b, c, log_variance = (x.detach().numpy() for x in parameters)
    model.components_, model.intercept_hidden_ = W, b
    model.intercept_visible_, model.noise_variance_ = c, np.exp(log_variance)
