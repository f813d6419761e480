"""Detections in the official format, scored by the nuScenes devkit, and by an equal, vectorised evaluator."""

from avjepa.evaluate.detection.task import DetectionTask

__all__ = ["DetectionTask"]
