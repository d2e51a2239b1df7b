"""Observation models: the distribution of data given the output of a decoder."""

from abc import ABC, abstractmethod
from math import log, pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skgen.sampling import RandomBits, bernoulli, bernoulli_of_rows

# Weight of the newest mini-batch in the running estimate of a noise variance.
_VARIANCE_RATE = 0.05


class Observation(nn.Module, ABC):
    """Distribution of data x given the output f of a decoder.

    All features are independent given f, which has their shape. An observation model
    has no parameters that are trained by gradients.
    """

    def observe(
        self,
        x: Tensor,
        *,
        generator: torch.Generator | RandomBits | None,  # noqa: ARG002
    ) -> Tensor:
        """Compute what is observed of data, such as bits of probabilities.

        Parameters
        ----------
        x : Tensor of shape (batch, n_features)
            Data.
        generator : torch.Generator, RandomBits or None
            Source of randomness, if something is drawn; None means that random
            numbers are a function of the row, so that they are always the same.

        Returns
        -------
        x : Tensor of shape (batch, n_features)
            Observations.
        """
        return x

    def adapt_(
        self,
        x: Tensor,
        f: Tensor,
        weight: Tensor | None = None,
        *,
        in_proportion: bool = False,
    ) -> None:
        """Update parameters that have a closed form, from one mini-batch.

        Parameters
        ----------
        x : Tensor of shape (batch, n_features)
            Observations.
        f : Tensor of shape (batch, n_features)
            Output of the decoder.
        weight : Tensor of shape (batch,) or None
            Sample weights, with mean 1 over the training data.
        in_proportion : bool
            Whether parameters of several features keep their ratios.
        """

    @abstractmethod
    def log_prob(self, x: Tensor, f: Tensor) -> Tensor:
        """Compute log p(x | f) in nats; shapes (..., n_features) give (...)."""

    @abstractmethod
    def log_prob_of_observed(self, x: Tensor, f: Tensor) -> Tensor:
        """Compute `log_prob` of the entries of x that are not NaN."""

    @abstractmethod
    def gradient(self, x: Tensor, f: Tensor) -> Tensor:
        """Gradient of log p(x | f) with respect to f, a new tensor of its shape."""

    @abstractmethod
    def mean(self, f: Tensor) -> Tensor:
        """Mean of x given f, shape (batch, n_features)."""

    @abstractmethod
    def noise(self, f: Tensor) -> Tensor:
        """Variance of x given f, of a shape that broadcasts with that of f."""

    @abstractmethod
    def sample(self, f: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw x given f, shape (batch, n_features)."""


class GaussianObservation(Observation):
    r"""Gaussian noise around the decoder's output.

    .. math:: \log p(x \mid f) = -\frac{1}{2} \sum_i \left[
              \frac{(x_i - f_i)^2}{\sigma_i^2} + \log 2 \pi \sigma_i^2 \right]

    Given the networks, the ELBO is maximal at
    :math:`\sigma_i^2 = \langle (x_i - f_i)^2 \rangle`, the mean over data and
    posterior, whatever the weight of the KL term. In training a running mean
    over mini-batches follows it (Rybkin, Daniilidis & Levine, 2021).

    Parameters
    ----------
    variance : Tensor of shape () or (n_features,)
        Noise variance :math:`\sigma^2`, one for all features or one each.
    floor : float, Tensor of shape (n_features,) or None
        Lower limit of a learned variance; None means that `variance` is fixed.
    in_proportion : bool
        Whether learned variances of several features keep their ratios.
    """

    variance: Tensor
    floor: Tensor | None

    def __init__(
        self,
        variance: Tensor,
        *,
        floor: float | Tensor | None = None,
        in_proportion: bool = False,
    ):
        super().__init__()
        self.in_proportion = in_proportion
        self.register_buffer("variance", variance)
        if floor is not None:
            floor = torch.as_tensor(floor, dtype=variance.dtype)
        self.register_buffer("floor", floor, persistent=False)

    def optimal_variance(
        self, squared_error: Tensor, *, in_proportion: bool = False
    ) -> Tensor:
        """Compute the best variance for squared errors.

        Parameters
        ----------
        squared_error : Tensor of shape (n, n_features)
            Squared errors.
        in_proportion : bool
            Whether it is the best multiple of the present one.

        Returns
        -------
        variance : Tensor of shape () or (n_features,)
            The best variance, no less than the floor.
        """
        assert self.floor is not None
        best = squared_error.mean(0)
        if not self.variance.ndim:
            best = best.mean()
        elif in_proportion or self.in_proportion:
            best = self.variance * (best / self.variance).mean()
        return torch.maximum(best, self.floor)

    @torch.no_grad()
    def adapt_(
        self,
        x: Tensor,
        f: Tensor,
        weight: Tensor | None = None,
        *,
        in_proportion: bool = False,
    ) -> None:
        """Update the running mean of the squared errors by one mini-batch."""
        if self.floor is None:
            return
        error = F.mse_loss(f, x, reduction="none")
        if weight is None:
            best = self.optimal_variance(error, in_proportion=in_proportion)
            self.variance.lerp_(best, _VARIANCE_RATE)
            return
        mean = weight.mean()
        error *= (weight / mean.clamp(min=1e-30))[:, None]
        # A mini-batch counts by its weight; without any, not at all.
        rate = (_VARIANCE_RATE * mean).clamp(max=1).to(self.variance.dtype)
        best = self.optimal_variance(error, in_proportion=in_proportion)
        self.variance.lerp_(best, rate)

    def log_prob(self, x: Tensor, f: Tensor) -> Tensor:
        """Compute log p(x | f) in nats; shapes (..., n_features) give (...)."""
        error = (x - f).square()
        log_det = log(2 * pi) + self.variance.log()
        if self.variance.ndim:
            return -0.5 * ((error / self.variance).sum(-1) + log_det.sum())
        return -0.5 * (error.sum(-1) / self.variance + x.shape[-1] * log_det)

    def log_prob_of_observed(self, x: Tensor, f: Tensor) -> Tensor:
        """Compute `log_prob` of the entries of x that are not NaN."""
        missing = x.isnan()
        error = (x.masked_fill(missing, 0) - f).square()
        terms = error / self.variance + (log(2 * pi) + self.variance.log())
        return -0.5 * terms.masked_fill(missing, 0).sum(-1)

    @torch.no_grad()
    def adapt_to_(
        self, squared_error: Tensor, weight: Tensor, *, in_proportion: bool = False
    ) -> None:
        """Update the running mean by errors of which some do not count.

        Parameters
        ----------
        squared_error : Tensor of shape (batch, n_features)
            Squared errors.
        weight : Tensor of shape (batch, n_features)
            How much each counts: sample weights with mean 1 over the training data, and
            0 where nothing is observed.
        in_proportion : bool
            Whether variances of several features keep their ratios.
        """
        if self.floor is None:
            return
        total, count = (squared_error * weight).sum(0), weight.sum(0)
        if not self.variance.ndim:
            total, count = total.sum(), count.sum()
            n_all = weight.numel()
        elif in_proportion or self.in_proportion:
            total = self.variance * (total / self.variance).sum()
            count = count.sum()
            n_all = weight.numel()
        else:
            n_all = len(weight)
        best = torch.maximum(total / count.clamp(min=1e-30), self.floor)
        # A mini-batch counts by what is observed in it; without any, not at all.
        self.variance.lerp_(best, (_VARIANCE_RATE / n_all * count).clamp(max=1))

    @torch.no_grad()
    def gradient(self, x: Tensor, f: Tensor) -> Tensor:
        r"""Gradient by f, :math:`(x - f) / \sigma^2`, shape (batch, n_features)."""
        return (x - f).div_(self.variance)

    def mean(self, f: Tensor) -> Tensor:
        """Mean of x given f: f itself."""
        return f

    def noise(self, f: Tensor) -> Tensor:  # noqa: ARG002
        """Variance of x given f: that of the noise, () or (n_features,)."""
        return self.variance

    def sample(self, f: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw x given f, shape (batch, n_features)."""
        noise = torch.randn(
            f.shape, generator=generator, dtype=f.dtype, device=f.device
        )
        return f + self.variance.sqrt() * noise


class BernoulliObservation(Observation):
    r"""Bits whose logits are the decoder's output.

    .. math:: \log p(x \mid f) = \sum_i \left[ x_i f_i - \log(1 + e^{f_i}) \right]

    Parameters
    ----------
    sampled : bool
        Whether a value in (0, 1) is the probability of a bit, which is drawn.
        Otherwise the value itself is used in the formula.
    """

    def __init__(self, *, sampled: bool = False):
        super().__init__()
        self.sampled = sampled

    def observe(
        self, x: Tensor, *, generator: torch.Generator | RandomBits | None
    ) -> Tensor:
        """Draw bits if `sampled`; without a generator they are a function of x."""
        if not self.sampled:
            return x
        if generator is None:
            return bernoulli_of_rows(x)
        return bernoulli(x, generator=generator)

    def log_prob(self, x: Tensor, f: Tensor) -> Tensor:
        """Compute log p(x | f) in nats; shapes (..., n_features) give (...)."""
        # softplus is f itself above the threshold, by default at 20: 2e-9 too little.
        return (x * f).sum(-1) - F.softplus(f, threshold=50.0).sum(-1)

    def log_prob_of_observed(self, x: Tensor, f: Tensor) -> Tensor:
        """Compute `log_prob` of the entries of x that are not NaN."""
        missing = x.isnan()
        terms = x.masked_fill(missing, 0) * f - F.softplus(f, threshold=50.0)
        return terms.masked_fill(missing, 0).sum(-1)

    @torch.no_grad()
    def gradient(self, x: Tensor, f: Tensor) -> Tensor:
        """Gradient by f, x - P(x = 1 | f), shape (batch, n_features)."""
        p = torch.sigmoid(f)
        return torch.sub(x, p, out=p)

    def mean(self, f: Tensor) -> Tensor:
        """P(x = 1 | f), shape (batch, n_features)."""
        return torch.sigmoid(f)

    def noise(self, f: Tensor) -> Tensor:
        """Variance of the bits given f, P(x = 1 | f) P(x = 0 | f), of its shape."""
        return torch.sigmoid(f) * torch.sigmoid(-f)

    def sample(self, f: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw bits given f, shape (batch, n_features)."""
        return bernoulli(torch.sigmoid(f), generator=generator)
