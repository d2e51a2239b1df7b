"""The work of a training step of an RBM: matrix products in memory that is kept."""

import torch
from torch import Tensor

from skgen.nn._rounding import carrier, rounded
from skgen.rbm._model import BernoulliRBM
from skgen.sampling import RandomBits


class Machine:
    r"""What matrix products need of an RBM, without the overhead of a module.

    With rounded factors, in :math:`\sigma(W v + c)` and :math:`\sigma(W^\top h + b)`
    the couplings and the states are rounded to `products`, and so is the product;
    biases and probabilities keep the dtype of the model. States that are bits are
    exact. Hardware that multiplies bfloat16 natively does so several times as fast;
    without it, the rounded factors are multiplied in float32: see `carrier`.

    Parameters
    ----------
    model : BernoulliRBM
        The machine, of which parameters are shared.
    products : torch.dtype or None
        What factors are rounded to, such as ``torch.bfloat16``; None means not at
        all.
    """

    def __init__(self, model: BernoulliRBM, products: torch.dtype | None):
        self.exact = self.weight = model.weight.detach()
        self.hidden_bias = model.hidden_bias.detach()
        self.visible_bias = model.visible_bias.detach()
        self.products = products
        if products is not None:
            self._rounded = self.exact.to(products)
            # The same tensor where products are what is multiplied.
            self.weight = self._rounded.to(carrier(products, self.exact.device))
        self.transposed = self.weight.T

    def update_(self) -> None:
        """Round the couplings as they are now."""
        if self.products is not None:
            self._rounded.copy_(self.exact)
            self.weight.copy_(self._rounded)  # nothing where they are the same

    def hidden_probability(self, v: Tensor, *, out: Tensor) -> Tensor:
        """P(h = 1 | v), shape (batch, n_hidden), into `out`."""
        return self._probability(self.hidden_bias, v, self.transposed, out)

    def visible_probability(self, h: Tensor, *, out: Tensor) -> Tensor:
        """P(v = 1 | h), shape (batch, n_visible), into `out`."""
        return self._probability(self.visible_bias, h, self.weight, out)

    def _probability(self, bias: Tensor, x: Tensor, W: Tensor, out: Tensor) -> Tensor:
        if self.products is None:
            torch.mm(x, W, out=out)
        else:
            out.copy_((rounded(x, self.products) @ W).to(self.products))
        # Faster than `torch.addmm`, which begins by a copy of the bias to every row.
        return out.add_(bias).sigmoid_()


class Phases:
    """Tensors of both phases of a step: states v, P(h = 1 | v), weights of rows.

    Rows of data come first, then those of chains, then two for the offsets. The
    tensors are kept from step to step, as new memory takes long to touch first.

    Parameters
    ----------
    model : BernoulliRBM
        The machine.
    n, m : int
        Rows of data and of chains.
    products : torch.dtype or None
        As in `Machine`.
    """

    def __init__(
        self, model: BernoulliRBM, n: int, m: int, *, products: torch.dtype | None
    ):
        self.machine = Machine(model, products)
        n_hidden, n_visible = model.weight.shape
        new = self.machine.exact.new_empty
        self.right, self.left = new(n + m + 2, n_visible), new(n + m + 2, n_hidden)
        self.states, self.probability = self.right[:-2], self.left[:-2]
        self.states_transposed = self.states.T
        self.data, self.ends = self.states[:n], self.states[n:]
        self.positive, self.negative = self.probability[:n], self.probability[n:]
        # P(v = 1 | h) of the chains.
        self.mean = new(m, n_visible)
        # Each phase is a mean over its own rows.
        self.weights = self.machine.exact.new_tensor([1 / n] * n + [-1 / m] * m)
        self._scale, self._scaled = 1.0, (self.weights, self.weights[:, None])

    def scaled_weights(self, scale: float | Tensor) -> tuple[Tensor, Tensor]:
        """Scale the weights of rows, shapes (n + m,) and (n + m, 1)."""
        if isinstance(scale, Tensor) or scale != self._scale:
            weights = self.weights * scale
            # A tensor may change its value.
            self._scale = float("nan") if isinstance(scale, Tensor) else scale
            self._scaled = weights, weights[:, None]
        return self._scaled

    def run_(self, h: Tensor, n_steps: int, bits: RandomBits) -> None:
        """Run chains from hidden states, `n_steps` visible draws long, in place."""
        for step in range(n_steps):
            if step:
                self.machine.hidden_probability(self.ends, out=self.negative)
                bits.bernoulli(self.negative, out=h)
            self.machine.visible_probability(h, out=self.mean)
            bits.bernoulli(self.mean, out=self.ends)


def add_product_(
    x: Tensor, left: Tensor, right: Tensor, products: torch.dtype | None
) -> Tensor:
    """Add ``left.T @ right`` to x in place.

    Parameters
    ----------
    x : Tensor of shape (n, m)
        What is added to; the sum has its dtype.
    left, right : Tensor of shape (k, n) and (k, m)
        The factors.
    products : torch.dtype or None
        What factors and product are rounded to; None means not at all.

    Returns
    -------
    x : Tensor of shape (n, m)
        The same tensor.
    """
    if products is None:
        return x.addmm_(left.T, right)
    product = rounded(left, products).T @ rounded(right, products)
    return x.add_(product.to(products))
