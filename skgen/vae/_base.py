"""BaseVAE: what the variational autoencoders share."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial as partial_function
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skgen.base import (
    BaseGenerator,
    EncoderMixin,
    ExportMixin,
    LikelihoodMixin,
    Phase,
    load_arrays,
    to_arrays,
)
from skgen.base._arguments import validated_arguments
from skgen.base._fitting import State, draw_seed
from skgen.base._over_conditions import given
from skgen.base._portable_networks import PortableNetworksMixin
from skgen.base._validation import has_gaps
from skgen.nn import ACTIVATIONS, Observation
from skgen.nn._networks import in_least_precision
from skgen.nn._seeding import draw_from
from skgen.training import RowSource
from skgen.training._optimizers import AdamW
from skgen.training._rows import spread_index
from skgen.vae import _answers
from skgen.vae._answers import weighted_sum
from skgen.vae._architecture import Architecture
from skgen.vae._export import ConditionalMean, PosteriorMean
from skgen.vae._fill import LinearFill
from skgen.vae._importance import importance_weighted_bound
from skgen.vae._importance_objective import ImportanceWeightedELBO
from skgen.vae._missing import by_completeness
from skgen.vae._missing_importance import bound_of_observed
from skgen.vae._model import VAE
from skgen.vae._objective import NegativeELBO

# The mean KL divergence in nats above which a latent counts as active.
_ACTIVE = 0.1
# Points of the integral over the posterior with a convolutional decoder, at least.
_LEAST_IMAGES = 16
# What n_iter="auto" means: at least so many passes, and so many mini-batches.
_LEAST_EPOCHS, _LEAST_STEPS = 100, 3000
# Share of the rows that the end of a fit looks at: for each epoch, and at least.
_SHARE_AN_EPOCH, _LEAST_SHARE, _LEAST_ROWS = 0.05, 0.2, 256
# Epochs from which on it takes all points of the integral over the posterior.
_EPOCHS_FOR_ALL_POINTS = 110


class BaseVAE(
    PortableNetworksMixin, EncoderMixin, ExportMixin, LikelihoodMixin, BaseGenerator
):
    """Base of the variational autoencoders.

    A subclass says what the output of a decoder means, `_build_observation`, and what
    is known of the data before training, `_describe`.
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
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
    _state_names: ClassVar[tuple[str, ...]] = (
        "weights_",
        "_architecture",
        "_incomplete",
    )

    # Which fixed maps begin and end the built-in networks: see `Architecture`.
    _scaled: ClassVar[bool | None]
    _model_class: ClassVar[type[VAE]] = VAE

    # What the constructors of the subclasses store.
    beta: float
    n_importance_samples: int = 1
    n_warmup_iter: int | str
    compile: bool

    @abstractmethod
    def _describe(self, rows: RowSource) -> State:
        """Return what is known of the data before training: a part of the state."""

    @abstractmethod
    def _prepare_networks(
        self,
        networks: Any,
        architecture: Architecture,
        rows: RowSource,
        y: np.ndarray | None,
        state: State,
    ) -> None:
        """Set what of the networks depends on the data, and complete `state`."""

    @abstractmethod
    def _build_observation(self, state: State) -> Observation:
        """Make the distribution of the data given the output of the decoder."""

    def transform(self, X: Any, *, out: Any = None) -> np.ndarray:
        r"""Compute the features, the posterior mean :math:`\mu(x)`.

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
        Z : ndarray of shape (n_samples, n_components)
            Posterior means, in the dtype of X; or `out`.
        """
        return self._apply(_answers.features, self._validate_data(X), out=out)

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
        both = self._apply(_answers.features_and_std, self._validate_data(X))
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
        H = self._validate_components(H)
        return self._in_units_of_data(self._apply(VAE.conditional_mean, H))

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
        mean = self._apply(_answers.reconstruction, self._validate_data(X))
        return self._in_units_of_data(mean)

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
        X = self._validate_data(X)
        return self._apply(_answers.bound, X) - self._log_scale_of(X)

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
            nats. ``reconstruction - kl.sum(axis=1)`` is `score_samples`. In rows with
            missing values latent variables are correlated, and the term of one includes
            its mutual information with those before it.
        """
        X = self._validate_data(X)
        both = self._apply(_answers.bound_columns, X)
        return both[:, 0] - self._log_scale_of(X), both[:, 1:]

    @validated_arguments(
        {
            "X": "no_validation",
            "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        }
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
        generator = self._generator(self._rng(random_state))
        complete, incomplete = (
            partial_function(
                function, n_samples=n_importance_samples, generator=generator
            )
            for function in (importance_weighted_bound, bound_of_observed)
        )
        estimate = self._apply(by_completeness(complete, incomplete), X)
        return estimate - self._log_scale_of(X)

    @validated_arguments(
        {
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
            "noise": ["boolean"],
        }
    )
    def sample(
        self, n_samples: int = 1, *, random_state: Any = None, noise: bool = True
    ) -> np.ndarray:
        """Draw samples of the model: z from the prior, and x from p(x | z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        noise : bool, default=True
            Whether x is drawn from p(x | z). Otherwise it is the mean of that, which is
            smoother, and no sample of the model.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Samples; from `GaussianVAE` in the dtype of the data that it was fitted to,
            from `BernoulliVAE` in that of training.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        return self._sample(n_samples, None, rng, noise=noise)

    def _sample(
        self,
        n_samples: int,
        y: np.ndarray | None,
        rng: np.random.RandomState,
        *,
        noise: bool,
    ) -> np.ndarray:
        """Draw samples, or means given z; given y, if the model is conditional."""
        z = rng.standard_normal((n_samples, self._n_features_out))
        draw: Any = VAE.conditional_mean
        if noise:
            draw = partial_function(VAE.sample, generator=self._generator(rng))
        x = self._apply(given(draw), z.astype(self._dtype), y)
        return self._in_units_of_data(x.astype(self._sample_dtype, copy=False))

    @property
    def _n_features_out(self) -> int:
        return self._architecture.n_components

    @property
    def _n_conditions(self) -> int:
        """Number of inputs of the networks that are conditions."""
        return 0

    def _prior_conditions(self, n_points: int) -> np.ndarray | None:
        """Draw conditions of the training data, if the model has any."""
        return None

    def _initial_state(
        self, rows: RowSource, y: np.ndarray | None, state: State
    ) -> State:
        architecture = Architecture.of(self)
        if state:
            architecture.check_same(state["_architecture"])
            return dict(state)
        new = self._describe(rows)
        generator = torch.Generator().manual_seed(draw_seed(self.random_state_))
        networks = architecture.initial_networks(generator)
        self._prepare_networks(networks, architecture, rows, y, new)
        return {"weights_": to_arrays(networks), "_architecture": architecture, **new}

    def _number_of_epochs(self, n_iter: Any, n_rows: int) -> int:
        if n_iter != "auto":
            return int(n_iter)
        return max(_LEAST_EPOCHS, -(-_LEAST_STEPS // self._number_of_batches(n_rows)))

    def _number_of_batches(self, n_rows: int) -> int:
        return max(1, -(-n_rows // int(self.batch_size)))

    def _number_of_steps(self, n_rows: int) -> int:
        """Number of mini-batches of a fit to so many rows."""
        n_epochs = self._number_of_epochs(self.n_iter, n_rows)
        return n_epochs * self._number_of_batches(n_rows)

    @property
    def _sample_dtype(self) -> np.dtype:
        return self._dtype

    def _in_units_of_data(self, x: np.ndarray) -> np.ndarray:
        """Convert what the model computes to the units of X."""
        return x

    def _log_scale_of(self, X: Any) -> float | np.ndarray:
        """By how much log-densities of valid data are less than the model's."""
        return 0.0

    def _build_model(self, state: State) -> VAE:
        networks = state["_architecture"].build()
        load_arrays(networks, state["weights_"])
        observation = self._build_observation(state)
        return self._model_class(networks["encoder"], networks["decoder"], observation)

    def _build_objective(self, state: State) -> NegativeELBO:
        n_warmup = self.n_warmup_iter
        n_warmup = n_warmup if isinstance(n_warmup, int) else 0
        if self.n_importance_samples == 1 and not state.get("_incomplete"):
            return NegativeELBO(beta=self.beta, n_warmup=n_warmup)
        fill = state.get("_fill")
        return ImportanceWeightedELBO(
            beta=self.beta,
            n_warmup=n_warmup,
            n_samples=self.n_importance_samples,
            fill=None if fill is None else LinearFill(**fill),
        )

    def _training_rows(self, X: Any, state: State) -> Any:
        state["_incomplete"] = has_gaps(X)
        return X

    @contextmanager
    def _training_context(self, model: Any, seed: int) -> Iterator[None]:
        """Compile the networks, if that is asked for, and train."""
        with super()._training_context(model, seed) as drawing:
            if not self.compile:
                yield
                return
            import torch._dynamo  # takes seconds

            for network in (model.encoder, model.decoder):
                if network not in drawing and network._compiled_call_impl is None:
                    network.compile()
            # Networks that torch cannot compile here run as they are.
            with torch._dynamo.config.patch(suppress_errors=True):
                yield

    def _given_networks(self, model: Any) -> list[tuple[nn.Module, int]]:
        widths = {"encoder": self.n_features_in_, "decoder": self.n_components}
        return [
            (getattr(model, name), width + self._n_conditions)
            for name, width in widths.items()
            if getattr(self, name) is not None
        ]

    def _build_inference_model(self, state: State) -> VAE:
        model, architecture = self._build_model(state), state["_architecture"]
        # Dropout is off, but a network may draw in spite of that.
        for name in ("encoder", "decoder"):
            if getattr(architecture, name) is not None:
                draw_from(getattr(model, name), 0)
        return model

    def _torch_networks(self, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
        # Those of a user as they are, without what seeds those that draw.
        model = self._build_model(self._state()).to(dtype)
        decoder = ConditionalMean(model.decoder, model.observation)
        return PosteriorMean(model.encoder), decoder

    def _read_state(self, state: State, phase: Phase) -> State:
        model: Any = phase.model
        networks = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
        return {"weights_": to_arrays(networks)}

    def _optimizer_arguments(self, state: State) -> dict[str, Any]:
        # Biases need no shrinking. One group is one pass where there is none.
        decay = {"weight_decay": self.weight_decay}
        return self._adam([("*weight", decay)] if self.weight_decay else [])

    def _adam(self, groups: list[tuple[str, dict[str, float]]]) -> dict[str, Any]:
        """Arguments of the optimizer, with groups of parameters by their names."""
        return {
            "optimizer": AdamW,
            "optimizer__weight_decay": 0.0,
            "optimizer__fused": True,
            **({"optimizer__param_groups": groups} if groups else {}),
        }

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        model = super()._model(dtype, device)
        architecture = self._architecture
        if architecture.image_shape is None:
            return model
        for name in ("encoder", "decoder"):
            if getattr(architecture, name) is None:
                # With channels first, convolutions of images take four times as long.
                network = getattr(model, name).to(memory_format=torch.channels_last)
                setattr(model, name, in_least_precision(network, dtype, self._dtype))
        # They are the dearer part of a score, and each point of it is one more image.
        model.n_points = max(_LEAST_IMAGES, architecture.n_components + 2)
        return model

    def _finalise(
        self, rows: RowSource, y: np.ndarray | None, *, partial: bool
    ) -> None:
        # It takes 5 % of the time of the fit, and 20 % of that of an epoch, at most.
        n_epochs = len(self.history_) if not partial else 1
        share = max(_LEAST_SHARE, n_epochs * _SHARE_AN_EPOCH)
        n_rows = max(_LEAST_ROWS, int(share * len(rows)))
        if n_rows < len(rows):
            spread = spread_index(len(rows), n_rows)
            weight = None if rows.weight is None else rows.weight[spread]
            rows = rows.select(spread, weight)
            y = None if y is None else y[spread]
        weights = None if rows.weight is None else rows.weight[:, None]

        def statistics(
            model: VAE, x: Tensor, weight: Tensor | None, y: Tensor | None
        ) -> Tensor:
            pairs = n_epochs < _EPOCHS_FOR_ALL_POINTS
            return self._statistics(model.given(y), x, weight, pairs=pairs)

        sums = self._apply(statistics, rows, weights, y).sum(axis=0, dtype=np.float64)
        means = sums / (len(rows) if weights is None else weights.sum())
        self._set_statistics(means, partial=partial)

    def _statistics(
        self, model: VAE, x: Tensor, weight: Tensor | None = None, *, pairs: bool
    ) -> Tensor:
        """Sums over rows that the end of a fit needs, (1, n_statistics), float64.

        The first are the KL divergences of the latents.
        """
        return weighted_sum(_answers.kl_of_latents(model, x), weight)

    def _set_statistics(self, means: np.ndarray, *, partial: bool) -> None:
        """Set attributes from the means of `_statistics` over the rows."""
        self.active_units_ = means[: self._n_features_out] > _ACTIVE
