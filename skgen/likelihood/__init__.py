"""Partition functions and likelihood estimates."""

from skgen.likelihood._annealed import annealed_log_weights, log_partition_annealed
from skgen.likelihood._balanced import balanced_lines
from skgen.likelihood._estimate import (
    CONFIDENCE,
    LogPartition,
    bennett,
    log_mean_exp,
)
from skgen.likelihood._exact import MAX_UNITS, log_partition_exact
from skgen.likelihood._importance import importance_weighted_bound
from skgen.likelihood._trajectory import log_partition_trajectory, trajectory_lines

__all__ = [
    "CONFIDENCE",
    "MAX_UNITS",
    "LogPartition",
    "annealed_log_weights",
    "balanced_lines",
    "bennett",
    "importance_weighted_bound",
    "log_mean_exp",
    "log_partition_annealed",
    "log_partition_exact",
    "log_partition_trajectory",
    "trajectory_lines",
]
