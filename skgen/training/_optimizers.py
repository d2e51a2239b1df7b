"""Optimizers of torch that do not import its compiler."""

import inspect
from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import (
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)


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
    param_groups: list[dict[str, Any]]
    state: defaultdict[Tensor, Any]
    _optimizer_step_pre_hooks: dict[int, Any]
    _optimizer_step_post_hooks: dict[int, Any]
    _plain_step: ClassVar[Callable[..., Any]]

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or set them to zero."""
        if not set_to_none:
            self._plain_zero_grad(set_to_none)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    _plain_zero_grad = inspect.unwrap(Optimizer.zero_grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; the closure, if there is one, computes loss and gradients."""
        has_hooks = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
        )
        if closure is None and not has_hooks and self._step_at_once():
            return None
        return self._step_with_hooks(closure)

    # Otherwise torch puts its profiler and hooks around it.
    step.hooked = True  # type: ignore[attr-defined]

    @Optimizer.profile_hook_step
    def _step_with_hooks(self, closure: Callable[[], Any] | None) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return self._plain_step(closure)

    def _step_at_once(self) -> bool:
        """Take a step in a few calls, if that is possible; whether it is."""
        return False


class _FusedAdam(_WithoutCompiler):
    """The step of Adam by the kernel of torch that updates all parameters.

    It calls that kernel with what torch calls it with. The checks and lists that torch
    makes before take longer than the kernel does for a small network.
    """

    def _step_at_once(self) -> bool:
        if getattr(self, "grad_scale", None) is not None:
            return False
        coming = []
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            states = [self.state[p] for p in parameters]
            # States are made by the first step of torch.
            if not (
                _has_plain_options(group) and all(states) and _are_alike(parameters)
            ):
                return False
            if parameters:
                coming.append((group, parameters, states))
        with torch.no_grad():
            for group, parameters, states in coming:
                _step_together(group, parameters, states)
        return True


def _has_plain_options(group: dict[str, Any]) -> bool:
    """Whether a group has no option but numbers and `fused`."""
    return bool(
        group["fused"]
        and isinstance(group["lr"], float | int)
        and not any(isinstance(beta, Tensor) for beta in group["betas"])
        and not group["amsgrad"]
        and not group["maximize"]
        and not group["capturable"]
        and not group["differentiable"]
    )


def _are_alike(parameters: list[Tensor]) -> bool:
    """Whether parameters are real, of one dtype and device, with dense gradients."""
    kinds = {(p.dtype, p.device) for p in parameters}
    return not kinds or (
        len(kinds) == 1
        and parameters[0].is_floating_point()
        and not any(cast(Tensor, p.grad).is_sparse for p in parameters)
    )


def _step_together(
    group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]
) -> None:
    """Step the parameters of one group that have gradients."""
    steps = [state["step"] for state in states]
    torch._foreach_add_(steps, 1)
    step = (
        torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
    )
    beta1, beta2 = group["betas"]
    step(
        parameters,
        [cast(Tensor, p.grad) for p in parameters],
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [],
        steps,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )


class SGD(_WithoutCompiler, torch.optim.SGD):
    """Stochastic gradient descent, as `torch.optim.SGD`."""

    same_as = torch.optim.SGD
    _plain_step = inspect.unwrap(torch.optim.SGD.step)


class Adam(_FusedAdam, torch.optim.Adam):
    """Adam, as `torch.optim.Adam`."""

    same_as = torch.optim.Adam
    _plain_step = inspect.unwrap(torch.optim.Adam.step)


class AdamW(_FusedAdam, torch.optim.AdamW):
    """Adam with decoupled weight decay, as `torch.optim.AdamW`."""

    same_as = torch.optim.AdamW
    _plain_step = inspect.unwrap(torch.optim.AdamW.step)
