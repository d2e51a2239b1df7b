"""Conditions as the networks of conditional models take them, as torch modules."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class OneHot(nn.Module):
    """One bit for each class of a column of labels.

    Parameters
    ----------
    classes : Tensor of shape (n_classes,)
        Numbers that stand for the labels.
    """

    classes: Tensor

    def __init__(self, classes: Tensor):
        super().__init__()
        self.register_buffer("classes", classes.double())

    def forward(self, y: Tensor) -> Tensor:
        """Encode labels of shape (batch, 1) by bits, (batch, n_classes)."""
        return torch.eq(y.double(), self.classes).double()


class Scaled(nn.Module):
    """A column of values, standardised.

    Parameters
    ----------
    location, scale : float
        What is subtracted, and what the rest is divided by.
    """

    def __init__(self, location: float, scale: float):
        super().__init__()
        self.location, self.scale = location, scale

    def forward(self, y: Tensor) -> Tensor:
        """Standardise values of shape (batch, 1)."""
        return (y.double() - self.location) / self.scale


class EncodedConditions(nn.Module):
    """Conditions as the networks of a conditional model take them.

    Parameters
    ----------
    columns : sequence of nn.Module
        What encodes each column of y.
    """

    def __init__(self, columns: Sequence[nn.Module]):
        super().__init__()
        self.columns = nn.ModuleList(columns)

    def forward(self, y: Tensor) -> Tensor:
        """Encode y of shape (batch, n_columns)."""
        pairs = zip(self.columns, y.split(1, dim=1), strict=True)
        return torch.cat([encode(column) for encode, column in pairs], 1)
