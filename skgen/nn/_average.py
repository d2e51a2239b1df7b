"""A moving average of the parameters of a network over the steps of training."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def move_average_(average: nn.Module, now: nn.Module, decay: float, n: int) -> None:
    r"""Move the averaged parameters of a network towards its parameters now.

    .. math:: \bar{w} \leftarrow d_n \bar{w} + (1 - d_n) w, \quad
              d_n = \min\left(d, \frac{n + 1}{n + 10}\right),

    so that the average of a short training forgets its start. Buffers, such as those of
    batch norm, are averages already, and are copied.

    Parameters
    ----------
    average : nn.Module
        A copy of the network, changed in place.
    now : nn.Module
        The network that is trained.
    decay : float
        Decay d of the average.
    n : int
        Number of the step, from 1.
    """
    share = 1 - min(decay, (n + 1) / (n + 10))
    averages: list[Tensor] = list(average.parameters())
    parameters: list[Tensor] = list(now.parameters())
    torch._foreach_lerp_(averages, parameters, share)
    for kept, buffer in zip(average.buffers(), now.buffers(), strict=True):
        kept.copy_(buffer)
