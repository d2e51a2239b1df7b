"""Models of x given y, as functions of a model that is given y."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def given(function: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
    """Make ``function(model, x)`` one of a model that is given y, which may be None."""
    return lambda model, x, y: function(model.given(y, **options), x)


def joint_bounds(
    model: Any,
    x: Tensor,
    conditions: Tensor,
    log_p: Tensor,
    bound: Callable[[Any, Tensor], Tensor],
) -> Tensor:
    r"""Bound :math:`\log p(x \mid y_k) + \log p(y_k)` for several conditions.

    Parameters
    ----------
    model : nn.Module
        The model. Its method `given` returns a view of it given conditions.
    x : Tensor of shape (n_rows, n_features)
        Data.
    conditions : Tensor of shape (n_conditions_tried, n_conditions)
        The conditions :math:`y_k`.
    log_p : Tensor of shape (n_conditions_tried,)
        Their log-probabilities in nats.
    bound : callable
        Takes a model and x, and returns a bound on log p(x) of each row.

    Returns
    -------
    bounds : Tensor of shape (n_rows, n_conditions_tried)
        The bounds in nats.
    """
    bounds = [bound(model.given(y[None]), x) for y in conditions]
    return torch.stack(bounds, 1) + log_p.to(x)
