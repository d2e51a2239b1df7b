"""The update of an RBM: stochastic gradient ascent, in place."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

# Velocities that decay to zero would become denormal numbers, with which a CPU computes
# a hundred times as slowly. Beside any weight, this velocity is nothing.
_SMALLEST_VELOCITY = 1e-30


def steps_in_place(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> bool:
    """Whether `InPlaceSGD` does what an optimizer would do for all parameters."""
    return (
        type(optimizer) is SGD
        and not any(
            group["nesterov"] or group["dampening"] or group["maximize"]
            for group in optimizer.param_groups
        )
        and all(parameter.requires_grad for parameter in parameters)
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
    parameters : iterable of nn.Parameter
        The parameters of the model, the weights first.
    """

    def __init__(self, optimizer: SGD, parameters: Iterable[nn.Parameter]):
        self.optimizer = optimizer
        self.parameters = list(parameters)
        optimizer.zero_grad(set_to_none=True)
        # Without gradients this moves nothing; it tells schedulers of torch that the
        # optimizer has begun.
        optimizer.step()

    @property
    def group(self) -> dict:
        """The group of the weights, with its learning rate, momentum and decay."""
        return self.optimizer.param_groups[0]

    @property
    def scale(self) -> float:
        """Factor of a likelihood gradient in what `step` is given."""
        return -1.0 if self.group["momentum"] else self.group["lr"]

    def step(self, product: Callable[[Tensor], Tensor], biases: list[Tensor]) -> None:
        """Take a step along a gradient of the likelihood, multiplied by `scale`.

        Parameters
        ----------
        product : callable
            ``product(x)`` adds the gradient of the weights to x in place.
        biases : list of Tensor
            Gradients of the other parameters.
        """
        group, (weight, *others) = self.group, self.parameters
        rate, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
        if not momentum:
            if decay:
                weight.mul_(1 - rate * decay)
            product(weight)
            for parameter, gradient in zip(others, biases, strict=True):
                parameter.add_(gradient)
            return
        of_weight, *of_others = self._velocities()
        smallest = of_weight.new_full((), _SMALLEST_VELOCITY)
        torch.add(smallest, of_weight, alpha=momentum, out=of_weight)
        if decay:
            of_weight.add_(weight, alpha=decay)
        product(of_weight)
        for velocity, gradient in zip(of_others, biases, strict=True):
            velocity.mul_(momentum).add_(gradient)
        velocities = of_weight, *of_others
        for parameter, velocity in zip(self.parameters, velocities, strict=True):
            parameter.add_(velocity, alpha=-rate)

    def _velocities(self) -> list[Tensor]:
        """Running sums of gradients, where the optimizer keeps them."""
        velocities = []
        for parameter in self.parameters:
            state = self.optimizer.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter.detach())
            velocities.append(state["momentum_buffer"])
        return velocities
