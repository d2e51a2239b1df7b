"""Training by skorch: the net, the seam to the families, mini-batches, callbacks."""

from skgen._deprecation import moved_names
from skgen.training._batches import DeviceBatches, WeightedDataset
from skgen.training._callbacks import (
    Progress,
    StopEarly,
    WatchLoss,
    check_callbacks,
    copy_callbacks,
    watches_held_out_rows,
)
from skgen.training._device import resolve_device
from skgen.training._net import GenerativeNet
from skgen.training._objective import Batch, Objective
from skgen.training._precision import PRECISIONS, matmul_precision
from skgen.training._rows import RowSource, row_source, to_tensor
from skgen.training._schedules import SCHEDULES
from skgen.training._step import TrainingStep

__all__ = [
    "PRECISIONS",
    "SCHEDULES",
    "Batch",
    "DeviceBatches",
    "GenerativeNet",
    "Objective",
    "Progress",
    "RowSource",
    "StopEarly",
    "TrainingStep",
    "WatchLoss",
    "WeightedDataset",
    "check_callbacks",
    "copy_callbacks",
    "matmul_precision",
    "resolve_device",
    "row_source",
    "to_tensor",
    "watches_held_out_rows",
]

__getattr__ = moved_names(
    __name__,
    {
        name: f"skgen.callbacks:{name}"
        for name in ("AutocorrelationTime", "FreeEnergyGap", "LogLikelihood")
    },
)
