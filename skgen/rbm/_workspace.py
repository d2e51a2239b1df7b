"""The tensors of a training step of an RBM, which are kept from step to step."""

import torch
from torch import Tensor

from skgen.nn._rounding import matmul_dtype, rounded
from skgen.rbm._model import RBM
from skgen.sampling import RandomBits


class ComputeParameters:
    r"""Parameters of an RBM in the dtype of matrix products, and both conditionals.

    With rounded factors, weights and states are rounded to `factor_dtype` in the
    products :math:`W v` and :math:`W^\top h`, and so are the products; biases and
    means keep the dtype of the model. States that are bits are exact. Hardware that
    multiplies bfloat16 natively does so several times as fast; without it, the rounded
    factors are multiplied in float32: see `skgen.nn._rounding.matmul_dtype`.

    Parameters
    ----------
    model : RBM
        The model, with which parameters are shared.
    factor_dtype : torch.dtype or None
        To what factors are rounded, such as ``torch.bfloat16``; None means not at
        all.
    """

    def __init__(self, model: RBM, factor_dtype: torch.dtype | None):
        self.exact = self.weight = model.weight.detach()
        self.hidden, self.visible = model.hidden, model.visible
        self.hidden_bias = self.hidden.bias.detach()
        self.visible_bias = self.visible.bias.detach()
        self.factor_dtype = factor_dtype
        if factor_dtype is not None:
            self._rounded = self.exact.to(factor_dtype)
            # The same tensor where factors are multiplied in the dtype itself.
            self.weight = self._rounded.to(
                matmul_dtype(factor_dtype, self.exact.device)
            )
        self.transposed = self.weight.T

    def update_(self) -> None:
        """Round the weights as they are now."""
        if self.factor_dtype is not None:
            self._rounded.copy_(self.exact)
            self.weight.copy_(self._rounded)  # nothing where they are the same

    def hidden_mean(self, v: Tensor, *, out: Tensor) -> Tensor:
        """Mean of h given v, shape (n, n_hidden), into `out`."""
        return self.hidden.mean_(
            self._inputs(self.hidden_bias, v, self.transposed, out)
        )

    def visible_mean(self, h: Tensor, *, out: Tensor) -> Tensor:
        """Mean of v given h, shape (n, n_visible), into `out`."""
        return self.visible.mean_(self._inputs(self.visible_bias, h, self.weight, out))

    def _inputs(self, bias: Tensor, x: Tensor, W: Tensor, out: Tensor) -> Tensor:
        if self.factor_dtype is None:
            torch.mm(x, W, out=out)
        else:
            out.copy_((rounded(x, self.factor_dtype) @ W).to(self.factor_dtype))
        # Faster than `torch.addmm`, which begins by a copy of the bias to every row.
        return out.add_(bias)


class Workspace:
    """Tensors of both phases of contrastive divergence.

    They hold the visible states, the means of h given these, and the weights with
    which rows count. Rows of data come first, then those of chains, then two rows for
    the offsets of the centered gradient. The tensors are kept from step to step, as
    memory takes long to use for the first time.

    Parameters
    ----------
    parameters : ComputeParameters
        The parameters of the model.
    n_data, n_chains : int
        Number of rows of data and of chains.
    """

    def __init__(self, parameters: ComputeParameters, n_data: int, n_chains: int):
        self.parameters = parameters
        n_hidden, n_visible = parameters.exact.shape
        n_rows = n_data + n_chains
        new = self.parameters.exact.new_empty
        self.right, self.left = new(n_rows + 2, n_visible), new(n_rows + 2, n_hidden)
        self.states, self.hidden_mean = self.right[:-2], self.left[:-2]
        self.data, self.chain_ends = self.states[:n_data], self.states[n_data:]
        self.positive = self.hidden_mean[:n_data]
        self.negative = self.hidden_mean[n_data:]
        # Mean of v given h, of the chains.
        self.visible_mean = new(n_chains, n_visible)
        # Each phase is a mean over its own rows.
        self.weights = new(n_rows).fill_(1 / n_data)
        self.weights[n_data:] = -1 / n_chains
        self._scale, self._scaled = 1.0, (self.weights, self.weights[:, None])

    def scaled_weights(self, scale: float) -> tuple[Tensor, Tensor]:
        """Scale the weights of rows, as shapes (n_rows,) and (n_rows, 1)."""
        if scale != self._scale:
            weights = self.weights * scale
            self._scale, self._scaled = scale, (weights, weights[:, None])
        return self._scaled

    def run_chains_(self, h: Tensor, n_steps: int, bits: RandomBits) -> None:
        """Run chains from hidden states, in place, for `n_steps` visible draws."""
        parameters = self.parameters
        for step in range(n_steps):
            if step:
                parameters.hidden_mean(self.chain_ends, out=self.negative)
                parameters.hidden.sample(self.negative, generator=bits, out=h)
            mean = parameters.visible_mean(h, out=self.visible_mean)
            parameters.visible.sample(mean, generator=bits, out=self.chain_ends)


def add_product_(
    x: Tensor, left: Tensor, right: Tensor | None, factor_dtype: torch.dtype | None
) -> Tensor:
    """Add ``left.T @ right`` to x in place; without `right`, add `left`.

    Parameters
    ----------
    x : Tensor of shape (n, m)
        What is added to; the sum has its dtype.
    left, right : Tensor of shape (k, n) and (k, m)
        The factors; or the product itself, of shape (n, m), and None.
    factor_dtype : torch.dtype or None
        To what factors and product are rounded; None means not at all.

    Returns
    -------
    x : Tensor of shape (n, m)
        The same tensor.
    """
    if right is None:
        return x.add_(left)
    if factor_dtype is None:
        return x.addmm_(left.T, right)
    product = rounded(left, factor_dtype).T @ rounded(right, factor_dtype)
    return x.add_(product.to(factor_dtype))
