"""The autocorrelation time of Markov chains."""

import torch
from torch import Tensor


def integrated_autocorrelation_time(x: Tensor, *, window: float = 5.0) -> float:
    r"""Integrated autocorrelation time of an observable along Markov chains.

    .. math:: \tau = 1 + 2 \sum_{t=1}^{T} \rho(t),

    with the autocorrelation :math:`\rho` averaged over chains, and cut off at the
    first :math:`T \ge` `window` :math:`\tau` (Madras & Sokal, 1988). The variance of
    a mean over n steps is :math:`\tau / n` times the one of a single step;
    independent draws have :math:`\tau = 1`.

    Parameters
    ----------
    x : Tensor of shape (n_steps, n_chains)
        The observable, in equilibrium. Deviations are taken from the mean over all
        steps and chains, so that chains that stay apart count as slow.
    window : float
        Length of the window in units of :math:`\tau`.

    Returns
    -------
    tau : float
        Autocorrelation time in steps. If it is more than a few per cent of
        `n_steps` it is an underestimate; NaN if the observable does not vary.
    """
    n_steps = len(x)
    x = x.double() - x.double().mean()
    # Padded, so that the circular correlation of the transform is the plain one.
    spectrum = torch.fft.rfft(x, 2 * n_steps, dim=0)
    covariance = torch.fft.irfft(spectrum.abs().square(), dim=0)[:n_steps].mean(1)
    covariance /= torch.arange(n_steps, 0, -1, device=x.device)
    tau = 2 * (covariance / covariance[0]).cumsum(0) - 1
    long_enough = torch.arange(n_steps, device=x.device) >= window * tau
    last = long_enough.nonzero()[0] if long_enough.any() else n_steps - 1
    return tau[last].item()
