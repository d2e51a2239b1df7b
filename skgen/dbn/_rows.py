"""Features of data as rows of a table."""

from collections.abc import Sequence

import torch
from torch import Tensor

from skgen.dbn._features import features_of
from skgen.nn import Observation
from skgen.rbm import RBM
from skgen.training._rows import Index, RowSource


class FeatureRows(RowSource):
    """Features of rows of another source, computed when they are asked for.

    They are functions of the rows alone.

    Parameters
    ----------
    source : RowSource
        The rows.
    machines : sequence of RBM
        The machines of which the last computes the features, in the dtype of the rows.
    observation : Observation
        What is observed of the rows.
    """

    def __init__(
        self, source: RowSource, machines: Sequence[RBM], observation: Observation
    ):
        self.source = source
        self.machines = machines
        self.observation = observation
        self.shape = source.shape[0], len(machines[-1].hidden.bias)
        self.dtype, self.device = source.dtype, source.device
        self.weight, self.rows_a_block = source.weight, source.rows_a_block

    @torch.no_grad()
    def gather(self, index: Index, *, out: Tensor | None = None) -> Tensor:
        """Return features of some rows."""
        v = self.observation.observe(self.source.gather(index), generator=None)
        return features_of(self.machines, v, generator=None)
