"""Errors of the package."""

from skgen.training._divergence import TrainingDivergedError

__all__ = ["TrainingDivergedError"]
