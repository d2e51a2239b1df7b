"""Callbacks that measure whether a model can be trusted, or that save its training."""

from skgen.base._resume import Resume
from skgen.rbm._callbacks import AutocorrelationTime, FreeEnergyGap, LogLikelihood

__all__ = ["AutocorrelationTime", "FreeEnergyGap", "LogLikelihood", "Resume"]
