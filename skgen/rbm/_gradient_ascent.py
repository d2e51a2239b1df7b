"""The update of an RBM: stochastic gradient ascent, in place."""

from operator import attrgetter

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from skgen.rbm._workspace import add_product_
from skgen.training._step import TrainingStep

# Velocities that decay to zero would become denormal numbers, with which a CPU computes
# a hundred times as slowly. Beside any weight, this velocity is nothing.
SMALLEST_VELOCITY = 1e-30
_MOVES = attrgetter("requires_grad")


def in_place_sgd(model: nn.Module, step: TrainingStep) -> "InPlaceSGD | None":
    """Return what steps a model in place, where that does the same as its optimizer.

    Parameters
    ----------
    model : nn.Module
        The model.
    step : TrainingStep
        The training step, with the optimizer.

    Returns
    -------
    sgd : InPlaceSGD or None
        None where the optimizer is not plain stochastic gradient descent of which the
        weights alone decay, a callback reads the gradients, or a parameter is frozen.
    """
    optimizer, parameters = step.optimizers["optimizer"], list(model.parameters())
    moves = all(parameter.requires_grad for parameter in parameters)
    if not moves or step.gradients_are_watched or not _is_plain_sgd(optimizer):
        return None
    if not _has_groups_for(optimizer, parameters[0]):
        return None
    return InPlaceSGD(optimizer, parameters)  # type: ignore[arg-type]


def _is_plain_sgd(optimizer: Optimizer) -> bool:
    """Whether an optimizer is stochastic gradient descent, with or without momentum.

    A subclass of torch's may do anything else, but for the one of the package, which
    says that it does the same (`skgen.training._optimizers`).
    """
    kind = type(optimizer)
    return vars(kind).get("same_as", kind) is SGD and not any(
        group["nesterov"] or group["dampening"] or group["maximize"]
        for group in optimizer.param_groups
    )


def _has_groups_for(optimizer: Optimizer, weight: nn.Parameter) -> bool:
    """Whether the weights come first, and only they decay; all else is the same."""
    first, *others = optimizer.param_groups
    alone = len(first["params"]) == 1 or not first["weight_decay"]
    return (
        first["params"][0] is weight
        and alone
        and not any(group["weight_decay"] for group in others)
        and all(
            (group["lr"], group["momentum"]) == (first["lr"], first["momentum"])
            for group in others
        )
    )


class InPlaceSGD:
    """Stochastic gradient descent without gradients in memory.

    It takes the learning rate, momentum and weight decay of a `torch.optim.SGD`, and
    keeps velocities where that does, so that each may go on where the other stopped.
    The gradient of the weights is added to them as a product of two factors: a pass or
    two less over the weights than by way of ``.grad``.

    Parameters
    ----------
    optimizer : torch.optim.SGD
        The optimizer. The first of its groups holds the weights, which alone decay.
    parameters : list of nn.Parameter
        The parameters of the model, the weights first.
    """

    def __init__(self, optimizer: SGD, parameters: list[nn.Parameter]):
        self.optimizer = optimizer
        self.parameters = tuple(parameters)
        self.weight, *self.others = parameters
        self.group = optimizer.param_groups[0]
        self.velocities: list[Tensor] = []
        if self.group["momentum"]:
            self.velocities = [_velocity(optimizer, p) for p in parameters]
        for parameter in parameters:
            parameter.grad = None
        if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
            # Without gradients this moves nothing; it tells a scheduler of torch, which
            # warns otherwise, that the optimizer has begun.
            optimizer.step()

    @property
    def is_frozen(self) -> bool:
        """Whether a parameter must not move, which has been allowed to before."""
        return not all(map(_MOVES, self.parameters))

    @property
    def scale(self) -> float:
        """Factor of the likelihood gradient in what `step` is given."""
        return -1.0 if self.velocities else self.group["lr"]

    def step(
        self,
        left: Tensor,
        right: Tensor | None,
        biases: list[Tensor],
        *,
        factor_dtype: torch.dtype | None,
    ) -> None:
        """Take a step along a gradient of the likelihood, multiplied by `scale`.

        Parameters
        ----------
        left, right : Tensor of shape (k, n_hidden) and (k, n_visible)
            The gradient of the weights is ``left.T @ right``; or `left` itself, where
            `right` is None.
        biases : list of Tensor
            Gradients of the other parameters.
        factor_dtype : torch.dtype or None
            As in `add_product_`.
        """
        rate, decay = self.group["lr"], self.group["weight_decay"]
        if self.velocities:
            self._accelerate(left, right, biases, factor_dtype)
            moves = zip(self.parameters, self.velocities, strict=True)
            for parameter, velocity in moves:
                parameter.add_(velocity, alpha=-rate)
            return
        if decay:
            self.weight.mul_(1 - rate * decay)
        add_product_(self.weight, left, right, factor_dtype)
        for parameter, gradient in zip(self.others, biases, strict=True):
            parameter.add_(gradient)

    def _accelerate(
        self,
        left: Tensor,
        right: Tensor | None,
        biases: list[Tensor],
        factor_dtype: torch.dtype | None,
    ) -> None:
        """Add a gradient to the velocities, which decay."""
        momentum, decay = self.group["momentum"], self.group["weight_decay"]
        of_weight, *of_others = self.velocities
        smallest = of_weight.new_full((), SMALLEST_VELOCITY)
        torch.add(smallest, of_weight, alpha=momentum, out=of_weight)
        if decay:
            of_weight.add_(self.weight, alpha=decay)
        add_product_(of_weight, left, right, factor_dtype)
        for velocity, gradient in zip(of_others, biases, strict=True):
            velocity.mul_(momentum).add_(gradient)


def _velocity(optimizer: SGD, parameter: nn.Parameter) -> Tensor:
    """The running sum of gradients of a parameter, where the optimizer keeps it."""
    state = optimizer.state[parameter]
    if state.get("momentum_buffer") is None:
        state["momentum_buffer"] = torch.zeros_like(parameter.detach())
    return state["momentum_buffer"]
