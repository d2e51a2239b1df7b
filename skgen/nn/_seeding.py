"""Random numbers for modules that know of no generator: dropout, initial weights."""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode
from torch.utils.hooks import RemovableHandle

# An operator of torch with its arguments, and how it draws from a generator.
Draw = Callable[[Any, list[Any], dict[str, Any], torch.Generator], Any]

# Operators that take a generator by an overload of its own, and its name.
_HAS_TWIN = {"rand", "randn", "randint", "randperm"}
_TWINS = {
    "default": "generator",
    "low": "low_generator",
    "out": "generator_out",
    "low_out": "low_generator_out",
}
# It is marked as random, but has no dropout on a CPU.
_DRAWS_NOTHING = {"_scaled_dot_product_flash_attention_for_cpu"}
# For the operators of a GPU that take random numbers from nowhere but its global
# generator.
_global_generator = threading.Lock()


class DrawFrom(TorchDispatchMode):
    """Context in which all operators of torch draw from generators of its own.

    In this thread no operator takes random numbers from the global generators, and
    none of these moves: modules that know of no other, such as dropout and layers that
    draw their initial weights, get the same numbers whatever other threads do. A
    generator that an operator is given is used. Fused operators of a GPU that cannot
    be given one (cuDNN's recurrent layers and attention, both with dropout) take the
    global one under a lock, and put it back as it was.

    Each operation takes some microseconds more in this context.

    Parameters
    ----------
    generator : torch.Generator
        The generator on its device; those on others have its seed.

    Attributes
    ----------
    has_drawn : bool
        Whether an operator has taken random numbers.
    """

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.has_drawn = False
        self._seed = generator.initial_seed()
        self._generators = {generator.device: generator}
        self._outside: list[ExitStack] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # a wrapper for `torch.compile`, which costs time at each operator

    # Those of `TorchDispatchMode` note in a variable of the whole process that a mode
    # is active, for `torch.compile`; with several threads that note may stay for good.
    def __enter__(self) -> "DrawFrom":
        # In inference mode composite operators would come here in one piece.
        outside = ExitStack()
        if torch.is_inference_mode_enabled():
            outside.enter_context(torch.inference_mode(False))
            outside.enter_context(torch.no_grad())
        self._outside.append(outside)
        _push_mode(self)
        return self

    def __exit__(self, *error: object) -> None:
        _pop_mode()
        self._outside.pop().close()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call an operator, with a generator of this context if it draws."""
        kwargs = dict(kwargs or {})
        draw = _how_to_draw(func)
        if draw is None:
            return func(*args, **kwargs)
        device = _device_of(args, kwargs)
        if device.type == "meta":
            return func(*args, **kwargs)
        self.has_drawn = True
        return draw(func, list(args), kwargs, self._generator(device))

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            generator = torch.Generator(device=device).manual_seed(self._seed)
            self._generators[device] = generator
        return self._generators[device]


class _Hooks:
    """What is called before and after a network that draws from its own generators."""

    def __init__(self, seed: int):
        self._in_training = DrawFrom(_generator(seed))
        self._entered: list[DrawFrom] = []

    def before(self, network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        mode = self._in_training if network.training else DrawFrom(_generator(0))
        self._entered.append(mode.__enter__())
        # Outside of inference mode these could not be changed in place.
        return tuple(
            x.clone() if isinstance(x, Tensor) and x.is_inference() else x
            for x in inputs
        )

    def after(self, *_: Any) -> None:
        self._entered.pop().__exit__()


def draw_from(network: nn.Module, seed: int) -> list[RemovableHandle]:
    """Let a network draw from generators of its own whenever it is called.

    Parameters
    ----------
    network : nn.Module
        The network; hooks are added to it.
    seed : int
        Seed of what it draws in training. Outside of training each call begins with
        the same random numbers.

    Returns
    -------
    handles : list of RemovableHandle
        By which the hooks are removed.
    """
    hooks = _Hooks(seed)
    return [
        network.register_forward_pre_hook(hooks.before),
        network.register_forward_hook(hooks.after, always_call=True),
    ]


def states_of_draws(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return the random states of networks that draw from generators of their own.

    Parameters
    ----------
    model : nn.Module
        A model, within the context `drawing_from` of some of its parts.

    Returns
    -------
    states : dict of str to (dict of str to Tensor)
        States by the name of the part and the device.
    """
    return {
        name: {str(device): g.get_state() for device, g in mode._generators.items()}
        for name, mode in _modes(model)
    }


def resume_draws(model: nn.Module, states: dict[str, dict[str, Tensor]]) -> None:
    """Let networks go on from random states that `states_of_draws` returned.

    Parameters
    ----------
    model : nn.Module
        A model, likewise.
    states : dict of str to (dict of str to Tensor)
        The states.
    """
    for name, mode in _modes(model):
        for device, state in states.get(name, {}).items():
            mode._generator(torch.device(device)).set_state(state)


def _modes(model: nn.Module) -> Iterator[tuple[str, DrawFrom]]:
    """Yield what networks draw from in training, with their names."""
    for name, part in model.named_modules():
        for hook in part._forward_pre_hooks.values():
            hooks = getattr(hook, "__self__", None)
            if isinstance(hooks, _Hooks):
                yield name, hooks._in_training


@contextmanager
def drawing_from(
    networks: Sequence[nn.Module], seed: int
) -> Iterator[Sequence[nn.Module]]:
    """Let networks draw from generators of their own within a context.

    Parameters
    ----------
    networks : sequence of nn.Module
        The networks.
    seed : int
        Seed of what they draw in training.
    """
    handles = [h for i, n in enumerate(networks) for h in draw_from(n, seed + i)]
    try:
        yield networks
    finally:
        for handle in handles:
            handle.remove()


def draws(network: nn.Module, n_in: int) -> bool:
    """Whether a network takes random numbers in training.

    Parameters
    ----------
    network : nn.Module
        The network, of which a copy is evaluated: neither its buffers nor any random
        state change.
    n_in : int
        Width of its input.

    Returns
    -------
    draws : bool
        Whether it does for two rows of zeros, or fails for them.
    """
    parameter = next(network.parameters(), torch.zeros(0))
    x = torch.zeros(2, n_in, dtype=parameter.dtype, device=parameter.device)
    network = copy.deepcopy(network).train()
    with torch.no_grad(), DrawFrom(_generator(0)) as mode:
        try:
            network(x)
        except RuntimeError:  # training says why
            return True
    return mode.has_drawn


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def _how_to_draw(func: Any) -> Draw | None:
    """Return how an operator draws from a given generator; None if it does not draw."""
    if "generator" in [argument.name for argument in func._schema.arguments]:
        return _with_argument
    name, overload = func._schema.name.removeprefix("aten::"), func._overloadname
    if torch.Tag.nondeterministic_seeded not in func.tags or name in _DRAWS_NOTHING:
        return None
    if name in _HAS_TWIN and overload in _TWINS:
        twin = getattr(getattr(torch.ops.aten, name), _TWINS[overload])
        return lambda _, args, kwargs, generator: twin(
            *args, **kwargs, generator=generator
        )
    if overload.endswith("out"):
        return _from_global
    return _REWRITTEN.get(name, _from_global)


def _with_argument(
    func: Any, args: list[Any], kwargs: dict[str, Any], generator: torch.Generator
) -> Any:
    names = [argument.name for argument in func._schema.arguments]
    position = names.index("generator")
    if position < len(args):
        args[position] = generator if args[position] is None else args[position]
    elif kwargs.get("generator") is None:
        kwargs["generator"] = generator
    return func(*args, **kwargs)


def _rand_like(
    _: Any, args: list[Any], kwargs: dict[str, Any], generator: torch.Generator
) -> Tensor:
    return torch.empty_like(args[0], **kwargs).uniform_(generator=generator)


def _randn_like(
    _: Any, args: list[Any], kwargs: dict[str, Any], generator: torch.Generator
) -> Tensor:
    return torch.empty_like(args[0], **kwargs).normal_(generator=generator)


def _randint_like(
    _: Any, args: list[Any], kwargs: dict[str, Any], generator: torch.Generator
) -> Tensor:
    bounds = [0, *map(int, args[1:])][-2:]
    like = torch.empty_like(args[0], **kwargs)
    return like.random_(*bounds, generator=generator)


def _native_dropout(
    _: Any, args: list[Any], kwargs: dict[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Zero each value with probability p; what is left, and where."""
    x, p, train = (*args, *kwargs.values())
    if train is False:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    kept = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
    return x * kept * (0.0 if p == 1 else 1 / (1 - p)), kept


_REWRITTEN: dict[str, Draw] = {
    "rand_like": _rand_like,
    "randn_like": _randn_like,
    "randint_like": _randint_like,
    "native_dropout": _native_dropout,
}


def _from_global(
    func: Any, args: list[Any], kwargs: dict[str, Any], generator: torch.Generator
) -> Any:
    """Call an operator while the global generator is at a number that is drawn."""
    device = generator.device
    if device.type == "cuda":
        of_all = torch.cuda.default_generators[device.index or 0]
    else:
        of_all = torch.default_generator
    seed = torch.randint(2**62, (), generator=generator, device=device).item()
    with _global_generator:
        before = of_all.get_state()
        try:
            of_all.manual_seed(int(seed))
            return func(*args, **kwargs)
        finally:
            of_all.set_state(before)


def _device_of(args: Any, kwargs: Mapping[str, Any]) -> torch.device:
    """Device on which an operator computes."""
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"])
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            return value.device
    return torch.device("cpu")
