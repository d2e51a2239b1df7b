"""Partition functions and likelihood estimates."""

from skgen.likelihood._exact import MAX_UNITS, log_partition_exact

__all__ = ["MAX_UNITS", "log_partition_exact"]
