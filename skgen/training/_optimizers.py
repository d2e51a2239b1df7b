"""Optimizers of torch that do not import its compiler."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer


class _WithoutCompiler:
    """The methods of an optimizer without what torch wraps around them.

    The wrappers keep `torch.compile` from tracing them. They import the compiler, 800
    modules that take seconds, when the first optimizer of a process is made. Here
    nothing traces an optimizer: what is compiled is the networks of a model alone.
    """

    # The optimizer of torch that a class does the same as. A subclass of such a class
    # is not meant, so that it is to be looked up in the class itself.
    same_as: ClassVar[type[Optimizer]]
    defaults: dict[str, Any]
    _plain_step: ClassVar[Callable[..., Any]]

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; the closure, if there is one, computes loss and gradients."""
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return self._plain_step(closure)


class SGD(_WithoutCompiler, torch.optim.SGD):
    """Stochastic gradient descent, as `torch.optim.SGD`."""

    same_as = torch.optim.SGD
    _plain_step = inspect.unwrap(torch.optim.SGD.step)


class Adam(_WithoutCompiler, torch.optim.Adam):
    """Adam, as `torch.optim.Adam`."""

    same_as = torch.optim.Adam
    _plain_step = inspect.unwrap(torch.optim.Adam.step)


class AdamW(_WithoutCompiler, torch.optim.AdamW):
    """Adam with decoupled weight decay, as `torch.optim.AdamW`."""

    same_as = torch.optim.AdamW
    _plain_step = inspect.unwrap(torch.optim.AdamW.step)
