"""Annealing from the base of an energy model to the model."""

from typing import NamedTuple

import torch
from torch import Tensor

from skgen.energy._chains import JUMP_EVERY, LARGEST_STEP, jump, move, run, start
from skgen.energy._mixture import GaussianMixtureDensity
from skgen.energy._model import EnergyNet
from skgen.sampling import Point

# Models between base and model at which a path is looked at, and steps at each.
_N_KNOTS, _STEPS_A_KNOT = 24, 4


class Path(NamedTuple):
    r"""How fast f is turned on, and which step size goes with it.

    Attributes
    ----------
    length : Tensor of shape (n_knots,)
        Length of the path up to each knot, :math:`\int_0^\beta \mathrm{sd}_b(f)\, db`,
        as a share of the whole. Equal parts have log weights of equal variance.
    beta : Tensor of shape (n_knots,)
        Factor of f at each knot, from 0 to 1.
    step_size : Tensor of shape (n_knots,)
        Step size of `move` there.
    """

    length: Tensor
    beta: Tensor
    step_size: Tensor

    def steps(self, n_steps: int) -> list[tuple[float, float]]:
        """Return factor and step size at the ends of parts of equal length, from 0."""
        share = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
        beta = _interpolate(share, self.length, self.beta)
        beta[0], beta[-1] = 0, 1
        size = _interpolate(share, self.length, self.step_size)
        return list(zip(beta.tolist(), size.tolist(), strict=True))


def direct_path(step_size: float) -> Path:
    """Turn f on evenly, for models that are near their base."""
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    sizes = torch.tensor([LARGEST_STEP, step_size], dtype=torch.float64)
    return Path(ends, ends, sizes)


def find_path(
    model: EnergyNet, n_chains: int, *, generator: torch.Generator
) -> tuple[Path, Tensor]:
    """Go from the base to the model once, and look at the spread of f on the way.

    Parameters
    ----------
    model : EnergyNet
        The model.
    n_chains : int
        Number of chains that go.
    generator : torch.Generator
        Source of randomness, on the device of the model.

    Returns
    -------
    path : Path
        The path.
    x : Tensor of shape (n_chains, n_features)
        Where the chains have come to.
    """
    here = start(model, model.base.sample(n_chains, generator=generator))
    beta = torch.linspace(0, 1, _N_KNOTS, dtype=torch.float64).square()
    size, sizes, spreads = LARGEST_STEP, [], []
    for b in beta.tolist():
        progress = run(
            model,
            model.base,
            here,
            _STEPS_A_KNOT,
            beta=b,
            step_size=size,
            generator=generator,
            tunes=True,
            jumps=False,
        )
        here, size = progress.point, progress.step_size
        sizes.append(size)
        spreads.append(progress.corrections.double().std().item())
        here, _ = jump(model, model.base, here, b, generator=generator)
    spread = torch.tensor(spreads, dtype=torch.float64).nan_to_num(0) + 1e-9
    parts = (spread[1:] + spread[:-1]) / 2 * beta.diff()
    length = torch.cat([torch.zeros(1, dtype=torch.float64), parts.cumsum(0)])
    size_at = torch.tensor(sizes, dtype=torch.float64)
    return Path(length / length[-1], beta, size_at), here.x


def forward(
    model: EnergyNet,
    base: GaussianMixtureDensity,
    n: int,
    path: Path,
    n_steps: int,
    *,
    generator: torch.Generator,
) -> tuple[Tensor, Point]:
    r"""Anneal points of the base, with their log weights.

    .. math:: \log w = -\sum_{j=1}^{J} (\beta_j - \beta_{j-1}) f(x_{j-1}), \qquad
              \langle w \rangle = Z,

    where :math:`x_0` is drawn from the base and :math:`x_j` is a step of chains of
    :math:`q_0 e^{-\beta_j f}` from :math:`x_{j-1}` (Neal, 2001).

    Parameters
    ----------
    model : EnergyNet
        The model.
    base : GaussianMixtureDensity
        Its base, or that given what is known of rows, one for each point.
    n : int
        Number of points.
    path : Path
        The path.
    n_steps : int
        Number of steps J.
    generator : torch.Generator
        Source of randomness, on the device of the model.

    Returns
    -------
    log_weight : Tensor of shape (n,)
        Log weights in nats, float64.
    point : Point
        The points after a step at the model itself.
    """
    steps = path.steps(n_steps)
    here = start(model, base.sample(n, generator=generator))
    total = torch.zeros(n, dtype=torch.float64, device=here.x.device)
    for j in range(1, n_steps + 1):
        total -= (steps[j][0] - steps[j - 1][0]) * here.energy
        here = _step(model, base, here, j, steps[j], generator)
    return total, here


def backward(
    model: EnergyNet,
    here: Point,
    path: Path,
    n_steps: int,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Anneal points of the model down to the base: `forward` in reversed time.

    Parameters
    ----------
    model : EnergyNet
        The model.
    here : Point
        Draws of the model.
    path : Path
        The path.
    n_steps : int
        Number of steps.
    generator : torch.Generator
        Source of randomness, on the device of the model.

    Returns
    -------
    log_weight : Tensor of shape (n,)
        Log weights in nats, with the sign of those of `forward`, float64.
    """
    steps = path.steps(n_steps)
    total = torch.zeros(len(here.x), dtype=torch.float64, device=here.x.device)
    for j in range(n_steps, 0, -1):
        here = _step(model, model.base, here, j, steps[j], generator)
        total -= (steps[j][0] - steps[j - 1][0]) * here.energy
    return total


def _step(
    model: EnergyNet,
    base: GaussianMixtureDensity,
    here: Point,
    j: int,
    at: tuple[float, float],
    generator: torch.Generator,
) -> Point:
    """One step that is its own reverse, the same one in both directions."""
    beta, size = at
    if j % JUMP_EVERY == 0:
        return jump(model, base, here, beta, generator=generator)[0]
    return move(model, base, here, beta, size, generator=generator)[0]


def _interpolate(x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    """Interpolate linearly between knots of increasing `xp`."""
    right = torch.searchsorted(xp, x).clamp(1, len(xp) - 1)
    low, high = xp[right - 1], xp[right]
    share = ((x - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return torch.lerp(fp[right - 1], fp[right], share)
