"""The conditional variational autoencoder, and averages over its conditions."""

import copy
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from skgen.base._over_conditions import joint_bounds
from skgen.vae._model import VAE, elbo

# A bound on log p(x | y) of each row by a model that is given y.
Bound = Callable[[VAE, Tensor], Tensor]


class ConditionalVAE(VAE):
    r"""Variational autoencoder of x given y; both networks see y.

    .. math:: z \sim \mathcal{N}(0, I), \quad x \sim p(x \mid f(z, y)), \quad
              q(z \mid x, y) = \mathcal{N}\left(\mu(x, y),
              \operatorname{diag} \sigma^2(x, y)\right)

    (Sohn, Lee & Yan, "Learning structured output representation using deep conditional
    generative models", NeurIPS 2015, with a prior of z that does not depend on y).

    Given y it is a variational autoencoder: ``model.given(y)`` is a view of the same
    parameters, for which all functions of a `VAE` hold. The conditions are the last
    inputs of the encoder, behind x, and of the decoder, behind z.

    Attributes
    ----------
    conditions : Tensor of shape (n_rows, n_conditions) or None
        The conditions of the rows of a view, or one row for all of them.
    """

    conditions: Tensor | None = None

    def given(self, y: Tensor | None) -> "ConditionalVAE":
        """Return a view given conditions, one row for each of x or one for all.

        Parameters
        ----------
        y : Tensor of shape (n_rows, n_conditions) or (1, n_conditions) or None
            The conditions. None leaves the model as it is.

        Returns
        -------
        model : ConditionalVAE
            A view of the same parameters.
        """
        if y is None:
            return self
        view = copy.copy(self)
        view.__dict__["conditions"] = y
        return view

    def of_rows(self, rows: slice) -> "ConditionalVAE":
        """Return the view of some rows of a table."""
        y = self.conditions
        return self if y is None or len(y) == 1 else self.given(y[rows])

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Posterior mean of x, shape (batch, n_latents)."""
        return self.given(y).posterior(x)[0]

    def encode(self, x: Tensor) -> Tensor:
        """Output of the encoder, shape (batch, 2 n_latents)."""
        return self.encoder(self._with_conditions(x))

    def decode(self, z: Tensor) -> Tensor:
        """Output f(z, y) of the decoder; each row of y may have several of z."""
        return self.decoder(self._with_conditions(z)).to(z.dtype)

    def _with_conditions(self, inputs: Tensor) -> Tensor:
        y = self.conditions
        if y is None:
            raise ValueError(
                "Got no conditions, but a ConditionalVAE needs them: call it by way of "
                "model.given(y)."
            )
        if len(y) != len(inputs):
            y = y.repeat_interleave(len(inputs) // len(y), dim=0)
        return torch.cat([inputs, y.to(inputs)], 1)


def marginal_bound(
    model: ConditionalVAE,
    x: Tensor,
    conditions: Tensor,
    log_p: Tensor,
    bound: Bound = elbo,
) -> Tensor:
    r"""Bound the log-likelihood of x alone, in nats.

    .. math:: \log p(x) = \log \sum_k p(y_k)\, p(x \mid y_k)
              \ge \log \sum_k p(y_k)\, e^{\mathrm{bound}(x \mid y_k)}

    Parameters
    ----------
    model : ConditionalVAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data.
    conditions : Tensor of shape (n_conditions_tried, n_conditions)
        The conditions :math:`y_k`.
    log_p : Tensor of shape (n_conditions_tried,)
        Their log-probabilities in nats.
    bound : callable
        Takes a model and x, and returns a bound on log p(x) of each row.

    Returns
    -------
    bound : Tensor of shape (n_rows,)
        The bound in nats.
    """
    return joint_bounds(model, x, conditions, log_p, bound).logsumexp(1)


def average_over_conditions(
    model: ConditionalVAE,
    x: Tensor,
    conditions: Tensor,
    log_p: Tensor,
    function: Callable[[VAE, Tensor], Tensor],
) -> Tensor:
    r"""Average a function of x and y over the conditions that x may have.

    .. math:: \sum_k p(y_k \mid x)\, g(x, y_k), \quad
              p(y_k \mid x) \propto p(y_k)\, e^{\mathrm{ELBO}(x \mid y_k)}

    Parameters
    ----------
    model : ConditionalVAE
        The model.
    x : Tensor of shape (n_rows, n_features)
        Data.
    conditions : Tensor of shape (n_conditions_tried, n_conditions)
        The conditions :math:`y_k`.
    log_p : Tensor of shape (n_conditions_tried,)
        Their log-probabilities in nats.
    function : callable
        Takes a model that is given y and x, and returns shape (n_rows, ...).

    Returns
    -------
    average : Tensor of shape (n_rows, ...)
        The average.
    """
    weights = joint_bounds(model, x, conditions, log_p, elbo).softmax(1)
    pairs = zip(conditions, weights.unbind(1), strict=True)
    # One term after another: all at a time would take as many times the memory.
    terms = (w[:, None] * function(model.given(y[None]), x) for y, w in pairs)
    return reduce(torch.add, terms)


def conditional_mean(
    model: ConditionalVAE, z: Tensor, conditions: Tensor, log_p: Tensor
) -> Tensor:
    r"""Mean of x given z alone, of which y is independent.

    .. math:: \langle x \rangle_{p(x \mid z)}
              = \sum_k p(y_k)\, \langle x \rangle_{p(x \mid z, y_k)}

    Parameters
    ----------
    model : ConditionalVAE
        The model.
    z : Tensor of shape (n_rows, n_latents)
        Latent variables.
    conditions : Tensor of shape (n_conditions_tried, n_conditions)
        The conditions :math:`y_k`.
    log_p : Tensor of shape (n_conditions_tried,)
        Their log-probabilities in nats.

    Returns
    -------
    mean : Tensor of shape (n_rows, n_features)
        The mean.
    """
    pairs = zip(conditions, log_p.exp().to(z), strict=True)
    terms = (p * model.given(y[None]).conditional_mean(z) for y, p in pairs)
    return reduce(torch.add, terms)
