"""Display classes; matplotlib is imported when one is drawn, not before."""

from skgen.plotting._images import ImageGridDisplay
from skgen.plotting._latent import LatentDisplay
from skgen.plotting._scores import ScoreDisplay
from skgen.plotting._training import TrainingDisplay

__all__ = ["ImageGridDisplay", "LatentDisplay", "ScoreDisplay", "TrainingDisplay"]
