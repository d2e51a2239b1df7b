"""Training by skorch: the net, the seam to the families, mini-batches, callbacks."""

from skgen._deprecation import moved_names
from skgen.training._net import GenerativeNet
from skgen.training._objective import Objective
from skgen.training._rows import RowSource
from skgen.training._step import Batch, TrainingStep

__all__ = [
    "Batch",
    "GenerativeNet",
    "Objective",
    "RowSource",
    "TrainingStep",
]

__getattr__ = moved_names(
    __name__,
    {
        name: f"skgen.callbacks:{name}"
        for name in ("AutocorrelationTime", "FreeEnergyGap", "LogLikelihood")
    },
)
