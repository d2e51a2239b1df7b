"""Whether chains of an energy model mix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skgen.energy._chains import JUMP_EVERY, run, start
from skgen.energy._model import EnergyNet
from skgen.sampling import integrated_autocorrelation_time
from skgen.sampling._diagnostics import chain_effective_sample_size, split_r_hat

# Steps whose second half has 8 energies: R-hat needs 4 in each half of a chain.
LEAST_STEPS = 2 * 8 * JUMP_EVERY


@dataclass(frozen=True)
class ChainReport:
    """How chains of an energy model mix.

    Attributes
    ----------
    acceptance_rate : float
        Mean acceptance probability of steps.
    jump_rate : float
        The same of proposals that are new draws of the base.
    step_size : float
        Angle by which a step turns states towards momenta, at most a right one.
    autocorrelation_time : float
        Integrated autocorrelation time of the energy, in steps.
    r_hat : float
        Split R-hat of the energy; above 1.01 chains have not mixed.
    effective_sample_size : float
        How many independent draws tell as much of the mean energy.
    """

    acceptance_rate: float
    jump_rate: float
    step_size: float
    autocorrelation_time: float
    r_hat: float
    effective_sample_size: float


def report_chains(
    model: EnergyNet,
    chains: Tensor,
    n_chains: int,
    n_steps: int,
    *,
    step_size: float,
    generator: torch.Generator,
) -> ChainReport:
    """Run chains, half from the base and half from given states; see `ChainReport`.

    Parameters
    ----------
    model : EnergyNet
        The model.
    chains : Tensor of shape (n, n_features)
        Where half of the chains start.
    n_chains : int
        Number of chains.
    n_steps : int
        Number of steps, at least `LEAST_STEPS`. The energies after each fifth step of
        the second half count.
    step_size : float
        Step size of the chains.
    generator : torch.Generator
        Source of randomness, on the device of the model.

    Returns
    -------
    report : ChainReport
        How they mix.
    """
    x = model.base.sample(n_chains, generator=generator)
    half = n_chains // 2
    x[:half] = chains[torch.arange(half, device=x.device) % len(chains)]
    options = {"step_size": step_size, "generator": generator}
    before = run(model, model.base, start(model, x), n_steps // 2, **options)  # type: ignore[arg-type]
    energies, rates, jumps = [], [], []
    here = before.point
    for _ in range((n_steps - n_steps // 2) // JUMP_EVERY):
        progress = run(model, model.base, here, JUMP_EVERY, **options)  # type: ignore[arg-type]
        here = progress.point
        rates.append(progress.rate)
        jumps.append(progress.jump_rate)
        energies.append(model.energy(here.x))
    along = torch.stack(energies)
    return ChainReport(
        acceptance_rate=sum(rates) / len(rates),
        jump_rate=sum(jumps) / len(jumps),
        step_size=step_size,
        autocorrelation_time=JUMP_EVERY * integrated_autocorrelation_time(along),
        r_hat=split_r_hat(along),
        effective_sample_size=chain_effective_sample_size(along),
    )
