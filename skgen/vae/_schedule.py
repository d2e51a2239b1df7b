"""How the latents of a VAE are opened, one stage after another, in training."""

import torch
from torch import Tensor

# Stages, as shares of the training.
_FIRST_RISE = 0.1  # the weight of the first new latent rises
_OPENING = 0.3  # the others join
_RISE = 0.05  # their weight rises
_HIGH_UNTIL = 0.5
_END = 0.6
# Weights of the KL term, as multiples of beta.
_LOW, _HALF, _HIGH = 0.1, 0.5, 1.5


class StagedLatents:
    r"""Weights of the KL terms of the latents over a training, to avoid collapse.

    A latent that carries nothing at the start is in a stationary point of the evidence
    lower bound: with the noise variance at the variance of the data, an isotropic table
    has its posterior collapsed, and no gradient leads away (Lucas, Tucker, Grosse &
    Norouzi, "Don't blame the ELBO!", NeurIPS 2019). A low weight of the KL term does
    (Bowman et al., "Generating sentences from a continuous space", CoNLL 2016). It is
    given to one latent at first, as a curve through the data needs less information
    than a patchwork in several dimensions; the others have no influence until then.
    After they have joined, a weight above 1 makes latents give up what they do not
    need. The last 40 % of the training maximise the bound itself.

    Latents that the linear start uses have a weight of 1 at all times.

    Parameters
    ----------
    n_used : int
        Number of latents that carry something at the start: the first ones.
    n_latents : int
        Number of all latents.
    """

    def __init__(self, n_used: int, n_latents: int):
        self.n_used, self.n_latents = n_used, n_latents

    # Share of the training after which nothing is staged.
    end = _END

    def n_open(self, progress: float) -> int:
        """Return how many latents take part, the first ones.

        Parameters
        ----------
        progress : float
            Share of the training that has passed.

        Returns
        -------
        n_open : int
            Their number.
        """
        return self.n_latents if progress >= _OPENING else self.n_used + 1

    def weights(self, progress: float) -> Tensor:
        """Return the weight of the KL term of each latent, as a multiple of beta.

        Parameters
        ----------
        progress : float
            Share of the training that has passed.

        Returns
        -------
        weights : Tensor of shape (n_latents,)
            The weights, float32.
        """
        high = _HIGH
        if progress >= _HIGH_UNTIL:
            fall = (progress - _HIGH_UNTIL) / (_END - _HIGH_UNTIL)
            high = _between(_HIGH, 1.0, min(1.0, fall))
        rise = min(1.0, (progress - _OPENING) / _RISE)
        new = 0.0 if progress < _OPENING else _between(min(_HALF, high), high, rise)
        weights = torch.full((self.n_latents,), new)
        weights[: self.n_used] = 1.0
        weights[self.n_used] = _between(_LOW, 1.0, min(1.0, progress / _FIRST_RISE))
        return weights

    def shares_noise(self, progress: float) -> bool:
        """Whether the noise variances of the features keep their ratios for now.

        Otherwise the first new latent would learn one feature well, whose noise falls,
        and give up the others.

        Parameters
        ----------
        progress : float
            Share of the training that has passed.

        Returns
        -------
        shares : bool
            Whether they do.
        """
        return progress < _OPENING


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
