"""Estimates of partition functions and their errors."""

from skgen._deprecation import moved_names
from skgen.likelihood._estimate import (
    CONFIDENCE,
    LogPartition,
    bennett,
    log_mean_exp,
)

__all__ = ["CONFIDENCE", "LogPartition", "bennett", "log_mean_exp"]

__getattr__ = moved_names(
    __name__,
    {
        "importance_weighted_bound": "skgen.vae:importance_weighted_bound",
        "log_partition_annealed": "skgen.rbm:log_partition_annealed",
        "log_partition_exact": "skgen.rbm:log_partition_exact",
        "log_partition_trajectory": "skgen.rbm:log_partition_trajectory",
    },
)
