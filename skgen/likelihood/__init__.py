"""Partition functions and likelihood estimates."""

from skgen.likelihood._exact import MAX_UNITS, log_partition_exact
from skgen.likelihood._importance import importance_weighted_bound

__all__ = ["MAX_UNITS", "importance_weighted_bound", "log_partition_exact"]
