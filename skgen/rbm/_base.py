"""RBMLikelihood: energies, scores and the partition function of an RBM."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import torch
from scipy.special import expit, logit
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skgen.base._fitting import State
from skgen.base._generator import BaseGenerator
from skgen.base._validation import binarized
from skgen.likelihood import LogPartition
from skgen.nn import BernoulliObservation
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._partition_annealed import log_partition_annealed
from skgen.rbm._partition_exact import MAX_UNITS, log_partition_exact
from skgen.rbm._partition_trajectory import log_partition_trajectory
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.sampling import bernoulli, gibbs

# Steps that take chains from fair coins into a mode.
_QUENCH_STEPS = 50


class RBMLikelihood(BaseGenerator):
    """What a Bernoulli RBM says of data, given its parameters.

    A subclass draws samples, `RBMSampling`, and one of that trains the parameters.
    """

    _score_name = "pseudo-likelihood"
    _required_state = ("components_", "intercept_hidden_", "intercept_visible_")
    _state_names: ClassVar[tuple[str, ...]] = (
        *_required_state,
        "h_samples_",
        "rungs_",
        "mean_",
        "n_samples_seen_",
    )

    # What the constructor of a subclass stores.
    binarize: str

    def transform(self, X: Any) -> np.ndarray:
        r"""Compute the features P(h = 1 | v) :math:`= \sigma(W v + c)`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        H : ndarray of shape (n_samples, n_components)
            Hidden probabilities, in the dtype of X.
        """
        return self._apply(BernoulliRBM.hidden_probability, self._validate_data(X))

    def inverse_transform(self, H: Any) -> np.ndarray:
        r"""Compute the conditional mean P(v = 1 | h) :math:`= \sigma(W^\top h + b)`.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)
            Hidden states or probabilities.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Visible probabilities, in the dtype of H.
        """
        H = self._validate_components(H)
        return self._apply(BernoulliRBM.visible_probability, H)

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the exact log pseudo-likelihood of each sample.

        .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i})
                  = \sum_i \log \sigma\left(F(v^{(i)}) - F(v)\right)

        with all single-bit flips :math:`v^{(i)}` (Besag, 1975). It is
        deterministic, and takes O(n_features · n_components) a row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        log_pl : ndarray of shape (n_samples,)
            Log pseudo-likelihood in nats, higher is better.
        """
        return self._apply_to_bits(pseudo_log_likelihood, X)

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
        return self._apply_to_bits(BernoulliRBM.free_energy, v)

    @validate_params(
        {
            "method": [StrOptions({"auto", "exact", "ais", "trajectory"})],
            "n_chains": [Interval(Integral, 2, None, closed="left")],
            "n_temperatures": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        },
        prefer_skip_nested_validation=True,
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

        The result is kept, for `log_likelihood` and `log_likelihood_bounds`, until
        the next fit or the next call.

        Parameters
        ----------
        method : {"auto", "exact", "ais", "trajectory"}, default="auto"
            "exact" enumerates the smaller layer, of at most 25 units, in float64.
            "ais" is annealed importance sampling, forward from independent bits
            with the means of the training data and reverse from draws of the
            machine by replica exchange, on a path along which the means of units
            stay alike [3]_. "trajectory" adds up ratios along the
            machines that were kept in training (`keep_rungs`); it is wrong without
            a sign where exchange along them does not mix, so compare it. "auto" is
            "exact" where that is possible in seconds to minutes, else "ais".
        n_chains : int, default=200
            Number of independent chains in each direction.
        n_temperatures : int, default=2000
            Number of annealing steps in each direction; "trajectory" takes a tenth
            as many steps of replica exchange, each of which moves all rungs.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        result : LogPartition
            Frozen, with `estimate`, `lower`, `upper`, `standard_error` (nats),
            `effective_sample_size` and `method`. The exact value lies in
            [lower, upper] with 95 % confidence, if the chains at the machine
            have reached all its modes, and the heavy ones by more than a few.

        Raises
        ------
        ValueError
            If "exact" meets a machine of more than 25 units in both layers, or
            "trajectory" one without rungs.

        Notes
        -----
        Forward annealing gives a mean weight that is right, but by rare chains that
        a run may not have: its log is too low, and its spread does not show it
        [1]_. Reverse annealing errs to the other side [2]_. A narrow bracket is one
        where both agree.

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
            smaller = min(np.shape(self.components_))
            method = "exact" if smaller <= MAX_UNITS else "ais"
        with torch.inference_mode():
            if method == "exact":
                model = self._model(torch.float64, self._inference_device())
                result = LogPartition.exact(log_partition_exact(model))
            else:
                estimate = {"ais": self._by_annealing, "trajectory": self._by_rungs}
                generator = self._generator(self._rng(random_state))
                result = estimate[method](n_chains, n_temperatures, generator)
        self._log_partition = self._checksum(), result
        return result

    def log_likelihood(self, X: Any) -> np.ndarray:
        r"""Compute the log-likelihood, :math:`\log p(v) = -F(v) - \log Z`.

        It takes the last result of `log_partition_function`, or calls that with
        its defaults if there is none for the present parameters.

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
        return minus_free_energy - self._kept_log_partition().estimate

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
        log_z = self._kept_log_partition()
        return minus_free_energy - log_z.upper, minus_free_energy - log_z.lower

    def _validate_data(self, X: Any) -> Any:
        X = super()._validate_data(X)
        check_width(X, self.components_)
        return binarized(X, self.binarize)

    def _apply_to_bits(
        self, function: Callable[[Any, Tensor], Tensor], X: Any
    ) -> np.ndarray:
        """Apply ``function(model, bits)`` to data: a score is that of bits."""
        observation = BernoulliObservation(sampled=self.binarize == "sample")

        def of_bits(model: Any, x: Tensor) -> Tensor:
            return function(model, observation.observe(x, generator=None))

        return self._apply(of_bits, self._validate_data(X))

    def _by_annealing(
        self, n_chains: int, n_temperatures: int, generator: torch.Generator
    ) -> LogPartition:
        model = self._machine()
        return log_partition_annealed(
            model,
            self._base_bias(model.weight),
            n_chains=n_chains,
            n_temperatures=n_temperatures,
            generator=generator,
            chains=self._near_modes(model, n_chains, generator),
        )

    def _near_modes(
        self, model: BernoulliRBM, n_chains: int, generator: torch.Generator
    ) -> Tensor:
        """States of persistent chains, or else of chains from fair coins."""
        if hasattr(self, "h_samples_"):
            h = self.h_samples_.reshape(-1, self.h_samples_.shape[-1])
            h = torch.tensor(h[-n_chains:]).to(model.weight)
            return bernoulli(model.visible_probability(h), generator=generator)
        half = torch.full_like(model.visible_bias, 0.5).expand(n_chains, -1)
        coins = bernoulli(half, generator=generator)
        return gibbs(model, coins, _QUENCH_STEPS, generator=generator)

    def _by_rungs(
        self, n_chains: int, n_temperatures: int, generator: torch.Generator
    ) -> LogPartition:
        if not hasattr(self, "rungs_"):
            raise ValueError(
                "Got method='trajectory', but no machines were kept in training. "
                "Fit with keep_rungs=True, or take method='ais'."
            )
        machines = self._machines(self._machine().weight)
        # A step of exchange moves all rungs.
        return log_partition_trajectory(
            machines,
            self._base_bias(machines[-1].weight),
            n_chains=n_chains,
            n_steps=max(4, n_temperatures // 10),
            generator=generator,
        )

    def _machine(self) -> BernoulliRBM:
        """The machine in the precision of its parameters, where inference runs."""
        model: Any = self._build_model(self._state())
        return model.to(self._inference_device())

    def _machines(self, like: Tensor) -> list[BernoulliRBM]:
        """Machines kept in training, if any, and after them the trained one."""
        state = self._state()
        machines: list[Any] = [self._build_model(s) for s in [*rungs_of(state), state]]
        return [machine.to(like.device, like.dtype) for machine in machines]

    def _base_bias(self, like: Tensor) -> Tensor:
        """Fields of independent bits with the means of the training data."""
        return torch.from_numpy(logit(marginals(self._state()))).to(like)

    def _kept_log_partition(self) -> LogPartition:
        key, result = self.__dict__.get("_log_partition", (None, None))
        if key == self._checksum():
            return result
        return self.log_partition_function()

    def _checksum(self) -> int:
        """Tell parameters from others: they may be assigned."""
        total = 0
        for name in self._required_state:
            total = crc32(np.ascontiguousarray(getattr(self, name)).tobytes(), total)
        return total


def check_width(X: Any, components: np.ndarray) -> None:
    """Check the width of X against the weights, which may be assigned."""
    if X.shape[1] != components.shape[1]:
        raise ValueError(
            f"Got X with {X.shape[1]} features, but expected {components.shape[1]}, "
            "the number of columns of components_."
        )


def marginals(state: State) -> np.ndarray:
    """Give the means of visible units over the data, away from 0 and 1."""
    if "mean_" not in state:
        # Weights from elsewhere: the machine's own fields are all there is.
        return expit(np.asarray(state["intercept_visible_"], dtype=np.float64))
    margin = 1 / (state["n_samples_seen_"] + 2)
    return np.clip(state["mean_"], margin, 1 - margin)


def rungs_of(state: State) -> list[State]:
    """Give the parameters of each machine that was kept in training."""
    rungs = state.get("rungs_", {})
    n_rungs = len(rungs["components_"]) if rungs else 0
    return [{name: rungs[name][r] for name in rungs} for r in range(n_rungs)]
