"""The partition function of a fitted RBM, by the method that is asked for."""

import torch

from skgen.likelihood import LogPartition
from skgen.rbm._partition_annealed import log_partition_annealed
from skgen.rbm._partition_exact import log_partition_exact
from skgen.rbm._partition_trajectory import log_partition_trajectory
from skgen.rbm._sampling import states_near_modes
from skgen.rbm._state import RBMState


@torch.inference_mode()
def estimate_log_partition(
    state: RBMState,
    method: str,
    *,
    n_chains: int,
    n_temperatures: int,
    generator: torch.Generator,
) -> LogPartition:
    """Compute or estimate log Z; see `BernoulliRBMGPU.log_partition_function`.

    Parameters
    ----------
    state : RBMState
        The fitted state.
    method : {"exact", "ais", "trajectory"}
        How.
    n_chains, n_temperatures : int
        As in `BernoulliRBMGPU.log_partition_function`.
    generator : torch.Generator
        Source of randomness, where the model is to be.

    Returns
    -------
    result : LogPartition
        Estimate and bracket in nats.
    """
    model = state.model().to(generator.device)
    if method == "exact":
        return LogPartition.exact(log_partition_exact(model.double()))
    base = state.independent_units(model.weight)
    if method == "ais":
        return log_partition_annealed(
            model,
            base,
            n_chains=n_chains,
            n_temperatures=n_temperatures,
            generator=generator,
            chains=states_near_modes(
                model,
                state.get("h_samples_"),
                state.scattered_units(model.weight),
                n_chains,
                generator=generator,
            ),
        )
    if "trajectory_" not in state:
        raise ValueError(
            "Got method='trajectory', but no models were kept in training. "
            "Fit with keep_trajectory=True, or use method='ais'."
        )
    return log_partition_trajectory(
        state.ladder_models(model.weight),
        base,
        n_chains=n_chains,
        # A step of exchange moves all replicas.
        n_steps=max(4, n_temperatures // 10),
        generator=generator,
    )
