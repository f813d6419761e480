"""BEV map -> what covers its cells."""

from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.segmentation.head import SegmentationHead, SegmentationOptions

__all__ = ["SegmentationHead", "SegmentationOptions", "SegmentedClasses"]
