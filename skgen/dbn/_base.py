"""BaseDeepBeliefNetwork: the methods of a fitted network on arrays."""

import copy
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skgen.base import BaseGenerator, EncoderMixin, ExportMixin, LikelihoodMixin
from skgen.base._arguments import validated_arguments
from skgen.base._export import Units
from skgen.dbn._bound import importance_weighted_bound, variational_bound
from skgen.dbn._export import downward_means
from skgen.dbn._model import DeepBeliefNet
from skgen.dbn._state import Layer
from skgen.likelihood import LogPartition
from skgen.nn import Observation
from skgen.rbm import RBM
from skgen.rbm._state import check_width

# Draws of each row for the score.
_N_SCORE_DRAWS = 16
# Annealing for a score, where log Z is not known yet: chains, and temperatures.
_CHEAP = {"n_chains": 100, "n_temperatures": 1000}
_COUNT = [Interval(Integral, 1, None, closed="left")]
_OF_LIKELIHOOD = {
    "n_importance_samples": _COUNT,
    "random_state": ["random_state"],
}


class BaseDeepBeliefNetwork(EncoderMixin, ExportMixin, LikelihoodMixin, BaseGenerator):
    """What follows from the parameters of a deep belief network.

    A subclass says what its machines are and how they are trained.
    """

    _score_name = "score"
    _state_names: ClassVar[tuple[str, ...]] = ("layers_",)
    _required_state = ("layers_",)

    layers_: list[Layer]

    @abstractmethod
    def _machine(self, k: int, layer: Layer) -> Any:
        """Return the estimator of the machine of layer k, with a fitted state."""

    @abstractmethod
    def _observation(self) -> Observation:
        """Return what is observed of data."""

    @abstractmethod
    def _network(
        self, layers: list[Layer], build: Callable[[int, Layer], RBM]
    ) -> DeepBeliefNet:
        """Make the model of a state, of machines that `build` makes of its layers."""

    @property
    def _n_features_out(self) -> int:
        return len(self.layers_[-1]["components_"])

    def transform(self, X: Any, *, out: Any = None) -> np.ndarray:
        """Compute the features, probabilities of the units of the highest layer.

        From the lowest layer to the highest, the probabilities of each are those given
        the probabilities of the one below it. Nothing is drawn.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        out : array-like of shape (n_samples, n_components) or None, default=None
            Where the result is written, a block of rows at a time, for results that
            memory cannot hold: an array, a file that numpy maps, or whatever takes
            ``out[start:stop] = rows``, such as an array of zarr or h5py.

        Returns
        -------
        H : ndarray of shape (n_samples, hidden_layer_sizes[-1])
            Probabilities, in the dtype of X; or `out`.
        """
        return self._apply(DeepBeliefNet.up, self._validate_data(X), out=out)

    def inverse_transform(self, H: Any) -> np.ndarray:
        """Compute the mean of the data, given the units of the highest layer.

        From the highest layer to the lowest, the means of each are those given the
        means of the one above it.

        Parameters
        ----------
        H : array-like of shape (n_samples, hidden_layer_sizes[-1])
            States or probabilities.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Means, in the dtype of H.
        """
        H = self._validate_components(H)
        return self._lowest._in_units_of_data(self._apply(DeepBeliefNet.down, H))

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the variational bound on the log-likelihood of each sample.

        .. math:: \log p(v) \ge \left\langle \sum_{k=1}^{L-1} \left[
                  \log p(h^{k-1} \mid h^k) - \log q(h^k \mid h^{k-1}) \right]
                  - F(h^{L-1}) \right\rangle_q - \log Z

        with the free energy F and the partition function Z of the top machine. The mean
        over q is estimated without bias from 16 draws, whose random numbers are a
        function of the row alone; with one hidden layer, the bound is the
        log-likelihood itself. All samples share the error of log Z, the last result of
        `log_partition_function`. If there is none for the present parameters, it is
        computed exactly or estimated with few chains, from a fixed seed.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            Bound in nats, higher is better.
        """
        bound = partial(variational_bound, n_draws=_N_SCORE_DRAWS)
        terms = self._apply_to_observed(bound, X)
        return terms - self._current_log_partition().estimate

    @validated_arguments(_OF_LIKELIHOOD)
    def log_likelihood(
        self, X: Any, n_importance_samples: int = 100, *, random_state: Any = None
    ) -> np.ndarray:
        r"""Estimate log p(v) of each sample by importance sampling.

        .. math:: \log \frac{1}{K} \sum_{i=1}^{K} \frac{p(v, h_i)}{q(h_i \mid v)},
                  \quad h_i \sim q(h \mid v)

        (Burda, Grosse & Salakhutdinov, 2016), for the layers h below the highest one.
        Its expectation is a lower bound on log p(v), which rises with K from that of
        `score_samples`. Each row has draws of its own.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_importance_samples : int, default=100
            Draws a row, K.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None means the estimator's own.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Estimate in nats. All samples share the error of log Z, as in
            `score_samples`.
        """
        terms = self._importance_weighted(X, n_importance_samples, random_state)
        return terms - self._current_log_partition().estimate

    @validated_arguments(_OF_LIKELIHOOD)
    def log_likelihood_bounds(
        self, X: Any, n_importance_samples: int = 100, *, random_state: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute bounds on the log-likelihood of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_importance_samples : int, default=100
            As in `log_likelihood`.
        random_state : int, RandomState instance or None, default=None
            As in `log_likelihood`.

        Returns
        -------
        lower : ndarray of shape (n_samples,)
            Estimate of `log_likelihood` at the upper end of the bracket of log Z. Its
            expectation is a lower bound with the confidence of
            `log_partition_function`; that of one sample is above it by t nats with a
            probability of at most exp(-t).
        upper : ndarray of shape (n_samples,)
            With one hidden layer, the log-likelihood at the lower end of the bracket.
            With more, infinity: importance sampling bounds the likelihood on one side
            only.
        """
        terms = self._importance_weighted(X, n_importance_samples, random_state)
        log_z = self._current_log_partition()
        lower = terms - log_z.upper
        if len(self.layers_) == 1:
            return lower, terms - log_z.lower
        return lower, np.full_like(lower, np.inf)

    def log_partition_function(
        self,
        method: str = "auto",
        *,
        n_chains: int = 200,
        n_temperatures: int = 2000,
        random_state: Any = None,
    ) -> LogPartition:
        r"""Compute or estimate log Z of the top machine.

        The result is kept, for `score_samples`, `log_likelihood` and
        `log_likelihood_bounds`, until the next fit or the next call.

        Parameters
        ----------
        method : {"auto", "exact", "ais"}, default="auto"
            As in :meth:`skgen.BernoulliRBMGPU.log_partition_function`.
        n_chains : int, default=200
            Number of independent chains in each direction.
        n_temperatures : int, default=2000
            Number of annealing steps in each direction.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        result : LogPartition
            Estimate and bracket, as of :class:`skgen.BernoulliRBMGPU`.

        Raises
        ------
        ValueError
            If `method` is "exact" and both layers of the top machine have more than 25
            units.
        """
        check_is_fitted(self)
        top = self._top
        result = top.log_partition_function(
            method,
            n_chains=n_chains,
            n_temperatures=n_temperatures,
            random_state=random_state,
        )
        self._log_partition = top._state().checksum(), result
        return result

    @validated_arguments(
        {
            "n_samples": _COUNT,
            "random_state": ["random_state"],
            "sampler": [StrOptions({"gibbs", "tempering"}), None],
            "n_gibbs_steps": [Interval(Integral, 0, None, closed="left"), None],
        }
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        sampler: str | None = None,
        n_gibbs_steps: int | None = None,
    ) -> np.ndarray:
        """Draw samples: chains of the top machine, then each layer below in turn.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples, each from a fresh chain.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        sampler : {"gibbs", "tempering"} or None, default=None
            How the top machine is sampled, as in
            :meth:`skgen.BernoulliRBMGPU.sample`; None means "gibbs".
        n_gibbs_steps : int or None, default=None
            Steps of block Gibbs sampling of the top machine; None means 1000 for
            "gibbs" and 100 for "tempering".

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Samples.
        """
        rng = self._rng(random_state)
        h = self._top.sample(
            n_samples, random_state=rng, sampler=sampler, n_gibbs_steps=n_gibbs_steps
        )
        if len(self.layers_) == 1:
            return h
        down = partial(DeepBeliefNet.sample_down, generator=self._generator(rng))
        return self._lowest._in_units_of_data(self._apply(down, h))

    @property
    def _lowest(self) -> Any:
        return self._machine(0, self.layers_[0])

    @property
    def _top(self) -> Any:
        k = len(self.layers_) - 1
        return self._machine(k, self.layers_[k])

    def _model(self, dtype: torch.dtype, device: torch.device) -> DeepBeliefNet:
        def build(k: int, layer: Layer) -> RBM:
            return self._machine(k, layer)._model(dtype, device)

        return self._network(self.layers_, build)

    def _torch_networks(self, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
        network = copy.deepcopy(self._model(dtype, torch.device("cpu")))
        return network, downward_means(network)

    def _torch_preparation(self) -> nn.Module:
        return self._lowest._torch_preparation()

    def _torch_units(self) -> Units:
        return self._lowest._torch_units()

    def _validate_data(self, X: Any) -> Any:
        X = super()._validate_data(X)
        lowest = self._lowest
        check_width(X, lowest.components_)
        return lowest._in_model_units(lowest._valid_states(X))

    def _importance_weighted(
        self, X: Any, n_draws: int, random_state: Any
    ) -> np.ndarray:
        generator = self._generator(self._rng(random_state))
        bound = partial(importance_weighted_bound, n_draws=n_draws, generator=generator)
        return self._apply_to_observed(bound, X)

    def _apply_to_observed(self, function: Any, X: Any) -> np.ndarray:
        """Apply ``function(model, v)`` to what is observed of data."""
        observation = self._observation()

        def of_observed(model: DeepBeliefNet, x: Tensor) -> Tensor:
            return function(model, observation.observe(x, generator=None))

        terms = self._apply(of_observed, self._validate_data(X))
        # That of a single machine is in its log Z.
        return terms - self._lowest._log_scale if len(self.layers_) > 1 else terms

    def _current_log_partition(self) -> LogPartition:
        """Return the result for the present parameters, computed if necessary."""
        key, result = self.__dict__.get("_log_partition", (None, None))
        if key == self._top._state().checksum():
            return result
        # A score is a function of the parameters and of the row alone.
        options: dict[str, Any] = {"random_state": 0, **_CHEAP}
        return self.log_partition_function(**options)
