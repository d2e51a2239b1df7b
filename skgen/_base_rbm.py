"""BaseRBM: what a restricted Boltzmann machine answers, given its parameters."""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import torch
from scipy.special import expit, logit
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from skgen._base import BaseGenerator, State, binarized
from skgen.likelihood import (
    MAX_UNITS,
    LogPartition,
    log_partition_annealed,
    log_partition_exact,
    log_partition_trajectory,
    trajectory_lines,
)
from skgen.modules import BernoulliObservation, BernoulliRBM, pseudo_log_likelihood
from skgen.sampling import bernoulli, clamped_mean, climb, gibbs, tempering

# Steps of a sampler, if none are asked for.
_GIBBS_STEPS = {"gibbs": 1000, "tempering": 100}
# Chains that run up a ladder together, and with which one is built.
_LADDER_CHAINS = 256
# Steps that take chains from fair coins into a mode.
_QUENCH_STEPS = 50

_COUNT = [Interval(Integral, 1, None, closed="left")]


class BaseRBM(BaseGenerator):
    """What a Bernoulli RBM answers, given its parameters; a subclass trains them."""

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
            "n_temperatures": _COUNT,
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
            machine by replica exchange. "trajectory" adds up ratios along the
            machines that were kept in training (`keep_rungs`). "auto" is "exact"
            where that is possible in seconds to minutes, else "ais".
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
            have reached all its modes.

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

    def gibbs(self, v: Any) -> np.ndarray:
        """Perform one Gibbs sampling step, v → h → v.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states to start from.

        Returns
        -------
        v_new : ndarray of shape (n_samples, n_features)
            Visible states after one step, zeros and ones in the dtype of `v`.
            Each call draws anew, from ``random_state_``.
        """
        v = self._validate_data(v)
        if not hasattr(self, "random_state_"):
            self.random_state_ = check_random_state(self.random_state)
        generator = self._generator(self.random_state_)
        return self._apply(partial(gibbs, n_steps=1, generator=generator), v)

    @validate_params(
        {
            "n_samples": _COUNT,
            "random_state": ["random_state"],
            "sampler": [StrOptions({"gibbs", "tempering"}), None],
            "n_gibbs_steps": [Interval(Integral, 0, None, closed="left"), None],
            "given": ["array-like", None],
        },
        prefer_skip_nested_validation=True,
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

        Each sample is the end of a chain of its own, which starts at
        independent bits with the means of the training data and is never
        that of training.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, for each of its rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        sampler : {"gibbs", "tempering"} or None, default=None
            "gibbs" runs chains of the machine alone. "tempering" runs chains at
            each rung of a ladder, from independent bits to the machine, which swap
            states: modes that are far from each other then have their right
            weights. The ladder goes through ``rungs_``, or else through
            temperatures. None means "tempering" if there are ``rungs_``, else
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
            Visible states, zeros and ones in the dtype of `components_` or of
            `given`. Samples of one row of `given` stand together.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        if sampler is None:
            sampler = "tempering" if hasattr(self, "rungs_") else "gibbs"
        if n_gibbs_steps is None:
            n_gibbs_steps = _GIBBS_STEPS[sampler]
        if given is None:
            known = None
            dtype = np.result_type(self.components_, np.float32)
            start = np.full((n_samples, self.components_.shape[1]), np.nan, dtype)
        else:
            start = self._validate_incomplete(given).repeat(n_samples, axis=0)
            known = ~np.isnan(start)
        start, generator = self._filled(start, rng), self._generator(rng)
        if sampler == "tempering":
            return self._temper(start, known, n_gibbs_steps, generator)
        run = partial(gibbs, n_steps=n_gibbs_steps, generator=generator)
        return self._apply_clamped(run, start, known)

    @validate_params(
        {"n_gibbs_steps": _COUNT, "random_state": ["random_state"]},
        prefer_skip_nested_validation=True,
    )
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
            chain a row; P(v = 1 | h) is averaged over the second half.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Data with estimates of the conditional means, in [0, 1], for NaN.

        See Also
        --------
        skgen.impute.GenerativeImputer : A transformer that learns from incomplete
            data, too.
        """
        X = self._validate_incomplete(X)
        rng = self._rng(random_state)
        start, generator = self._filled(X, rng), self._generator(rng)
        run = partial(clamped_mean, n_steps=n_gibbs_steps, generator=generator)
        return self._apply_clamped(run, start, ~np.isnan(X))

    def _validate_data(self, X: Any) -> Any:
        X = super()._validate_data(X)
        check_width(X, self.components_)
        return binarized(X, self.binarize)

    def _validate_incomplete(self, X: Any) -> np.ndarray:
        """Validate data of a fitted estimator with NaN for what is missing."""
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=False,
        )
        check_width(X, self.components_)
        return np.where(np.isnan(X), X, binarized(X, self.binarize))

    def _filled(self, X: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Put random bits with the means of the training data where NaN is."""
        bits = rng.uniform(size=X.shape) < marginals(self._state())
        return np.where(np.isnan(X), bits.astype(X.dtype), X)

    def _apply_to_bits(
        self, function: Callable[[Any, Tensor], Tensor], X: Any
    ) -> np.ndarray:
        """Apply ``function(model, bits)`` to data: a score is that of bits."""
        observation = BernoulliObservation(sampled=self.binarize == "sample")

        def of_bits(model: Any, x: Tensor) -> Tensor:
            return function(model, observation.observe(x, generator=None))

        return self._apply(of_bits, self._validate_data(X))

    def _apply_clamped(
        self, run: Callable[..., Tensor], start: np.ndarray, known: np.ndarray | None
    ) -> np.ndarray:
        """Run chains from `start`, with what is known clamped to it."""
        if known is None:
            return self._apply(run, start)

        def clamped(model: Any, both: Tensor) -> Tensor:
            v, is_known = both.tensor_split(2, dim=1)
            return run(model, v, clamped=is_known.bool())

        return self._apply(clamped, np.hstack([start, known.astype(start.dtype)]))

    def _temper(
        self,
        start: np.ndarray,
        known: np.ndarray | None,
        n_steps: int,
        generator: torch.Generator,
    ) -> np.ndarray:
        """Draw by replica exchange, from `start` where some units are known."""
        with torch.inference_mode():
            v = torch.from_numpy(start).to(generator.device)
            base_bias = self._base_bias(v)
            lines = trajectory_lines(self._machines(v), base_bias)

            def ladder() -> tuple[list[Any], Tensor]:
                p = torch.sigmoid(base_bias).expand(_LADDER_CHAINS, -1)
                draws = bernoulli(p, generator=generator)
                return climb(lines, draws, generator=generator)

            run = partial(tempering, n_steps=n_steps, generator=generator)
            if known is None:
                n_ladders = -(-len(v) // _LADDER_CHAINS)
                parts = [run(*ladder())[-1] for _ in range(n_ladders)]
            else:
                # A population has no meaning across rows of different knowns: all
                # rungs start from the rows.
                models, _ = ladder()
                clamped = torch.from_numpy(known).to(v.device)
                parts = [
                    run(
                        models,
                        rows.expand(len(models), -1, -1),
                        kernel=partial(gibbs, clamped=fixed),
                    )[-1]
                    for rows, fixed in zip(
                        v.split(_LADDER_CHAINS),
                        clamped.split(_LADDER_CHAINS),
                        strict=True,
                    )
                ]
            return torch.cat(parts)[: len(v)].cpu().numpy()

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
        model = self._build_model(self._state())
        return model.to(self._inference_device())

    def _machines(self, like: Tensor) -> list[BernoulliRBM]:
        """Machines kept in training, if any, and after them the trained one."""
        state = self._state()
        states = [*rungs_of(state), state]
        return [self._build_model(s).to(like.device, like.dtype) for s in states]

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
    """Weights may be assigned: the width that was seen in a fit does not bind."""
    if X.shape[1] != components.shape[1]:
        raise ValueError(
            f"Got X with {X.shape[1]} features, but expected {components.shape[1]}, "
            "the number of columns of components_."
        )


def marginals(state: State) -> np.ndarray:
    """Means of the visible units over the data, away from 0 and 1."""
    if "mean_" not in state:
        # Weights from elsewhere: the machine's own fields are all there is.
        return expit(np.asarray(state["intercept_visible_"], dtype=np.float64))
    margin = 1 / (state["n_samples_seen_"] + 2)
    return np.clip(state["mean_"], margin, 1 - margin)


def rungs_of(state: State) -> list[State]:
    """Parameters of each of the machines that were kept in training."""
    rungs = state.get("rungs_", {})
    n_rungs = len(rungs["components_"]) if rungs else 0
    return [{name: rungs[name][r] for name in rungs} for r in range(n_rungs)]
