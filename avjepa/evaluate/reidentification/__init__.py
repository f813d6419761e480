"""Re-identification after occlusion: events, what is compared with them, and scores."""

from avjepa.evaluate.reidentification.scoring import ReidentificationScorer
from avjepa.evaluate.reidentification.task import ReidentificationTask

__all__ = ["ReidentificationScorer", "ReidentificationTask"]
