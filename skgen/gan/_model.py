"""A generative adversarial network: a generator and a critic."""

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """A network that turns noise into rows.

    Parameters
    ----------
    network : nn.Module
        Maps (batch, n_components) to (batch, n_features).
    n_components : int
        Width of the noise.
    varies : Tensor of shape (n_features,)
        1 for features that vary in the data, and 0 for those that are constant, which
        are 0 in all rows.
    """

    varies: Tensor

    def __init__(self, network: nn.Module, n_components: int, varies: Tensor):
        super().__init__()
        self.network = network
        self.n_components = n_components
        self.register_buffer("varies", varies, persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise, (batch, n_components), to rows, (batch, n_features)."""
        return self.network(z) * self.varies

    def draw(self, n_rows: int, generator: torch.Generator) -> Tensor:
        """Draw rows, in the dtype and on the device of the model.

        Parameters
        ----------
        n_rows : int
            Number of rows.
        generator : torch.Generator
            Source of randomness, on the device of the model.

        Returns
        -------
        x : Tensor of shape (n_rows, n_features)
            The rows.
        """
        like = self.varies
        shape = (n_rows, self.n_components)
        z = torch.randn(
            shape, dtype=like.dtype, device=like.device, generator=generator
        )
        return self(z)


class GANNet(nn.Module):
    """Both players.

    Parameters
    ----------
    generator : Generator
        Turns noise into rows.
    critic : nn.Module
        Maps rows, (batch, n_features), to (batch, 1).
    """

    def __init__(self, generator: Generator, critic: nn.Module):
        super().__init__()
        self.generator = generator
        self.critic = critic

    def forward(self, x: Tensor) -> Tensor:
        """Give each row the number of the critic, (batch,)."""
        return self.critic(x).squeeze(1)
