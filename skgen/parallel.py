"""Training by several processes, each with a part of every mini-batch."""

from skgen.training._processes import data_parallel

__all__ = ["data_parallel"]
