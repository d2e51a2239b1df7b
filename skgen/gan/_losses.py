r"""What the two players of a GAN minimise.

The critic D gives each row x a number :math:`D(x)`, and the generator G turns noise z
into rows :math:`G(z)`. With the data p and the law q of :math:`G(z)`, the game is

.. math:: \min_G \max_D\ \langle \log \sigma(D(x) - D(G(z))) \rangle_{x \sim p, z}

where real and generated rows are compared in pairs (relativistic pairing), or

.. math:: \min_G \max_{D \in \mathrm{Lip}_1}\ \langle D(x) \rangle_{x \sim p} -
          \langle D(G(z)) \rangle_z,

whose value at the best critic is the Wasserstein-1 distance of p and q.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

Critic = Callable[[Tensor], Tensor]


def relativistic_loss(winner: Tensor, loser: Tensor) -> Tensor:
    r"""Compute minus the log-probability that a critic puts one row before another.

    .. math:: -\log \sigma(D_1 - D_2)

    The critic minimises it with the real row first, the generator with its own first.
    Without a penalty the best critic of fixed laws p and q is their log-ratio
    :math:`\log p(x) - \log q(x)`, up to a constant, and its mean loss is at most log 2,
    which it is for equal laws (Jolicoeur-Martineau, 2019; Huang et al., 2024).

    Parameters
    ----------
    winner, loser : Tensor of shape (batch,)
        What the critic gives the first and the second row of each pair.

    Returns
    -------
    loss : Tensor of shape (batch,)
        The loss of each pair, in nats.
    """
    return softplus(loser - winner)


def wasserstein_loss(winner: Tensor, loser: Tensor) -> Tensor:
    r"""Compute the difference :math:`D_2 - D_1` that a critic sees in pairs of rows.

    Minus its mean is at most :math:`L\, W_1(p, q)` for a critic whose slope is nowhere
    above L (Kantorovich & Rubinstein).

    Parameters
    ----------
    winner, loser : Tensor of shape (batch,)
        What the critic gives the first and the second row of each pair.

    Returns
    -------
    loss : Tensor of shape (batch,)
        The loss of each pair, in the units of D.
    """
    return loser - winner


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relativistic": relativistic_loss,
    "wasserstein": wasserstein_loss,
}


def values_and_slopes(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Evaluate a critic and the square of its gradient by x.

    Parameters
    ----------
    critic : callable
        Maps (n, n_features) to (n,), each row by itself.
    x : Tensor of shape (n, n_features)
        Rows.

    Returns
    -------
    values : Tensor of shape (n,)
        :math:`D(x)`.
    slopes : Tensor of shape (n,)
        :math:`\lVert \nabla D(x) \rVert^2`, which can be differentiated by the
        parameters of the critic.
    """
    x = x.detach().requires_grad_()
    values = critic(x)
    (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    return values, gradient.square().sum(1)


def relativistic_critic_loss(
    critic: Critic, real: Tensor, fake: Tensor, penalty: float
) -> Tensor:
    r"""Compute the loss of the critic of each pair, with penalties on its slope.

    .. math:: \mathrm{softplus}(D(\tilde{x}) - D(x)) + \frac{\gamma}{2} \left(
              \lVert \nabla D(x) \rVert^2 + \lVert \nabla D(\tilde{x}) \rVert^2 \right)

    at real and generated rows, R1 and R2 (Mescheder et al., 2018; Huang et al., 2024,
    "R3GAN").

    Parameters
    ----------
    critic : callable
        Maps (n, n_features) to (n,).
    real, fake : Tensor of shape (batch, n_features)
        Real and generated rows.
    penalty : float
        :math:`\gamma`.

    Returns
    -------
    loss : Tensor of shape (batch,)
        The loss of each pair.
    """
    if not penalty:
        return relativistic_loss(*critic(torch.cat([real, fake])).chunk(2))
    values, slopes = values_and_slopes(critic, torch.cat([real, fake]))
    of_real, of_fake = slopes.chunk(2)
    return relativistic_loss(*values.chunk(2)) + penalty / 2 * (of_real + of_fake)


def wasserstein_critic_loss(
    critic: Critic, real: Tensor, fake: Tensor, penalty: float, share: Tensor
) -> Tensor:
    r"""Compute the loss of the critic of each pair; slopes other than 1 are punished.

    .. math:: D(\tilde{x}) - D(x) + \lambda \left( \lVert \nabla D(\hat{x}) \rVert - 1
              \right)^2, \qquad \hat{x} = s x + (1 - s) \tilde{x}

    (Gulrajani et al., 2017). The best critic is steeper than 1 where p and q differ:
    in one dimension its slope is :math:`1 + |F_p - F_q| / (2 \lambda r)` with the
    distribution functions F and the density r of :math:`\hat{x}`.

    Parameters
    ----------
    critic : callable
        Maps (n, n_features) to (n,).
    real, fake : Tensor of shape (batch, n_features)
        Real and generated rows.
    penalty : float
        :math:`\lambda`.
    share : Tensor of shape (batch, 1)
        Numbers s between 0 and 1.

    Returns
    -------
    loss : Tensor of shape (batch,)
        The loss of each pair.
    """
    loss = wasserstein_loss(*critic(torch.cat([real, fake])).chunk(2))
    if not penalty:
        return loss
    _, slopes = values_and_slopes(critic, fake + share * (real - fake))
    # The root has no derivative at 0, where a critic may start.
    return loss + penalty * ((slopes + 1e-12).sqrt() - 1).square()
