"""Estimates of partition functions and their errors."""

from skgen.likelihood._estimate import (
    CONFIDENCE,
    LogPartition,
    bennett,
    log_mean_exp,
)

__all__ = ["CONFIDENCE", "LogPartition", "bennett", "log_mean_exp"]
