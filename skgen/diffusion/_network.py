"""The network of a diffusion model: fully connected, told of time in each layer."""

from collections.abc import Sequence
from math import pi, prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from skgen.nn import ACTIVATIONS

# Harmonics of the phase by which a network is told of time.
_N_HARMONICS = 8
# Numbers that tell a network of time.
N_TIMES = 2 * _N_HARMONICS
# Biases of the first layer are drawn between plus and minus this.
_FIRST_BIAS = 2.0
# Standard deviation of the weights of conditions at the start.
_CONDITION = 0.5


def harmonics(phase: Tensor) -> Tensor:
    """Compute sines and cosines of multiples of a phase, (n, 2 * n_harmonics)."""
    k = torch.arange(1, _N_HARMONICS + 1, dtype=phase.dtype, device=phase.device)
    angle = pi * phase[:, None] * k
    return torch.cat([angle.sin(), angle.cos()], 1)


def beside(phase: Tensor, condition: Tensor | None) -> Tensor:
    """Put together what layers see beside the points: harmonics and conditions.

    Parameters
    ----------
    phase : Tensor of shape (n,) or (1,)
        Phases of the times; one stands for all points.
    condition : Tensor of shape (n, n_conditions) or None
        Conditions.

    Returns
    -------
    seen : Tensor of shape (n, 2 * n_harmonics + n_conditions)
        One row without conditions where one phase stands for all points.
    """
    e = harmonics(phase)
    if condition is None:
        return e
    return torch.cat([e.expand(condition.shape[0], -1), condition], 1)


class TimeMLP(nn.Module):
    """Fully connected layers, with a bias in each that depends on time and conditions.

    A layer as wide as the one before is added to it.

    Parameters
    ----------
    n_features : int
        Width of input and output.
    sizes : sequence of int
        Widths of the hidden layers.
    activation : str
        A key of `skgen.nn.ACTIVATIONS`.
    n_conditions : int
        Number of conditions, which each layer sees beside time.
    dropout : float
        Probability with which a hidden unit is dropped in training.
    device : str or None
        Where the parameters are, as in `skgen.nn.mlp`.
    """

    def __init__(
        self,
        n_features: int,
        sizes: Sequence[int],
        activation: str,
        *,
        n_conditions: int = 0,
        dropout: float = 0.0,
        device: str | None = None,
    ):
        super().__init__()
        widths = (n_features, *sizes)
        self.layers = nn.ModuleList(
            nn.Linear(n_in, n_out, device=device)
            for n_in, n_out in zip(widths, sizes, strict=False)
        )
        n_time = N_TIMES + n_conditions
        self.times = nn.ModuleList(
            nn.Linear(n_time, n_out, bias=False, device=device) for n_out in sizes
        )
        self.last = nn.Linear(widths[-1], n_features, device=device)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = dropout

    def forward(
        self,
        y: Tensor,
        phase: Tensor,
        condition: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Map y at some phases.

        Parameters
        ----------
        y : Tensor of shape (batch, n_features)
            Points.
        phase : Tensor of shape (batch,) or (1,)
            Their phases, or one for all.
        condition : Tensor of shape (batch, n_conditions) or None
            Their conditions, if there are any.
        generator : torch.Generator or None
            Source of randomness of dropout; None means that nothing is dropped.

        Returns
        -------
        g : Tensor of shape (batch, n_features)
            The output.
        """
        e, h = beside(phase, condition), y
        for k, (layer, time) in enumerate(self._pairs()):
            new = self.activation(layer(h).add_(time(e)))
            if generator is not None and self.dropout:
                new = new * kept(new.shape, self.dropout, generator).to(new.dtype)
            h = h + new if k and h.shape == new.shape else new
        return self.last(h)

    def _pairs(self) -> list[tuple[Any, Any]]:
        """The layers, and what tells them of time."""
        return list(zip(self.layers, self.times, strict=True))

    def with_diagonal(
        self,
        y: Tensor,
        phase: Tensor,
        condition: Tensor | None = None,
        probes: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Compute the output and the diagonal of its Jacobian by y.

        Parameters
        ----------
        y : Tensor of shape (batch, n_features)
            Points.
        phase : Tensor of shape (batch,) or (1,)
            Their phases, or one for all.
        condition : Tensor of shape (batch, n_conditions) or None
            Their conditions, if there are any.
        probes : Tensor of shape (n_probes, n_features) or None
            Directions of entries 1 and -1, along which the Jacobian is taken for an
            estimate of the diagonal (Hutchinson, 1989); None means that it is exact.

        Returns
        -------
        g : Tensor of shape (batch, n_features)
            The output.
        diagonal : Tensor of shape (batch, n_features)
            The diagonal of its Jacobian.
        """
        e, h = beside(phase, condition), y
        tangents: Tensor | None = None
        for layer, time in self._pairs():
            new, slope = _with_slope(self.activation, layer(h) + time(e))
            if tangents is None:  # one for each feature, or each probe
                weight: Tensor = layer.weight.T
                moved = (weight if probes is None else probes @ weight) * slope[:, None]
                h, tangents = new, moved
            else:
                moved = tangents @ layer.weight.T * slope[:, None]
                if h.shape == new.shape:
                    h, tangents = h + new, tangents + moved
                else:
                    h, tangents = new, moved
        g, last = self.last(h), self.last.weight
        if tangents is None:
            diagonal = last.diagonal().expand(len(y), -1)
        elif probes is None:
            diagonal = torch.einsum("bdh,dh->bd", tangents, last)
        else:
            along = tangents @ last.T
            diagonal = (along * probes).mean(1)
        return g, diagonal


def kept(shape: Sequence[int], share: float, generator: torch.Generator) -> Tensor:
    """Draw what dropout multiplies units by: 0 for about a share of them.

    The share is rounded to a multiple of 1/256: a random byte decides for each unit.

    Parameters
    ----------
    shape : sequence of int
        Shape of the units.
    share : float
        Share that is dropped.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    kept : Tensor of that shape, dtype=float32
        Factors of mean 1.
    """
    n_bytes, device = prod(shape), generator.device
    words = torch.empty(-(-n_bytes // 8), dtype=torch.int64, device=device)
    words.random_(-(2**63), None, generator=generator)
    n_dropped = min(round(share * 256), 255)
    kept = words.view(torch.uint8)[:n_bytes].view(*shape) >= n_dropped
    return kept.to(torch.float32).mul_(256 / (256 - n_dropped))


def _with_slope(activation: nn.Module, a: Tensor) -> tuple[Tensor, Tensor]:
    """The output of an activation and its derivative, whatever it is."""
    with torch.inference_mode(False), torch.enable_grad():
        a = a.clone().requires_grad_()
        out = activation(a.clone())  # it may work in place
        (slope,) = torch.autograd.grad(out.sum(), a)
    return out.detach(), slope


@torch.no_grad()
def reset_time(weight: Tensor, generator: torch.Generator) -> None:
    """Draw the weights of time and, after it, of conditions, in place."""
    weight[:, :N_TIMES].normal_(0, 1 / sqrt(N_TIMES), generator=generator)
    weight[:, N_TIMES:].normal_(0, _CONDITION, generator=generator)


@torch.no_grad()
def reset_time_mlp(network: TimeMLP, generator: torch.Generator) -> None:
    """Draw the parameters that training starts from; the output starts at 0.

    With small weights and no biases, a network of inputs that have neither a mean nor
    correlations has next to no gradient, and training stands still for thousands of
    steps: the first layer begins with kinks at different places of the data.

    Parameters
    ----------
    network : TimeMLP
        The network, changed in place.
    generator : torch.Generator
        Source of randomness.
    """
    for k, (layer, time) in enumerate(network._pairs()):
        gain = 2.0 if k == 0 else sqrt(2.0)
        layer.weight.normal_(0, gain / sqrt(layer.in_features), generator=generator)
        if k == 0:
            layer.bias.uniform_(-_FIRST_BIAS, _FIRST_BIAS, generator=generator)
        else:
            layer.bias.zero_()
        reset_time(time.weight, generator)
    network.last.weight.zero_()
    network.last.bias.zero_()
