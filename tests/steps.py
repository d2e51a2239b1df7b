"""Training steps without a net, for tests of objectives."""

import torch

from skgen.training import Batch, TrainingStep


def gradient_step(objective, model, x, generator, *, weight=None, factor_dtype=None):
    """Take a step of learning rate 0: the gradients are in ``.grad`` afterwards."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    take_step(objective, model, x, generator, optimizer, weight, factor_dtype)


def take_step(
    objective, model, x, generator, optimizer, weight=None, factor_dtype=None
):
    """Take a step of an objective with an optimizer of its own."""
    step = TrainingStep(
        {"optimizer": optimizer},
        list(model.named_parameters()),
        generator=generator,
        factor_dtype=factor_dtype,
    )
    step.batch = Batch(x, None, weight)
    with torch.set_grad_enabled(objective.differentiates):
        objective.training_step(model, step.batch, step)
