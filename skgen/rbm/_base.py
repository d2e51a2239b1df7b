"""BaseRBM: the methods of restricted Boltzmann machines on arrays."""

import copy
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skgen.base import (
    BaseGenerator,
    EncoderMixin,
    ExportMixin,
    ImputerMixin,
    LikelihoodMixin,
)
from skgen.base._arguments import validated_arguments
from skgen.likelihood import LogPartition
from skgen.nn._threads import LEAST_WORK_OF_CHAINS, threads_for
from skgen.rbm._export import HiddenMeans, VisibleMeans
from skgen.rbm._model import RBM
from skgen.rbm._partition import estimate_log_partition
from skgen.rbm._partition_cost import cheaper_method
from skgen.rbm._sampling import sample_by_tempering
from skgen.rbm._state import PARAMETERS, RBMState, check_width
from skgen.sampling import clamped_mean, gibbs
from skgen.training._rows import row_source
from skgen.training._torch_state import plain_torch

# Default number of steps of each sampler.
_N_STEPS = {"gibbs": 1000, "tempering": 100}
_COUNT = [Interval(Integral, 1, None, closed="left")]


class BaseRBM(EncoderMixin, ExportMixin, ImputerMixin, LikelihoodMixin, BaseGenerator):
    """Base of the restricted Boltzmann machines: what follows from the parameters.

    The mathematics is in the functions that this class calls. A subclass stores the
    parameters of the estimator, and says what its visible units are and how the model
    is trained.
    """

    _score_name = "pseudo-likelihood"
    _required_state: ClassVar[tuple[str, ...]] = PARAMETERS
    _state_names: ClassVar[tuple[str, ...]] = (
        *PARAMETERS,
        "h_samples_",
        "trajectory_",
        "mean_",
        "n_samples_seen_",
    )

    # What its state is: of the visible units depends how a model is made of it.
    _state_class: ClassVar[Callable[..., RBMState]]

    @abstractmethod
    def _valid_states(self, X: Any) -> Any:
        """Return what valid data, in which NaN may stand, is taken for."""

    @abstractmethod
    def _random_states(
        self, shape: tuple[int, int], rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw independent visible states like those of the training data."""

    @property
    @abstractmethod
    def _sample_dtype(self) -> np.dtype:
        """Dtype of samples that are given nothing."""

    def _in_model_units(self, X: Any) -> Any:
        """Return valid data as the model for inference takes it: by default as is."""
        return X

    def _moved(self, run: Callable[..., Tensor], v: Any) -> np.ndarray:
        """Run chains from valid states, and return where they end in the same dtype."""
        return self._apply(run, v)

    def _in_units_of_data(self, v: np.ndarray) -> np.ndarray:
        """Convert visible states or means of the model to the units of X."""
        return v

    @property
    def _log_scale(self) -> float:
        """By how much log-densities of data are less than those of the model."""
        return 0.0

    @property
    def _layers(self) -> tuple[int, int]:
        """Sizes of the layer whose states may be enumerated and of the other one."""
        n_enumerated, n_summed_out = sorted(np.shape(self.components_))
        return n_enumerated, n_summed_out

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def transform(self, X: Any, *, out: Any = None) -> np.ndarray:
        """Compute the features P(h = 1 | v), the means of the hidden units.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.
        out : array-like of shape (n_samples, n_components) or None, default=None
            Where the result is written, a block of rows at a time, for results that
            memory cannot hold: an array, a file that numpy maps, or whatever takes
            ``out[start:stop] = rows``, such as an array of zarr or h5py.

        Returns
        -------
        H : ndarray of shape (n_samples, n_components)
            Hidden probabilities, in the dtype of X; or `out`.
        """
        return self._apply(RBM.hidden_mean, self._validate_data(X), out=out)

    def inverse_transform(self, H: Any) -> np.ndarray:
        """Compute the mean of the visible units given hidden ones.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)
            Hidden states or probabilities.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Means of v given h, in the dtype of H; of binary units, the probabilities
            P(v = 1 | h).
        """
        H = self._validate_components(H)
        return self._in_units_of_data(self._apply(RBM.visible_mean, H))

    def free_energy(self, v: Any) -> np.ndarray:
        r"""Compute the free energy :math:`F(v) = -\log \sum_h e^{-E(v, h)}`.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        free_energy : ndarray of shape (n_samples,)
            Free energy in nats: :math:`\log p(v) = -F(v) - \log Z`.
        """
        return self._apply_to_states(RBM.free_energy, v)

    @validated_arguments(
        {
            "method": [StrOptions({"auto", "exact", "ais", "trajectory"})],
            "n_chains": [Interval(Integral, 2, None, closed="left")],
            "n_temperatures": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        }
    )
    def log_partition_function(
        self,
        method: str = "auto",
        *,
        n_chains: int = 200,
        n_temperatures: int = 2000,
        random_state: Any = None,
    ) -> LogPartition:
        r"""Compute or estimate :math:`\log Z = \log \sum_{v, h} e^{-E(v, h)}`.

        Where v is real, the sum over v is an integral, in the units of X.

        The result is kept, for `log_likelihood` and `log_likelihood_bounds`, until
        the next fit or the next call.

        Parameters
        ----------
        method : {"auto", "exact", "ais", "trajectory"}, default="auto"
            "exact" enumerates the smaller layer of binary units, of at most 25, in
            float64. "ais" is annealed importance sampling, forward from independent
            units with the means of the training data and reverse from draws of the
            model by replica exchange, on a path along which the means of the units
            change little [3]_. "trajectory" adds up ratios along the models that
            were kept in training (`keep_trajectory`). If the exchange of states
            along these does not mix, the result is wrong and neither its bracket nor
            its standard error shows it: compare it with "ais". "auto" is "exact"
            where that takes less time than "ais" would, or less than a second, and
            else "ais": with the defaults "exact" for up to some 20 units in the
            smaller layer. The times are estimated from the sizes of the layers.
        n_chains : int, default=200
            Number of independent chains in each direction.
        n_temperatures : int, default=2000
            Number of annealing steps in each direction; "trajectory" takes a tenth
            as many steps of replica exchange, each of which moves all replicas.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        result : LogPartition
            Frozen, with `estimate`, `lower`, `upper`, `standard_error` (nats),
            `effective_sample_size` and `method`. The exact value lies in
            [lower, upper] with 95 % confidence, provided that the chains of the
            model have reached all its modes, each heavy mode with more than a few
            chains. Where the shares of chains are not those of the masses of modes,
            it does as far as the log weights of modes are further apart than they
            spread.

        Raises
        ------
        ValueError
            If `method` is "exact" and no layer of at most 25 binary units is there, or
            if it is "trajectory" and no models were kept in training.

        Notes
        -----
        The mean weight of forward annealing is unbiased, but much of it may come
        from rare chains, which a run of few chains misses. Its logarithm is then too
        low, and the spread of the weights does not show it [1]_. Reverse annealing
        errs to the other side [2]_. The bracket is narrow where both agree.

        References
        ----------
        .. [1] R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep
           belief networks", ICML 2008.
        .. [2] Y. Burda, R. Grosse and R. Salakhutdinov, "Accurate and conservative
           estimates of MRF log-likelihood using reverse annealing", AISTATS 2015.
        .. [3] R. B. Grosse, C. J. Maddison and R. Salakhutdinov, "Annealing between
           distributions by averaging moments", NeurIPS 2013.
        """
        check_is_fitted(self)
        if method == "auto":
            method = cheaper_method(
                *self._layers,
                n_chains=n_chains,
                n_temperatures=n_temperatures,
            )
        # An exact result draws nothing: it must not move the random state.
        rng = np.random.RandomState(0) if method == "exact" else self._rng(random_state)
        n_parallel = n_chains if method != "exact" else np.inf
        with plain_torch(), self._threads_for_chains(n_parallel):
            result = estimate_log_partition(
                self._state(),
                method,
                n_chains=n_chains,
                n_temperatures=n_temperatures,
                generator=self._generator(rng),
            )
        result = result.shifted(self._log_scale)
        self._log_partition = self._state().checksum(), result
        return result

    def log_likelihood(self, X: Any) -> np.ndarray:
        r"""Compute the log-likelihood, :math:`\log p(v) = -F(v) - \log Z`.

        It takes the last result of `log_partition_function`, or calls that with
        its defaults if there is none for the present parameters: log Z is then exact
        or an estimate, whichever takes less time.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-likelihood in nats: exact, or with one error for all samples, that
            of the estimate of log Z. See `log_likelihood_bounds`.
        """
        minus_free_energy = -self.free_energy(X)
        return minus_free_energy - self._current_log_partition().estimate

    def log_likelihood_bounds(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Compute a bracket of the log-likelihood of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        lower : ndarray of shape (n_samples,)
            Log-likelihood in nats at the upper end of the bracket of log Z.
        upper : ndarray of shape (n_samples,)
            Log-likelihood in nats at the lower end. Both ends hold for all samples
            at once, with the confidence of `log_partition_function`.
        """
        minus_free_energy = -self.free_energy(X)
        log_z = self._current_log_partition()
        return minus_free_energy - log_z.upper, minus_free_energy - log_z.lower

    def gibbs(self, v: Any) -> np.ndarray:
        """Perform one Gibbs sampling step, v → h → v.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states to start from.

        Returns
        -------
        v_new : ndarray of shape (n_samples, n_features)
            Visible states after one step, in the dtype of `v`; of binary units, zeros
            and ones. Each call draws anew, from ``random_state_``.
        """
        v = self._validate_data(v)
        if not hasattr(self, "random_state_"):
            self.random_state_ = check_random_state(self.random_state)
        generator = self._generator(self.random_state_)
        run = partial(gibbs, n_steps=1, generator=generator)
        return self._in_units_of_data(self._moved(run, v))

    @validated_arguments(
        {
            "n_samples": _COUNT,
            "random_state": ["random_state"],
            "sampler": [StrOptions({"gibbs", "tempering"}), None],
            "n_gibbs_steps": [Interval(Integral, 0, None, closed="left"), None],
            "given": ["array-like", None],
        }
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        sampler: str | None = None,
        n_gibbs_steps: int | None = None,
        given: Any = None,
    ) -> np.ndarray:
        """Draw samples from fresh Markov chains.

        Each sample is the final state of a chain of its own, which starts at
        independent units with the means of the training data, and if they are real
        with its variances. No chain of the training is used.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, for each of its rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        sampler : {"gibbs", "tempering"} or None, default=None
            "gibbs" runs chains of the model alone. "tempering" runs chains at
            each model of a ladder, from independent units to the model itself, which
            swap states: modes that are far from each other then have the right
            proportions. The ladder goes through ``trajectory_``, or else through
            temperatures. None means "tempering" if there is a ``trajectory_``, else
            "gibbs".
        n_gibbs_steps : int or None, default=None
            Steps of block Gibbs sampling, of each chain; None means 1000 for
            "gibbs" and 100 for "tempering". The law of the samples is that of the
            model once the chains have mixed, which takes the longer the larger
            the weights are.
        given : array-like of shape (n_rows, n_features) or None, default=None
            Rows of which NaN marks what is to be drawn, from its distribution given
            the rest, which stays as it is.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_rows * n_samples, n_features)
            Visible states, in the dtype of `given` or else of `components_` (of real
            units, that of the data in `fit`). Samples of one row of `given` stand
            together.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        if sampler is None:
            sampler = "tempering" if hasattr(self, "trajectory_") else "gibbs"
        if n_gibbs_steps is None:
            n_gibbs_steps = _N_STEPS[sampler]
        if given is None:
            known = None
            shape = n_samples, self.components_.shape[1]
            start = np.full(shape, np.nan, self._sample_dtype)
        else:
            start = self._validate_incomplete(given).repeat(n_samples, axis=0)
            known = ~np.isnan(start)
        start, generator = self._filled(start, rng), self._generator(rng)
        if sampler == "tempering":
            return self._sample_by_tempering(start, known, n_gibbs_steps, generator)
        run = partial(gibbs, n_steps=n_gibbs_steps, generator=generator)
        return self._run_clamped(run, start, known)

    @validated_arguments({"n_gibbs_steps": _COUNT, "random_state": ["random_state"]})
    def impute(
        self, X: Any, *, n_gibbs_steps: int = 200, random_state: Any = None
    ) -> np.ndarray:
        """Fill in missing values by their means, given the other values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, in which NaN marks what is missing.
        n_gibbs_steps : int, default=200
            Steps of block Gibbs sampling with the known values clamped, of one
            chain a row; the mean of v given h is averaged over the second half.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Data with estimates of the conditional means for NaN.

        See Also
        --------
        skgen.impute.GenerativeImputer : A transformer that learns from incomplete
            data, too.
        """
        X = self._validate_incomplete(X)
        rng = self._rng(random_state)
        start, generator = self._filled(X, rng), self._generator(rng)
        run = partial(clamped_mean, n_steps=n_gibbs_steps, generator=generator)
        return self._run_clamped(run, start, ~np.isnan(X))

    def _state(self) -> RBMState:
        return self._state_class(super()._state())

    def _model(self, dtype: torch.dtype, device: torch.device) -> RBM:
        return self._state().model_to_read(dtype, device)

    def _torch_networks(self, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
        machine = copy.deepcopy(self._model(dtype, torch.device("cpu")))
        return HiddenMeans(machine), VisibleMeans(machine)

    def _validate_data(self, X: Any) -> Any:
        X = super()._validate_data(X)
        check_width(X, self.components_)
        return self._as_states(X)

    def _as_states(self, X: Any) -> Any:
        """Return the states of the model that valid data stands for."""
        return self._in_model_units(self._valid_states(X))

    def _validate_incomplete(self, X: Any) -> np.ndarray:
        """Validate data of a fitted estimator in which NaN marks what is missing."""
        X = super()._validate_incomplete(X)
        check_width(X, self.components_)
        return X

    def _filled(self, X: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Replace NaN by random states."""
        drawn = self._random_states(X.shape, rng)
        return np.where(np.isnan(X), drawn.astype(X.dtype), X)

    def _apply_to_states(
        self, function: Callable[[Any, Tensor], Tensor], X: Any
    ) -> np.ndarray:
        """Apply ``function(model, v)`` to the states that data stands for."""
        return self._apply(function, self._validate_data(X))

    def _run_clamped(
        self, run: Callable[..., Tensor], start: np.ndarray, known: np.ndarray | None
    ) -> np.ndarray:
        """Run chains from `start`, with what is known clamped to it."""
        rows = self._as_states(start)
        with self._threads_for_chains(len(start)):
            if known is None:
                return self._in_units_of_data(self._apply(run, rows))

            def clamped(model: Any, v: Tensor, is_known: Tensor) -> Tensor:
                return run(model, v, clamped=is_known)

            v = self._in_units_of_data(self._apply(clamped, rows, known))
        return np.where(known, start, v)

    def _sample_by_tempering(
        self,
        start: np.ndarray,
        known: np.ndarray | None,
        n_steps: int,
        generator: torch.Generator,
    ) -> np.ndarray:
        """Run replica exchange from `start`, with what is known clamped to it."""
        threads = self._threads_for_chains(len(start))
        with plain_torch(), threads, torch.inference_mode():
            rows = row_source(self._as_states(start))
            v = rows.gather(slice(None)).to(generator.device)
            clamped = None if known is None else torch.from_numpy(known).to(v.device)
            samples = sample_by_tempering(
                self._state().ladder_models(v),
                self._state().independent_units(v),
                v,
                n_steps,
                clamped=clamped,
                generator=generator,
            )
        v_new = self._in_units_of_data(samples.cpu().numpy())
        return v_new if known is None else np.where(known, start, v_new)

    def _threads_for_chains(self, n_chains: float) -> AbstractContextManager[None]:
        """Return the context in which so many Markov chains are run side by side."""
        if self._inference_device().type != "cpu":
            return nullcontext()
        work = n_chains * np.size(self.components_)
        return threads_for(work, LEAST_WORK_OF_CHAINS)

    def _current_log_partition(self) -> LogPartition:
        """Return the result for the present parameters, computed if necessary."""
        key, result = self.__dict__.get("_log_partition", (None, None))
        if key == self._state().checksum():
            return result
        return self.log_partition_function()
