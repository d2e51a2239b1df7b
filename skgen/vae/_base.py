"""BaseVAE: what the variational autoencoders share."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skgen.base import (
    BaseGenerator,
    EncoderMixin,
    LikelihoodMixin,
    Phase,
    load_arrays,
    to_arrays,
)
from skgen.base._fitting import State, draw_seed
from skgen.nn import ACTIVATIONS, Observation
from skgen.nn._seeding import seeded
from skgen.training import RowSource
from skgen.vae._architecture import Architecture, Scaling
from skgen.vae._importance import importance_weighted_bound
from skgen.vae._model import VAE, elbo, elbo_terms
from skgen.vae._objective import NegativeELBO

# The variance of the posterior mean above which a latent counts as active.
_ACTIVE = 0.01


class BaseVAE(EncoderMixin, LikelihoodMixin, BaseGenerator):
    """Base of the variational autoencoders.

    A subclass says what the output of a decoder means, `_build_observation`, and how
    data is scaled for the networks, `_estimate_scaling`.
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "compile": ["boolean"],
        "hidden_layer_sizes": [tuple, list, Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "architecture": [StrOptions({"mlp", "conv"})],
        "image_shape": [tuple, list, None],
        "encoder": [callable, None],
        "decoder": [callable, None],
        "beta": [Interval(Real, 0, None, closed="left")],
        "n_warmup_iter": [Interval(Integral, 0, None, closed="left")],
    }

    _score_name = "ELBO"
    _state_names: ClassVar[tuple[str, ...]] = ("weights_", "_architecture")

    # Whether features are divided by a scale of theirs.
    _scaled: ClassVar[bool] = True

    # What the constructors of the subclasses store.
    beta: float
    n_warmup_iter: int
    compile: bool

    @abstractmethod
    def _estimate_scaling(self, rows: RowSource) -> tuple[Scaling, Scaling, State]:
        """Estimate the scaling of the networks from the data.

        Returns location and scale of the input of the encoder, those of the output of
        the decoder, and the initial state of the observation model.
        """

    @abstractmethod
    def _build_observation(self, state: State) -> Observation:
        """Make the distribution of the data given the output of the decoder."""

    def transform(self, X: Any) -> np.ndarray:
        r"""Compute the features, the posterior mean :math:`\mu(x)`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Posterior means, in the dtype of X.
        """
        return self._apply(VAE.forward, self._validate_data(X))

    def encode(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        r"""Compute the posterior q(z | x) :math:`= \mathcal{N}(\mu, \sigma^2)`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            Posterior means, in the dtype of X.
        std : ndarray of shape (n_samples, n_components)
            Posterior standard deviations, in the dtype of X.
        """
        both = self._apply(_mean_and_std, self._validate_data(X))
        mean, std = np.split(both, 2, axis=1)
        return mean, std

    def inverse_transform(self, H: Any) -> np.ndarray:
        """Compute the mean of the data given latent variables.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)
            Latent variables z.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Means of p(x | z), in the dtype of H.
        """
        return self._apply(VAE.conditional_mean, self._validate_components(H))

    def reconstruct(self, X: Any) -> np.ndarray:
        """Encode X and decode the posterior mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            ``inverse_transform(transform(X))``, in the dtype of X.
        """
        return self._apply(_reconstruction, self._validate_data(X))

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the evidence lower bound of each sample.

        .. math:: \mathrm{ELBO}(x) = \left\langle \log p(x \mid z)
                  \right\rangle_{q(z \mid x)} - \mathrm{KL}\left(q(z \mid x)
                  \,\|\, p(z)\right) \le \log p(x)

        with all constants, and with the weight 1 on the KL term whatever `beta`
        and `n_warmup_iter` are. The average is taken over fixed quasi-random
        points, the same ones for all rows and all models.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        elbo : ndarray of shape (n_samples,)
            Evidence lower bound in nats, higher is better.
        """
        return self._apply(elbo, self._validate_data(X))

    def elbo_terms(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Compute the two terms of the evidence lower bound.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        reconstruction : ndarray of shape (n_samples,)
            Mean of log p(x | z) over the posterior, in nats.
        kl : ndarray of shape (n_samples, n_components)
            KL divergence of each latent variable's posterior from its prior, in
            nats. ``reconstruction - kl.sum(axis=1)`` is `score_samples`.
        """
        both = self._apply(_elbo_columns, self._validate_data(X))
        return both[:, 0], both[:, 1:]

    @validate_params(
        {
            "X": "no_validation",
            "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        },
        prefer_skip_nested_validation=True,
    )
    def log_likelihood(
        self, X: Any, n_importance_samples: int = 1000, *, random_state: Any = None
    ) -> np.ndarray:
        r"""Estimate log p(x) of each sample by importance sampling.

        .. math:: \log \frac{1}{K} \sum_{k=1}^{K}
                  \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)},
                  \quad z_k \sim q(z \mid x)

        (Burda, Grosse & Salakhutdinov, 2016). Its expectation is a lower bound on
        log p(x), which rises with K. Each row has draws of its own; memory does not
        grow with K.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_importance_samples : int, default=1000
            Draws a row, K. The literature takes 5000.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None means the estimator's own.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Estimate in nats.
        """
        X = self._validate_data(X)
        estimate = partial(
            importance_weighted_bound,
            n_samples=n_importance_samples,
            generator=self._generator(self._rng(random_state)),
        )
        return self._apply(estimate, X)

    @validate_params(
        {
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
            "noise": ["boolean"],
        },
        prefer_skip_nested_validation=True,
    )
    def sample(
        self, n_samples: int = 1, *, random_state: Any = None, noise: bool = False
    ) -> np.ndarray:
        """Draw samples from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        noise : bool, default=False
            Whether to draw x from p(x | z), with z from the prior: these are
            samples of the model's law. Otherwise the mean of p(x | z) is given.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Samples, in the dtype of training.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        z = rng.standard_normal((n_samples, self._n_features_out))
        draw: Any = VAE.conditional_mean
        if noise:
            draw = partial(VAE.sample, generator=self._generator(rng))
        return self._apply(draw, z.astype(self._dtype))

    @property
    def _n_features_out(self) -> int:
        return self._architecture.n_components

    def _initial_state(
        self, rows: RowSource, y: np.ndarray | None, state: State
    ) -> State:
        architecture = Architecture.of(self)
        if state:
            architecture.check_same(state["_architecture"])
            return dict(state)
        input_scaling, output_scaling, more = self._estimate_scaling(rows)
        with seeded(draw_seed(self.random_state_)):
            networks = architecture.initial_networks(input_scaling, output_scaling)
        weights = to_arrays(networks)
        return {"weights_": weights, "_architecture": architecture, **more}

    def _build_model(self, state: State) -> VAE:
        with seeded(0):  # what is drawn here is replaced
            networks = state["_architecture"].build()
        load_arrays(networks, state["weights_"])
        observation = self._build_observation(state)
        return VAE(networks["encoder"], networks["decoder"], observation)

    def _build_objective(self, state: State) -> NegativeELBO:
        return NegativeELBO(beta=self.beta, n_warmup=self.n_warmup_iter)

    @contextmanager
    def _training_context(self, model: Any) -> Iterator[None]:
        """Compile the networks, if that is asked for, and train."""
        if not self.compile:
            yield
            return
        import torch._dynamo  # takes seconds

        for network in (model.encoder, model.decoder):
            if network._compiled_call_impl is None:
                network.compile()
        # Networks that torch cannot compile here run as they are.
        with torch._dynamo.config.patch(suppress_errors=True):
            yield

    def _read_state(self, state: State, phase: Phase) -> State:
        model: Any = phase.model
        networks = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
        return {"weights_": to_arrays(networks)}

    def _optimizer_arguments(self) -> dict[str, Any]:
        optimizer: dict[str, Any] = {
            "optimizer": torch.optim.AdamW,
            "optimizer__weight_decay": 0.0,
            "optimizer__fused": True,
        }
        if self.weight_decay:
            # Biases need no shrinking. One group is one pass where there is none.
            groups = [("*weight", {"weight_decay": self.weight_decay})]
            optimizer["optimizer__param_groups"] = groups
        return optimizer

    def _finalise(self, rows: RowSource, *, partial: bool) -> None:
        mean = self._apply(VAE.forward, rows)
        self.active_units_ = mean.var(axis=0, dtype=np.float64) > _ACTIVE


def _mean_and_std(model: VAE, x: Tensor) -> Tensor:
    mu, log_var = model.posterior(x)
    return torch.cat([mu, (0.5 * log_var).exp()], 1)


def _reconstruction(model: VAE, x: Tensor) -> Tensor:
    return model.conditional_mean(model(x))


def _elbo_columns(model: VAE, x: Tensor) -> Tensor:
    reconstruction, kl = elbo_terms(model, x)
    return torch.cat([reconstruction[:, None], kl], 1)
