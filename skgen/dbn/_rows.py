"""Features of data as rows of a table."""

from torch import Tensor

from skgen.dbn._features import FeatureRBM, OnFeatures
from skgen.training._rows import Index, RowSource
from skgen.training._step import Batch


class FeatureRows(RowSource):
    """Features of rows of another source, computed when they are asked for.

    Parameters
    ----------
    source : RowSource
        The rows.
    model : FeatureRBM
        The machine that they are features for.
    objective : OnFeatures
        What computes them, as functions of the rows alone.
    """

    def __init__(self, source: RowSource, model: FeatureRBM, objective: OnFeatures):
        self.source = source
        self.model = model
        self.objective = objective
        self.shape = source.shape[0], model.weight.shape[1]
        self.dtype, self.device = source.dtype, source.device
        self.weight = source.weight

    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:
        """Return features of some rows."""
        batch = Batch(self.source.gather(index))
        return self.objective.on_features(self.model, batch, None).x
