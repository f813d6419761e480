"""Re-identification after occlusion: events, what is compared with them, and scores."""

from avjepa.evaluate.reidentification.scoring import ReidentificationScorer

__all__ = ["ReidentificationScorer"]
