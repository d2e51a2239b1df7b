"""The tensors of a `JointStep`: parameters and states in aligned matrices."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Numbers to a multiple of which the rows of a matrix are padded: each begins at a
# cache line then, as matrix products are slower where it does not.
_ALIGNMENT = 16
# Rows times hidden units from which on a step reads the offset of the hidden units from
# a copy: a column of a matrix is read much more slowly than a vector.
_LEAST_MEANS = 2**13
# Operations on memory that stays where it is, one after another.
Plan = list[Callable[[], Any]]


class JointSpace:
    """Tensors of both phases for mini-batches of one size, views and plans of them.

    Rows of data come first, then those of chains.

    Parameters
    ----------
    joint : Tensor of shape (n_hidden + 1, n_columns)
        All parameters, of which dtype and device are taken.
    n_data : int
        Number of rows of the mini-batch.
    chains : Tensor of shape (n_chains, n_hidden + 1) or None
        Hidden states of the chains and a column of ones; None means that chains start
        at the data.
    offsets : tuple of (Tensor, Tensor) or None
        Offsets of visible and hidden units in the centered gradient.
    """

    def __init__(
        self,
        joint: Tensor,
        n_data: int,
        chains: Tensor | None,
        offsets: tuple[Tensor, Tensor] | None,
    ):
        n_hidden = joint.shape[0] - 1
        n_visible = joint.shape[1] - 1 - (offsets is not None)
        h = aligned_ones(joint, n_data, n_hidden + 1) if chains is None else chains
        n_chains = len(h)
        n_rows = n_data + n_chains
        self.h_and_1, self.h = h, h[:, :-1]
        self.right = aligned_ones(joint, n_rows, n_visible + 1)
        self.states = self.right[:, :-1]
        self.data, self.ends = self.states[:n_data], self.states[n_data:]
        self.data_and_1, self.ends_and_1 = self.right[:n_data], self.right[n_data:]
        # Of a GPU: the operations of a step as one, and of what they were recorded.
        self.graph: tuple[Any, Callable[[], None] | None] | None = None
        self.hidden_mean = joint.new_empty(n_rows, n_hidden)
        self.positive = self.hidden_mean[:n_data]
        self.negative = self.hidden_mean[n_data:]
        self.visible_mean = joint.new_empty(n_chains, n_visible)
        self.left = aligned_ones(joint, n_rows, n_hidden + 1)
        self.left_means, self.left_rest = self.left[:, :-1], self.left[:, -1]
        # Each phase is a mean over its own rows.
        self._weights = joint.new_full((n_rows,), 1 / n_data)
        self._weights[n_data:] = -1 / n_chains
        self.equal = self._weights[:n_data]
        self.weights = torch.zeros_like(self._weights)
        self.row_weights = self.weights[:, None]
        # What draws and ascends, and for what it was made; of what rate and offsets the
        # weights of rows are.
        self.phases: Plan = []
        self.ascent: Plan = []
        self.made_for: Any = None
        self.scaled_by: Any = None
        self._offsets = offsets
        if offsets is None:
            return
        # A copy of the offset of the hidden units, where the CPU reads that faster.
        self.hidden_offset: Tensor | None = None
        if joint.device.type == "cpu" and self.hidden_mean.numel() >= _LEAST_MEANS:
            self.hidden_offset = joint.new_empty(n_hidden)
        self.ones = joint.new_ones(n_rows)
        self.weighted_mu = joint.new_empty(n_rows, n_visible)
        self.centered_right = aligned_ones(joint, n_rows, n_visible + 2)
        self.right_means = self.centered_right[:, :-2]
        self.right_rest = self.centered_right[:, -2]
        # What moves the running mean of the hidden units, by rows of data alone.
        self._to_mean = self.centered_right[:, -1].zero_()

    def rescale(self, scale: float, offset_rate: float) -> None:
        """Set the weights of rows to multiples of their own, and the offset's rate."""
        torch.mul(self._weights, scale, out=self.weights)
        if self._offsets is None:
            self.left_rest.copy_(self.weights)
            return
        mu, _ = self._offsets
        torch.mul(mu, self.row_weights, out=self.weighted_mu).neg_()
        torch.mul(self.equal, offset_rate, out=self._to_mean[: len(self.equal)])


def joined(
    weight: Tensor, hidden: Tensor, visible: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Move weights and biases into one matrix, of which they are views afterwards."""
    n_hidden, n_visible = weight.shape
    joint = aligned_ones(weight, *shape).zero_()
    views = (
        joint[:n_hidden, :n_visible],
        joint[:n_hidden, n_visible],
        joint[-1, :n_visible],
    )
    for tensor, view in zip((weight, hidden, visible), views, strict=True):
        view.copy_(tensor.detach())
        tensor.data = view
    return joint


def aligned_ones(like: Tensor, n_rows: int, n_columns: int) -> Tensor:
    """Make a matrix of ones, whose rows begin at cache lines."""
    n_padded = -(-n_columns // _ALIGNMENT) * _ALIGNMENT
    return like.new_ones(n_rows, n_padded)[:, :n_columns]
