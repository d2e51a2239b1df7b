"""Display classes; matplotlib is imported when one is drawn, not before."""

from skgen.plotting._images import ImageGridDisplay

__all__ = ["ImageGridDisplay"]
