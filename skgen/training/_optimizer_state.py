"""What training goes on from besides a model and an objective, as arrays."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Arrays and numbers by parameter and name, of one optimizer.
Entries = dict[str, dict[str, Any]]


def training_state(net: Any) -> dict[str, Any]:
    """Copy the states of the optimizers and of the source of randomness of a net.

    Parameters
    ----------
    net : GenerativeNet
        The net.

    Returns
    -------
    state : dict
        Arrays and plain Python.
    """
    parameters = net.get_all_learnable_params()
    return {
        "optimizers": read_optimizers(net.named_optimizers(), parameters),
        "device": net.generator.device.type,
        "generator": net.generator.get_state().numpy().copy(),
    }


def resume_training(net: Any, state: dict[str, Any]) -> list[str]:
    """Let a new net go on from what `training_state` returned of another.

    Parameters
    ----------
    net : GenerativeNet
        The net.
    state : dict
        The state. Random numbers go on from it if they come from a device of the
        same type.

    Returns
    -------
    lost : list of str
        Names of parameters of which the optimizer starts anew, as its state is of
        another kind or shape.
    """
    if state["device"] == net.generator.device.type:
        net.generator.set_state(torch.from_numpy(state["generator"].copy()))
    parameters = net.get_all_learnable_params()
    return load_optimizers(net.named_optimizers(), parameters, state["optimizers"])


def read_optimizers(
    optimizers: Mapping[str, Optimizer],
    parameters: Iterable[tuple[str, nn.Parameter]],
) -> dict[str, dict[str, Any]]:
    """Copy the state of optimizers, such as velocities, into arrays.

    Parameters
    ----------
    optimizers : mapping of str to torch.optim.Optimizer
        The optimizers by name.
    parameters : iterable of (str, nn.Parameter)
        The parameters that they step, by name.

    Returns
    -------
    states : dict
        For each optimizer that has begun, its ``kind`` and its ``entries``.
    """
    named = list(parameters)
    states = {}
    for name, optimizer in optimizers.items():
        entries: Entries = {
            of: {key: _to_array(value) for key, value in optimizer.state[p].items()}
            for of, p in named
            if optimizer.state.get(p)
        }
        if entries:
            states[name] = {"kind": type(optimizer).__name__, "entries": entries}
    return states


def load_optimizers(
    optimizers: Mapping[str, Optimizer],
    parameters: Iterable[tuple[str, nn.Parameter]],
    states: dict[str, dict[str, Any]],
) -> list[str]:
    """Let new optimizers go on from the state of others, as far as that fits.

    Parameters
    ----------
    optimizers : mapping of str to torch.optim.Optimizer
        Optimizers that have not begun, by name.
    parameters : iterable of (str, nn.Parameter)
        The parameters that they step, by name.
    states : dict
        What `read_optimizers` returns.

    Returns
    -------
    lost : list of str
        Names of parameters whose state does not fit, or has no optimizer.
    """
    named = dict(parameters)
    lost = []
    for name, state in states.items():
        optimizer, entries = optimizers.get(name), state["entries"]
        if optimizer is None or type(optimizer).__name__ != state["kind"]:
            lost += list(entries)
            continue
        numbers = _numbers(optimizer)
        fitting = {}
        for of, values in entries.items():
            parameter = named.get(of)
            if parameter is None or not _fits(values, parameter):
                lost.append(of)
            elif id(parameter) in numbers:  # else it is frozen
                fitting[numbers[id(parameter)]] = _to_tensors(values)
        # It knows the dtype and the device of each.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": fitting, "param_groups": groups})
    return lost


def _numbers(optimizer: Optimizer) -> dict[int, int]:
    """Numbers of the parameters in the state dict of an optimizer, by identity."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return {id(p): number for number, p in enumerate(parameters)}


def _fits(values: dict[str, Any], parameter: nn.Parameter) -> bool:
    shapes = {getattr(value, "shape", ()) for value in values.values()}
    return shapes <= {(), tuple(parameter.shape)}


def _to_array(value: Any) -> Any:
    return value.detach().cpu().numpy().copy() if isinstance(value, Tensor) else value


def _to_tensors(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: torch.tensor(value) if hasattr(value, "shape") else value
        for key, value in values.items()
    }
