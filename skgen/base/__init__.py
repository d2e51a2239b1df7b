"""What every estimator shares: scikit-learn's interface, fitting, validation."""

from skgen.base._generator import BaseGenerator

__all__ = ["BaseGenerator"]
