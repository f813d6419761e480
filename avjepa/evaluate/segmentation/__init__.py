"""BEV segmentation as a task, its result file and its scores."""

from avjepa.evaluate.segmentation.task import SegmentationTask

__all__ = ["SegmentationTask"]
