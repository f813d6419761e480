"""Detections in the official format, scored by the nuScenes devkit, and by an equal, vectorised evaluator."""
