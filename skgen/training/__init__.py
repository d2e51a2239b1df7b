"""Training by skorch: the net, batches that live on the device, callbacks."""

from skgen.training._batches import DeviceBatches, to_tensor
from skgen.training._callbacks import (
    Progress,
    StopEarly,
    WatchLoss,
    check_callbacks,
    copies,
    watches_held_out_rows,
)
from skgen.training._device import resolve_device
from skgen.training._net import GenerativeNet
from skgen.training._objective import Objective
from skgen.training._precision import PRECISIONS, products_in
from skgen.training._schedules import SCHEDULES

__all__ = [
    "PRECISIONS",
    "SCHEDULES",
    "DeviceBatches",
    "GenerativeNet",
    "Objective",
    "Progress",
    "StopEarly",
    "WatchLoss",
    "check_callbacks",
    "copies",
    "products_in",
    "resolve_device",
    "to_tensor",
    "watches_held_out_rows",
]
