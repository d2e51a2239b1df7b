"""BaseEnergyModel: what a fitted energy model answers."""

from numbers import Integral
from typing import Any
from zlib import crc32

import numpy as np
import torch
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skgen.base import BaseGenerator, ImputerMixin, LikelihoodMixin
from skgen.base._arguments import validated_arguments
from skgen.base._imputation import filled_by_means
from skgen.base._standardization import spread_rows
from skgen.base._standardized import StandardizedMixin
from skgen.base._validation import warn
from skgen.energy._annealing import Path
from skgen.energy._chains import LARGEST_STEP, run, start
from skgen.energy._diagnostics import LEAST_STEPS, ChainReport, report_chains
from skgen.energy._model import EnergyNet
from skgen.energy._partition import (
    log_partition_annealed,
    log_partition_as_needed,
)
from skgen.energy._sampling import draw_rows
from skgen.likelihood import LogPartition
from skgen.nn._networks import in_least_precision
from skgen.nn._threads import LEAST_WORK_OF_CHAINS, threads_for
from skgen.training import RowSource
from skgen.training._rows import row_source
from skgen.training._torch_state import plain_torch

# Below so many independent weights an estimate of log Z says nothing.
LEAST_SAMPLE_SIZE = 10
# Chains that are kept of a fit, and that anneal at its end; and steps that they take.
_N_CHAINS, _N_STEPS = 200, 40
# Log Z is a function of the parameters: its random numbers are always the same.
_SEED = 0
# Annealing where parameters were assigned.
_CHEAP: dict[str, Any] = {"n_chains": 200, "n_temperatures": 500, "random_state": _SEED}
COUNT = [Interval(Integral, 1, None, closed="left")]
STEPS = [Interval(Integral, 0, None, closed="left")]


class BaseEnergyModel(StandardizedMixin, ImputerMixin, LikelihoodMixin, BaseGenerator):
    """The methods of a fitted energy model. A subclass says how it is trained."""

    _score_name = "log-likelihood"
    # What the end of a fit sets besides the state.
    _chains: np.ndarray
    _path: dict[str, np.ndarray]
    log_partition_: LogPartition
    weights_: dict[str, np.ndarray]

    def energy(self, X: Any) -> np.ndarray:
        r"""Compute the energy :math:`E(x) = -\log q_0(x) + f(x)`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        energy : ndarray of shape (n_samples,)
            Energy in nats, with :math:`q_0` a density in the units of X:
            :math:`\log p(x) = -E(x) - \log Z`.
        """
        X = self._validate_data(X)
        return self._apply(EnergyNet.energy, X) + self._log_scale_of(X)

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Estimate the log-likelihood of each sample.

        .. math:: \log p(x) = \log q_0(x) - f(x) - \log \hat Z

        with the estimate ``log_partition_``, whose error all samples share. See
        `log_likelihood_bounds`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-likelihood in nats, higher is better. NaN where log Z is not known.

        Warns
        -----
        UserWarning
            If the effective sample size of the estimate is below 10, so that it says
            nothing.
        """
        minus_energy = -self.energy(X)
        return minus_energy - self._log_partition_that_is_known().estimate

    def log_likelihood(self, X: Any) -> np.ndarray:
        """Estimate the log-likelihood of each sample, as `score_samples` does.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-likelihood in nats.
        """
        return self.score_samples(X)

    def log_likelihood_bounds(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Compute a bracket of the log-likelihood of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        lower : ndarray of shape (n_samples,)
            Log-likelihood in nats at the upper end of the bracket of log Z.
        upper : ndarray of shape (n_samples,)
            Log-likelihood in nats at the lower end. Both ends hold for all samples
            at once, with the confidence of `log_partition_function`.
        """
        minus_energy = -self.energy(X)
        log_z = self._current_log_partition()
        return minus_energy - log_z.upper, minus_energy - log_z.lower

    @validated_arguments(
        {
            "n_chains": [Interval(Integral, 2, None, closed="left")],
            "n_temperatures": [Interval(Integral, 0, None, closed="left")],
            "random_state": ["random_state"],
        }
    )
    def log_partition_function(
        self,
        *,
        n_chains: int = 400,
        n_temperatures: int = 2000,
        random_state: Any = None,
    ) -> LogPartition:
        r"""Estimate :math:`\log Z = \log \int e^{-E(x)}\, dx`.

        By annealed importance sampling: forward from draws of the base, whose log Z is
        0, and reverse from draws of the model. The result takes the place of
        ``log_partition_``, the estimate of the fit.

        Parameters
        ----------
        n_chains : int, default=400
            Number of independent chains in each direction.
        n_temperatures : int, default=2000
            Number of annealing steps in each direction; 0 means importance sampling.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        result : LogPartition
            Frozen, with `estimate`, `lower`, `upper`, `standard_error` (nats),
            `effective_sample_size` and `method`. The exact value lies in
            [lower, upper] with 95 % confidence, provided that the chains of the
            model have reached all its modes. Half of these start from rows of the
            training data, and half from points that came from the base.

        Notes
        -----
        The forward estimate is on average too low, and its standard error does not show
        by how much; the reverse one is too high (Burda, Grosse & Salakhutdinov, 2015).
        """
        rng = self._rng(random_state)
        generator = self._generator(rng)
        with plain_torch(), self._threads_for_chains(n_chains):
            model = self._model_of_chains()
            result = log_partition_annealed(
                model,
                self._annealing_path(),
                n_chains=n_chains,
                n_steps=n_temperatures,
                generator=generator,
                chains=torch.tensor(self._chains).to(model.base.mean),
            )
        self._set_log_partition(result)
        return result

    @validated_arguments(
        {
            "n_samples": COUNT,
            "random_state": ["random_state"],
            "n_steps": STEPS,
            "given": ["array-like", None],
        }
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        n_steps: int = 200,
        given: Any = None,
    ) -> np.ndarray:
        """Draw samples from fresh Markov chains with Metropolis tests.

        Each sample is the final state of a chain of its own, which starts at a draw of
        the base. In the first half of its steps f is turned on, in the second half the
        model itself is sampled; each fifth proposal is a new draw of the base. No chain
        of the training is used. Whether so many steps are enough, `chain_diagnostics`
        tells.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, for each of its rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        n_steps : int, default=200
            Number of steps; 0 gives draws of the base. The law of the samples is that
            of the model once the chains have mixed.
        given : array-like of shape (n_rows, n_features) or None, default=None
            Rows of which NaN marks what is to be drawn, from its distribution given
            the rest, which stays as it is.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_rows * n_samples, n_features)
            Samples, in the dtype of the data of `fit`, or in that of `given`. Samples
            of one row of `given` stand together.
        """
        rng = self._rng(random_state)
        if given is not None:
            X = self._validate_incomplete(given).repeat(n_samples, axis=0)
            return self._fill(X, rng, n_steps)
        nothing = np.zeros((n_samples, self.n_features_in_), self._dtype)
        x = self._drawn(nothing, None, rng, n_steps)
        return self._in_units_of_data(x.astype(self._sample_dtype, copy=False))

    @validated_arguments(
        {"n_draws": COUNT, "n_steps": STEPS, "random_state": ["random_state"]}
    )
    def impute(
        self,
        X: Any,
        *,
        n_draws: int = 20,
        n_steps: int = 100,
        random_state: Any = None,
    ) -> np.ndarray:
        """Replace missing values by estimates of their means given the other values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, in which NaN marks what is missing.
        n_draws : int, default=20
            Number of draws of which the mean is taken.
        n_steps : int, default=100
            Number of steps of each draw, as in `sample`.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            X with NaN replaced, in its dtype.
        """
        X, rng = self._validate_incomplete(X), self._rng(random_state)
        return filled_by_means(
            X, n_draws, lambda rows, _: self._fill(rows, rng, n_steps)
        )

    @validated_arguments(
        {
            "n_chains": [Interval(Integral, 2, None, closed="left")],
            "n_steps": [Interval(Integral, LEAST_STEPS, None, closed="left")],
            "random_state": ["random_state"],
        }
    )
    def chain_diagnostics(
        self, *, n_chains: int = 100, n_steps: int = 400, random_state: Any = None
    ) -> ChainReport:
        """Run chains as `sample` does, and tell how they mix.

        Half of the chains start from the base, and half from rows of the training data:
        where both do not come to the same law, R-hat is large.

        Parameters
        ----------
        n_chains : int, default=100
            Number of chains.
        n_steps : int, default=400
            Number of steps, at least 80. The energies after each fifth step of the
            second half count.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        report : ChainReport
            Frozen, with `acceptance_rate`, `jump_rate` (of new draws of the base),
            `step_size`, and of the energies along the chains `autocorrelation_time` (in
            steps), `r_hat` and `effective_sample_size`.
        """
        rng = self._rng(random_state)
        with plain_torch(), self._threads_for_chains(n_chains):
            model = self._model_of_chains()
            return report_chains(
                model,
                torch.tensor(self._chains).to(model.base.mean),
                n_chains,
                n_steps,
                step_size=self._step_size,
                generator=self._generator(rng),
            )

    def _annealing_path(self) -> Path:
        """Return how f is turned on; not to be called outside of `plain_torch`."""
        return Path(**{name: torch.tensor(a) for name, a in self._path.items()})

    @property
    def _step_size(self) -> float:
        return float(self._path["step_size"][-1])

    def _fill(
        self, X: np.ndarray, rng: np.random.RandomState, n_steps: int
    ) -> np.ndarray:
        """Replace NaN by draws given the other values."""
        known = ~np.isnan(X)
        assert self._units is not None
        rows = self._units.of_rows(row_source(X), bounded=False)
        drawn = self._in_units_of_data(self._drawn(rows, known, rng, n_steps))
        return np.where(known, X, drawn)

    def _drawn(
        self,
        rows: Any,
        known: np.ndarray | None,
        rng: np.random.RandomState,
        n_steps: int,
    ) -> np.ndarray:
        """Draw standardised rows, given what is known of them."""
        generator = self._generator(rng)

        def draw(model: EnergyNet, x: Tensor, is_known: Tensor | None) -> Tensor:
            return draw_rows(
                model,
                x,
                is_known,
                self._annealing_path(),
                n_steps=n_steps,
                generator=generator,
            )

        with self._threads_for_chains(rows.shape[0]):
            return self._apply(draw, rows, known)

    def _finalise(
        self,
        rows: RowSource,
        y: np.ndarray | None,  # noqa: ARG002
        *,
        partial: bool,  # noqa: ARG002
    ) -> None:
        """Run chains from rows of the data, and estimate log Z."""
        assert self._units is not None
        x, _ = spread_rows(self._units.of_rows(rows, bounded=True), _N_CHAINS)
        x = np.resize(x, (_N_CHAINS, x.shape[1]))  # small tables are repeated
        device = self._inference_device()
        generator = torch.Generator(device=device).manual_seed(_SEED)
        with plain_torch(), self._threads_for_chains(_N_CHAINS):
            model = self._model_of_chains()
            here = start(model, torch.tensor(x).to(model.base.mean))
            progress = run(
                model,
                model.base,
                here,
                _N_STEPS,
                step_size=LARGEST_STEP,
                tunes=True,
                generator=generator,
            )
            chains = progress.point.x
            result, path = log_partition_as_needed(
                model,
                chains,
                n_chains=_N_CHAINS,
                step_size=progress.step_size,
                generator=generator,
            )
        self._chains = chains.cpu().numpy()
        self._path = {name: a.numpy() for name, a in path._asdict().items()}
        self._set_log_partition(result)

    def _set_log_partition(self, result: LogPartition) -> None:
        self.log_partition_, self._checksum_of_partition = result, self._checksum()

    def _current_log_partition(self) -> LogPartition:
        """Return the estimate for the present parameters, computed if necessary."""
        check_is_fitted(self)
        if self._checksum_of_partition != self._checksum():
            return self.log_partition_function(**_CHEAP)
        return self.log_partition_

    def _log_partition_that_is_known(self) -> LogPartition:
        """Return the estimate, of NaN and with a warning if it says nothing."""
        log_z = self._current_log_partition()
        size = log_z.effective_sample_size
        if size >= LEAST_SAMPLE_SIZE:
            return log_z
        warn(
            f"Got log Z of {type(self).__name__} with an effective sample size of "
            f"{size:.1f}, but expected at least {LEAST_SAMPLE_SIZE}: log-likelihoods "
            "are NaN. Call log_partition_function with more temperatures, or fit a "
            "base that is nearer to the data."
        )
        return log_z.shifted(np.nan)

    def _checksum(self) -> int:
        """Tell these parameters from others, as they may be assigned."""
        total = 0
        for name in sorted(self.weights_):
            total = crc32(np.ascontiguousarray(self.weights_[name]).tobytes(), total)
        return total

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        model = super()._model(dtype, device).requires_grad_(False)
        if self._has_convolutions:
            model.network = in_least_precision(model.network, dtype, self._dtype)
        return model

    def _model_of_chains(self) -> EnergyNet:
        """The model in the precision of training."""
        return self._model(getattr(torch, str(self._dtype)), self._inference_device())

    def _threads_for_chains(self, n_chains: int) -> Any:
        work: float = n_chains * max(map(np.size, self.weights_.values()), default=1)
        if self._inference_device().type != "cpu" or self._has_convolutions:
            work = np.inf
        return threads_for(work, LEAST_WORK_OF_CHAINS)

    @property
    def _has_convolutions(self) -> bool:
        return any(np.ndim(a) > 2 for a in self.weights_.values())
