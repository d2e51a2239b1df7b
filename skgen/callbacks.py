"""Callbacks that measure during training whether a model can be trusted."""

from skgen.rbm._callbacks import AutocorrelationTime, FreeEnergyGap, LogLikelihood

__all__ = ["AutocorrelationTime", "FreeEnergyGap", "LogLikelihood"]
