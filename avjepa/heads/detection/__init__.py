"""BEV map -> boxes."""

from avjepa.heads.detection.center_point import CenterPointHead, CenterPointOptions

__all__ = ["CenterPointHead", "CenterPointOptions"]
