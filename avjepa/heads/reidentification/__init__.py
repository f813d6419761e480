"""BEV map and boxes -> an embedding of every box, the same for the same object at another time."""

from avjepa.heads.reidentification.head import ReidentificationHead, ReidentificationOptions

__all__ = ["ReidentificationHead", "ReidentificationOptions"]
