"""Callbacks that measure during training whether an RBM can be trusted."""

from abc import ABC, abstractmethod
from math import nan
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import Dataset

from skgen.likelihood import LogPartition
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import RBM
from skgen.rbm._partition_annealed import log_partition_annealed
from skgen.rbm._partition_cost import cheaper_method
from skgen.rbm._partition_exact import log_partition_exact
from skgen.sampling import gibbs, integrated_autocorrelation_time
from skgen.training._batches import some_rows

# Rows of data of which a measurement is made.
_MAX_ROWS = 1000


class RBMDiagnostic(Callback, ABC):
    """Base of the callbacks that measure properties of an RBM during training.

    A subclass defines what is measured, by `measure`. Random numbers are drawn from a
    generator of its own: training gives identical results with and without the
    callback. It uses up to 1000 rows of data, the same in every epoch.

    Parameters
    ----------
    every : int
        Number of epochs from one measurement to the next, from the first epoch on.
        The last epoch is always measured; in those between the history has NaN.
    held_out : bool
        Whether rows are held out of training for it, as for early stopping.
    """

    def __init__(self, *, every: int, held_out: bool):
        self.every = every
        self.held_out = held_out

    @abstractmethod
    def measure(
        self, net: Any, data: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, float]:
        """Return the entries of the history, by name.

        Parameters
        ----------
        net : GenerativeNet
            The net; its module is an `RBM`.
        data : dict of str to Tensor of shape (n_rows, n_visible)
            Bits: of "train" rows, and of "valid" ones where rows are held out.
        generator : torch.Generator
            Source of randomness, on the device of the net.
        """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if not isinstance(net.criterion_, ContrastiveDivergence):
            raise TypeError(
                f"Got a callback {type(self).__name__} for the training of a "
                f"{type(net.module_).__name__}, but expected a restricted Boltzmann "
                "machine, such as BernoulliRBMGPU trains. Remove it from callbacks."
            )
        self.epochs_before_ = len(net.history)

    def on_epoch_end(
        self,
        net: Any,
        dataset_train: Any = None,
        dataset_valid: Any = None,
        **kwargs: Any,
    ) -> None:
        number = len(net.history) - self.epochs_before_
        if (number - 1) % int(self.every) == 0 or number == net.max_epochs:
            generator = torch.Generator(device=net.device).manual_seed(number)
            with torch.no_grad():
                data = {"train": _bits(net, dataset_train)}
                if dataset_valid is not None:
                    data["valid"] = _bits(net, dataset_valid)
                found = self.measure(net, data, generator)
            self.names_ = tuple(found)
        else:
            found = dict.fromkeys(self.names_, nan)
        for name, value in found.items():
            net.history.record(name, value)


class FreeEnergyGap(RBMDiagnostic):
    r"""Record differences of mean free energies, which need no partition function.

    ``free_energy_gap_valid`` is :math:`\langle F \rangle_\text{held out} - \langle F
    \rangle_\text{train}`: by how many nats held-out rows are less likely than those
    of training. It grows when a model overfits. ``free_energy_gap_chains`` is
    :math:`\langle F \rangle_\text{chains} - \langle F \rangle_\text{train}`, with the
    persistent chains. It moves away from zero when the chains no longer follow the
    model. The gradient is wrong then: use more Gibbs steps, more chains or
    ``algorithm="pt"``.

    Parameters
    ----------
    every : int, default=1
        Number of epochs from one measurement to the next.
    held_out : bool, default=True
        Whether rows are held out of training for it.
    """

    def __init__(self, *, every: int = 1, held_out: bool = True):
        super().__init__(every=every, held_out=held_out)

    def measure(
        self, net: Any, data: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, float]:
        """Measure both gaps, in nats."""
        model: RBM = net.module_
        states = {name: bits for name, bits in data.items() if name != "train"}
        chains = _chains(net, generator)
        if chains is not None:
            states["chains"] = chains
        of_train = model.free_energy(data["train"]).mean()
        return {
            f"free_energy_gap_{name}": (model.free_energy(v).mean() - of_train).item()
            for name, v in states.items()
        }


class AutocorrelationTime(RBMDiagnostic):
    """Record the autocorrelation time of the Markov chains of training.

    ``autocorrelation_time`` is the integrated autocorrelation time of the free
    energy, in Gibbs steps, along chains that continue the persistent ones (with
    "cd" they start at the data) at fixed parameters. If it is much longer than
    the number of Gibbs steps during which the parameters change noticeably, the chains
    do not follow the model. A value above a tenth of `n_steps` is an
    underestimate.

    Parameters
    ----------
    every : int, default=10
        Number of epochs from one measurement to the next.
    n_steps : int, default=200
        Number of Gibbs steps of a measurement.
    """

    def __init__(self, *, every: int = 10, n_steps: int = 200):
        super().__init__(every=every, held_out=False)
        self.n_steps = n_steps

    def measure(
        self, net: Any, data: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, float]:
        """Measure the time, in Gibbs steps."""
        v = _chains(net, generator)
        if v is None:
            v = data["train"][:100]
        energies = []
        for _ in range(self.n_steps):
            v = gibbs(net.module_, v, 1, generator=generator)
            energies.append(net.module_.free_energy(v))
        time = integrated_autocorrelation_time(torch.stack(energies))
        return {"autocorrelation_time": time}


class LogLikelihood(RBMDiagnostic):
    """Record the log-likelihood, with a bracket of log Z.

    ``train_log_likelihood`` and, where rows are held out, ``valid_log_likelihood``
    are means in nats a sample. ``log_partition`` is the estimate of log Z that they
    share, between ``log_partition_lower`` and ``log_partition_upper``: exact where
    enumeration takes less time than annealing, or less than a second, otherwise by
    annealing.

    Parameters
    ----------
    every : int, default=10
        Number of epochs from one measurement to the next.
    held_out : bool, default=False
        Whether rows are held out of training for it.
    n_chains : int, default=100
        Number of chains in each direction of annealing.
    n_temperatures : int, default=1000
        Number of steps of annealing in each direction.
    """

    def __init__(
        self,
        *,
        every: int = 10,
        held_out: bool = False,
        n_chains: int = 100,
        n_temperatures: int = 1000,
    ):
        super().__init__(every=every, held_out=held_out)
        self.n_chains = n_chains
        self.n_temperatures = n_temperatures

    def measure(
        self, net: Any, data: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, float]:
        """Measure the log-likelihoods and log Z, in nats."""
        model: Any = net.module_
        method = cheaper_method(
            *sorted(model.weight.shape),
            n_chains=int(self.n_chains),
            n_temperatures=int(self.n_temperatures),
        )
        if method == "exact":
            result = LogPartition.exact(log_partition_exact(model))
        else:
            train = data["train"]
            margin = 1 / (len(train) + 2)
            base_bias = torch.logit(train.mean(0).clamp(margin, 1 - margin))
            result = log_partition_annealed(
                model,
                model.visible.with_bias(base_bias),
                n_chains=int(self.n_chains),
                n_temperatures=int(self.n_temperatures),
                generator=generator,
                chains=_chains(net, generator),
            )
        found = {
            f"{name}_log_likelihood": -model.free_energy(bits).mean().item()
            - result.estimate
            for name, bits in data.items()
        }
        return found | {
            "log_partition": result.estimate,
            "log_partition_lower": result.lower,
            "log_partition_upper": result.upper,
        }


def _bits(net: Any, dataset: Dataset) -> Tensor:
    """Bits of some rows, spread over the data."""
    batch = some_rows(dataset, _MAX_ROWS, torch.device(net.device))
    return net.criterion_.observation.observe(batch.x, generator=None)


def _chains(net: Any, generator: torch.Generator) -> Tensor | None:
    """Visible states of the persistent chains, if there are any."""
    h = net.criterion_.chains
    if h is None:
        return None
    model: RBM = net.module_
    mean = model.visible_mean(h if h.ndim == 2 else h[-1])
    return model.visible.sample(mean, generator=generator)
