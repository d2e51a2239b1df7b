"""The partition function of an energy model, by annealing in both directions."""

import torch
from torch import Tensor

from skgen.energy._annealing import (
    Path,
    backward,
    direct_path,
    find_path,
    forward,
)
from skgen.energy._chains import run, start
from skgen.energy._model import EnergyNet
from skgen.likelihood import LogPartition

# Steps at the model, before the reverse direction starts: at least, and as a share.
_LEAST_STEPS, _SHARE = 20, 0.1
# With more steps until the bracket is as narrow as that, in nats, or until there are so
# many.
_WIDTH = 0.2
_N_STEPS = (32, 128, 512, 2048)


def log_partition_annealed(
    model: EnergyNet,
    path: Path,
    *,
    n_chains: int,
    n_steps: int,
    generator: torch.Generator,
    chains: Tensor | None = None,
) -> LogPartition:
    """Estimate log Z by annealed importance sampling in both directions.

    Forward, from the base up to the model, the log of the mean weight is on average too
    low; reverse, from draws of the model down to the base, it is too high (Burda,
    Grosse & Salakhutdinov, 2015). The estimate is Bennett's acceptance ratio of both,
    and the two are the bracket, whose upper end is a mean over small groups of reverse
    chains (`LogPartition.bracket`). One half start from `chains`, which know
    the modes of the data, the other from the points that went up.

    Parameters
    ----------
    model : EnergyNet
        The model.
    path : Path
        How f is turned on.
    n_chains : int
        Number of chains in each direction, at least 2.
    n_steps : int
        Number of steps in each direction. With 0 the weights are those of importance
        sampling.
    generator : torch.Generator
        Source of randomness, on the device of the model.
    chains : Tensor of shape (n, n_features) or None
        States near modes of the model.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    """
    n = max(n_steps, 1)
    up, here = forward(model, model.base, n_chains, path, n, generator=generator)
    # Points of the other half: drawn by their weights, which those of the model have.
    share = (up - up.max()).exp().nan_to_num(0).to(here.x.dtype) + 1e-30
    index = torch.multinomial(share, n_chains, replacement=True, generator=generator)
    x = here.x[index]
    if chains is not None and len(chains):
        half = n_chains // 2
        x[:half] = chains[torch.arange(half, device=x.device) % len(chains)]
    progress = run(
        model,
        model.base,
        start(model, x),
        max(_LEAST_STEPS, int(_SHARE * n_steps)),
        step_size=path.step_size[-1].item(),
        generator=generator,
    )
    down = backward(model, progress.point, path, n, generator=generator)
    return LogPartition.bracket(
        0.0, up[None, None], down[None, None], method="ais", conservative=True
    )


def log_partition_as_needed(
    model: EnergyNet,
    chains: Tensor,
    *,
    n_chains: int,
    step_size: float,
    generator: torch.Generator,
) -> tuple[LogPartition, Path]:
    """Estimate log Z with as many steps as make its bracket narrow.

    Parameters
    ----------
    model : EnergyNet
        The model.
    chains : Tensor of shape (n, n_features)
        States near modes of the model. Where the base is near the model, importance
        sampling from both suffices.
    n_chains : int
        Number of chains in each direction.
    step_size : float
        Step size of chains of the model.
    generator : torch.Generator
        Source of randomness, on the device of the model.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    path : Path
        How f was turned on.
    """
    up = -model.correction(model.base.sample(n_chains, generator=generator))
    down = -model.correction(chains)
    path = direct_path(step_size)
    if len(chains) > 1:
        n = min(len(up), len(down))
        up, down = up[None, None, :n], down[None, None, :n]
        result = LogPartition.bracket(0.0, up, down, method="ais", conservative=True)
        if result.upper - result.lower <= _WIDTH:
            return result, path
    path, _ = find_path(model, n_chains, generator=generator)
    for n_steps in _N_STEPS:
        result = log_partition_annealed(
            model,
            path,
            n_chains=n_chains,
            n_steps=n_steps,
            generator=generator,
            chains=chains,
        )
        if result.upper - result.lower <= _WIDTH:
            break
    return result, path
